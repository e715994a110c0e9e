/* SPDX-License-Identifier: Apache-2.0
 * The progress bar, and the detection of terminals. */
#include "launch/run/progress.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "dist/comm/launcher.h"
#include "launch/report/unit_text.h"

/* ---- the terminal ------------------------------------------------------------------------------------------------ */

bool ls_on_terminal(int *width)
{
    const ls_launcher_kind kind = ls__launcher().kind;
    int                    fd = STDERR_FILENO, opened = -1;
    /* srun gives a rank its own terminal with --pty, else a pipe. */
    if (kind != LS_LAUNCHER_NONE && kind != LS_LAUNCHER_SRUN) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
        fd = opened = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    }
    struct winsize size;
    bool           terminal = fd >= 0 && isatty(fd);
    *width                  = terminal && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    if (opened >= 0) close(opened);
    return terminal;
}

bool ls_use_color(void)
{
    int         width;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no && *no) && !(term && strcmp(term, "dumb") == 0) && ls_on_terminal(&width);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* Text that grows; columns are counted in characters, not bytes. */
typedef struct line {
    char  *out;
    size_t room, used;
    int    columns;
} line;

static void add(line *l, bool visible, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->out + l->used, l->room - l->used, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= l->room - l->used) {
        l->out[l->used] = 0;
        return;
    }
    if (visible)
        for (int i = 0; i < n; i++) l->columns += ((unsigned char)l->out[l->used + (size_t)i] & 0xc0) != 0x80;
    l->used += (size_t)n;
}

/* Adds the figures right of the bar. */
static void add_figures(line *l, const ls_bar_state *s)
{
    char text[32], total[32];
    ls__count_text(text, sizeof text, s->step);
    ls__count_text(total, sizeof total, s->steps);
    if (s->steps > 0)
        add(l, true, "  %s/%s", text, total);
    else
        add(l, true, "  step %s", text);
    if (!isnan(s->loss)) add(l, true, "  loss %.4f", s->loss);
    if (!isnan(s->samples_per_s)) {
        ls__count_text(text, sizeof text, llround(s->samples_per_s));
        add(l, true, "  %s%s%s/s", text, s->unit ? " " : "", s->unit ? s->unit : "");
    }
    if (!isnan(s->seconds_left)) {
        ls__time_text(text, sizeof text, s->seconds_left);
        add(l, true, "  %s left", text);
    }
}

void ls__bar_text(char *out, size_t room, const ls_bar_state *s, int width, bool color)
{
    enum { MOST = 40, LEAST = 8 };
    char head_text[64], tail_text[160];
    line head = {head_text, sizeof head_text, 0, 0}, tail = {tail_text, sizeof tail_text, 0, 0}, l = {out, room, 0, 0};
    head_text[0] = tail_text[0] = out[0] = 0;
    add(&head, true, "%s", s->what);
    if (s->epochs > 0)
        add(&head, true, " %lld/%lld", (long long)s->epoch, (long long)s->epochs);
    else if (s->epoch > 0)
        add(&head, true, " %lld", (long long)s->epoch);
    add_figures(&tail, s);

    int cells = width - 1 - head.columns - tail.columns - 7; /* 7 columns for "  100 %" */
    cells     = cells > MOST ? MOST : cells;
    add(&l, true, "%s", head_text);
    if (s->steps > 0 && cells >= LEAST) {
        double done = (double)s->step / (double)s->steps;
        int    half = (int)(done * 2 * cells), full = half / 2;
        add(&l, true, " ");
        if (color) add(&l, false, "\033[36m");
        for (int i = 0; i < full; i++) add(&l, true, "━");
        if (half % 2) add(&l, true, "╸");
        if (color) add(&l, false, "\033[90m");
        for (int i = full + half % 2; i < cells; i++) add(&l, true, color ? "━" : "·");
        if (color) add(&l, false, "\033[0m");
        add(&l, true, " %3.0f %%", floor(100 * done));
    }
    if (l.columns + tail.columns < width) add(&l, true, "%s", tail_text);
}

/* ---- the bar ----------------------------------------------------------------------------------------------------- */

void ls_bar_open(ls_bar *b, bool prints)
{
    *b = (ls_bar){.prints = prints, .last = ls__clock_s()};
    if (!prints) return;
    b->terminal = ls_on_terminal(&b->width);
    b->color    = ls_use_color();
    b->interval = b->terminal ? 0.1 : 5;
}

static void clear(ls_bar *b)
{
    if (b->drawn) fputs("\r\033[K", stderr);
    b->drawn = false;
}

void ls_bar_update(ls_bar *b, const ls_bar_state *s)
{
    if (!b->prints) return;
    double now = ls__clock_s();
    if (now - b->last < b->interval) return;
    b->last = now;
    char text[640];
    ls__bar_text(text, sizeof text, s, b->terminal ? b->width : 80, b->color);
    if (b->terminal) {
        fprintf(stderr, "\r\033[K%s", text);
        b->drawn = true;
    } else {
        fprintf(stderr, "%s\n", text);
    }
    fflush(stderr);
}

void ls_bar_say(ls_bar *b, const char *format, ...)
{
    if (!b->prints) return;
    clear(b);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
}

void ls_bar_close(ls_bar *b)
{
    if (b->prints) clear(b);
    b->prints = false;
}

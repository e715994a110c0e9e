/* SPDX-License-Identifier: Apache-2.0
 * Writes report.html. */
#include "launch/report/report_html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/io/atomic_file.h"
#include "launch/report/svg_chart.h"
#include "launch/run/metrics.h"

typedef struct entry entry;
struct entry {
    entry      *next;
    const char *first, *second; /* of a figure: name and value; of a table: NULL and the row */
    const char *note;           /* small text below a figure; NULL: none */
};

typedef struct table table;
struct table {
    table      *next;
    const char *title, *heads;
    int         wide;
    entry      *rows, **end;
};

struct ls_report {
    ls_arena   *arena;
    const char *title, *subtitle, *state;
    entry      *figures, **figures_end;
    table      *tables, *last;
    const char *section;
};

ls_status ls_report_new(ls_report **r, const char *title, const char *subtitle, const char *state)
{
    ls_arena *arena;
    LS_TRY(ls_arena_new(&arena, "report"));
    *r                = ls_arena_alloc(arena, sizeof **r);
    **r               = (ls_report){.arena    = arena,
                                    .title    = ls_arena_strdup(arena, title),
                                    .subtitle = ls_arena_strdup(arena, subtitle),
                                    .state    = ls_arena_strdup(arena, state)};
    (*r)->figures_end = &(*r)->figures;
    return LS_OK;
}

void ls_report_free(ls_report *r)
{
    if (r) ls_arena_free(r->arena);
}

static entry *new_entry(ls_report *r, const char *first, const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    entry *e  = ls_arena_alloc(r->arena, sizeof *e);
    e->note   = NULL;
    e->first  = first ? ls_arena_strdup(r->arena, first) : NULL;
    e->second = ls_arena_strdup(r->arena, text);
    return e;
}

void ls_report_figure(ls_report *r, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *r->figures_end = new_entry(r, name, format, args);
    r->figures_end  = &(*r->figures_end)->next;
    va_end(args);
}

void ls_report_figure_note(ls_report *r, const char *format, ...)
{
    char    text[256];
    entry  *last = r->figures;
    va_list args;
    while (last && last->next) last = last->next;
    if (!last) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    last->note = ls_arena_strdup(r->arena, text);
}

void ls_report_table(ls_report *r, const char *title, const char *heads, int wide)
{
    table *t = ls_arena_alloc(r->arena, sizeof *t);
    t->title = ls_arena_strdup(r->arena, title);
    t->heads = ls_arena_strdup(r->arena, heads);
    t->wide  = wide;
    t->end   = &t->rows;
    if (r->last)
        r->last->next = t;
    else
        r->tables = t;
    r->last = t;
}

void ls_report_row(ls_report *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *r->last->end = new_entry(r, NULL, format, args);
    r->last->end  = &(*r->last->end)->next;
    va_end(args);
}

void ls_report_section(ls_report *r, const char *html) { r->section = html; }

/* ---- curves ------------------------------------------------------------------------------------------------------ */

typedef struct column {
    int64_t n, room;
    double *x, *y;
} column;

typedef struct curves {
    column loss, lr, rate, tokens, test_loss, test_accuracy, perplexity, bits;
    double last;
    bool   no_memory;
} curves;

static void append(curves *c, column *to, double x, double y)
{
    if (to->n == to->room) {
        int64_t room = to->room ? 2 * to->room : 1024;
        double *xs   = realloc(to->x, (size_t)room * sizeof *xs),
               *ys   = xs ? realloc(to->y, (size_t)room * sizeof *ys) : NULL;
        if (xs) to->x = xs;
        if (ys) to->y = ys;
        if (!ys) {
            c->no_memory = true;
            return;
        }
        to->room = room;
    }
    to->x[to->n]   = x;
    to->y[to->n++] = y;
}

static void take(const json_t *event, void *data)
{
    curves *c    = data;
    double  step = ls_events_real(event, "step", NAN);
    if (isnan(step)) return;
    if (ls_events_is(event, "step")) {
        append(c, &c->loss, step, ls_events_real(event, "loss", NAN));
        append(c, &c->lr, step, ls_events_real(event, "lr", NAN));
        append(c, &c->rate, step, ls_events_real(event, "samples_per_s", NAN));
        if (json_object_get(event, "tokens_per_s"))
            append(c, &c->tokens, step, ls_events_real(event, "tokens_per_s", NAN));
    } else if (ls_events_is(event, "eval")) {
        append(c, &c->test_loss, step, ls_events_real(event, "loss", NAN));
        append(c, &c->test_accuracy, step, 100 * ls_events_real(event, "accuracy", NAN));
        if (json_object_get(event, "perplexity"))
            append(c, &c->perplexity, step, ls_events_real(event, "perplexity", NAN));
        if (!isnan(ls_events_real(event, "bits_per_byte", NAN)))
            append(c, &c->bits, step, ls_events_real(event, "bits_per_byte", NAN));
    } else {
        return;
    }
    c->last = fmax(c->last, step);
}

static void free_curves(curves *c)
{
    column *all[] = {&c->loss,          &c->lr,         &c->rate, &c->tokens, &c->test_loss,
                     &c->test_accuracy, &c->perplexity, &c->bits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]->x);
        free(all[i]->y);
    }
}

static void write_charts(FILE *f, const curves *c)
{
#define SERIES(label, column, ...)                                                                                     \
    {                                                                                                                  \
        .name = label, .n = c->column.n, .x = c->column.x, .y = c->column.y, __VA_ARGS__                               \
    }
    bool               text       = c->perplexity.n || c->tokens.n;
    const char        *held       = text ? "valid" : "test";
    const ls_svg_chart accuracy   = {.title  = "Accuracy on held-out samples",
                                     .format = "%.2f %%",
                                     .most   = 100,
                                     .count  = 2,
                                     .series = {{.name = "train"}, SERIES(held, test_accuracy, .dots = true)}};
    const ls_svg_chart perplexity = {.title     = "Perplexity on held-out text",
                                     .format    = "%.2f",
                                     .log_scale = true,
                                     .count     = 2,
                                     .series    = {{.name = "train"}, SERIES(held, perplexity, .dots = true)}};
    const ls_svg_chart bits       = {.title  = "Bits per byte on held-out text",
                                     .format = "%.3f",
                                     .count  = 2,
                                     .series = {{.name = "train"}, SERIES(held, bits, .dots = true)}};
    const ls_svg_chart charts[]   = {
          {.title     = "Loss",
           .format    = "%.4f",
           .log_scale = true,
           .count     = 2,
           .series    = {SERIES("train", loss, .raw = true), SERIES(held, test_loss, .dots = true)}},
        !text       ? accuracy
          : c->bits.n ? bits
                      : perplexity,
          {.title     = "Learning rate",
           .format    = "%.3g",
           .from_zero = true,
           .count     = 1,
           .series    = {SERIES("rate", lr, .raw = false)}},
          {.title     = text ? "Tokens per second" : "Samples per second",
           .from_zero = true,
           .count     = 1,
           .series    = {SERIES("all ranks", rate, .raw = true)}},
    };
#undef SERIES
    if (!c->loss.n && !c->test_loss.n) return;
    fputs("<section class=\"charts\">\n", f);
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++) {
        ls_svg_chart chart = charts[i];
        if (text && i == 3)
            chart.series[0].n = c->tokens.n, chart.series[0].x = c->tokens.x, chart.series[0].y = c->tokens.y;
        chart.x_name = "step";
        chart.x_max  = c->last;
        ls_svg_chart_write(f, &chart);
    }
    fputs("</section>\n", f);
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static const char *const head = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";

/* The logo: four parallel strokes. */
static const char *const brand = "<div class=\"brand\"><svg viewBox=\"0 0 18 18\" aria-hidden=\"true\"><g "
                                 "fill=\"none\" stroke-width=\"2.4\" stroke-linecap=\"round\">"
                                 "<path stroke=\"var(--c0)\" d=\"M3 14 7 4M8 14 12 4\"/><path stroke=\"var(--c1)\" "
                                 "d=\"M13 14 17 4\"/></g></svg>Lockstep</div>";

/* Returns true for a cell that is aligned right: a number, with or without a unit. */
static bool is_number(const char *cell, size_t n)
{
    return n && (strchr("0123456789", cell[0]) || (n > 1 && strchr("-+", cell[0])));
}

static void write_row(FILE *f, const char *text, const char *tag, const char *first_row)
{
    fputs("<tr>", f);
    for (int i = 0;; i++) {
        size_t n = strcspn(text, "|"), m = strcspn(first_row, "|");
        char   cell[1024];
        snprintf(cell, sizeof cell, "%.*s", (int)n, text);
        fprintf(f, "<%s%s>", tag, i && is_number(first_row, m) ? " class=\"n\"" : "");
        ls_html(f, cell);
        fprintf(f, "</%s>", tag);
        text += n;
        first_row += m;
        if (!*text) break;
        text++;
        if (*first_row) first_row++;
    }
    fputs("</tr>\n", f);
}

static void write_table(FILE *f, const table *t)
{
    if (!t->rows) return;
    fprintf(f, "<div class=\"card%s%s\"><h2>", t->wide ? " wide" : "", *t->heads ? "" : " list");
    ls_html(f, t->title);
    fputs("</h2><div class=\"scroll\"><table>\n", f);
    /* The values of a list are aligned left; a column of a table with heads is aligned by the content of its first
     * cell. */
    const char *like = *t->heads ? t->rows->second : "";
    if (*t->heads) write_row(f, t->heads, "th", like);
    for (const entry *row = t->rows; row; row = row->next) write_row(f, row->second, "td", like);
    fputs("</table></div></div>\n", f);
}

static void write_page(FILE *f, const ls_report *r, const curves *c, const char *folder)
{
    fputs(head, f);
    ls_html(f, r->title);
    fputs(" · Lockstep", f);
    fputs("</title>\n<style>\n", f);
    for (int i = 0; ls__report_css[i]; i++) fputs(ls__report_css[i], f);
    fputs("</style></head><body><main>\n", f);
    fprintf(f, "<header><div>%s<h1>", brand);
    ls_html(f, r->title);
    fputs("</h1><p>", f);
    ls_html(f, r->subtitle);
    fprintf(f, "</p></div><span class=\"state %.*s\">", (int)strcspn(r->state, " "), r->state);
    ls_html(f, r->state);
    fputs("</span></header>\n<section class=\"figures\">\n", f);
    for (const entry *e = r->figures; e; e = e->next) {
        fputs("<div><span>", f);
        ls_html(f, e->first);
        fputs("</span><b>", f);
        ls_html(f, e->second);
        fputs("</b>", f);
        if (e->note) {
            fputs("<small>", f);
            ls_html(f, e->note);
            fputs("</small>", f);
        }
        fputs("</div>\n", f);
    }
    fputs("</section>\n", f);
    write_charts(f, c);
    if (r->section) fputs(r->section, f);
    ls__report_pictures(f, folder);
    fputs("<section class=\"tables\">\n", f);
    for (const table *t = r->tables; t; t = t->next) write_table(f, t);
    fputs("</section>\n<footer>Written by Lockstep from metrics.jsonl. This file is "
          "self-contained.</footer>\n</main></body></html>\n",
          f);
}

ls_status ls_report_write(const ls_report *r, const char *metrics, const char *path)
{
    ls_file   f;
    FILE     *stream = NULL;
    curves    c      = {0};
    ls_status status = ls_events_read(metrics, take, &c);
    if (status == LS_OK && c.no_memory)
        status = LS_FAIL(LS_ERR_ENV, "%s: no memory for the curves of %s", path, metrics);
    if (status == LS_OK && (status = ls__file_create(&f, path)) == LS_OK) {
        const char *slash = strrchr(path, '/');
        char        folder[LS_PATH_BYTES];
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        status = ls__file_stream(&f, &stream);
        if (status == LS_OK) write_page(stream, r, &c, folder);
        status = ls__file_finish(&f, status);
    }
    free_curves(&c);
    return status;
}

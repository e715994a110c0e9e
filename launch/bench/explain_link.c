/* SPDX-License-Identifier: Apache-2.0
 * `lockstep explain --link`: prints and draws a simulated step on many ranks: its parts, its timeline, and the
 * efficiency on other numbers of ranks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/format_text.h"
#include "launch/report/png_plot.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"
#include "launch/bench/simulate.h"

enum { COLUMNS = 100, MAX_CURVE = 16, MAX_RANKS = 1024 };

static const char *const part_names[LS_PARTS] = {"forward", "backward", "all-reduce", "update"};
static const char        part_marks[LS_PARTS] = {'f', 'b', '+', 'u'};

typedef struct curve {
    int          n;
    ls_simulated at[MAX_CURVE];
    double       alone_s; /* step time of one rank with the same global batch, or the same batch per rank */
} curve;

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void print_step(const ls_simulation *s, const ls_simulated *x)
{
    char batch[32], speed[32];
    ls__count_text(batch, sizeof batch, x->batch);
    ls__count_text(speed, sizeof speed, llround((double)x->batch / x->step_s));
    printf("%s on %d rank%s, one per host, %d thread%s each; links of %.4g Gbit/s and %.4g us\n", s->job->recipe->name,
           x->ranks, x->ranks == 1 ? "" : "s", s->job->threads, s->job->threads == 1 ? "" : "s",
           8e-9 * s->link.bytes_per_s, 1e6 * s->link.latency_s);
    printf(
        "SIMULATED: instructions are measured on this machine for the rank with most samples (median of %d steps%s); "
        "the time of messages is computed.\n",
        s->steps, s->slower == 1 ? "" : ", times --slower");
    printf(
        "Assumes that no rank is late and that switches are as fast as links; cluster/README.md compares with measured "
        "steps.\n\n");
    printf("A step of %s samples, %lld on the rank with most\n", batch, (long long)x->rows);
    for (int p = 0; p < LS_PARTS; p++)
        printf("  %-18s %10.3f ms %6.1f %%\n", part_names[p], 1e3 * x->computes_s[p],
               100 * x->computes_s[p] / x->step_s);
    printf("  %-18s %10.3f ms %6.1f %%\n", "waiting", 1e3 * x->waits_s, 100 * x->waits_s / x->step_s);
    printf("  %-18s %10.3f ms          %s samples per second; a rank sends %s in %lld messages\n", "step",
           1e3 * x->step_s, speed, ls__bytes_text(x->bytes), (long long)x->messages);
}

/* Prints two rows, computation and messages.  A column shows the part that takes most of its time. */
static void print_timeline(const ls_simulated *x)
{
    double share[COLUMNS][LS_PARTS + 1] = {{0}}, at = 0, column = x->step_s / COLUMNS;
    char   computes[COLUMNS + 1] = "", waits[COLUMNS + 1] = "";
    for (int i = 0; i < x->instrs; i++)
        for (int w = 0; w < 2; w++) {
            double end = at + (w ? x->instr[i].waits_s : x->instr[i].computes_s);
            for (int c = (int)(at / column); c < COLUMNS && c * column < end; c++)
                share[c][w ? LS_PARTS : (int)x->instr[i].part] += fmin(end, (c + 1) * column) - fmax(at, c * column);
            at = end;
        }
    for (int c = 0; c < COLUMNS; c++) {
        int most = 0;
        for (int k = 1; k <= LS_PARTS; k++)
            if (share[c][k] > share[c][most]) most = k;
        computes[c] = most < LS_PARTS ? part_marks[most] : ' ';
        waits[c]    = most < LS_PARTS ? ' ' : '=';
    }
    printf("\n  %-14s 0 ms %*.3f ms\n  %-14s %s\n  %-14s %s\n", "", COLUMNS - 8, 1e3 * x->step_s, "computation",
           computes, "messages", waits);
    printf("  %-14s f forward, b backward, + all-reduce, u update, = waiting for messages\n", "");
}

static void print_sums(const ls_simulated *x)
{
    printf("\n  %-60s %12s %12s %12s\n", "all-reduce", "bytes", "computes ms", "waits ms");
    for (int i = 0; i < x->instrs; i++)
        if (x->instr[i].part == LS_PART_SUM)
            printf("  %-60.60s %12s %12.3f %12.3f\n", x->instr[i].name, ls__bytes_text(x->instr[i].bytes),
                   1e3 * x->instr[i].computes_s, 1e3 * x->instr[i].waits_s);
}

static double efficiency(const curve *c, int i, bool shared)
{
    return c->alone_s / c->at[i].step_s / (shared ? c->at[i].ranks : 1);
}

static void print_curve(const curve *c, bool shared)
{
    printf("\n%s\n  %8s %12s %12s %12s %12s %12s %12s\n",
           shared ? "Strong scaling: the same batch on more ranks (simulated)"
                  : "Weak scaling: the same batch per rank (simulated)",
           "ranks", "batch", "step ms", "computes ms", "waits ms", "samples/s", "efficiency");
    for (int i = 0; i < c->n; i++) {
        const ls_simulated *x = &c->at[i];
        char                batch[32], speed[32];
        ls__count_text(batch, sizeof batch, x->batch);
        ls__count_text(speed, sizeof speed, llround((double)x->batch / x->step_s));
        printf("  %8d %12s %12.3f %12.3f %12.3f %12s %10.1f %%\n", x->ranks, batch, 1e3 * x->step_s,
               1e3 * (x->step_s - x->waits_s), 1e3 * x->waits_s, speed, 100 * efficiency(c, i, shared));
    }
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static void draw_timeline(ls_png *p, const ls_simulated *x, double left, double top, double width)
{
    static const char *const rows[] = {"computation", "messages"};
    double                   at = 0, scale = width / x->step_s;
    for (int r = 0; r < 2; r++)
        ls_png_text(p, left - 8, top + 20 + 50 * r, &(ls_png_font){.size = 13, .align = 1}, "%s", rows[r]);
    for (int i = 0; i < x->instrs; i++) {
        const ls_simulated_instr *s = &x->instr[i];
        ls_png_box(p, left + at * scale, top, s->computes_s * scale, 40, (int)s->part);
        at += s->computes_s;
        ls_png_box(p, left + at * scale, top + 50, s->waits_s * scale, 40, LS_PARTS);
        at += s->waits_s;
    }
    for (int k = 0; k <= LS_PARTS; k++) {
        ls_png_box(p, left + 150 * k, top + 106, 12, 12, k);
        ls_png_text(p, left + 150 * k + 18, top + 112, &(ls_png_font){.size = 12, .align = -1}, "%s",
                    k < LS_PARTS ? part_names[k] : "waiting");
    }
}

static void draw_curve(ls_png *p, const curve *c, bool shared, double left, double top)
{
    double ranks[MAX_CURVE], part[MAX_CURVE], most = 100;
    for (int i = 0; i < c->n; i++) {
        ranks[i] = c->at[i].ranks;
        part[i]  = 100 * efficiency(c, i, shared);
        most     = fmax(most, part[i]); /* above 100 % after other load on the machine */
    }
    ls_png_line line = {.n = c->n, .x = ranks, .y = part};
    ls_png_lines(p, &(ls_lines){.x      = left,
                                .y      = top,
                                .width  = 400,
                                .height = 260,
                                .title  = shared ? "Strong scaling: efficiency in %" : "Weak scaling: efficiency in %",
                                .x_name = "ranks",
                                .log_x  = true,
                                .least  = 0,
                                .most   = 1.05 * most,
                                .count  = 1,
                                .line   = &line});
}

static ls_status draw(const ls_simulation *s, const ls_simulated *x, const curve *same, const curve *more,
                      const char *path)
{
    ls_png *p;
    LS_TRY(ls_png_new(&p, 1040, 620));
    ls_png_text(p, 30, 30, &(ls_png_font){.size = 18, .align = -1, .bold = true},
                "%s on %d ranks, simulated: %.3f ms per step", s->job->recipe->name, x->ranks, 1e3 * x->step_s);
    ls_png_text(
        p, 30, 56, &(ls_png_font){.size = 13, .align = -1, .faint = true},
        "links of %.4g Gbit/s and %.4g us; instructions measured on one rank with %d thread%s, messages computed",
        8e-9 * s->link.bytes_per_s, 1e6 * s->link.latency_s, s->job->threads, s->job->threads == 1 ? "" : "s");
    draw_timeline(p, x, 130, 90, 880);
    draw_curve(p, same, true, 80, 290);
    draw_curve(p, more, false, 600, 290);
    ls_status status = ls_png_save(p, path);
    ls_png_free(p);
    if (status == LS_OK) printf("\n%s\n", path);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static ls_status read_number(const char *text, double *value)
{
    char *end;
    *value = text ? strtod(text, &end) : 1;
    LS_CHECK(!text || (end > text && !*end && *value > 0 && *value <= 1e6), LS_ERR_USAGE,
             "explain: --slower: expected a factor above 0, found '%s'", text);
    return LS_OK;
}

/* Simulates the same global batch on 1, 2, 4, ... and `ranks` ranks. */
static ls_status same_batch(const ls_simulation *s, int ranks, curve *c)
{
    for (int n = 1; c->n < MAX_CURVE; n *= 2) {
        LS_TRY(ls_simulate(s, n < ranks ? n : ranks, &c->at[c->n++]));
        if (n >= ranks) break;
    }
    c->alone_s = c->at[0].step_s;
    return LS_OK;
}

/* Simulates the batch of the rank with most samples on each of 8, 16, ... ranks. */
static ls_status same_rows(const ls_simulation *s, const ls_simulated *x, curve *c)
{
    ls_simulated       alone;
    ls_batch_partition share = ls_batch_partition_of(x->batch, s->job->shards, x->ranks, 0);
    for (int r = 1; r < x->ranks && share.rows < x->rows; r++)
        share = ls_batch_partition_of(x->batch, s->job->shards, x->ranks, r);
    LS_TRY(ls_simulate_share(s, 1, share.rows, share.shards, &alone));
    c->alone_s = alone.step_s;
    for (int n = 8; n <= MAX_RANKS; n *= 2) LS_TRY(ls_simulate_share(s, n, share.rows, share.shards, &c->at[c->n++]));
    return LS_OK;
}

ls_status ls__explain_link(ls_run *j, const ls_args *args)
{
    const char   *png = ls_args_option(args, "png");
    ls_simulation s   = {.job = j};
    long long     ranks, steps;
    curve        *c = ls_arena_alloc(j->memory, 2 * sizeof *c);
    memset(c, 0, 2 * sizeof *c);
    LS_TRY(ls_args_int(args, "ranks", 1, MAX_RANKS, 2, &ranks));
    LS_TRY(ls_args_int(args, "steps", 1, 10000, 15, &steps));
    LS_TRY(ls_link_read(ls_args_option(args, "link"), &s.link));
    LS_TRY(read_number(ls_args_option(args, "slower"), &s.slower));
    s.steps = (int)steps;
    LS_TRY(ls_run_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_run_data_or_shapes(j, LS_SPLITS_TRAIN));
    LS_TRY(ls_run_products(j));
    LS_TRY(ls_run_graph(j));
    LS_TRY(same_batch(&s, (int)ranks, &c[0]));
    const ls_simulated *x = &c[0].at[c[0].n - 1];
    print_step(&s, x);
    print_timeline(x);
    print_sums(x);
    print_curve(&c[0], true);
    fflush(stdout);
    LS_TRY(same_rows(&s, x, &c[1]));
    print_curve(&c[1], false);
    return png ? draw(&s, x, &c[0], &c[1], png) : LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep bench step`: measures the time of a training step and of each of its instructions.
 *
 * Every step uses the same batch, so that reading data takes no time.  Whole steps are timed first, then the same
 * number of steps with a clock around each instruction.  The peak is the highest rate of products in the precision of
 * the recipe, on all ranks at
 * the same time, with the threads of the run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/cpu/isa_table.h"
#include "core/graph/graph.h"
#include "core/graph/program.h"
#include "dist/trainer/trainer.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"
#include "launch/tasks/task.h"
#include "launch/commands/command_run.h"
#include "launch/bench/simulate.h"
#include "launch/report/report_tables.h"
#include "launch/report/trace.h"

enum { WARM_UP = 5 };

typedef struct bench {
    ls_run  *job;
    ls_batch batch;
    int      steps;
    double  *step_s;    /* seconds of each step                            */
    double  *instr_s;   /* seconds of each instruction, sum over all steps */
    double  *planned;   /* FLOPs of the node of each instruction at the greatest widths, per sample */
    double   peak;      /* peak of all ranks together, GFLOP/s             */
    double   peak_here; /* peak of this rank, GFLOP/s                      */
} bench;

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Returns the FLOPs of instruction k per sample, at the widths of the batch.  A backward without a gradient of its
 * input needs half. */
static double flops_of(const bench *b, int k)
{
    const ls_instr *i     = &ls__trainer_program(b->job->trainer)->instr[k];
    const bool      half  = i->kind == LS_INSTR_BACKWARD && i->din[0] < 0 && i->din[1] >= 0 && !i->deferred;
    const double    flops = half ? i->flops / 2 : i->flops;
    return i->node && b->planned[k] > 0 ? flops * ls__node_flops(i->node) / b->planned[k] : flops;
}

/* Records the FLOPs at the greatest widths, before the first step sets those of the batch. */
static void record_planned(bench *b)
{
    const ls_program *p = ls__trainer_program(b->job->trainer);
    b->planned          = ls_arena_alloc(b->job->memory, sizeof *b->planned * (size_t)p->instrs);
    for (int k = 0; k < p->instrs; k++)
        if (p->instr[k].node) b->planned[k] = ls__node_flops(p->instr[k].node);
}

static ls_status measure_peak(bench *b)
{
    ls_run *j   = b->job;
    double *all = ls_arena_alloc(j->memory, sizeof *all * (size_t)j->ranks);
    LS_TRY(ls_comm_barrier(j->comm));
    b->peak_here = ls__isa_table()->peak(j->recipe->train.precision, j->threads);
    LS_TRY(ls_comm_allgather(j->comm, &b->peak_here, all, sizeof *all));
    b->peak = 0;
    for (int r = 0; r < j->ranks; r++) b->peak += all[r];
    return LS_OK;
}

static ls_status measure(bench *b)
{
    ls_run    *j = b->job;
    ls_metrics m;
    for (int i = 0; i < WARM_UP; i++) LS_TRY(ls_trainer_step(j->trainer, &b->batch, &m));
    LS_TRY(measure_peak(b));
    for (int i = 0; i < b->steps; i++) {
        double began = ls__clock_s();
        LS_TRY(ls_trainer_step(j->trainer, &b->batch, &m));
        b->step_s[i] = ls__clock_s() - began;
    }
    ls__trainer_time(j->trainer, b->instr_s);
    for (int i = 0; i < b->steps; i++) LS_TRY(ls_trainer_step(j->trainer, &b->batch, &m));
    ls__trainer_time(j->trainer, NULL);
    return LS_OK;
}

static ls_status trace_steps(bench *b, const ls_args *args)
{
    ls_trace *trace;
    ls_status status = LS_OK;
    LS_TRY(ls_trace_open(&trace, b->job, ls_args_option(args, "trace"), ls_args_option(args, "trace-steps")));
    while (status == LS_OK && ls_trace_wants_more(trace)) {
        status = ls_trainer_step(b->job->trainer, &b->batch, NULL);
        if (status == LS_OK) status = ls_trace_step(trace);
    }
    return ls_trace_close(trace, status);
}

/* Alternates two real steps with two simulated steps, which all ranks execute at the same time.  Uses the time of the
 * slowest rank in the second step of each pair: its links are in the same state as in a sequence of steps. */
static ls_status compare_simulated(bench *b, const char *link)
{
    ls_run            *j     = b->job;
    ls_simulation      s     = {.job = j, .slower = 1};
    ls_simulated_rank *rank  = NULL;
    double            *times = ls_arena_alloc(j->memory, sizeof *times * 2 * (size_t)b->steps),
           *all              = ls_arena_alloc(j->memory, sizeof *all * 2 * (size_t)j->ranks);
    double seconds;
    s.bucket_bytes = ls__trainer_bucket(j->trainer, &seconds);
    LS_TRY_COLLECTIVE(j, ls_link_read(link, &s.link));
    LS_TRY_COLLECTIVE(j, ls_simulated_rank_new(&rank, &s, j->rank, j->ranks, b->batch.global_rows, j->shards));
    ls_status status = LS_OK;
    for (int i = -WARM_UP; i < b->steps && status == LS_OK; i++) {
        double took[2], began;
        for (int k = 0; k < 2; k++) {
            LS_TRY_GOTO(status, ls_comm_barrier(j->comm), done);
            began = ls__clock_s();
            LS_TRY_GOTO(status, ls_trainer_step(j->trainer, &b->batch, NULL), done);
            took[0] = ls__clock_s() - began;
        }
        LS_TRY_GOTO(status, ls_comm_barrier(j->comm), done);
        for (int k = 0; k < 2; k++)
            LS_TRY_GOTO(status, ls_comm_agree(j->comm, ls_simulated_rank_step(rank, &b->batch, &took[1])), done);
        LS_TRY_GOTO(status, ls_comm_allgather(j->comm, took, all, sizeof took), done);
        for (int k = 0; k < 2 && i >= 0; k++) {
            times[k * b->steps + i] = 0;
            for (int r = 0; r < j->ranks; r++) times[k * b->steps + i] = fmax(times[k * b->steps + i], all[2 * r + k]);
        }
    }
    for (int k = 0; k < 2; k++) qsort(times + k * b->steps, (size_t)b->steps, sizeof *times, compare);
    for (int k = 0; k < 2 && j->is_root;
         k++) { /* best: a step without other load on the machine, or with a link that was idle before it */
        const int    at       = k * (b->steps / 2);
        const double measured = times[at], simulated = times[b->steps + at];
        printf("%salternating, %-7s measured %.3f ms, simulated with %s %.3f ms: %+.1f %%\n", k ? "" : "\n",
               k ? "median" : "best", 1e3 * measured, link, 1e3 * simulated, 100 * (simulated / measured - 1));
    }
done:
    ls_simulated_rank_free(rank);
    return status;
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

static void print_line(const bench *b, const char *kind, const char *name, double seconds, double flops, double all_s)
{
    printf("  %-9s %-26s %10.3f %7.1f", kind, name, 1e3 * seconds, 100 * seconds / all_s);
    if (flops > 0)
        printf(" %10.1f %7.1f\n", 1e-9 * flops / seconds, 1e-7 * flops / seconds / b->peak_here);
    else
        printf(" %10s %7s\n", "", "");
}

static void print_instructions(const bench *b)
{
    const ls_program *p                       = ls__trainer_program(b->job->trainer);
    double            seconds[LS_INSTR_KINDS] = {0}, flops[LS_INSTR_KINDS] = {0}, all_s = 0;
    for (int i = 0; i < p->instrs; i++) all_s += b->instr_s[i] / b->steps;
    printf("\nInstructions of rank 0 (%lld samples): ms, share of the step in %%, GFLOP/s, share of the peak in %%\n",
           (long long)b->batch.rows);
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *in = &p->instr[i];
        double          s = b->instr_s[i] / b->steps, f = flops_of(b, i) * (double)b->batch.rows;
        char            name[64];
        const char     *layer = in->node ? ls__layer_name(in->node, b->job->memory) : NULL;
        snprintf(name, sizeof name, "%3d %.30s%s%.20s", i, layer ? layer : "", layer ? " " : "", in->name);
        print_line(b, ls__instr_kind[in->kind], name, s, f, all_s);
        seconds[in->kind] += s;
        flops[in->kind] += f;
    }
    printf("\nBy kind\n");
    for (int k = 0; k < LS_INSTR_KINDS; k++)
        if (seconds[k] > 0) print_line(b, ls__instr_kind[k], "", seconds[k], flops[k], all_s);
}

static void print_all(bench *b)
{
    const ls_run     *j     = b->job;
    const ls_program *p     = ls__trainer_program(j->trainer);
    double            flops = 0, batch = (double)b->batch.global_rows;
    char              speed[32];
    for (int i = 0; i < p->instrs; i++) flops += flops_of(b, i);
    qsort(b->step_s, (size_t)b->steps, sizeof *b->step_s, compare);
    double median =
               b->steps % 2 ? b->step_s[b->steps / 2] : (b->step_s[b->steps / 2 - 1] + b->step_s[b->steps / 2]) / 2,
           best = b->step_s[0];
    ls__count_text(speed, sizeof speed, llround(batch / median));
    printf("%s, batch %lld, %d rank%s x %d thread%s, %s, %d steps\n", j->recipe->name, (long long)b->batch.global_rows,
           j->ranks, j->ranks == 1 ? "" : "s", j->threads, j->threads == 1 ? "" : "s", ls_isa_name(ls_isa_current()),
           b->steps);
    if (j->products) printf("matrix products  %s\n", j->products_text);
    printf("\nstep time        median %.3f ms, best %.3f ms\n", 1e3 * median, 1e3 * best);
    printf("samples          %s per second\n", speed);
    if (j->task->units) {
        ls__count_text(speed, sizeof speed, llround(batch * (double)j->task->units(&j->data) / median));
        printf("%-16s %s per second\n", j->task->unit, speed);
    }
    printf("arithmetic       %.1f GFLOP/s, %.1f %% of the measured peak of %.0f GFLOP/s\n",
           1e-9 * flops * batch / median, 1e-7 * flops * batch / median / b->peak, b->peak);
    print_instructions(b);
}

static ls_status run(ls_run *j, const ls_args *args)
{
    bench      b = {.job = j};
    long long  steps;
    ls_loader *loader = NULL;
    LS_TRY_COLLECTIVE(j, ls_args_int(args, "steps", 1, 1000000, 30, &steps));
    b.steps = (int)steps;
    LS_TRY(ls_run_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_run_data_or_shapes(j, LS_SPLITS_TRAIN));
    LS_TRY(ls_run_products(j));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    ls_status status = ls_run_first_batch(j, &loader, &b.batch);
    b.step_s         = ls_arena_alloc(j->memory, sizeof *b.step_s * (size_t)b.steps);
    b.instr_s        = ls_arena_alloc(j->memory, sizeof *b.instr_s * (size_t)ls__trainer_program(j->trainer)->instrs);
    record_planned(&b);
    if (status == LS_OK) status = measure(&b);
    if (status == LS_OK) status = trace_steps(&b, args);
    if (status == LS_OK && j->is_root) print_all(&b);
    if (status == LS_OK && ls_args_option(args, "link")) status = compare_simulated(&b, ls_args_option(args, "link"));
    ls_loader_free(loader);
    return status;
}

static ls_status run_bench_step(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    ls_status status = ls_command_start(&j, &args, argc, argv);
    if (status == LS_OK) status = run(&j, &args);
    ls_command_finish(&j, status);
    return status;
}

const ls_command ls__command_bench_step = {
    .name      = "bench step",
    .arguments = "RECIPE [key=value ...]",
    .text      = "measure a training step and its instructions",
    .help      = "Trains some steps on the recipe's data.  Prints the median and the shortest step time, samples (and "
                 "tokens) per "
                 "second,\n"
                 "GFLOP/s, and the share of this machine's measured peak, by kind of instruction.",
    .options   = LS_OPTIONS({"steps", "N", "number of steps to measure; default 30"},
                            {"link", "RATE,LATENCY", "compare with steps simulated as by `lockstep explain --link`"},
                            LS_TRACE_OPTIONS),
    .run       = run_bench_step,
};

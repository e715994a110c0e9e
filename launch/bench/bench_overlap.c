/* SPDX-License-Identifier: Apache-2.0
 *
 * lockstep bench overlap: how much of the sums over ranks hides behind a step's computation.
 *
 * In turns, so that what else the machine does falls on all alike, each of the slowest rank: a step without messages
 * (dist/comm/costmodel.h, with links that take no time), the sums of its gradients alone, MPI_Allreduce of as many
 * floats, and a real step.  What a real step takes less than computation and sums one after the other is hidden; what
 * could be hidden is the shorter of the sums and backward.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "dist/trainer/trainer.h"
#include "dist/allreduce/allreduce.h"
#include "launch/run/progress.h"
#include "launch/commands/command_run.h"
#include "launch/bench/simulate.h"

enum { WARM_UP = 3, COLUMNS_OF_TABLE = 58 };

typedef enum way { ALONE, SUMS, MPI, STEP, WAYS } way;

typedef struct bench {
    ls_run            *job;
    ls_batch           batch;
    int                steps;
    ls_simulated_rank *alone;
    ls_allreduce      *tree;
    ls_shared_memory  *window;
    int64_t            count; /* floats of all gradients           */
    int64_t            bucket_bytes;
    double            *backward; /* of each instruction, all together */
    double            *times;    /* steps of each way                 */
} bench;

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* The same slices as a step's, so far as it has no tied weights. */
static ls_status sum_all(bench *b)
{
    const int64_t most = b->bucket_bytes / (int64_t)sizeof(float);
    for (int64_t at = 0; at < b->count; at += most)
        LS_TRY(
            ls__allreduce_begin(b->tree, b->window->own.data, (size_t)b->count,
                                &(ls_allreduce_request){.range = {at, b->count - at < most ? b->count - at : most}}));
    return ls__allreduce_end(b->tree);
}

static ls_status run_way(bench *b, way w)
{
    double seconds;
    switch (w) {
    case ALONE:
        return ls_comm_agree(b->job->comm, ls_simulated_rank_step(b->alone, &b->batch, &seconds));
    case SUMS:
        return sum_all(b);
    case MPI:
        return ls__comm_mpi_allreduce(b->job->comm, b->window->own.data, b->count);
    default:
        return ls_trainer_step(b->job->trainer, &b->batch, NULL);
    }
}

static ls_status measure(bench *b)
{
    ls_run *j   = b->job;
    double *all = ls_arena_alloc(j->memory, sizeof *all * (size_t)j->ranks);
    for (int i = -WARM_UP; i < b->steps; i++) {
        if (i == 0) ls__trainer_time(ls_simulated_rank_trainer(b->alone), b->backward);
        for (way w = 0; w < WAYS; w++) {
            memset(b->window->own.data, 0,
                   (size_t)b->count * sizeof(float)); /* sums of sums would be infinite in the end */
            LS_TRY(ls_comm_barrier(j->comm));
            double began = ls__clock_s();
            LS_TRY(run_way(b, w));
            double took = ls__clock_s() - began;
            LS_TRY(ls_comm_allgather(j->comm, &took, all, sizeof took));
            if (i < 0) continue;
            b->times[w * b->steps + i] = 0;
            for (int r = 0; r < j->ranks; r++) b->times[w * b->steps + i] = fmax(b->times[w * b->steps + i], all[r]);
        }
    }
    return LS_OK;
}

static void line(const char *what, double seconds)
{
    printf("%-*s %10.3f ms\n", COLUMNS_OF_TABLE, what, 1e3 * seconds);
}

static void print_all(bench *b)
{
    const ls_run     *j        = b->job;
    const ls_program *p        = ls__trainer_program(ls_simulated_rank_trainer(b->alone));
    double            backward = 0, median[WAYS];
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == LS_INSTR_BACKWARD || p->instr[i].kind == LS_INSTR_FOLD ||
            p->instr[i].kind == LS_INSTR_RECOMPUTE)
            backward += b->backward[i] / b->steps;
    for (way w = 0; w < WAYS; w++) {
        qsort(b->times + w * b->steps, (size_t)b->steps, sizeof(double), compare);
        median[w] = b->times[w * b->steps + b->steps / 2];
    }
    double hidden = median[ALONE] + median[SUMS] - median[STEP], most = fmin(backward, median[SUMS]),
           exposed = median[STEP] - median[ALONE];
    printf("%s, batch %lld, %d ranks x %d thread%s, %.1f MB of gradients, medians of %d turns\n\n", j->recipe->name,
           (long long)b->batch.global_rows, j->ranks, j->threads, j->threads == 1 ? "" : "s",
           1e-6 * (double)b->count * sizeof(float), b->steps);
    line("computation alone", median[ALONE]);
    line("  of it backward", backward);
    line("sums alone", median[SUMS]);
    line("MPI_Allreduce alone", median[MPI]);
    line("a step with MPI_Allreduce after backward", median[ALONE] + median[MPI]);
    line("a step with the sums after backward", median[ALONE] + median[SUMS]);
    line("a step", median[STEP]);
    printf("\nhidden: %.3f of at most %.3f ms, %.0f %%; exposed: %.3f ms, %.1f %% of the step; %.2f x the speed with "
           "MPI_Allreduce after backward\n",
           1e3 * hidden, 1e3 * most, 100 * hidden / most, 1e3 * exposed, 100 * exposed / median[STEP],
           (median[ALONE] + median[MPI]) / median[STEP]);
}

static ls_status make_sums(bench *b)
{
    ls_run *j = b->job;
    b->count  = (int64_t)ls_trainer_params(j->trainer)->grads;
    LS_TRY_COLLECTIVE(j, ls__allreduce_new(&b->tree, j->comm, j->ranks, 1, b->count));
    LS_TRY_COLLECTIVE(j, ls__shared_memory_new(&b->window, j->comm, j->recipe->trainer.shared_memory,
                                               (size_t)b->count * sizeof(float), "bench"));
    LS_TRY_COLLECTIVE(j, ls__allreduce_use_shared_memory(b->tree, b->window, (size_t)b->count));
    return LS_OK;
}

static ls_status run(bench *b, const ls_args *args)
{
    ls_run       *j      = b->job;
    ls_simulation s      = {.job = j, .slower = 1};
    ls_loader    *loader = NULL;
    long long     steps;
    LS_TRY_COLLECTIVE(j, ls_args_int(args, "steps", 1, 1000000, 15, &steps));
    LS_CHECK(j->ranks > 1, LS_ERR_USAGE,
             "bench overlap needs several ranks, found 1" LS_HINT
             "mpirun -np 2 --bind-to none lockstep bench overlap RECIPE");
    b->steps = (int)steps;
    LS_TRY(ls_run_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_run_data_or_shapes(j, LS_SPLITS_TRAIN));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    double seconds;
    b->bucket_bytes  = ls__trainer_bucket(j->trainer, &seconds);
    s.bucket_bytes   = b->bucket_bytes;
    ls_status status = ls_run_first_batch(j, &loader, &b->batch);
    if (status == LS_OK)
        status = ls_comm_agree(
            j->comm, ls_simulated_rank_new(&b->alone, &s, j->rank, j->ranks, b->batch.global_rows, j->shards));
    if (status == LS_OK) status = make_sums(b);
    if (status == LS_OK) {
        b->backward = ls_arena_alloc(
            j->memory, sizeof(double) * (size_t)ls__trainer_program(ls_simulated_rank_trainer(b->alone))->instrs);
        b->times = ls_arena_alloc(j->memory, sizeof(double) * WAYS * (size_t)b->steps);
        memset(b->backward, 0,
               sizeof(double) * (size_t)ls__trainer_program(ls_simulated_rank_trainer(b->alone))->instrs);
        status = measure(b);
    }
    if (status == LS_OK && j->is_root) print_all(b);
    ls__allreduce_free(b->tree);
    ls__shared_memory_free(b->window);
    ls_simulated_rank_free(b->alone);
    ls_loader_free(loader);
    return status;
}

static ls_status run_bench_overlap(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    bench     b      = {.job = &j};
    ls_status status = ls_command_start(&j, &args, argc, argv);
    if (status == LS_OK) status = run(&b, &args);
    ls_command_finish(&j, status);
    return status;
}

const ls_command ls__command_bench_overlap = {
    .name      = "bench overlap",
    .arguments = "RECIPE [key=value ...]",
    .text      = "measure how much of the all-reduce overlaps with backward",
    .help = "Alternates a step without communication, the all-reduce of its gradients alone, MPI_Allreduce of as many "
            "floats, "
            "and a full\n"
            "step.  Prints how much of the time of the all-reduce is hidden behind computation.\n"
            "\n"
            "  cluster/testbed --hosts 4 --rate 1gbit -- lockstep bench overlap gpt-shakespeare-char",
    .options = LS_OPTIONS({"steps", "N", "number of repetitions, of which the median is printed; default 15"}),
    .run     = run_bench_overlap,
};

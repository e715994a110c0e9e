/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep bench overlap`: measures how much of the all-reduce overlaps with the computation of a step.
 *
 * Four measurements alternate, so that other load on the machine affects all of them equally.  Each is the time of the
 * slowest rank: a step without communication (dist/comm/costmodel.h, links that take no time), the all-reduce of its
 * gradients alone, MPI_Allreduce of as many floats, and a full step.
 *
 *     hidden  = step without communication + all-reduce alone - full step
 *     at most = min(all-reduce alone, backward)
 *     exposed = full step - step without communication
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

enum { WARM_UP = 3, LABEL_WIDTH = 58 };

typedef enum measurement { COMPUTATION, ALLREDUCE, MPI, STEP, MEASUREMENTS } measurement;

typedef struct bench {
    ls_run            *run;
    ls_batch           batch;
    int                steps;
    ls_simulated_rank *alone;     /* this rank without communication               */
    ls_allreduce      *allreduce; /* of the measurement ALLREDUCE                  */
    ls_shared_memory  *memory;    /* the summed floats                             */
    int64_t            count;     /* floats of all gradients                       */
    int64_t            bucket_bytes;
    double            *instr_s; /* seconds of each instruction, sum over the steps */
    double            *times;   /* seconds of each step, measurement by measurement */
} bench;

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* All-reduces the gradients in buckets of the size that a step uses. */
static ls_status allreduce_all(bench *b)
{
    const int64_t most = b->bucket_bytes / (int64_t)sizeof(float);
    for (int64_t at = 0; at < b->count; at += most)
        LS_TRY(
            ls__allreduce_begin(b->allreduce, b->memory->own.data, (size_t)b->count,
                                &(ls_allreduce_request){.range = {at, b->count - at < most ? b->count - at : most}}));
    return ls__allreduce_end(b->allreduce);
}

static ls_status run_one(bench *b, measurement m)
{
    double seconds;
    switch (m) {
    case COMPUTATION:
        return ls_comm_agree(b->run->comm, ls_simulated_rank_step(b->alone, &b->batch, &seconds));
    case ALLREDUCE:
        return allreduce_all(b);
    case MPI:
        return ls__comm_mpi_allreduce(b->run->comm, b->memory->own.data, b->count);
    default:
        return ls_trainer_step(b->run->trainer, &b->batch, NULL);
    }
}

static ls_status measure(bench *b)
{
    ls_run *j   = b->run;
    double *all = ls_arena_alloc(j->memory, sizeof *all * (size_t)j->ranks);
    for (int i = -WARM_UP; i < b->steps; i++) {
        if (i == 0) ls__trainer_time(ls_simulated_rank_trainer(b->alone), b->instr_s);
        for (measurement m = 0; m < MEASUREMENTS; m++) {
            memset(b->memory->own.data, 0, (size_t)b->count * sizeof(float)); /* repeated sums would overflow */
            LS_TRY(ls_comm_barrier(j->comm));
            double began = ls__clock_s();
            LS_TRY(run_one(b, m));
            double took = ls__clock_s() - began;
            LS_TRY(ls_comm_allgather(j->comm, &took, all, sizeof took));
            if (i < 0) continue;
            b->times[m * b->steps + i] = 0;
            for (int r = 0; r < j->ranks; r++) b->times[m * b->steps + i] = fmax(b->times[m * b->steps + i], all[r]);
        }
    }
    return LS_OK;
}

static void line(const char *what, double seconds) { printf("%-*s %10.3f ms\n", LABEL_WIDTH, what, 1e3 * seconds); }

static void print_all(bench *b)
{
    const ls_run     *j        = b->run;
    const ls_program *p        = ls__trainer_program(ls_simulated_rank_trainer(b->alone));
    double            backward = 0, median[MEASUREMENTS];
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == LS_INSTR_BACKWARD || p->instr[i].kind == LS_INSTR_FOLD ||
            p->instr[i].kind == LS_INSTR_RECOMPUTE)
            backward += b->instr_s[i] / b->steps;
    for (measurement m = 0; m < MEASUREMENTS; m++) {
        qsort(b->times + m * b->steps, (size_t)b->steps, sizeof(double), compare);
        median[m] = b->times[m * b->steps + b->steps / 2];
    }
    double hidden = median[COMPUTATION] + median[ALLREDUCE] - median[STEP], most = fmin(backward, median[ALLREDUCE]),
           exposed = median[STEP] - median[COMPUTATION];
    printf("%s, batch %lld, %d ranks x %d thread%s, %.1f MB of gradients, medians of %d repetitions\n\n",
           j->recipe->name, (long long)b->batch.global_rows, j->ranks, j->threads, j->threads == 1 ? "" : "s",
           1e-6 * (double)b->count * sizeof(float), b->steps);
    line("computation alone", median[COMPUTATION]);
    line("  backward", backward);
    line("all-reduce alone", median[ALLREDUCE]);
    line("MPI_Allreduce alone", median[MPI]);
    line("a step with MPI_Allreduce after backward", median[COMPUTATION] + median[MPI]);
    line("a step with the all-reduce after backward", median[COMPUTATION] + median[ALLREDUCE]);
    line("a full step", median[STEP]);
    printf("\nhidden: %.3f of at most %.3f ms, %.0f %%; exposed: %.3f ms, %.1f %% of the step; %.2f x the speed with "
           "MPI_Allreduce after backward\n",
           1e3 * hidden, 1e3 * most, 100 * hidden / most, 1e3 * exposed, 100 * exposed / median[STEP],
           (median[COMPUTATION] + median[MPI]) / median[STEP]);
}

static ls_status make_allreduce(bench *b)
{
    ls_run *j = b->run;
    b->count  = (int64_t)ls_trainer_params(j->trainer)->grads;
    LS_TRY_COLLECTIVE(j, ls__allreduce_new(&b->allreduce, j->comm, j->ranks, 1, b->count));
    LS_TRY_COLLECTIVE(j, ls__shared_memory_new(&b->memory, j->comm, j->recipe->trainer.shared_memory,
                                               (size_t)b->count * sizeof(float), "bench"));
    LS_TRY_COLLECTIVE(j, ls__allreduce_use_shared_memory(b->allreduce, b->memory, (size_t)b->count));
    return LS_OK;
}

static ls_status bench_recipe(bench *b, const ls_args *args)
{
    ls_run       *j      = b->run;
    ls_simulation s      = {.job = j, .slower = 1};
    ls_loader    *loader = NULL;
    long long     steps;
    LS_TRY_COLLECTIVE(j, ls_args_int(args, "steps", 1, 1000000, 15, &steps));
    LS_CHECK(j->ranks > 1, LS_ERR_USAGE,
             "bench overlap: expected at least 2 ranks, found 1" LS_HINT
             "mpirun -np 2 --bind-to none lockstep bench overlap RECIPE");
    b->steps = (int)steps;
    LS_TRY(ls_run_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_run_data_or_shapes(j, LS_SPLITS_TRAIN));
    LS_TRY(ls_run_products(j));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    double seconds;
    b->bucket_bytes  = ls__trainer_bucket(j->trainer, &seconds);
    s.bucket_bytes   = b->bucket_bytes;
    ls_status status = ls_run_first_batch(j, &loader, &b->batch);
    if (status == LS_OK)
        status = ls_comm_agree(
            j->comm, ls_simulated_rank_new(&b->alone, &s, j->rank, j->ranks, b->batch.global_rows, j->shards));
    if (status == LS_OK) status = make_allreduce(b);
    if (status == LS_OK) {
        b->instr_s = ls_arena_alloc(
            j->memory, sizeof(double) * (size_t)ls__trainer_program(ls_simulated_rank_trainer(b->alone))->instrs);
        b->times = ls_arena_alloc(j->memory, sizeof(double) * MEASUREMENTS * (size_t)b->steps);
        memset(b->instr_s, 0,
               sizeof(double) * (size_t)ls__trainer_program(ls_simulated_rank_trainer(b->alone))->instrs);
        status = measure(b);
    }
    if (status == LS_OK && j->is_root) print_all(b);
    ls__allreduce_free(b->allreduce);
    ls__shared_memory_free(b->memory);
    ls_simulated_rank_free(b->alone);
    ls_loader_free(loader);
    return status;
}

static ls_status run_bench_overlap(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    bench     b      = {.run = &j};
    ls_status status = ls_command_start(&j, &args, argc, argv);
    if (status == LS_OK) status = bench_recipe(&b, &args);
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

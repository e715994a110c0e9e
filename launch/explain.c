/* SPDX-License-Identifier: Apache-2.0
 *
 * lockstep explain: what a run will be, without running it.  A trainer is made for each of the ranks asked for, over a
 * communicator that only has a size; so the program and the memory plan are those of the run, not estimates of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/program.h"
#include "dist/comm.h"
#include "dist/trainer.h"
#include "launch/progress.h"
#include "launch/run.h"

/* ---- a communicator for looking at --------------------------------------------------------------------------------- */

static ls_status refuse(void) { return LS_FAIL(LS_ERR_FAILED, "a program that is explained does not run"); }
static ls_status plan_barrier(ls_comm *comm) { return comm ? refuse() : LS_OK; }
static ls_status plan_bcast(ls_comm *comm, void *data, size_t bytes, int root) { return comm && data && bytes && root >= 0 ? refuse() : LS_OK; }
static ls_status plan_allgather(ls_comm *comm, const void *send, void *receive, size_t bytes)
{
    return comm && send && receive && bytes ? refuse() : LS_OK;
}
static ls_status plan_exchange(ls_comm *comm, int sends, const ls_transfer *send, int receives, const ls_transfer *receive)
{
    return comm && (sends || receives) && (send || receive) ? refuse() : LS_OK;
}
static void plan_free(ls_comm *comm) { (void)comm; }

static const ls_comm_table plan_table = {.name = "plan", .barrier = plan_barrier, .bcast = plan_bcast, .allgather = plan_allgather, .exchange = plan_exchange, .free = plan_free};

/* ---- what is said -------------------------------------------------------------------------------------------------- */

static void print_model(const ls_job *j)
{
    ls_layer_row *rows;
    int           n = ls_layer_rows(j, j->memory, &rows);
    int64_t       parameters = 0;
    double        flops      = 0;
    char          count[32];
    printf("Model\n  %-20s %-14s %-24s %12s %14s\n", "layer", "op", "output", "parameters", "kFLOP/sample");
    for (int i = 0; i < n; i++) {
        ls__count_text(count, sizeof count, rows[i].parameters);
        printf("  %-20s %-14s %-24s %12s %14.1f\n", rows[i].name, rows[i].op, ls__shape(rows[i].out), rows[i].parameters ? count : "", 1e-3 * rows[i].flops);
        parameters += rows[i].parameters;
        flops += rows[i].flops;
    }
    ls__count_text(count, sizeof count, parameters);
    printf("  %-20s %-14s %-24s %12s %14.1f   (forward; backward about twice that)\n", "all", "", "", count, 1e-3 * flops);
}

static void print_parameters(const ls_job *j)
{
    const ls_params *p = ls_trainer_params(j->trainer);
    printf("\nParameters, in the order in which their gradients are complete\n  %-28s %-20s %12s  %s\n", "name", "shape", "scalars", "offset");
    for (int i = 0; i < p->count; i++) {
        const ls_param_slot *s = &p->slot[p->order[i]];
        char                 shape[128] = "", count[32];
        for (int d = 0; d < s->tensor->rank; d++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d ? " x " : "", (long long)s->tensor->dim[d]);
        ls__count_text(count, sizeof count, s->count);
        printf("  %-28s %-20s %12s  %zu%s\n", s->tensor->name, shape, count, s->offset, s->trained ? "" : "  frozen");
    }
}

static void print_program(const ls_job *j)
{
    const ls_program *p    = ls__trainer_program(j->trainer);
    ls_share          s    = ls_trainer_share(j->trainer, j->recipe->train.batch);
    size_t            sent = 0;
    int               collectives = 0;
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == LS_INSTR_CALL && strstr(p->instr[i].name, "all-reduce")) {
            sent += p->instr[i].count * sizeof(float);
            collectives++;
        }
    printf("\nProgram of a step on rank 0 of %d: %lld of %lld samples, %d of %d shards; %d all-reduce of %s together\n", j->ranks, (long long)s.rows,
           (long long)j->recipe->train.batch, s.shards, j->shards, collectives, ls_bytes_text((double)sent));
    fflush(stdout);
    ls__program_print(p, stdout);
}

static void print_memory(const ls_job *j, uint64_t most, int which)
{
    ls_memory_line lines[8];
    int            n = ls__trainer_memory(j->trainer, lines);
    printf("\nPlan of the step arena\n");
    fflush(stdout);
    ls__plan_print(ls__trainer_program(j->trainer), stdout);
    printf("\nMemory of rank 0\n");
    for (int i = 0; i < n; i++) printf("  %-20s %14zu bytes  %s\n", lines[i].name, lines[i].planned, ls_bytes_text((double)lines[i].planned));
    size_t all = ls_trainer_planned_bytes(j->trainer);
    printf("  %-20s %14zu bytes  %s\n", "all", all, ls_bytes_text((double)all));
    if (most != all) printf("  rank %d takes most: %llu bytes, %s\n", which, (unsigned long long)most, ls_bytes_text((double)most));
}

/* The rank that takes the most memory. */
static ls_status largest(ls_job *j, ls_comm *plan, uint64_t *most, int *which)
{
    ls_trainer_options options = ls_job_trainer_options(j);
    *most                      = 0;
    for (int rank = j->ranks - 1; rank >= 0; rank--) {
        ls_trainer_free(j->trainer);
        j->trainer = NULL;
        ls__comm_init(plan, &plan_table, rank, j->ranks);
        options.comm = plan;
        LS_TRY(ls__trainer_new(&j->trainer, j->graph, j->loss, &options));
        uint64_t bytes = ls_trainer_planned_bytes(j->trainer);
        if (bytes >= *most) *most = bytes, *which = rank;
    }
    return LS_OK; /* the last one made is rank 0's, and stays */
}

static ls_status explain(ls_job *j, const ls_args *args, ls_comm *plan)
{
    long long ranks;
    uint64_t  most;
    int       which = 0;
    LS_TRY(ls_args_int(args, "ranks", 1, 4096, j->ranks, &ranks));
    j->ranks = (int)ranks;
    LS_TRY(ls_job_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_job_data(j, LS_SPLITS_BOTH));
    LS_TRY(ls_job_graph(j));
    LS_TRY(largest(j, plan, &most, &which));
    const ls_recipe *r = j->recipe;
    printf("%s: %s, %s\n", r->name, r->data.path, ls_job_samples_text(j));
    printf("%lld steps of %lld samples, %lld an epoch; %d rank%s x %d thread%s, instruction set %s\n\n", (long long)j->total_steps, (long long)r->train.batch,
           (long long)j->epoch_steps, j->ranks, j->ranks == 1 ? "" : "s", j->threads, j->threads == 1 ? "" : "s", ls_isa_name(ls_isa_current()));
    print_model(j);
    print_parameters(j);
    print_program(j);
    print_memory(j, most, which);
    return LS_OK;
}

ls_status ls__explain_command(int argc, char **argv)
{
    ls_job    j;
    ls_args   args;
    ls_comm   plan   = {0};
    ls_status status = ls_job_start(&j, &args, argc, argv);
    if (status == LS_OK && j.ranks > 1) status = LS_FAIL(LS_ERR_USAGE, "explain runs on one rank" LS_HINT "--ranks %d explains a run on %d", j.ranks, j.ranks);
    if (status == LS_OK) status = explain(&j, &args, &plan);
    ls_job_free(&j);
    return status;
}

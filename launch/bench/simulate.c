/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulates a step on many ranks.  Executes the program of one rank, the rank with most samples, with the cost-model
 * communicator (dist/comm/costmodel.h) in place of the other ranks.  At the start of each instruction it records the
 * measured time of the instruction before and its computed waiting time.  Medians over the steps, instruction by
 * instruction, remove the influence of other load on this machine.
 */
#include "launch/bench/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/clock.h"
#include "core/graph/program.h"
#include "dist/trainer/trainer.h"

enum { WARM_UP = 3, MAX_SHARDS = 4096 };

/* ---- the link ---------------------------------------------------------------------------------------------------- */

typedef struct unit {
    const char *name;
    double      factor;
} unit;

/* Reads a number of at least 0 and its unit from the start of the text.  Returns the rest of the text, or NULL. */
static const char *read_unit(const char *text, const unit *units, int n, double *value)
{
    char  *end;
    double number = strtod(text, &end);
    if (end == text || !(number >= 0) || !isfinite(number)) return NULL;
    for (int i = 0; i < n; i++) {
        size_t length = strlen(units[i].name);
        if (strncasecmp(end, units[i].name, length) != 0) continue;
        *value = number * units[i].factor;
        return end + length;
    }
    return NULL;
}

ls_status ls_link_read(const char *text, ls_link *link)
{
    static const unit rates[] = {{"kbit", 125}, {"Mbit", 125e3}, {"Gbit", 125e6}, {"Tbit", 125e9}},
                      times[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}},
                      sizes[] = {{"kB", 1e3}, {"MB", 1e6}};
    *link                     = (ls_link){.message_s = 5e-6};
    const char *at            = read_unit(text, rates, 4, &link->bytes_per_s);
    bool        good          = at && link->bytes_per_s > 0 && *at == ',';
    if (good) good = (at = read_unit(at + 1, times, 4, &link->latency_s)) != NULL;
    if (good && *at == ',') good = (at = read_unit(at + 1, times, 4, &link->message_s)) != NULL;
    if (good && *at == ',') good = (at = read_unit(at + 1, sizes, 2, &link->burst_bytes)) != NULL;
    LS_CHECK(good && !*at, LS_ERR_USAGE, "--link: expected RATE,LATENCY such as 10Gbit,20us, found '%s'", text);
    return LS_OK;
}

/* ---- a stopwatch ------------------------------------------------------------------------------------------------- */

/* Sums the computing time and the waiting time of each instruction. */
typedef struct watch {
    const ls_comm *comm;
    int            instr;    /* the current instruction; -1: none            */
    int64_t        since_ns; /* start of the current instruction             */
    double         waited;   /* waiting time of the rank at that start, s    */
    double        *computes_s, *waits_s;
} watch;

static void switch_to(watch *w, int instr, int64_t now)
{
    double waited = ls__costmodel_waited(w->comm);
    if (w->instr >= 0) {
        w->computes_s[w->instr] += 1e-9 * (double)(now - w->since_ns);
        w->waits_s[w->instr] += waited - w->waited;
    }
    w->instr    = instr;
    w->since_ns = now;
    w->waited   = waited;
}

/* Callback of the flight recorder at the start of an instruction.  Waits inside an instruction (LS_PHASE_WAIT) are part
 * of it. */
static void on_record(void *context, const ls_flight_record *r)
{
    if (r->phase != LS_PHASE_WAIT) switch_to(context, r->instr, r->begin_ns);
}

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Returns the median of the n values values[0], values[stride], ...  `room` holds n numbers. */
static double median(const double *values, int n, size_t stride, double *room)
{
    for (int i = 0; i < n; i++) room[i] = values[(size_t)i * stride];
    qsort(room, (size_t)n, sizeof *room, compare);
    return n % 2 ? room[n / 2] : (room[n / 2 - 1] + room[n / 2]) / 2;
}

/* ---- a rank ------------------------------------------------------------------------------------------------------ */

struct ls_simulated_rank {
    ls_comm    *comm;
    ls_trainer *trainer;
    ls_flight   flight;
    watch       watch;
    ls_arena   *memory;
    double     *unused; /* times of steps that are not measured, by instruction */
};

ls_status ls_simulated_rank_new(ls_simulated_rank **out, const ls_simulation *s, int number, int ranks, int64_t batch,
                                int shards)
{
    ls_trainer_options options = ls_run_trainer_options(s->job);
    ls_arena          *memory;
    LS_TRY(ls_arena_new(&memory, "simulation"));
    ls_simulated_rank *r = ls_arena_alloc(memory, sizeof *r);
    *r                   = (ls_simulated_rank){.memory = memory};
    r->flight.log        = ls_arena_alloc(memory, sizeof *r->flight.log);
    r->flight.begun      = on_record;
    memset(r->flight.log, 0, sizeof *r->flight.log);
    ls_status status = ls__comm_costmodel(&r->comm, number, ranks, &s->link);
    if (status == LS_OK) {
        r->comm->flight    = &r->flight;
        r->flight.context  = &r->watch;
        options.comm       = r->comm;
        options.batch      = batch;
        options.shards     = shards;
        options.eval_batch = 0;
        if (s->bucket_bytes) options.bucket_bytes = s->bucket_bytes;
        if (options.overlap == LS_OVERLAP_THREAD) options.overlap = LS_OVERLAP_POLL; /* the cost model has no threads */
        status = ls__trainer_new(&r->trainer, s->job->graph, s->job->loss, &options);
    }
    if (status != LS_OK) {
        ls_simulated_rank_free(r);
        return status;
    }
    r->unused = ls_arena_alloc(memory, sizeof *r->unused * (size_t)ls__trainer_program(r->trainer)->instrs);
    r->watch  = (watch){.comm = r->comm, .instr = -1, .computes_s = r->unused, .waits_s = r->unused};
    *out      = r;
    return LS_OK;
}

void ls_simulated_rank_free(ls_simulated_rank *r)
{
    if (!r) return;
    ls_trainer_free(r->trainer);
    ls_comm_free(r->comm);
    ls_arena_free(r->memory);
}

ls_trainer *ls_simulated_rank_trainer(ls_simulated_rank *r) { return r->trainer; }

ls_status ls_simulated_rank_step(ls_simulated_rank *r, const ls_batch *share, double *seconds)
{
    int64_t began  = ls__clock_ns();
    double  waited = ls__costmodel_waited(r->comm);
    LS_TRY(ls_trainer_step(r->trainer, share, NULL));
    int64_t ended = ls__clock_ns();
    switch_to(&r->watch, -1, ended);
    *seconds = 1e-9 * (double)(ended - began) + ls__costmodel_waited(r->comm) - waited;
    return LS_OK;
}

static ls_part part_of(const ls_instr *i)
{
    if (i->phase == LS_PHASE_REDUCE) return LS_PART_SUM;
    return i->kind == LS_INSTR_FORWARD ? LS_PART_FORWARD : i->kind == LS_INSTR_CALL ? LS_PART_UPDATE : LS_PART_BACKWARD;
}

static ls_status measure(const ls_simulation *s, ls_simulated_rank *r, const ls_batch *batch, ls_simulated *out)
{
    const ls_program *p        = ls__trainer_program(r->trainer);
    const size_t      n        = (size_t)p->instrs;
    double           *computes = ls_arena_alloc(r->memory, sizeof(double) * n * (size_t)s->steps),
           *room               = ls_arena_alloc(r->memory, sizeof(double) * (size_t)s->steps);
    double *waits              = ls_arena_alloc(r->memory, sizeof(double) * n * (size_t)s->steps);
    double  before             = 0, seconds;
    int64_t messages           = 0;
    memset(computes, 0, sizeof(double) * n * (size_t)s->steps);
    memset(waits, 0, sizeof(double) * n * (size_t)s->steps);
    for (int i = -WARM_UP; i < s->steps; i++) {
        ls__costmodel_sent(r->comm, &before, &messages);
        r->watch.computes_s = i < 0 ? r->unused : computes + n * (size_t)i;
        r->watch.waits_s    = i < 0 ? r->unused : waits + n * (size_t)i;
        LS_TRY(ls_simulated_rank_step(r, batch, &seconds));
    }
    ls__costmodel_sent(r->comm, &out->bytes, &out->messages);
    out->bytes -= before;
    out->messages -= messages;
    out->instrs = p->instrs;
    out->instr  = ls_arena_alloc(s->job->memory, sizeof *out->instr * n);
    for (size_t i = 0; i < n; i++) {
        ls_simulated_instr *to = &out->instr[i];
        const ls_instr     *in = &p->instr[i];
        *to                    = (ls_simulated_instr){.part = part_of(in), .bytes = (double)in->count * sizeof(float)};
        to->name               = ls_arena_strdup(s->job->memory, in->label ? in->label : in->name);
        to->computes_s         = s->slower * median(computes + i, s->steps, n, room);
        to->waits_s            = median(waits + i, s->steps, n, room);
        out->computes_s[to->part] += to->computes_s;
        out->waits_s += to->waits_s;
    }
    out->step_s = out->waits_s;
    for (int k = 0; k < LS_PARTS; k++) out->step_s += out->computes_s[k];
    return LS_OK;
}

static ls_status run_rank(const ls_simulation *s, int number, int64_t batch, int shards, const ls_batch *data,
                          ls_simulated *out)
{
    ls_simulated_rank *r;
    LS_TRY(ls_simulated_rank_new(&r, s, number, out->ranks, batch, shards));
    ls_status status = measure(s, r, data, out);
    ls_simulated_rank_free(r);
    return status;
}

/* Reads the first batch of the epoch as rank `number` gets it.  The batch is valid until the loader is freed. */
static ls_status first_batch(const ls_simulation *s, int ranks, int number, ls_loader **loader, ls_batch *batch)
{
    const ls_recipe *r = s->job->recipe;
    LS_TRY(ls_loader_new(loader, s->job->train, .batch = r->train.batch, .shards = s->job->shards, .ranks = ranks,
                         .rank = number, .seed = (uint64_t)r->train.seed, .prefetch = 1));
    if (!ls_loader_next(*loader, batch)) return ls_loader_status(*loader);
    return LS_OK;
}

/* Returns the rank with most samples; *share: its part of the batch. */
static int busiest(const ls_run *j, int ranks, ls_batch_partition *share)
{
    int number = 0;
    *share     = ls_batch_partition_of(j->recipe->train.batch, j->shards, ranks, 0);
    for (int r = 1; r < ranks; r++) {
        ls_batch_partition its = ls_batch_partition_of(j->recipe->train.batch, j->shards, ranks, r);
        if (its.rows > share->rows) *share = its, number = r;
    }
    return number;
}

ls_status ls_simulate(const ls_simulation *s, int ranks, ls_simulated *out)
{
    ls_loader         *loader = NULL;
    ls_batch           batch;
    ls_batch_partition share;
    int                number = busiest(s->job, ranks, &share);
    *out             = (ls_simulated){.ranks = ranks, .batch = s->job->recipe->train.batch, .rows = share.rows};
    ls_status status = first_batch(s, ranks, number, &loader, &batch);
    if (status == LS_OK) status = run_rank(s, number, out->batch, s->job->shards, &batch, out);
    ls_loader_free(loader);
    return status;
}

ls_status ls_simulate_share(const ls_simulation *s, int ranks, int64_t rows, int shards, ls_simulated *out)
{
    ls_loader *loader = NULL;
    ls_batch   batch;
    if ((int64_t)shards * ranks > MAX_SHARDS) shards = MAX_SHARDS / ranks;
    *out              = (ls_simulated){.ranks = ranks, .batch = rows * ranks, .rows = rows};
    ls_status status  = first_batch(s, 1, 0, &loader, &batch); /* its first `rows` samples are used */
    batch.rows        = rows;
    batch.global_rows = out->batch;
    if (status == LS_OK) status = run_rank(s, 0, out->batch, shards * ranks, &batch, out);
    ls_loader_free(loader);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Who has what.  A rank updates a share of the parameters, and has the optimizer's state for it.  On a host that shares
 * memory the ranks always divide the work, each taking a run of the parameter block; otherwise a rank takes all.  With
 * train.zero=1 all ranks of all hosts divide it: each takes the part of every bucket that it adds up
 * (dist/allreduce/allreduce.h).  With train.zero=2 that part is all that there is of the summed gradient, and it lies
 * as the state does, in a block of its own; behind it are what is added to it, of tied weights.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dist/trainer/trainer_internal.h"

static int by_offset(const void *x, const void *y)
{
    size_t a = ((const ls_kept *)x)->offset, b = ((const ls_kept *)y)->offset;
    return (a > b) - (a < b);
}

/* What is one run of the parameter block becomes one, too, in the state. */
static void join_runs(holding *h)
{
    int n = 0;
    if (h->runs) qsort(h->run, (size_t)h->runs, sizeof *h->run, by_offset);
    for (int i = 0; i < h->runs; i++) {
        ls_kept *before = n ? &h->run[n - 1] : NULL;
        if (before && before->offset + before->count == h->run[i].offset)
            before->count += h->run[i].count;
        else
            h->run[n++] = (ls_kept){h->run[i].offset, h->run[i].count, h->count};
        h->count += h->run[i].count;
    }
    h->runs = n;
}

/* What a rank adds up of every bucket. */
static holding parts_of(const ls_trainer *t, int rank)
{
    holding h = {.run = ls_arena_alloc(t->graph->arena, ((size_t)t->n_buckets + 1) * sizeof *h.run)};
    for (int i = 0; i < t->n_buckets; i++) {
        ls_range params = ls__bucket_params(&t->bucket[i]),
                 own    = ls__allreduce_partition(t->train.tree, rank, params.count);
        if (!t->bucket[i].is_addend && own.count)
            h.run[h.runs++] = (ls_kept){(size_t)(params.offset + own.offset), (size_t)own.count, 0};
    }
    join_runs(&h);
    return h;
}

/* One of as many runs as the host has ranks that share memory. */
static holding run_of(const ls_trainer *t, int rank)
{
    const ls_comm *c      = t->comm;
    size_t         blocks = (t->params->trained - LS_PARAM_START) / LS_PARAM_ALIGN, me = 0, members = 0;
    holding        h = {.runs = 1, .run = ls_arena_alloc(t->graph->arena, sizeof *h.run)};
    for (int r = 0; r < c->size; r++) {
        bool together = t->train.window->shared ? c->host[r] == c->host[rank] : r == rank;
        me += together && r < rank;
        members += together;
    }
    size_t from = blocks * me / members, to = blocks * (me + 1) / members;
    h.run[0] = (ls_kept){LS_PARAM_START + from * LS_PARAM_ALIGN, (to - from) * LS_PARAM_ALIGN, 0};
    h.count  = h.run[0].count;
    return h;
}

void ls__trainer_find_shares(ls_trainer *t)
{
    const int ranks = ls_comm_size(t->comm);
    t->spread       = ranks > 1 && (t->keep == LS_ALLREDUCE_PARTITIONED || t->train.window->shared);
    t->holding      = ls_arena_alloc(t->graph->arena, (size_t)ranks * sizeof *t->holding);
    for (int r = 0; r < ranks; r++)
        if (t->spread || r == 0 || r == ls_comm_rank(t->comm))
            t->holding[r] = t->keep == LS_ALLREDUCE_PARTITIONED ? parts_of(t, r) : run_of(t, r);
    t->kept = t->holding[ls_comm_rank(t->comm)];
}

/* ---- the totals of the gradient ---------------------------------------------------------------------------------- */

/* This rank's part of a bucket, in floats of the parameter block. */
static ls_kept part_of(const ls_trainer *t, const ls_bucket *b)
{
    ls_range params = ls__bucket_params(b),
             own    = ls__allreduce_partition(t->train.tree, ls_comm_rank(t->comm), params.count);
    return (ls_kept){.offset = (size_t)(params.offset + own.offset), .count = (size_t)own.count};
}

/* Where the state of a float of this rank's is. */
static size_t kept_at(const ls_trainer *t, size_t offset)
{
    int i = 0;
    while (i < t->kept.runs - 1 && t->kept.run[i + 1].offset <= offset) i++;
    return t->kept.run[i].at + (offset - t->kept.run[i].offset);
}

ls_status ls__trainer_make_totals(ls_trainer *t)
{
    size_t at = t->kept.count;
    if (!t->staged) return LS_OK;
    for (int i = 0; i < t->n_buckets; i++) {
        bucket_call *call = &t->calls[i];
        ls_kept      part = part_of(t, &call->bucket);
        if (!part.count) continue;
        size_t to   = call->bucket.is_addend ? at : kept_at(t, part.offset);
        call->shift = (int64_t)to - (int64_t)(call->stage.at + (part.offset - (size_t)call->bucket.range.offset));
        if (call->bucket.is_addend) at += part.count;
    }
    for (int i = 0; i < t->n_buckets; i++)
        for (int k = 0; k < t->n_buckets; k++) {
            const bucket_call *second = &t->calls[k];
            if (second->bucket.is_addend && second->bucket.range.offset == t->calls[i].bucket.addend)
                t->calls[i].plus =
                    (int64_t)second->stage.at + second->shift - (int64_t)t->calls[i].stage.at - t->calls[i].shift;
        }
    LS_TRY(ls_block_new(&t->totals, (at ? at : 1) * sizeof(float),
                        "gradient's total")); /* who has no part still tells what it has read */
    ls__allreduce_set_separate_output(t->train.tree, t->totals.data);
    return LS_OK;
}

float *ls__trainer_totals(const ls_trainer *t, const ls_kept *run)
{
    return ls__allreduce_output(t->train.tree) + (t->staged ? run->at : run->offset);
}

const char *ls__trainer_gradient_whole(const ls_trainer *t, size_t *part)
{
    *part = t->totals.bytes;
    if (t->options.zero < 2 || t->staged) return NULL;
    if (ls_comm_size(t->comm) == 1) return "there is one rank";
    return t->options.accumulate > 1
               ? "with train.accumulate no sum can begin before the last micro-step, so train.zero=2 is train.zero=1"
               : "the largest buckets are most of the model, so train.zero=2 would save nothing, and is train.zero=1";
}

/* ---- the optimizer's state of a parameter ------------------------------------------------------------------------ */

int         ls__trainer_states(const ls_trainer *t) { return t->n_states; }
const char *ls__trainer_state_name(const ls_trainer *t, int state)
{
    return ls_optim_state_name(&t->options.optim, state);
}
bool   ls__trainer_has_all(const ls_trainer *t) { return !t->spread; }
float *ls__trainer_state_block(ls_trainer *t, int state)
{
    return (float *)t->states.data + (size_t)state * t->kept.count;
}

int ls__trainer_kept(const ls_trainer *t, const ls_kept **runs)
{
    *runs = t->kept.run;
    return t->kept.runs;
}

/* What every host has, the first one owns. */
int ls__trainer_owned(const ls_trainer *t, int rank, const ls_kept **runs)
{
    bool owns = !t->spread ? rank == 0 : t->keep == LS_ALLREDUCE_PARTITIONED || t->comm->host[rank] == t->comm->host[0];
    *runs     = owns ? t->holding[rank].run : NULL;
    return owns ? t->holding[rank].runs : 0;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Bytes of a block that the system has backed with memory. */
static size_t touched(const ls_block *b)
{
    unsigned char in_core[1024];
    size_t        page = (size_t)sysconf(_SC_PAGESIZE), bytes = 0;
    for (size_t at = 0; at < b->bytes; at += page * sizeof in_core) {
        size_t length = b->bytes - at < page * sizeof in_core ? b->bytes - at : page * sizeof in_core;
        if (mincore((unsigned char *)b->data + at, length, in_core) != 0) return b->bytes;
        for (size_t i = 0; i * page < length; i++)
            if (in_core[i] & 1) bytes += length - i * page < page ? length - i * page : page;
    }
    return bytes;
}

int ls__trainer_memory(const ls_trainer *t, ls_memory_line lines[8])
{
    const struct {
        const char     *name;
        const ls_block *block;
    } table[] = {{"parameters", &t->values->own}, {"gradients", &t->train.window->own}, {"optimizer state", &t->states},
                 {"step arena", &t->arena},       {"evaluation", &t->eval.window->own}, {"checkpoint", &t->snapshot}};
    int n     = (int)(sizeof table / sizeof *table);
    for (int i = 0; i < n; i++) {
        const ls_block *more = table[i].block == &t->train.window->own ? &t->totals : &(ls_block){0};
        lines[i]             = (ls_memory_line){table[i].name, table[i].block->bytes + more->bytes,
                                                touched(table[i].block) + touched(more)};
    }
    const ls_program *a = t->train.program, *b = t->eval.program;
    if (a->state_bytes + b->state_bytes)
        lines[n++] =
            (ls_memory_line){"model state", a->state_bytes + b->state_bytes, touched(&a->state) + touched(&b->state)};
    return n;
}

size_t ls_trainer_planned_bytes(const ls_trainer *t)
{
    ls_memory_line lines[8];
    size_t         bytes = 0;
    for (int i = ls__trainer_memory(t, lines) - 1; i >= 0; i--) bytes += lines[i].planned;
    return bytes;
}

size_t ls_trainer_peak_bytes(const ls_trainer *t)
{
    ls_memory_line lines[8];
    size_t         bytes = 0;
    for (int i = ls__trainer_memory(t, lines) - 1; i >= 0; i--) bytes += lines[i].touched;
    return bytes;
}

size_t ls__trainer_high_water(const ls_trainer *t, size_t *planned)
{
    if (planned) *planned = t->train.program->arena_bytes;
    return t->train.program->high_water;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The hidden matrices of the optimizer muon (core/optim/muon.c): each is orthogonalised by one rank, its owner, and the
 * result is shared.
 *
 * The update is elementwise except for the orthogonalisation, which needs whole matrices.  So a step has three parts:
 *
 *     1. Each rank renews the momentum of its partition and writes the direction U to the *direction memory*, which is
 *        laid out as the parameters.  Between hosts that partition the gradient (ZeRO) an all-gather completes it.
 *     2. The owner of each matrix orthogonalises it in place.  Several hosts then gather the matrices of all owners.
 *     3. Each rank updates its partition from the orthogonalised matrices (trainer_update.c).
 *
 * The direction memory of a host is the gradient block of its first member: the gradients are no longer needed.  With
 * train.zero=2 that block is shorter than the parameters, and the direction memory is a segment of its own.
 *
 * Owners are chosen by the longest-processing-time rule (Graham 1969): the matrices, the most costly first, each go to
 * the rank with the least work.  The bits do not depend on owners, because a product has the same bits on every rank.
 */
#include <string.h>

#include "core/optim/optim_rule.h"
#include "dist/trainer/trainer_internal.h"

enum {
    GATHERED_FLOATS = 4 << 20, /* floats that all ranks together gather at a time */
    MIN_CHUNK       = 4096
};

/* ---- owners ------------------------------------------------------------------------------------------------------ */

static int64_t matrix_floats(const owned_matrix *m) { return m->optim->rows * m->optim->cols; }

/* The most costly matrix without an owner. */
static owned_matrix *next_matrix(const ls_trainer *t)
{
    owned_matrix *next = NULL;
    for (int i = 0; i < t->matrices; i++)
        if (t->matrix[i].owner < 0 && (!next || t->matrix[i].flops > next->flops)) next = &t->matrix[i];
    return next;
}

void ls__trainer_find_owners(ls_trainer *t)
{
    const ls_optim_matrices *functions = ls__optim_matrices(&t->options.optim);
    const int                ranks     = ls_comm_size(t->comm);
    double                  *work      = ls_arena_alloc(t->arena, (size_t)ranks * sizeof *work);
    if (!functions) return;
    t->matrix = ls_arena_alloc(t->arena, ((size_t)t->optim_ranges + 1) * sizeof *t->matrix);
    for (int i = 0; i < t->optim_ranges; i++) {
        const optim_range *o = &t->optim_range[i];
        if (o->rows) t->matrix[t->matrices++] = (owned_matrix){o, functions->flops(o->rows, o->cols), -1};
    }
    for (int r = 0; r < ranks; r++) work[r] = 0;
    for (owned_matrix *m = next_matrix(t); m; m = next_matrix(t)) {
        m->owner = 0;
        for (int r = 1; r < ranks; r++)
            if (work[r] < work[m->owner]) m->owner = r;
        work[m->owner] += m->flops;
    }
}

ls_matrix_cost ls__trainer_matrix_cost(const ls_trainer *t)
{
    const int      rank = ls_comm_rank(t->comm);
    ls_matrix_cost cost = {.matrices = t->matrices};
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        double work = 0;
        for (int i = 0; i < t->matrices; i++) work += t->matrix[i].owner == r ? t->matrix[i].flops : 0;
        cost.flops += work;
        cost.largest = work > cost.largest ? work : cost.largest;
    }
    for (int i = 0; i < t->matrices; i++) cost.owned += t->matrix[i].owner == rank;
    return cost;
}

int ls__trainer_matrices_of(const ls_trainer *t, int param)
{
    const ls_param_slot *s     = &t->params->slot[param];
    const ls_range       whole = {(int64_t)s->offset, s->count};
    int                  n     = 0;
    for (int i = 0; i < t->matrices; i++) n += ls__range_intersect(whole, t->matrix[i].optim->range).count > 0;
    return n;
}

/* The floats of all matrices of a rank. */
static int64_t owned_floats(const ls_trainer *t, int rank)
{
    int64_t floats = 0;
    for (int i = 0; i < t->matrices; i++) floats += t->matrix[i].owner == rank ? matrix_floats(&t->matrix[i]) : 0;
    return floats;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The rank that stands for the host of `rank`. */
static int host_of(const ls_trainer *t, int rank) { return t->train.memory->shared ? t->comm->host[rank] : rank; }

static bool has_matrix(const ls_trainer *t, const ls_bucket *b)
{
    bool found = false;
    for (int i = 0; i < t->matrices && !b->is_addend; i++)
        found |= ls__range_intersect(b->range, t->matrix[i].optim->range).count > 0;
    return found;
}

ls_status ls__trainer_make_directions(ls_trainer *t, ls_shared_memory_mode mode)
{
    int64_t begin = (int64_t)t->params->trained, end = 0;
    if (!t->matrices || !t->zero2) return LS_OK;
    for (int i = 0; i < t->buckets; i++) {
        const ls_range r = ls__bucket_params(&t->bucket[i].bucket);
        if (!has_matrix(t, &t->bucket[i].bucket)) continue;
        begin = r.offset < begin ? r.offset : begin;
        end   = ls__range_end(r) > end ? ls__range_end(r) : end;
    }
    t->span          = (ls_range){begin, end - begin};
    const bool makes = host_of(t, t->comm->rank) == t->comm->rank;
    return ls__shared_memory_new(&t->directions, t->comm, mode, makes ? (size_t)t->span.count * sizeof(float) : 0,
                                 "direction");
}

float *ls__trainer_directions(const ls_trainer *t, int64_t offset)
{
    const ls_shared_memory *m = t->zero2 ? t->directions : t->train.memory;
    return (float *)m->block[0].data + (offset - t->span.offset);
}

/* Whether the ranks are on several hosts, or share no memory. */
static bool several_hosts(const ls_trainer *t)
{
    for (int r = 1; r < t->comm->size; r++)
        if (host_of(t, r) != host_of(t, 0)) return true;
    return false;
}

static int64_t chunk_floats(const ls_trainer *t)
{
    const int64_t floats = GATHERED_FLOATS / t->comm->size;
    return floats > MIN_CHUNK ? floats : MIN_CHUNK;
}

/* The workspace of the largest matrix of this rank. */
static size_t workspace_bytes(const ls_trainer *t)
{
    size_t bytes = 0;
    for (int i = 0; i < t->matrices; i++) {
        const optim_range *o    = t->matrix[i].optim;
        const size_t       need = ls__optim_matrices(&t->options.optim)->workspace_bytes(o->rows, o->cols);
        if (t->matrix[i].owner == ls_comm_rank(t->comm) && need > bytes) bytes = need;
    }
    return bytes;
}

size_t ls__trainer_matrix_bytes(const ls_trainer *t)
{
    int64_t first = 0, end = 0;
    if (t->matrices && t->zero2) {
        first = t->matrix[0].optim->range.offset;
        end = ls__range_end(t->matrix[t->matrices - 1].optim->range) + t->options.bucket_bytes / (int64_t)sizeof(float);
    }
    return workspace_bytes(t) + (size_t)(end - first) * sizeof(float);
}

ls_status ls__trainer_make_orthogonal(ls_trainer *t)
{
    const size_t bytes = workspace_bytes(t);
    if (!t->matrices) return LS_OK;
    if (several_hosts(t))
        t->exchange = ls_arena_alloc(t->arena, (size_t)(chunk_floats(t) * (t->comm->size + 1)) * sizeof *t->exchange);
    return bytes ? ls_block_new(&t->orthogonal, bytes, "orthogonalisation") : LS_OK;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

static void renew_momentum(const ls_trainer *t, double grad_scale)
{
    for (int i = 0; i < t->pieces; i++) {
        const update_piece *p = &t->piece[i];
        if (!p->optim->rows) continue;
        const ls_optim_step step = ls__trainer_step_of(t, p, grad_scale);
        float              *to   = ls__trainer_directions(t, p->range.offset);
        ls__optim_momentum(&t->options.optim, &step);
        if (to != step.grad) memcpy(to, step.grad, (size_t)p->range.count * sizeof *to);
    }
}

/* Completes the directions of this host. */
static ls_status gather_directions(ls_trainer *t)
{
    ls_allreduce *a = t->train.allreduce;
    /* The gather writes to ranges that another member may still be reading as gradients. */
    if (t->train.memory->shared) LS_TRY(ls__shared_memory_barrier(t->train.memory));
    for (int i = 0; i < t->buckets; i++) {
        ls_range r = ls__bucket_params(&t->bucket[i].bucket);
        if (!has_matrix(t, &t->bucket[i].bucket)) continue;
        r.offset -= t->span.offset;
        LS_TRY(ls__allreduce_gather(a, ls__trainer_directions(t, t->span.offset), r));
    }
    return ls__allreduce_release(a);
}

/* Copies `count` floats from position `first` on of the matrices of a rank, one after the other, to `packed`, or
 * back. */
static void copy_owned(const ls_trainer *t, int rank, int64_t first, int64_t count, float *packed, bool back)
{
    int64_t at = 0;
    for (int i = 0; i < t->matrices; i++) {
        const owned_matrix *m = &t->matrix[i];
        if (m->owner != rank) continue;
        const ls_range common = ls__range_intersect((ls_range){at, matrix_floats(m)}, (ls_range){first, count});
        if (common.count) {
            float *matrix = ls__trainer_directions(t, m->optim->range.offset + (common.offset - at));
            float *copy   = packed + (common.offset - first);
            memcpy(back ? matrix : copy, back ? copy : matrix, (size_t)common.count * sizeof *copy);
        }
        at += matrix_floats(m);
    }
}

/* Gathers the orthogonalised matrices of all hosts.  The members of a host divide the copies of the other hosts. */
static ls_status exchange_matrices(const ls_trainer *t)
{
    const ls_comm          *c      = t->comm;
    const ls_shared_memory *memory = t->train.memory;
    const int64_t           chunk  = chunk_floats(t);
    float                  *send = t->exchange, *all = send + chunk;
    int64_t                 most = 0;
    if (!several_hosts(t)) return LS_OK;
    for (int r = 0; r < c->size; r++) most = owned_floats(t, r) > most ? owned_floats(t, r) : most;
    for (int64_t first = 0; first < most; first += chunk) {
        const int64_t count = most - first < chunk ? most - first : chunk;
        copy_owned(t, c->rank, first, count, send, false);
        LS_TRY(ls_comm_allgather(t->comm, send, all, (size_t)count * sizeof *send));
        for (int r = 0; r < c->size; r++)
            if (host_of(t, r) != host_of(t, c->rank) && r % memory->members == memory->me)
                copy_owned(t, r, first, count, all + r * count, true);
    }
    return LS_OK;
}

ls_status ls__trainer_orthogonalise(ls_trainer *t, double grad_scale)
{
    const ls_optim_matrices *functions = ls__optim_matrices(&t->options.optim);
    if (!t->matrices) return LS_OK;
    renew_momentum(t, grad_scale);
    LS_TRY(gather_directions(t));
    for (int i = 0; i < t->matrices; i++) {
        const owned_matrix *m = &t->matrix[i];
        if (m->owner == t->comm->rank)
            functions->orthogonalise(m->optim->rows, m->optim->cols, ls__trainer_directions(t, m->optim->range.offset),
                                     t->orthogonal.data);
    }
    LS_TRY(exchange_matrices(t));
    return t->train.memory->shared ? ls__shared_memory_barrier(t->train.memory) : LS_OK;
}

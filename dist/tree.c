/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree sum: see dist/tree.h for what it computes.
 *
 * One routine, settle(), makes every order of additions that is needed: pieces of the tree are pushed from left to
 * right on a stack, and the two on top are added when they are siblings.  Pushed with the groups of the micro-steps it
 * gives the local merges; pushed with the nodes of all ranks it gives the program that the owner of a part runs.
 */
#include "dist/tree.h"

#include <string.h>

#include "core/base/arena.h"

enum {
    GRANULE    = 16,      /* floats: parts begin at cache lines                                      */
    PASS       = 1 << 20, /* floats of a slice summed in one pass: bounds the receive buffer          */
    TILE       = 2048,    /* floats: what a chain of additions goes over stays in the first cache      */
    MIN_SPREAD = 1 << 15, /* floats from which threads are worth waking                                */
    MAX_SHARDS = 1 << 20
};

/* y = x + z, all three numbers of vectors. */
typedef struct add {
    int y, x, z;
} add;

typedef struct piece {
    int first, span, slot;
} piece;

typedef struct stack {
    int   total;
    int   pieces;
    piece piece[2 * LS_TREE_MAX_NODES];
} stack;

struct ls_tree {
    ls_arena         *arena;
    ls_comm          *comm;
    int               shards, micro_steps, slots;
    ls_tree_schedule *schedule;

    /* the sum across ranks */
    int          nodes;      /* of all ranks, in the order of the tree */
    int          own, owned; /* this rank's: nodes [own, own + owned)  */
    int         *own_slot;
    int         *node_rank;
    int          adds;
    add         *adding; /* over the nodes; vector `nodes` is the result */
    float      **vector;
    int64_t      pass; /* floats */
    int64_t      room; /* floats of the receive buffer for one node  */
    ls_block     buffer;
    ls_transfer *send, *receive;
};

static int next_power(int n)
{
    int p = 1;
    while (p < n) p *= 2;
    return p;
}

int ls__tree_nodes(int first, int shards, int total, ls_tree_node out[LS_TREE_MAX_NODES])
{
    int n = 0, end = first + shards, whole = next_power(total);
    while (first < end) {
        int span = 1;
        while (span < whole && first % (2 * span) == 0 && (first + 2 * span <= end || end == total)) span *= 2;
        int existing = first + span < total ? span : total - first;
        out[n++]     = (ls_tree_node){first, existing, span};
        first += existing;
    }
    return n;
}

/* ---- orders of additions ------------------------------------------------------------------------------------------- */

/* Grows the last piece over leaves that don't exist, and merges it with its left sibling for as long as there is one.
 * Each merge is reported as (left slot, right slot). */
static int settle(stack *s, ls_tree_merge *out)
{
    int merges = 0, whole = next_power(s->total);
    for (;;) {
        piece *p = &s->piece[s->pieces - 1];
        while (p->span < whole && p->first % (2 * p->span) == 0 && p->first + p->span >= s->total) p->span *= 2;
        if (s->pieces < 2) return merges;
        piece *left = p - 1;
        if (left->span != p->span || left->first % (2 * p->span) != 0 || left->first + p->span != p->first) return merges;
        out[merges++] = (ls_tree_merge){left->slot, p->slot};
        left->span *= 2;
        s->pieces--;
    }
}

static int lowest_free(bool *used)
{
    int slot = 0;
    while (used[slot]) slot++;
    used[slot] = true;
    return slot;
}

/* The schedule of one micro-step: groups are the largest aligned powers of two in it; then what is whole is merged. */
static void plan_micro_step(ls_tree *t, ls_tree_schedule *out, stack *s, bool *used, int first, int end)
{
    ls_tree_group group[LS_TREE_MAX_NODES];
    ls_tree_merge merge[2 * LS_TREE_MAX_NODES];
    *out = (ls_tree_schedule){.first_shard = first, .shards = end - first};
    for (int at = first; at < end;) {
        int span = 1;
        while (at % (2 * span) == 0 && at + 2 * span <= end) span *= 2;
        int slot             = lowest_free(used);
        group[out->groups++] = (ls_tree_group){at - first, span, slot};
        if (slot >= t->slots) t->slots = slot + 1;
        at += span;
    }
    for (int k = 0; k < out->groups; k++) {
        s->piece[s->pieces++] = (piece){first + group[k].first, group[k].shards, group[k].slot};
        int made              = settle(s, merge + out->merges);
        for (int i = 0; i < made; i++) used[merge[out->merges + i].from] = false;
        out->merges += made;
    }
    ls_tree_group *groups = ls_arena_alloc(t->arena, sizeof *groups * (size_t)(out->groups + 1));
    ls_tree_merge *merges = ls_arena_alloc(t->arena, sizeof *merges * (size_t)(out->merges + 1));
    memcpy(groups, group, sizeof *groups * (size_t)out->groups);
    memcpy(merges, merge, sizeof *merges * (size_t)out->merges);
    out->group = groups;
    out->merge = merges;
}

static void plan_local(ls_tree *t)
{
    ls_share share                       = ls_share_of(t->shards, t->shards, t->comm->size, t->comm->rank);
    stack    s                           = {.total = t->shards};
    bool     used[2 * LS_TREE_MAX_NODES] = {false};
    t->slots                             = 1;
    t->schedule                          = ls_arena_alloc(t->arena, sizeof *t->schedule * (size_t)t->micro_steps);
    for (int m = 0; m < t->micro_steps; m++) {
        int first = share.first_shard + (int)((int64_t)share.shards * m / t->micro_steps);
        int end   = share.first_shard + (int)((int64_t)share.shards * (m + 1) / t->micro_steps);
        plan_micro_step(t, &t->schedule[m], &s, used, first, end);
    }
    t->owned    = s.pieces;
    t->own_slot = ls_arena_alloc(t->arena, sizeof *t->own_slot * (size_t)(s.pieces + 1));
    for (int i = 0; i < s.pieces; i++) t->own_slot[i] = s.piece[i].slot;
}

/* The additions over the nodes of all ranks.  The last one writes the result, the others the left operand. */
static void plan_global(ls_tree *t)
{
    ls_tree_node  node[LS_TREE_MAX_NODES];
    ls_tree_merge merge[LS_TREE_MAX_NODES];
    stack         s = {.total = t->shards};
    int           n = t->comm->size, room = 0;
    for (int pass = 0; pass < 2; pass++) { /* counts, then fills */
        for (int r = 0; r < n; r++) {
            ls_share share = ls_share_of(t->shards, t->shards, n, r);
            int      nodes = ls__tree_nodes(share.first_shard, share.shards, t->shards, node);
            if (pass == 0) {
                room += nodes;
                continue;
            }
            if (r == t->comm->rank) t->own = t->nodes;
            for (int k = 0; k < nodes; k++) {
                t->node_rank[t->nodes] = r;
                s.piece[s.pieces++]    = (piece){node[k].first, node[k].span, t->nodes++};
                int made               = settle(&s, merge);
                for (int i = 0; i < made; i++) t->adding[t->adds++] = (add){merge[i].into, merge[i].into, merge[i].from};
            }
        }
        if (pass == 0) {
            t->node_rank = ls_arena_alloc(t->arena, sizeof *t->node_rank * (size_t)room);
            t->adding    = ls_arena_alloc(t->arena, sizeof *t->adding * (size_t)room);
            t->vector    = ls_arena_alloc(t->arena, sizeof *t->vector * (size_t)(room + 1));
        }
    }
    if (t->adds) t->adding[t->adds - 1].y = t->nodes;
}

static int64_t part_begin(int64_t count, int part, int parts)
{
    int64_t granules = (count + GRANULE - 1) / GRANULE;
    int64_t begin    = granules * part / parts * GRANULE;
    return begin < count ? begin : count;
}

ls_status ls__tree_new(ls_tree **tree, ls_comm *comm, int shards, int micro_steps, int64_t max_count)
{
    LS_CHECK(shards >= 1 && shards <= MAX_SHARDS, LS_ERR_USAGE, "expected 1 to %d shards, found %d" LS_HINT "see train.shards", MAX_SHARDS,
             shards);
    LS_CHECK(micro_steps >= 1 && micro_steps <= shards, LS_ERR_USAGE,
             "expected 1 to %d micro-steps a step (there are %d shards, and a micro-step takes whole ones), found %d" LS_HINT
             "lower train.accumulate or raise train.shards",
             shards, shards, micro_steps);
    ls_arena *arena;
    LS_TRY(ls_arena_new(&arena, "tree"));
    ls_tree *t = ls_arena_alloc(arena, sizeof *t);
    *t         = (ls_tree){.arena = arena, .comm = comm, .shards = shards, .micro_steps = micro_steps};
    int n      = comm->size;
    plan_local(t);
    plan_global(t);

    t->pass          = max_count < GRANULE ? GRANULE : max_count < PASS ? max_count : PASS;
    t->room          = ((t->pass + GRANULE - 1) / GRANULE + n - 1) / n * GRANULE;
    t->send          = ls_arena_alloc(arena, sizeof *t->send * (size_t)(n * (t->owned + 1)));
    t->receive       = ls_arena_alloc(arena, sizeof *t->receive * (size_t)(t->nodes + n));
    ls_status status = ls_block_new(&t->buffer, (size_t)(t->nodes - t->owned) * (size_t)t->room * sizeof(float), "tree sum");
    if (status != LS_OK) {
        ls_arena_free(arena);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *tree = t;
    return LS_OK;
}

void ls__tree_free(ls_tree *tree)
{
    if (!tree) return;
    ls_block_free(&tree->buffer);
    ls_arena_free(tree->arena);
}

int ls__tree_slots(const ls_tree *tree) { return tree->slots; }

const ls_tree_schedule *ls__tree_schedule(const ls_tree *tree, int micro_step) { return &tree->schedule[micro_step]; }

/* ---- adding -------------------------------------------------------------------------------------------------------- */

/* y may be x or z. */
static void add_tile(int64_t n, float *y, const float *x, const float *z)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + z[i];
}

static void merge_slice(const ls_tree_schedule *s, float *block0, size_t stride, int64_t offset, int64_t count)
{
    if (s->merges == 0) return;
    int64_t tiles = (count + TILE - 1) / TILE;
#pragma omp parallel for if (count >= MIN_SPREAD)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE, n = count - begin < TILE ? count - begin : TILE;
        float  *slice = block0 + offset + begin;
        for (int i = 0; i < s->merges; i++) {
            float *into = slice + (size_t)s->merge[i].into * stride;
            add_tile(n, into, into, slice + (size_t)s->merge[i].from * stride);
        }
    }
}

void ls__tree_merge(const ls_tree *tree, int micro_step, float *block0, size_t stride, int64_t count)
{
    merge_slice(&tree->schedule[micro_step], block0, stride, 0, count);
}

static void add_nodes(const ls_tree *t, int64_t count)
{
    float *const *vector = t->vector;
    int64_t       tiles  = (count + TILE - 1) / TILE;
#pragma omp parallel for if (count >= MIN_SPREAD)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE, n = count - begin < TILE ? count - begin : TILE;
        for (int i = 0; i < t->adds; i++) {
            const add *o = &t->adding[i];
            add_tile(n, vector[o->y] + begin, vector[o->x] + begin, vector[o->z] + begin);
        }
    }
}

/* The parts of this rank's blocks go to their owners, the parts of this rank come from all. */
static ls_status scatter_parts(ls_tree *t, float *slice, size_t stride, int64_t count)
{
    int n = t->comm->size, rank = t->comm->rank, sends = 0, receives = 0;
    for (int d = 1; d < n; d++) { /* every rank begins with its neighbour, so that not all write to the same one */
        int     to    = (rank + d) % n;
        int64_t begin = part_begin(count, to, n), end = part_begin(count, to + 1, n);
        for (int k = 0; k < t->owned; k++)
            t->send[sends++] = (ls_transfer){to, slice + (size_t)t->own_slot[k] * stride + begin, (size_t)(end - begin)};
    }
    int64_t mine   = part_begin(count, rank, n);
    int64_t length = part_begin(count, rank + 1, n) - mine;
    float  *buffer = t->buffer.data;
    for (int k = 0; k < t->nodes; k++) {
        if (k >= t->own && k < t->own + t->owned) {
            t->vector[k] = slice + (size_t)t->own_slot[k - t->own] * stride + mine;
        } else {
            t->vector[k]           = buffer;
            t->receive[receives++] = (ls_transfer){t->node_rank[k], buffer, (size_t)length};
            buffer += t->room;
        }
    }
    t->vector[t->nodes] = slice + mine;
    LS_TRY(ls__comm_exchange(t->comm, sends, t->send, receives, t->receive));
    return LS_OK;
}

static ls_status gather_parts(ls_tree *t, float *slice, int64_t count)
{
    int     n = t->comm->size, rank = t->comm->rank;
    int64_t mine = part_begin(count, rank, n), length = part_begin(count, rank + 1, n) - mine;
    for (int d = 1; d < n; d++) {
        int     to = (rank + d) % n, from = (rank - d + n) % n;
        int64_t begin     = part_begin(count, from, n);
        t->send[d - 1]    = (ls_transfer){to, slice + mine, (size_t)length};
        t->receive[d - 1] = (ls_transfer){from, slice + begin, (size_t)(part_begin(count, from + 1, n) - begin)};
    }
    LS_TRY(ls__comm_exchange(t->comm, n - 1, t->send, n - 1, t->receive));
    return LS_OK;
}

ls_status ls__tree_allreduce(ls_tree *tree, float *block0, size_t stride, int64_t offset, int64_t count)
{
    ls_tree *t = tree;
    merge_slice(&t->schedule[t->micro_steps - 1], block0, stride, offset, count);
    if (t->comm->size == 1) return LS_OK;
    for (int64_t at = 0; at < count; at += t->pass) {
        float  *slice  = block0 + offset + at;
        int64_t n      = count - at < t->pass ? count - at : t->pass;
        int64_t length = part_begin(n, t->comm->rank + 1, t->comm->size) - part_begin(n, t->comm->rank, t->comm->size);
        LS_TRY(scatter_parts(t, slice, stride, n));
        add_nodes(t, length);
        if (t->adds == 0 && t->vector[0] != t->vector[t->nodes]) memcpy(t->vector[t->nodes], t->vector[0], (size_t)length * sizeof(float));
        LS_TRY(gather_parts(t, slice, n));
    }
    return LS_OK;
}

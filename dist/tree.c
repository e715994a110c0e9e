/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree sum: see dist/tree.h for what it computes.
 *
 * One routine, settle(), makes every order of additions that is needed: pieces of the tree are pushed from left to
 * right on a stack, and the two on top are added when they are siblings.  Pushed with the groups of the micro-steps it
 * gives the local merges; pushed with the nodes of all ranks it gives the program that the owner of a part runs.
 */
#include "dist/tree.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"

enum {
    GRANULE    = 16,      /* floats: parts begin at cache lines                                      */
    PASS       = 1 << 20, /* floats of a slice summed in one pass: bounds the receive buffer          */
    TILE       = 2048,    /* floats: what a chain of additions goes over stays in the first cache      */
    MIN_SPREAD = 1 << 15, /* floats from which threads are worth waking                                */
    MAX_SHARDS = 1 << 20,
    BEGUN      = 64       /* slices that wait for other ranks */
};

/* y = x + z, all three numbers of vectors. */
typedef struct add {
    int y, x, z;
} add;

typedef struct piece {
    int first, span, slot;
} piece;

typedef struct stack {
    int    total;
    int    pieces;
    piece *piece;
} stack;

/* Ranks that read and write each other's blocks, and what they hold together: nodes of the tree, of which they can add some to
 * each other; the others' teams get what is left, the pieces. */
typedef struct team {
    int    members;
    int   *rank; /* of each member, increasing                       */
    int    nodes;
    int   *member, *slot; /* of each node: in which block, and where */
    int    adds;
    add   *adding; /* over the nodes; vector `nodes` is the result   */
    int    pieces;
    piece *piece; /* its slot is the node that it is in              */
} team;

/* A slice that is complete on this rank, and when it is so on the others. */
typedef struct waiting {
    int64_t  offset, count;
    uint32_t ticket;
} waiting;

struct ls_tree {
    ls_arena         *arena;
    ls_comm          *comm;
    ls_window        *window; /* NULL: every rank is a team of its own */
    int               shards, micro_steps, slots;
    ls_tree_schedule *schedule;
    int64_t           max_count;

    /* the sum across ranks */
    size_t       stride;
    int          teams, mine; /* this rank's team                                                 */
    team        *team;
    int         *team_of;     /* each rank's                                                      */
    int          me;          /* which member of its team                                         */
    int          pieces;      /* of all teams, in the order of the tree                           */
    int         *piece_team;
    int          adds;
    add         *adding;      /* over the pieces; vector `pieces` is the result                   */
    float      **block;       /* of each member of this rank's team                               */
    float      **node;        /* vectors of the own team, of one part                             */
    float      **vector;      /* of the pieces of all teams                                       */
    float      **copy;        /* where a result goes besides this rank's own block                */
    int64_t      pass, room;  /* floats summed at once; of them, in the receive buffer of a piece */
    ls_block     buffer;
    ls_transfer *send, *receive;

    waiting  begun[BEGUN]; /* a ring: [first_begun, end_begun) wait for other ranks */
    uint64_t first_begun, end_begun;
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
static void plan_micro_step(ls_tree *t, ls_tree_schedule *out, int *slots, stack *s, bool *used, int first, int end)
{
    ls_tree_group group[LS_TREE_MAX_NODES];
    ls_tree_merge merge[2 * LS_TREE_MAX_NODES];
    *out = (ls_tree_schedule){.first_shard = first, .shards = end - first};
    for (int at = first; at < end;) {
        int span = 1;
        while (at % (2 * span) == 0 && at + 2 * span <= end) span *= 2;
        int slot             = lowest_free(used);
        group[out->groups++] = (ls_tree_group){at - first, span, slot};
        if (slot >= *slots) *slots = slot + 1;
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

/* What a rank does with its own shards, and in which slots its nodes end; how many there are. */
static int plan_rank(ls_tree *t, int rank, ls_tree_schedule *schedule, int *slots, int slot[LS_TREE_MAX_NODES])
{
    ls_share share                       = ls_share_of(t->shards, t->shards, t->comm->size, rank);
    bool     used[2 * LS_TREE_MAX_NODES] = {false};
    piece    room[2 * LS_TREE_MAX_NODES];
    stack    s = {.total = t->shards, .piece = room};
    *slots     = 1;
    for (int m = 0; m < t->micro_steps; m++) {
        int first = share.first_shard + (int)((int64_t)share.shards * m / t->micro_steps);
        int end   = share.first_shard + (int)((int64_t)share.shards * (m + 1) / t->micro_steps);
        plan_micro_step(t, &schedule[m], slots, &s, used, first, end);
    }
    for (int i = 0; i < s.pieces; i++) slot[i] = s.piece[i].slot;
    return s.pieces;
}

/* ---- teams --------------------------------------------------------------------------------------------------------- */

static void find_teams(ls_tree *t)
{
    int  n      = t->comm->size;
    bool shared = t->window && t->window->shared;
    t->team     = ls_arena_alloc(t->arena, sizeof *t->team * (size_t)n);
    t->team_of  = ls_arena_alloc(t->arena, sizeof *t->team_of * (size_t)n);
    t->teams    = 0;
    for (int r = 0; r < n; r++) {
        int   lowest   = shared ? t->comm->host[r] : r;
        t->team_of[r]  = lowest == r ? t->teams++ : t->team_of[lowest];
        team *its      = &t->team[t->team_of[r]];
        if (lowest == r) its->rank = ls_arena_alloc(t->arena, sizeof *its->rank * (size_t)(n - r));
        if (r == t->comm->rank) t->me = its->members;
        its->rank[its->members++] = r;
    }
    t->mine = t->team_of[t->comm->rank];
}

static void plan_team(ls_tree *t, team *m)
{
    ls_tree_node   node[LS_TREE_MAX_NODES];
    ls_tree_merge *merge;
    stack          s    = {.total = t->shards};
    int            room = 0;
    for (int i = 0; i < m->members; i++) {
        ls_share share = ls_share_of(t->shards, t->shards, t->comm->size, m->rank[i]);
        room += ls__tree_nodes(share.first_shard, share.shards, t->shards, node);
    }
    m->member = ls_arena_alloc(t->arena, sizeof *m->member * (size_t)(room + 1));
    m->slot   = ls_arena_alloc(t->arena, sizeof *m->slot * (size_t)(room + 1));
    m->adding = ls_arena_alloc(t->arena, sizeof *m->adding * (size_t)(room + 1));
    s.piece   = ls_arena_alloc(t->arena, sizeof *s.piece * (size_t)(room + 1));
    merge     = ls_arena_alloc(t->arena, sizeof *merge * (size_t)(room + 1));
    for (int i = 0; i < m->members; i++) {
        ls_share share = ls_share_of(t->shards, t->shards, t->comm->size, m->rank[i]);
        int      nodes = ls__tree_nodes(share.first_shard, share.shards, t->shards, node);
        for (int k = 0; k < nodes; k++) {
            m->member[m->nodes]   = i;
            s.piece[s.pieces++]   = (piece){node[k].first, node[k].span, m->nodes++};
            int made              = settle(&s, merge);
            for (int a = 0; a < made; a++) m->adding[m->adds++] = (add){merge[a].into, merge[a].into, merge[a].from};
        }
    }
    m->piece  = s.piece;
    m->pieces = s.pieces;
}

static void find_slots(ls_tree *t, team *m)
{
    ls_tree_schedule *schedule = ls_arena_alloc(t->arena, sizeof *schedule * (size_t)t->micro_steps);
    int               slot[LS_TREE_MAX_NODES], slots;
    for (int i = 0, k = 0; i < m->members; i++) {
        int owned = plan_rank(t, m->rank[i], schedule, &slots, slot);
        for (int o = 0; o < owned; o++) m->slot[k++] = slot[o];
    }
}

/* A piece among those of all teams. */
typedef struct entry {
    piece piece;
    int   team;
} entry;

static int by_first(const void *x, const void *y)
{
    int a = ((const entry *)x)->piece.first, b = ((const entry *)y)->piece.first;
    return (a > b) - (a < b);
}

/* The additions over the pieces of all teams. */
static void plan_pieces(ls_tree *t)
{
    t->pieces = 0;
    for (int i = 0; i < t->teams; i++) t->pieces += t->team[i].pieces;
    size_t         room  = (size_t)t->pieces + 1;
    entry         *all   = ls_arena_alloc(t->arena, sizeof *all * room);
    ls_tree_merge *merge = ls_arena_alloc(t->arena, sizeof *merge * room);
    stack          s     = {.total = t->shards, .piece = ls_arena_alloc(t->arena, sizeof(piece) * room)};
    t->piece_team        = ls_arena_alloc(t->arena, sizeof *t->piece_team * room);
    t->adding            = ls_arena_alloc(t->arena, sizeof *t->adding * room);
    t->adds              = 0;
    for (int i = 0, n = 0; i < t->teams; i++)
        for (int k = 0; k < t->team[i].pieces; k++) all[n++] = (entry){t->team[i].piece[k], i};
    qsort(all, (size_t)t->pieces, sizeof *all, by_first);
    for (int k = 0; k < t->pieces; k++) {
        t->piece_team[k]    = all[k].team;
        s.piece[s.pieces++] = (piece){all[k].piece.first, all[k].piece.span, k};
        int made            = settle(&s, merge);
        for (int a = 0; a < made; a++) t->adding[t->adds++] = (add){merge[a].into, merge[a].into, merge[a].from};
    }
}

/* Everything about the sum across ranks. */
static ls_status plan_sum(ls_tree *t)
{
    int n = t->comm->size;
    find_teams(t);
    for (int i = 0; i < t->teams; i++) plan_team(t, &t->team[i]);
    team *own = &t->team[t->mine];
    find_slots(t, own);
    plan_pieces(t);
    /* The last addition of all writes the result where it belongs. */
    if (t->teams == 1 && own->adds) own->adding[own->adds - 1].y = own->nodes;
    if (t->teams > 1 && t->adds) t->adding[t->adds - 1].y = t->pieces;

    int sends    = n * own->pieces > t->teams ? n * own->pieces : t->teams;
    int receives = t->pieces > n ? t->pieces : n;
    t->send      = ls_arena_alloc(t->arena, sizeof *t->send * (size_t)(sends + 1));
    t->receive   = ls_arena_alloc(t->arena, sizeof *t->receive * (size_t)(receives + 1));
    t->block     = ls_arena_alloc(t->arena, sizeof *t->block * (size_t)own->members);
    t->node      = ls_arena_alloc(t->arena, sizeof *t->node * (size_t)(own->nodes + 1));
    t->vector    = ls_arena_alloc(t->arena, sizeof *t->vector * (size_t)(t->pieces + 1));
    t->copy      = ls_arena_alloc(t->arena, sizeof *t->copy * (size_t)own->members);
    t->pass      = t->max_count < GRANULE ? GRANULE : t->max_count < PASS ? t->max_count : PASS;
    t->room      = ((t->pass + GRANULE - 1) / GRANULE + n - 1) / n * GRANULE;
    ls_block_free(&t->buffer);
    LS_TRY(ls_block_new(&t->buffer, (size_t)(t->pieces - own->pieces) * (size_t)t->room * sizeof(float), "tree sum"));
    return LS_OK;
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
    int      slot[LS_TREE_MAX_NODES];
    ls_tree *t       = ls_arena_alloc(arena, sizeof *t);
    *t               = (ls_tree){.arena = arena, .comm = comm, .shards = shards, .micro_steps = micro_steps, .max_count = max_count};
    t->schedule      = ls_arena_alloc(arena, sizeof *t->schedule * (size_t)micro_steps);
    plan_rank(t, comm->rank, t->schedule, &t->slots, slot);
    ls_status status = plan_sum(t);
    if (status != LS_OK) {
        ls_arena_free(arena);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *tree = t;
    return LS_OK;
}

ls_status ls__tree_share(ls_tree *tree, ls_window *window, size_t stride)
{
    if (!window->shared) return LS_OK;
    tree->window = window;
    tree->stride = stride;
    LS_TRY(plan_sum(tree));
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

/* The additions, tile by tile, and then `copies` copies of `result`. */
static void add_vectors(int64_t count, int adds, const add *adding, float *const *vector, const float *result, int copies, float *const *copy)
{
    int64_t tiles = (count + TILE - 1) / TILE;
    if (adds + copies == 0) return;
#pragma omp parallel for if (count >= MIN_SPREAD)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE, n = count - begin < TILE ? count - begin : TILE;
        for (int i = 0; i < adds; i++) {
            const add *o = &adding[i];
            add_tile(n, vector[o->y] + begin, vector[o->x] + begin, vector[o->z] + begin);
        }
        for (int i = 0; i < copies; i++) memcpy(copy[i] + begin, result + begin, (size_t)n * sizeof(float));
    }
}

/* The vectors of the own team's nodes, from `at` floats on in every block; the last is where a result belongs. */
static void place_nodes(ls_tree *t, int64_t at)
{
    const team *own = &t->team[t->mine];
    for (int k = 0; k < own->nodes; k++) t->node[k] = t->block[own->member[k]] + (size_t)own->slot[k] * t->stride + at;
    t->node[own->nodes] = t->block[t->me] + at;
}

/* What is still to be written when `result` is there; how many. */
static int place_copies(ls_tree *t, const float *result, int64_t at)
{
    int copies = 0;
    for (int m = 0; m < t->team[t->mine].members; m++)
        if (t->block[m] + at != result) t->copy[copies++] = t->block[m] + at;
    return copies;
}

/* One team: each rank adds its part over all blocks and writes it to all. */
static void sum_in_place(ls_tree *t, int64_t offset, int64_t count)
{
    const team *own  = &t->team[t->mine];
    int64_t     mine = part_begin(count, t->comm->rank, t->comm->size), length = part_begin(count, t->comm->rank + 1, t->comm->size) - mine;
    place_nodes(t, offset + mine);
    const float *result = t->node[own->adds ? own->nodes : 0];
    int          copies = place_copies(t, result, offset + mine);
    add_vectors(length, own->adds, own->adding, t->node, result, copies, t->copy);
}

/* ---- across teams -------------------------------------------------------------------------------------------------- */

/* Who in a team deals with the owner of a part. */
static int agent(const ls_tree *t, int its, int part) { return t->team[its].rank[part % t->team[its].members]; }

/* Whether this rank speaks for its team with the owner of the part. */
static bool speaks(const ls_tree *t, int part) { return t->team_of[part] != t->mine && agent(t, t->mine, part) == t->comm->rank; }

/* The pieces of this rank's team go to the owners of the parts, the pieces of the other teams come for its own part. */
static ls_status scatter_parts(ls_tree *t, int64_t at, int64_t count)
{
    const team *own   = &t->team[t->mine];
    int         n     = t->comm->size, rank = t->comm->rank, sends = 0, receives = 0, k = 0;
    float      *buffer = t->buffer.data;
    for (int d = 1; d <= n; d++) { /* every rank begins with its neighbour, so that not all write to the same one */
        int     part  = (rank + d) % n;
        int64_t begin = part_begin(count, part, n), length = part_begin(count, part + 1, n) - begin;
        if (part != rank && !speaks(t, part)) continue;
        place_nodes(t, at + begin);
        add_vectors(length, own->adds, own->adding, t->node, NULL, 0, NULL);
        for (int i = 0; i < own->pieces && part != rank; i++)
            t->send[sends++] = (ls_transfer){part, t->node[own->piece[i].slot], (size_t)length};
    } /* this rank's part came last: its nodes are placed */
    int64_t mine = part_begin(count, rank, n), length = part_begin(count, rank + 1, n) - mine;
    for (int i = 0; i < t->pieces; i++) {
        if (t->piece_team[i] == t->mine) {
            t->vector[i] = t->node[own->piece[k++].slot];
            continue;
        }
        t->vector[i]           = buffer;
        t->receive[receives++] = (ls_transfer){agent(t, t->piece_team[i], rank), buffer, (size_t)length};
        buffer += t->room;
    }
    t->vector[t->pieces] = t->node[own->nodes];
    LS_TRY(ls__comm_exchange(t->comm, sends, t->send, receives, t->receive));
    return LS_OK;
}

static ls_status gather_parts(ls_tree *t, int64_t at, int64_t count)
{
    int     n = t->comm->size, rank = t->comm->rank, sends = 0, receives = 0;
    float  *block = t->block[t->me] + at;
    int64_t mine  = part_begin(count, rank, n), length = part_begin(count, rank + 1, n) - mine;
    for (int d = 1; d < t->teams; d++) t->send[sends++] = (ls_transfer){agent(t, (t->mine + d) % t->teams, rank), block + mine, (size_t)length};
    for (int d = 1; d < n; d++) {
        int     from  = (rank - d + n) % n;
        int64_t begin = part_begin(count, from, n);
        if (speaks(t, from)) t->receive[receives++] = (ls_transfer){from, block + begin, (size_t)(part_begin(count, from + 1, n) - begin)};
    }
    LS_TRY(ls__comm_exchange(t->comm, sends, t->send, receives, t->receive));
    for (int part = 0; part < n; part++) {
        int64_t begin = part_begin(count, part, n);
        if (part != rank && !speaks(t, part)) continue;
        int copies = place_copies(t, block + begin, at + begin);
        add_vectors(part_begin(count, part + 1, n) - begin, 0, NULL, NULL, block + begin, copies, t->copy);
    }
    return LS_OK;
}

static ls_status sum_across(ls_tree *t, int64_t offset, int64_t count)
{
    for (int64_t at = 0; at < count; at += t->pass) {
        int64_t n      = count - at < t->pass ? count - at : t->pass;
        int64_t length = part_begin(n, t->comm->rank + 1, t->comm->size) - part_begin(n, t->comm->rank, t->comm->size);
        LS_TRY(scatter_parts(t, offset + at, n));
        add_vectors(length, t->adds, t->adding, t->vector, NULL, 0, NULL);
        float *result = t->vector[t->pieces];
        if (t->adds == 0 && t->vector[0] != result) memcpy(result, t->vector[0], (size_t)length * sizeof(float));
        LS_TRY(gather_parts(t, offset + at, n));
    }
    return LS_OK;
}

/* Sums the slice that was begun first, once it is complete on all ranks. */
static ls_status sum_oldest(ls_tree *t)
{
    waiting s = t->begun[t->first_begun % BEGUN];
    LS_TRY(ls__window_wait(t->window, s.ticket));
    sum_in_place(t, s.offset, s.count);
    t->first_begun++;
    return LS_OK;
}

static ls_status begin_in_place(ls_tree *t, int64_t offset, int64_t count)
{
    if (t->end_begun - t->first_begun == BEGUN) LS_TRY(sum_oldest(t));
    t->begun[t->end_begun++ % BEGUN] = (waiting){offset, count, ls__window_arrive(t->window)};
    while (t->first_begun < t->end_begun && ls__window_complete(t->window, t->begun[t->first_begun % BEGUN].ticket)) LS_TRY(sum_oldest(t));
    return LS_OK;
}

ls_status ls__tree_begin(ls_tree *tree, float *block0, size_t stride, int64_t offset, int64_t count)
{
    ls_tree *t = tree;
    merge_slice(&t->schedule[t->micro_steps - 1], block0, stride, offset, count);
    if (t->comm->size == 1) return LS_OK;
    if (!t->window) {
        t->stride   = stride;
        t->block[0] = block0;
        LS_TRY(sum_across(t, offset, count));
        return LS_OK;
    }
    LS_CHECK(block0 == t->window->own.data && stride == t->stride, LS_ERR_FAILED, "the blocks are not those that the tree was told to share");
    for (int m = 0; m < t->window->members; m++) t->block[m] = t->window->block[m].data;
    if (t->teams == 1) {
        LS_TRY(begin_in_place(t, offset, count));
        return LS_OK;
    }
    LS_TRY(ls__window_barrier(t->window)); /* all blocks are complete */
    LS_TRY(sum_across(t, offset, count));
    return LS_OK;
}

ls_status ls__tree_end(ls_tree *tree)
{
    if (!tree->window) return LS_OK;
    while (tree->first_begun < tree->end_begun) LS_TRY(sum_oldest(tree));
    LS_TRY(ls__window_barrier(tree->window)); /* all parts are written */
    ls__window_settle(tree->window);
    return LS_OK;
}

ls_status ls__tree_allreduce(ls_tree *tree, float *block0, size_t stride, int64_t offset, int64_t count)
{
    LS_TRY(ls__tree_begin(tree, block0, stride, offset, count));
    LS_TRY(ls__tree_end(tree));
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Who adds what in the tree sum (dist/allreduce/allreduce.h), in which order.
 *
 * One routine, settle(), makes every order of additions that is needed: pieces of the tree are pushed from left to
 * right on a stack, and the two on top are added when they are siblings.  Pushed with the groups of the micro-steps it
 * gives the local merges; pushed with the nodes of all ranks it gives the program that the owner of a part runs.
 */
#include "dist/allreduce/allreduce_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct stack {
    int    total;
    int    pieces;
    piece *piece;
} stack;

static int next_power(int n)
{
    int p = 1;
    while (p < n) p *= 2;
    return p;
}

int ls__allreduce_nodes(int first, int shards, int total, ls_allreduce_node out[LS_ALLREDUCE_MAX_NODES])
{
    int n = 0, end = first + shards, whole = next_power(total);
    while (first < end) {
        int span = 1;
        while (span < whole && first % (2 * span) == 0 && (first + 2 * span <= end || end == total)) span *= 2;
        int existing = first + span < total ? span : total - first;
        out[n++]     = (ls_allreduce_node){first, existing, span};
        first += existing;
    }
    return n;
}

/* ---- orders of additions ----------------------------------------------------------------------------------------- */

/* Grows the last piece over leaves that don't exist, and merges it with its left sibling for as long as there is one.
 * Each merge is reported as (left slot, right slot). */
static int settle(stack *s, ls_allreduce_merge *out)
{
    int merges = 0, whole = next_power(s->total);
    for (;;) {
        piece *p = &s->piece[s->pieces - 1];
        while (p->span < whole && p->first % (2 * p->span) == 0 && p->first + p->span >= s->total) p->span *= 2;
        if (s->pieces < 2) return merges;
        piece *left = p - 1;
        if (left->span != p->span || left->first % (2 * p->span) != 0 || left->first + p->span != p->first)
            return merges;
        out[merges++] = (ls_allreduce_merge){left->slot, p->slot};
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
static void plan_micro_step(ls_allreduce *t, ls_allreduce_schedule *out, int *slots, stack *s, bool *used, int first,
                            int end)
{
    ls_allreduce_group group[LS_ALLREDUCE_MAX_NODES];
    ls_allreduce_merge merge[2 * LS_ALLREDUCE_MAX_NODES];
    *out = (ls_allreduce_schedule){.first_shard = first, .shards = end - first};
    for (int at = first; at < end;) {
        int span = 1;
        while (at % (2 * span) == 0 && at + 2 * span <= end) span *= 2;
        int slot             = lowest_free(used);
        group[out->groups++] = (ls_allreduce_group){at - first, span, slot};
        if (slot >= *slots) *slots = slot + 1;
        at += span;
    }
    for (int k = 0; k < out->groups; k++) {
        s->piece[s->pieces++] = (piece){first + group[k].first, group[k].shards, group[k].slot};
        int made              = settle(s, merge + out->merges);
        for (int i = 0; i < made; i++) used[merge[out->merges + i].from] = false;
        out->merges += made;
    }
    ls_allreduce_group *groups = ls_arena_alloc(t->arena, sizeof *groups * (size_t)(out->groups + 1));
    ls_allreduce_merge *merges = ls_arena_alloc(t->arena, sizeof *merges * (size_t)(out->merges + 1));
    memcpy(groups, group, sizeof *groups * (size_t)out->groups);
    memcpy(merges, merge, sizeof *merges * (size_t)out->merges);
    out->group = groups;
    out->merge = merges;
}

/* What a rank does with its own shards, and in which slots its nodes end; how many there are. */
static int plan_rank(ls_allreduce *t, int rank, ls_allreduce_schedule *schedule, int *slots,
                     int slot[LS_ALLREDUCE_MAX_NODES])
{
    ls_batch_partition share = ls_batch_partition_of(t->shards, t->shards, t->comm->size, rank);
    bool               used[2 * LS_ALLREDUCE_MAX_NODES] = {false};
    piece              room[2 * LS_ALLREDUCE_MAX_NODES];
    stack              s = {.total = t->shards, .piece = room};
    *slots               = 1;
    for (int m = 0; m < t->micro_steps; m++) {
        int first = share.first_shard + (int)((int64_t)share.shards * m / t->micro_steps);
        int end   = share.first_shard + (int)((int64_t)share.shards * (m + 1) / t->micro_steps);
        plan_micro_step(t, &schedule[m], slots, &s, used, first, end);
    }
    for (int i = 0; i < s.pieces; i++) slot[i] = s.piece[i].slot;
    return s.pieces;
}

/* ---- teams ------------------------------------------------------------------------------------------------------- */

static void find_teams(ls_allreduce *t)
{
    int  n      = t->comm->size;
    bool shared = t->window && t->window->shared;
    t->team     = ls_arena_alloc(t->arena, sizeof *t->team * (size_t)n);
    t->team_of  = ls_arena_alloc(t->arena, sizeof *t->team_of * (size_t)n);
    t->teams    = 0;
    for (int r = 0; r < n; r++) {
        int lowest    = shared ? t->comm->host[r] : r;
        t->team_of[r] = lowest == r ? t->teams++ : t->team_of[lowest];
        team *its     = &t->team[t->team_of[r]];
        if (lowest == r) its->rank = ls_arena_alloc(t->arena, sizeof *its->rank * (size_t)(n - r));
        if (r == t->comm->rank) t->me = its->members;
        its->rank[its->members++] = r;
    }
    t->mine = t->team_of[t->comm->rank];
}

static void plan_team(ls_allreduce *t, team *m)
{
    ls_allreduce_node   node[LS_ALLREDUCE_MAX_NODES];
    ls_allreduce_merge *merge;
    stack               s    = {.total = t->shards};
    int                 room = 0;
    for (int i = 0; i < m->members; i++) {
        ls_batch_partition share = ls_batch_partition_of(t->shards, t->shards, t->comm->size, m->rank[i]);
        room += ls__allreduce_nodes(share.first_shard, share.shards, t->shards, node);
    }
    m->member = ls_arena_alloc(t->arena, sizeof *m->member * (size_t)(room + 1));
    m->slot   = ls_arena_alloc(t->arena, sizeof *m->slot * (size_t)(room + 1));
    m->adding = ls_arena_alloc(t->arena, sizeof *m->adding * (size_t)(room + 1));
    s.piece   = ls_arena_alloc(t->arena, sizeof *s.piece * (size_t)(room + 1));
    merge     = ls_arena_alloc(t->arena, sizeof *merge * (size_t)(room + 1));
    for (int i = 0; i < m->members; i++) {
        ls_batch_partition share = ls_batch_partition_of(t->shards, t->shards, t->comm->size, m->rank[i]);
        int                nodes = ls__allreduce_nodes(share.first_shard, share.shards, t->shards, node);
        for (int k = 0; k < nodes; k++) {
            m->member[m->nodes] = i;
            s.piece[s.pieces++] = (piece){node[k].first, node[k].span, m->nodes++};
            int made            = settle(&s, merge);
            for (int a = 0; a < made; a++) m->adding[m->adds++] = (add){merge[a].into, merge[a].into, merge[a].from};
        }
    }
    m->piece  = s.piece;
    m->pieces = s.pieces;
}

static void find_slots(ls_allreduce *t, team *m)
{
    ls_allreduce_schedule *schedule = ls_arena_alloc(t->arena, sizeof *schedule * (size_t)t->micro_steps);
    int                    slot[LS_ALLREDUCE_MAX_NODES], slots;
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
static void plan_pieces(ls_allreduce *t)
{
    t->pieces = 0;
    for (int i = 0; i < t->teams; i++) t->pieces += t->team[i].pieces;
    size_t              room  = (size_t)t->pieces + 1;
    entry              *all   = ls_arena_alloc(t->arena, sizeof *all * room);
    ls_allreduce_merge *merge = ls_arena_alloc(t->arena, sizeof *merge * room);
    stack               s     = {.total = t->shards, .piece = ls_arena_alloc(t->arena, sizeof(piece) * room)};
    t->piece_team             = ls_arena_alloc(t->arena, sizeof *t->piece_team * room);
    t->adding                 = ls_arena_alloc(t->arena, sizeof *t->adding * room);
    t->adds                   = 0;
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

static void plan_head(ls_allreduce *t)
{
    if (!t->head) return;
    size_t bytes   = (size_t)t->head * sizeof(float);
    t->head_node   = ls_arena_alloc(t->arena, bytes * (size_t)(t->team[t->mine].nodes + 1));
    t->head_vector = ls_arena_alloc(t->arena, bytes * (size_t)(t->pieces + 1));
    t->head_total  = ls_arena_alloc(t->arena, bytes);
}

/* Everything about the sum across ranks. */
static ls_status plan_sum(ls_allreduce *t)
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
    t->send      = ls_arena_alloc(t->arena, sizeof *t->send * 2 * (size_t)(sends + 1));
    t->receive   = ls_arena_alloc(t->arena, sizeof *t->receive * 2 * (size_t)(receives + 1));
    t->block     = ls_arena_alloc(t->arena, sizeof *t->block * (size_t)own->members);
    t->node      = ls_arena_alloc(t->arena, sizeof *t->node * (size_t)(own->nodes + 1));
    t->vector    = ls_arena_alloc(t->arena, sizeof *t->vector * (size_t)(t->pieces + 1));
    t->copy      = ls_arena_alloc(t->arena, sizeof *t->copy * (size_t)own->members);
    int64_t most = n * PART < PASS ? PASS : n * PART < MOST_PASS ? n * PART : MOST_PASS;
    int64_t pass = t->max_count < GRANULE ? GRANULE : t->max_count < most ? t->max_count : most;
    t->room      = ((pass + GRANULE - 1) / GRANULE + n - 1) / n * GRANULE;
    plan_head(t);
    ls_block_free(&t->buffer);
    LS_TRY(ls_block_new(&t->buffer, LANES * (size_t)(t->pieces - own->pieces) * (size_t)t->room * sizeof(float),
                        "tree sum"));
    return LS_OK;
}

int64_t ls__allreduce_part(int64_t count, int part, int parts)
{
    int64_t granules = (count + GRANULE - 1) / GRANULE;
    int64_t begin    = granules * part / parts * GRANULE;
    return begin < count ? begin : count;
}

ls_status ls__allreduce_new(ls_allreduce **tree, ls_comm *comm, int shards, int micro_steps, int64_t max_count)
{
    LS_CHECK(shards >= 1 && shards <= MAX_SHARDS, LS_ERR_USAGE,
             "expected 1 to %d shards, found %d" LS_HINT "see train.shards", MAX_SHARDS, shards);
    LS_CHECK(
        micro_steps >= 1 && micro_steps <= shards, LS_ERR_USAGE,
        "expected 1 to %d micro-steps a step (there are %d shards, and a micro-step takes whole ones), found %d" LS_HINT
        "lower train.accumulate or raise train.shards",
        shards, shards, micro_steps);
    ls_arena *arena;
    LS_TRY(ls_arena_new(&arena, "tree"));
    int           slot[LS_ALLREDUCE_MAX_NODES];
    ls_allreduce *t = ls_arena_alloc(arena, sizeof *t);
    *t              = (ls_allreduce){
                     .arena = arena, .comm = comm, .shards = shards, .micro_steps = micro_steps, .max_count = max_count};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->schedule = ls_arena_alloc(arena, sizeof *t->schedule * (size_t)micro_steps);
    plan_rank(t, comm->rank, t->schedule, &t->slots, slot);
    ls_status status = plan_sum(t);
    if (status != LS_OK) {
        ls_arena_free(arena);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *tree = t;
    return LS_OK;
}

ls_status ls__allreduce_share(ls_allreduce *tree, ls_shared_memory *window, size_t stride)
{
    if (!window->shared) return LS_OK;
    tree->window = window;
    tree->stride = stride;
    LS_TRY(plan_sum(tree));
    return LS_OK;
}

ls_status ls__allreduce_send_bf16(ls_allreduce *tree)
{
    const team *own = &tree->team[tree->mine];
    if (tree->teams == 1) return LS_OK;
    tree->bf16        = true;
    tree->packed_room = (size_t)(own->pieces + 1) * (size_t)tree->comm->size * (size_t)(tree->room / 2 + 1);
    LS_TRY(ls_block_new(&tree->packed, LANES * tree->packed_room * sizeof(float), "tree sum"));
    return LS_OK;
}

ls_status ls__allreduce_keep_totals(ls_allreduce *tree, ls_allreduce_keep keep, int head)
{
    LS_CHECK(head >= 0 && head <= GRANULE, LS_ERR_FAILED, "a header of %d floats, expected at most %d", head, GRANULE);
    tree->keep = keep;
    tree->head = head;
    plan_head(tree);
    return LS_OK;
}

int ls__allreduce_agent(const ls_allreduce *t, int its, int part)
{
    return t->team[its].rank[part % t->team[its].members];
}

ls_allreduce_range ls__allreduce_own(const ls_allreduce *t, int rank, int64_t count)
{
    int64_t begin = ls__allreduce_part(count, rank, t->comm->size);
    return (ls_allreduce_range){begin, ls__allreduce_part(count, rank + 1, t->comm->size) - begin};
}

void ls__allreduce_free(ls_allreduce *tree)
{
    if (!tree) return;
    ls__allreduce_rest(tree);
    ls_block_free(&tree->buffer);
    ls_block_free(&tree->packed);
    ls_arena_free(tree->arena);
}

int ls__allreduce_slots(const ls_allreduce *tree) { return tree->slots; }

const ls_allreduce_schedule *ls__allreduce_schedule(const ls_allreduce *tree, int micro_step)
{
    return &tree->schedule[micro_step];
}

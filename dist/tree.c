/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree sum: see dist/tree.h for what it computes, dist/tree_plan.c for the order.
 */
#include "dist/tree_internal.h"

#include <string.h>

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

/* What is done with a result: `plus` (or NULL) is added to it, and it is copied. */
typedef struct finish {
    float       *result;
    const float *plus;
    int          copies;
    float *const *copy;
} finish;

/* The additions, tile by tile, and what is done with the result. */
static void add_vectors(int64_t count, int adds, const add *adding, float *const *vector, const finish *f)
{
    int64_t tiles = (count + TILE - 1) / TILE;
    if (adds + f->copies == 0 && !f->plus) return;
#pragma omp parallel for if (count >= MIN_SPREAD)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE, n = count - begin < TILE ? count - begin : TILE;
        for (int i = 0; i < adds; i++) {
            const add *o = &adding[i];
            add_tile(n, vector[o->y] + begin, vector[o->x] + begin, vector[o->z] + begin);
        }
        if (f->plus) add_tile(n, f->result + begin, f->result + begin, f->plus + begin);
        for (int i = 0; i < f->copies; i++) memcpy(f->copy[i] + begin, f->result + begin, (size_t)n * sizeof(float));
    }
}

/* Which block of the team the totals go to. */
static float *home(const ls_tree *t) { return t->block[t->keep == LS_TREE_HOST ? 0 : t->me]; }

/* The vectors of the own team's nodes, from `at` floats on in every block; the last is where a result belongs. */
static void place_nodes(ls_tree *t, int64_t at)
{
    const team *own = &t->team[t->mine];
    for (int k = 0; k < own->nodes; k++) t->node[k] = t->block[own->member[k]] + (size_t)own->slot[k] * t->stride + at;
    t->node[own->nodes] = home(t) + at;
}

/* What is still to be written when `result` is there; how many. */
static int place_copies(ls_tree *t, const ls_tree_slice *s, const float *result, int64_t at)
{
    int copies = 0;
    for (int m = 0; t->keep == LS_TREE_ALL && !s->addend && m < t->team[t->mine].members; m++)
        if (t->block[m] + at != result) t->copy[copies++] = t->block[m] + at;
    return copies;
}

static const float *plus_of(const ls_tree *t, const ls_tree_slice *s, int64_t at) { return s->plus ? home(t) + s->plus + at : NULL; }

/* One team: each rank adds its part over all blocks, and writes it to all that need it. */
static void sum_in_place(ls_tree *t, const ls_tree_slice *s)
{
    const team *own    = &t->team[t->mine];
    int64_t     mine   = ls__tree_part(s->count, t->comm->rank, t->comm->size);
    int64_t     length = ls__tree_part(s->count, t->comm->rank + 1, t->comm->size) - mine;
    place_nodes(t, s->offset + mine);
    finish f = {.result = t->node[own->nodes], .plus = plus_of(t, s, mine), .copy = t->copy};
    if (!own->adds && length && f.result != t->node[0]) memcpy(f.result, t->node[0], (size_t)length * sizeof(float));
    f.copies = place_copies(t, s, f.result, s->offset + mine);
    add_vectors(length, own->adds, own->adding, t->node, &f);
}

/* ---- the header ---------------------------------------------------------------------------------------------------- */

static void add_heads(int head, float *vector, int adds, const add *adding)
{
    for (int i = 0; i < adds; i++) add_tile(head, vector + adding[i].y * head, vector + adding[i].x * head, vector + adding[i].z * head);
}

/* Of the own team's nodes, in memory of this rank's: the others still read them. */
static void add_own_heads(ls_tree *t)
{
    const team *own   = &t->team[t->mine];
    size_t      bytes = (size_t)t->head * sizeof(float);
    for (int k = 0; k < own->nodes; k++) memcpy(t->head_node + k * t->head, t->block[own->member[k]] + (size_t)own->slot[k] * t->stride, bytes);
    add_heads(t->head, t->head_node, own->adds, own->adding);
    if (t->teams == 1) memcpy(t->head_total, t->head_node + (own->adds ? own->nodes : 0) * t->head, bytes);
}

/* The pieces of a team go to each rank of another one from its agent for the part that this rank owns: adds these messages. */
static void send_heads(ls_tree *t, int *sends, int *receives)
{
    const team *own  = &t->team[t->mine];
    size_t      head = (size_t)t->head;
    int         k    = 0;
    add_own_heads(t);
    for (int r = 0; r < t->comm->size; r++) {
        if (t->team_of[r] == t->mine || ls__tree_agent(t, t->mine, r) != t->comm->rank) continue;
        for (int i = 0; i < own->pieces; i++) t->send[(*sends)++] = (ls_transfer){r, t->head_node + (size_t)own->piece[i].slot * head, head};
    }
    for (int i = 0; i < t->pieces; i++) {
        float *to = t->head_vector + (size_t)i * head;
        if (t->piece_team[i] == t->mine) memcpy(to, t->head_node + (size_t)own->piece[k++].slot * head, head * sizeof(float));
        else t->receive[(*receives)++] = (ls_transfer){ls__tree_agent(t, t->piece_team[i], t->comm->rank), to, head};
    }
}

static void take_heads(ls_tree *t)
{
    add_heads(t->head, t->head_vector, t->adds, t->adding);
    memcpy(t->head_total, t->head_vector + (size_t)(t->adds ? t->pieces : 0) * (size_t)t->head, (size_t)t->head * sizeof(float));
}

const float *ls__tree_head(const ls_tree *tree) { return tree->head_total; }

float *ls__tree_totals(const ls_tree *tree) { return home(tree); }

/* ---- across teams -------------------------------------------------------------------------------------------------- */

/* Whether this rank speaks for its team with the owner of the part. */
static bool speaks(const ls_tree *t, int part) { return t->team_of[part] != t->mine && ls__tree_agent(t, t->mine, part) == t->comm->rank; }

/* Floats [from, from + count) of a slice: what pass `pass` takes of a part. */
static ls_tree_range piece_of(const ls_tree *t, int64_t count, int part, int64_t pass)
{
    int64_t begin = ls__tree_part(count, part, t->comm->size) + pass * t->room, end = ls__tree_part(count, part + 1, t->comm->size);
    if (begin >= end) return (ls_tree_range){end, 0};
    return (ls_tree_range){begin, end - begin < t->room ? end - begin : t->room};
}

static int64_t passes_of(const ls_tree *t, int64_t count)
{
    int64_t longest = 0;
    for (int part = 0; part < t->comm->size; part++) {
        int64_t length = ls__tree_part(count, part + 1, t->comm->size) - ls__tree_part(count, part, t->comm->size);
        if (length > longest) longest = length;
    }
    return (longest + t->room - 1) / t->room;
}

/* The pieces of this rank's team go to the owners of the parts, the pieces of the other teams come for its own part. */
static ls_status scatter_parts(ls_tree *t, const ls_tree_slice *s, int64_t pass, bool head)
{
    const team *own = &t->team[t->mine];
    int         n   = t->comm->size, rank = t->comm->rank, sends = 0, receives = 0, k = 0;
    float      *buffer = t->buffer.data;
    for (int d = 1; d <= n; d++) { /* every rank begins with its neighbour, so that not all write to the same one */
        int           part = (rank + d) % n;
        ls_tree_range r    = piece_of(t, s->count, part, pass);
        if (part != rank && !speaks(t, part)) continue;
        place_nodes(t, s->offset + r.offset);
        add_vectors(r.count, own->adds, own->adding, t->node, &(finish){0});
        for (int i = 0; i < own->pieces && part != rank; i++)
            t->send[sends++] = (ls_transfer){part, t->node[own->piece[i].slot], (size_t)r.count};
    } /* this rank's part came last: its nodes are placed */
    ls_tree_range mine = piece_of(t, s->count, rank, pass);
    for (int i = 0; i < t->pieces; i++) {
        if (t->piece_team[i] == t->mine) {
            t->vector[i] = t->node[own->piece[k++].slot];
            continue;
        }
        t->vector[i]           = buffer;
        t->receive[receives++] = (ls_transfer){ls__tree_agent(t, t->piece_team[i], rank), buffer, (size_t)mine.count};
        buffer += t->room;
    }
    t->vector[t->pieces] = t->node[own->nodes];
    if (head) send_heads(t, &sends, &receives);
    LS_TRY(ls__comm_exchange(t->comm, sends, t->send, receives, t->receive));
    if (head) take_heads(t);
    return LS_OK;
}

/* What this rank owns goes to one rank of every other team. */
static ls_status gather_parts(ls_tree *t, float *base, int64_t count, int64_t pass)
{
    int           n = t->comm->size, rank = t->comm->rank, sends = 0, receives = 0;
    ls_tree_range mine = piece_of(t, count, rank, pass);
    for (int d = 1; d < t->teams; d++)
        t->send[sends++] = (ls_transfer){ls__tree_agent(t, (t->mine + d) % t->teams, rank), base + mine.offset, (size_t)mine.count};
    for (int d = 1; d < n; d++) {
        int           from = (rank - d + n) % n;
        ls_tree_range r    = piece_of(t, count, from, pass);
        if (speaks(t, from)) t->receive[receives++] = (ls_transfer){from, base + r.offset, (size_t)r.count};
    }
    LS_TRY(ls__comm_exchange(t->comm, sends, t->send, receives, t->receive));
    return LS_OK;
}

static void copy_parts(ls_tree *t, const ls_tree_slice *s, int64_t pass)
{
    float *base = t->block[t->me] + s->offset;
    for (int part = 0; part < t->comm->size; part++) {
        ls_tree_range r = piece_of(t, s->count, part, pass);
        if (part != t->comm->rank && !speaks(t, part)) continue;
        finish f = {.result = base + r.offset, .copy = t->copy};
        f.copies = place_copies(t, s, f.result, s->offset + r.offset);
        add_vectors(r.count, 0, NULL, NULL, &f);
    }
}

static ls_status sum_across(ls_tree *t, const ls_tree_slice *s, bool head)
{
    int64_t passes = passes_of(t, s->count);
    if (!passes && head) LS_TRY(scatter_parts(t, s, 0, true));
    for (int64_t pass = 0; pass < passes; pass++) {
        ls_tree_range mine = piece_of(t, s->count, t->comm->rank, pass);
        LS_TRY(scatter_parts(t, s, pass, head && pass == 0));
        finish f = {.result = t->vector[t->pieces], .plus = plus_of(t, s, mine.offset)};
        if (t->adds == 0 && t->vector[0] != f.result) memcpy(f.result, t->vector[0], (size_t)mine.count * sizeof(float));
        add_vectors(mine.count, t->adds, t->adding, t->vector, &f);
        if (t->keep == LS_TREE_OWN || s->addend) continue;
        LS_TRY(gather_parts(t, home(t) + s->offset, s->count, pass));
        copy_parts(t, s, pass);
    }
    return LS_OK;
}

ls_status ls__tree_gather(ls_tree *t, float *base, int64_t offset, int64_t count)
{
    int64_t passes = t->teams > 1 && t->keep == LS_TREE_OWN ? passes_of(t, count) : 0;
    for (int64_t pass = 0; pass < passes; pass++) LS_TRY(gather_parts(t, base + offset, count, pass));
    return LS_OK;
}

/* ---- in two halves ------------------------------------------------------------------------------------------------- */

/* Sums the slice that was begun first, once it is complete on all ranks. */
static ls_status sum_oldest(ls_tree *t)
{
    const waiting *w = &t->begun[t->first_begun % BEGUN];
    LS_TRY(ls__window_wait(t->window, w->ticket));
    if (w->head) add_own_heads(t);
    sum_in_place(t, &w->slice);
    t->first_begun++;
    return LS_OK;
}

static ls_status begin_in_place(ls_tree *t, const ls_tree_slice *s, bool head)
{
    if (t->end_begun - t->first_begun == BEGUN) LS_TRY(sum_oldest(t));
    t->begun[t->end_begun++ % BEGUN] = (waiting){*s, head, ls__window_arrive(t->window)};
    while (t->first_begun < t->end_begun && ls__window_complete(t->window, t->begun[t->first_begun % BEGUN].ticket)) LS_TRY(sum_oldest(t));
    return LS_OK;
}

static ls_status begin_across(ls_tree *t, const ls_tree_slice *s, bool head)
{
    if (t->window) LS_TRY(ls__window_barrier(t->window)); /* all blocks are complete */
    LS_TRY(sum_across(t, s, head));
    return LS_OK;
}

static ls_status begin_alone(ls_tree *t, const ls_tree_slice *s, bool head)
{
    finish f = {.result = t->block[0] + s->offset, .plus = plus_of(t, s, 0)};
    if (head) memcpy(t->head_total, t->block[0], (size_t)t->head * sizeof(float));
    add_vectors(s->count, 0, NULL, NULL, &f);
    return LS_OK;
}

ls_status ls__tree_begin(ls_tree *tree, float *block0, size_t stride, const ls_tree_slice *slice)
{
    ls_tree      *t = tree;
    ls_tree_slice s = *slice;
    merge_slice(&t->schedule[t->micro_steps - 1], block0, stride, s.offset, s.count);
    if (t->window) {
        LS_CHECK(block0 == t->window->own.data && stride == t->stride, LS_ERR_FAILED, "the blocks are not those that the tree was told to share");
        for (int m = 0; m < t->window->members; m++) t->block[m] = t->window->block[m].data;
    } else {
        t->stride   = stride;
        t->block[0] = block0;
    }
    bool head = t->head && s.offset == 0;
    if (head) {
        s.offset = GRANULE;
        s.count  = s.count > GRANULE ? s.count - GRANULE : 0;
    }
    if (t->comm->size == 1) return begin_alone(t, &s, head);
    return t->teams == 1 ? begin_in_place(t, &s, head) : begin_across(t, &s, head);
}

ls_status ls__tree_end(ls_tree *tree)
{
    if (!tree->window) return LS_OK;
    while (tree->first_begun < tree->end_begun) LS_TRY(sum_oldest(tree));
    if (tree->keep != LS_TREE_OWN) LS_TRY(ls__window_barrier(tree->window)); /* all parts are written */
    ls__window_settle(tree->window);
    return LS_OK;
}

ls_status ls__tree_release(ls_tree *tree)
{
    if (tree->window) LS_TRY(ls__window_barrier(tree->window));
    return LS_OK;
}

ls_status ls__tree_allreduce(ls_tree *tree, float *block0, size_t stride, int64_t offset, int64_t count)
{
    LS_TRY(ls__tree_begin(tree, block0, stride, &(ls_tree_slice){.offset = offset, .count = count}));
    LS_TRY(ls__tree_end(tree));
    return LS_OK;
}

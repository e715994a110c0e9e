/* SPDX-License-Identifier: Apache-2.0
 *
 * The positions of each row form a linked list in ascending order.  One backward pass makes all lists: it puts each
 * position at the head of the list of its id.  After that the rows are independent, and threads take rows, in pieces of
 * COLS columns, as they become free.
 */
#include "core/cpu/scatter.h"

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"

enum {
    COLS   = 256, /* columns that are summed at a time */
    LEVELS = 32,  /* most levels of the tree over shards */
    CHUNK  = 256  /* rows that a thread zeroes at a time */
};

static const int64_t none = INT64_MAX; /* end of a list; larger than any position */

typedef struct lists {
    int64_t *head;    /* by row: its first position, or `none` */
    int64_t *next;    /* by position: the next position of the same row, or `none` */
    int64_t *touched; /* rows with a list that is not empty */
    int64_t  count;   /* number of these rows */
} lists;

/* Iterator over the positions of one row, for columns [first, first + n). */
typedef struct walk {
    const ls_call    *c;
    const ls_scatter *s;
    const int64_t    *next;
    int64_t           at; /* next position, or `none` */
    int64_t           first, n;
} walk;

/* Sums the positions before `end`, of which there is at least one. */
static void sum_shard(walk *w, int64_t end, float *sum)
{
    const ls_array dy   = ls__from(w->s->dy, w->first);
    const int64_t  cols = w->s->cols, n = w->n;
    float          wide[COLS];
    const float   *row = ls__read(dy, w->at * cols, n, wide);
    V_MAP(n, V_PUT(sum, V_GET(row) + 0.0f));
    for (w->at = w->next[w->at]; w->at < end; w->at = w->next[w->at]) {
        row = ls__read(dy, w->at * cols, n, wide);
        V_MAP(n, V_PUT(sum, V_GET(sum) + V_GET(row)));
    }
}

/* Sums the subtree of `count` shards from `shard` on.  Returns false, without writing `sum`, if the row has no position
 * there.  room: buffers for the right-hand subtrees, one per level. */
static bool sum_tree(walk *w, int shard, int count, float *sum, float (*room)[COLS])
{
    const int64_t end = w->c->bound[shard + count] * w->s->lead;
    if (w->at >= end) return false;
    if (count == 1) {
        sum_shard(w, end, sum);
        return true;
    }
    bool left  = sum_tree(w, shard, count / 2, sum, room);
    bool right = sum_tree(w, shard + count / 2, count / 2, left ? room[0] : sum, room + left);
    if (left && right) ls__add_into(w->n, room[0], sum);
    return true;
}

/* Makes the lists of positions [from, to). */
static void make_lists(lists *l, const ls_scatter *s, int64_t from, int64_t to)
{
    l->count = 0;
    for (int64_t p = to - 1; p >= from; p--) {
        int64_t id = s->id[p];
        if (id < 0 || id >= s->rows) continue;
        if (l->head[id] == none) l->touched[l->count++] = id;
        l->next[p]  = l->head[id];
        l->head[id] = p;
    }
}

/* Zeroes the gradients of rows [from, to) that have no position. */
static void zero_others(const lists *l, const ls_scatter *s, int64_t from, int64_t to, float *grad)
{
    for (int64_t r = from, last; r < to; r = last) {
        bool has = l->head[r] != none;
        for (last = r + 1; last < to && (l->head[last] != none) == has;) last++;
        if (!has) memset(grad + r * s->cols, 0, (size_t)((last - r) * s->cols) * sizeof *grad);
    }
}

/* Computes the gradient of one row for COLS columns from `first` on. */
static void sum_row(const ls_call *c, const ls_scatter *s, const lists *l, const ls_group *g, int64_t row,
                    int64_t first, float *grad, bool add)
{
    float room[LEVELS][COLS];
    walk  w = {.c     = c,
               .s     = s,
               .next  = l->next,
               .at    = l->head[row],
               .first = first,
               .n     = s->cols - first < COLS ? s->cols - first : COLS};
    grad += row * s->cols + first;
    sum_tree(&w, g->first, g->shards, add ? room[0] : grad, room + add);
    if (add) ls__add_into(w.n, room[0], grad);
}

void ls__scatter_rows(const ls_call *c, int input, const ls_scatter *s)
{
    const int64_t tiles = (s->cols + COLS - 1) / COLS, all = c->bound[c->shards] * s->lead;
    lists         l = {.head = s->scratch};
    l.next          = l.head + s->rows;
    l.touched       = l.next + all;
    for (int64_t r = 0; r < s->rows; r++) l.head[r] = none;
    for (int k = 0; k < c->groups; k++) {
        const ls_group *g    = &c->group[k];
        float          *grad = ls__group_grad(c, input, k);
        const bool      add  = ls__group_add(c, input, k);
        const int64_t   from = c->bound[g->first] * s->lead, to = c->bound[g->first + g->shards] * s->lead;
        make_lists(&l, s, from, to);
#pragma omp parallel if ((to - from + (add ? 0 : s->rows)) * s->cols >= LS_MAP_PARALLEL)
        {
            if (!add) {
#pragma omp for schedule(static) nowait
                for (int64_t r = 0; r < s->rows; r += CHUNK)
                    zero_others(&l, s, r, r + CHUNK < s->rows ? r + CHUNK : s->rows, grad);
            }
#pragma omp for schedule(dynamic, 4)
            for (int64_t t = 0; t < l.count * tiles; t++)
                sum_row(c, s, &l, g, l.touched[t / tiles], t % tiles * COLS, grad, add);
        }
        for (int64_t t = 0; t < l.count; t++) l.head[l.touched[t]] = none;
    }
}

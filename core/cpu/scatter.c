/* SPDX-License-Identifier: Apache-2.0
 *
 * The positions of each row stand in a list, in order: made in one pass backwards, each position going to the head of
 * the list of its id.  Then rows are independent, and threads take them (and pieces of their columns) as they come.
 */
#include "core/cpu/scatter.h"

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"

enum { COLS = 256, LEVELS = 32, CHUNK = 256 };

static const int64_t none = INT64_MAX; /* behind every position */

typedef struct lists {
    int64_t *head;    /* of a row: its first position, or none */
    int64_t *next;    /* of a position: the next of its row    */
    int64_t *touched; /* the rows that have a list             */
    int64_t  count;
} lists;

/* A row's way through its positions, for columns [first, first + n). */
typedef struct walk {
    const ls_call    *c;
    const ls_scatter *s;
    const int64_t    *next;
    int64_t           at, first, n;
} walk;

/* The positions before `end`, of which there is one at least. */
static void sum_shard(walk *w, int64_t end, float *sum)
{
    const float  *dy   = w->s->dy + w->first;
    const int64_t cols = w->s->cols, n = w->n;
    V_MAP(n, V_PUT(sum, V_GET(dy + w->at * cols) + 0.0f));
    for (w->at = w->next[w->at]; w->at < end; w->at = w->next[w->at]) {
        const float *row = dy + w->at * cols;
        V_MAP(n, V_PUT(sum, V_GET(sum) + V_GET(row)));
    }
}

/* The subtree of `count` shards; false: the row does not occur there. */
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

static void zero_others(const lists *l, const ls_scatter *s, int64_t from, int64_t to, float *grad)
{
    for (int64_t r = from, last; r < to; r = last) {
        bool has = l->head[r] != none;
        for (last = r + 1; last < to && (l->head[last] != none) == has;) last++;
        if (!has) memset(grad + r * s->cols, 0, (size_t)((last - r) * s->cols) * sizeof *grad);
    }
}

static void sum_row(const ls_call *c, const ls_scatter *s, const lists *l, const ls_group *g, int64_t row,
                    int64_t first, float *grad, bool add)
{
    float room[LEVELS][COLS];
    walk  w = {c, s, l->next, l->head[row], first, s->cols - first < COLS ? s->cols - first : COLS};
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

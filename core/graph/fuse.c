/* SPDX-License-Identifier: Apache-2.0
 *
 * Fusion: a kernel that runs at memory speed also applies the elementwise ops that follow, tile by tile.
 *
 *     batch_norm -> add -> relu      becomes      one node "batch_norm + add + relu"
 *
 * An op with `fuses` takes an addition of another tensor, then a function of one element (ls_op.value), each if it is
 * there.  The result in between must have no other reader and must not be kept.  After an addition the derivative of
 * the function must follow from its result, as for relu; backward would otherwise need the sum.
 *
 * The fused node is a copy of the first node with the last node's result, and with the added tensor as one more input.
 * It stands at the position of the last node, where all inputs are known.  The graph does not change.
 *
 * In float32 the bits are those of separate ops.  In bfloat16 a value is rounded once, after the last op.
 */
#include "core/graph/fuse.h"

#include <string.h>

#include "core/graph/graph.h"

/* The readers of each tensor among the nodes that are needed. */
typedef struct readers {
    const ls_node **last;  /* by index of the tensor */
    int            *count; /* likewise; more than one if the program keeps the value or its gradient */
} readers;

static void keep(readers *r, const ls_tensor *t)
{
    for (; t; t = t->view_of) r->count[t->index] += 2;
}

static readers find_readers(const ls_program *p, const bool *needed)
{
    const ls_graph *g = p->graph;
    readers         r = {ls_arena_alloc(p->memory, ((size_t)g->tensors + 1) * sizeof *r.last),
                         ls_arena_alloc(p->memory, ((size_t)g->tensors + 1) * sizeof *r.count)};
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; needed[i] && k < g->node[i]->ins; k++) {
            const ls_tensor *x = g->node[i]->in[k];
            if (!x) continue;
            r.last[x->index] = g->node[i];
            r.count[x->index]++;
        }
    for (int i = 0; i < p->options.outputs; i++) keep(&r, p->options.output[i]);
    keep(&r, p->options.loss);
    keep(&r, p->options.gradient);
    return r;
}

/* The node that reads out[0] of `n`, if there is one reader and it is not part of another fused node; else NULL. */
static const ls_node *only_reader(const ls_program *p, const readers *r, const ls_node *n)
{
    const int      t    = n->out[0]->index;
    const ls_node *next = r->last[t];
    return r->count[t] == 1 && p->node[next->index] == next && next->loop == n->loop ? next : NULL;
}

/* The other input of `next`, if it is an addition of `x` and a tensor of the batch that `host` can take; else NULL. */
static ls_tensor *added_tensor(const ls_node *host, const ls_node *next, const ls_tensor *x)
{
    if (!next || !ls__op(next)->adds || host->ins == LS_MAX_IN || next->in[0] == next->in[1]) return NULL;
    ls_tensor *other = next->in[next->in[0] == x];
    return other->batched && x->batched && ls__root(other) != ls__root(host->in[0]) ? other : NULL;
}

static void fuse_into(ls_program *p, const readers *r, const ls_node *host)
{
    const ls_node *last = host, *next = only_reader(p, r, host);
    ls_node       *fused = ls_arena_alloc(p->memory, sizeof *fused);
    *fused               = *host;
    ls_tensor *added     = added_tensor(host, next, host->out[0]);
    if (added) {
        fused->in[fused->ins++] = added;
        fused->add = last = next;
        next              = only_reader(p, r, last);
    }
    if (next && ls__op(next)->value && !(added && ls__op(next)->saves & LS_SAVES_IN(0))) fused->map = last = next;
    if (last == host) return;
    fused->out[0]                 = last->out[0];
    p->maker[last->out[0]->index] = fused;
    p->node[host->index]          = NULL;
    if (added) p->node[fused->add->index] = NULL;
    p->node[last->index] = fused;
}

void ls__fuse(ls_program *p, const bool *needed)
{
    const ls_graph *g = p->graph;
    p->node           = ls_arena_alloc(p->memory, ((size_t)g->nodes + 1) * sizeof *p->node);
    p->maker          = ls_arena_alloc(p->memory, ((size_t)g->tensors + 1) * sizeof *p->maker);
    const readers r   = find_readers(p, needed);
    for (int i = 0; i < g->nodes; i++)
        if (needed[i] && !ls__op(g->node[i])->view) p->node[i] = g->node[i];
    for (int i = 0; i < g->tensors; i++) p->maker[i] = g->tensor[i]->node;
    for (int i = 0; i < g->nodes; i++)
        if (p->node[i] == g->node[i] && p->node[i] && ls__op(g->node[i])->fuses) fuse_into(p, &r, g->node[i]);
}

unsigned ls__saves(const ls_node *n) { return ls__op(n)->saves | (n->add && n->map ? LS_SAVES_OUT(0) : 0); }

bool ls__is_cheap(const ls_node *n)
{
    return ls__op(n)->recompute && !n->add && (!n->map || ls__op(n->map)->recompute);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters that Muon updates as matrices: see core/optim/hidden_matrices.h. */
#include <string.h>

#include "core/graph/graph.h"
#include "core/optim/hidden_matrices.h"

static bool is(const ls_node *n, const char *op) { return !strcmp(ls__op(n)->name, op); }

static bool is_linear(const ls_node *n) { return is(n, "linear"); }

/* A convolution in which each output channel reads all input channels. */
static bool is_convolution(const ls_node *n)
{
    const ls_conv_args *a = n->args;
    return (is(n, "conv1d") || is(n, "conv2d") || is(n, "conv3d")) && a->groups <= 1;
}

static bool has_weight(const ls_node *n)
{
    for (int i = 0; i < n->ins; i++)
        if (n->in[i] && ls__root(n->in[i])->role == LS_ROLE_PARAM && n->in[i]->rank >= 2) return true;
    return false;
}

/* Whether no layer with a weight reads what depends on the output of `last`.  depends: memory for each tensor. */
static bool is_last_layer(const ls_graph *g, const ls_node *last, bool *depends)
{
    bool found = false;
    memset(depends, 0, (size_t)g->tensors * sizeof *depends);
    for (int i = 0; i < g->nodes && !found; i++) {
        const ls_node *n     = g->node[i];
        bool           reads = n == last;
        for (int k = 0; k < n->ins; k++) reads |= n->in[k] && depends[n->in[k]->index];
        found = reads && n != last && has_weight(n);
        for (int k = 0; k < n->outs && reads; k++)
            if (n->out[k]) depends[n->out[k]->index] = true;
    }
    return !found;
}

/* Inserts a bound into an increasing list, unless it is there or the list is full.  Returns the new length. */
static int insert(int64_t *bound, int n, int64_t at)
{
    int i = n;
    for (int k = 0; k < n; k++)
        if (bound[k] == at) return n;
    if (n > LS_MATRIX_PARTS) return n;
    for (; i > 0 && bound[i - 1] > at; i--) bound[i] = bound[i - 1];
    bound[i] = at;
    return n + 1;
}

/* The linear layer that computes the input of attention, perhaps rotated; NULL: another layer. */
static const ls_node *projection(const ls_tensor *x)
{
    const ls_node *n = x->node;
    while (n && (is(n, "rotary") || is(n, "cast") || is(n, "reshape"))) n = n->in[0]->node;
    return n && is_linear(n) ? n : NULL;
}

/* Whether a node is a recurrence on the output of a linear layer with `param`, which holds one matrix per gate. */
static bool has_gates(const ls_node *n, const ls_tensor *param)
{
    const bool     recurrent = is(n, "rnn") || is(n, "lstm") || is(n, "gru");
    const ls_node *layer     = recurrent ? projection(n->in[0]) : NULL;
    return layer && ls__root(layer->in[1]) == param;
}

/* Adds the bounds between queries, keys and values of attention that reads all three from one linear layer. */
static int insert_heads(const ls_node *attention, const ls_tensor *param, int64_t *bound, int n)
{
    const ls_attention_args *a     = attention->args;
    const ls_node           *layer = attention->in[1] ? NULL : projection(attention->in[0]);
    const int64_t            heads = a->heads > 0 ? a->heads : 1, kv = a->kv_heads > 0 ? a->kv_heads : heads;
    if (!layer || ls__root(layer->in[1]) != param) return n;
    const int64_t width = param->dim[0] / (heads + 2 * kv);
    n                   = insert(bound, n, heads * width);
    return insert(bound, n, (heads + kv) * width);
}

int ls__hidden_matrices(const ls_graph *g, const ls_tensor *param, ls_arena *memory, int64_t bound[LS_MATRIX_PARTS + 1])
{
    bool hidden = false, *depends;
    int  n      = 0;
    if (param->rank < 2) return 0;
    depends = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *depends);
    n       = insert(bound, n, 0);
    n       = insert(bound, n, param->dim[0]);
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *use  = g->node[i];
        bool           uses = false;
        for (int k = 0; k < use->ins; k++) uses |= use->in[k] && ls__root(use->in[k]) == param;
        if (is(use, "attention")) n = insert_heads(use, param, bound, n);
        if (has_gates(use, param)) return 0;
        if (!uses) continue;
        if ((!is_linear(use) && !is_convolution(use)) || ls__root(use->in[1]) != param) return 0;
        if (is_linear(use)) {
            const ls_linear_args *a = use->args;
            n                       = a->rows ? insert(bound, n, a->first) : n;
            n                       = a->rows ? insert(bound, n, a->first + a->rows) : n;
        }
        hidden |= !is_last_layer(g, use, depends);
    }
    return hidden ? n - 1 : 0;
}

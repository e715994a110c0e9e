/* SPDX-License-Identifier: Apache-2.0
 *
 * The op attention never stores its weights.  They are computed here from its inputs q, k and v, which are values of
 * the graph, by the formula of the op (core/ops/attention.c), in float64.
 */
#include "launch/inspect/attention_values.h"

#include <math.h>
#include <string.h>

#include "core/ops/attention_tile.h"

enum { PARTS = 4 }; /* values of a layer: x, q, k, v; k and v are NULL if q holds all three */

static bool is_op(const ls_node *n, const char *name) { return !strcmp(ls__op(n)->name, name); }

/* Returns the linear layer that computes t, before its norms, rotations and views; NULL: there is none. */
static const ls_node *linear_of(const ls_tensor *t)
{
    const ls_node *n = t->node;
    while (n && !is_op(n, "linear")) n = n->in[0] ? n->in[0]->node : NULL;
    return n;
}

/* The name of a layer: that of the linear layer that reads its output, without the last part. */
static const char *name_of(const ls_graph *g, const ls_node *attention, ls_arena *memory)
{
    for (int i = attention->index + 1; i < g->nodes; i++) {
        const char *name = is_op(g->node[i], "linear") && g->node[i]->in[0] == attention->out[0]
                               ? ls__layer_name(g->node[i], memory)
                               : NULL;
        const char *dot  = name ? strrchr(name, '.') : NULL;
        if (dot) return ls_arena_printf(memory, "%.*s", (int)(dot - name), name);
    }
    return attention->out[0]->name;
}

/* Whether each query attends to the tokens of its own sequence. */
static bool attends_to_itself(const ls_node *n)
{
    return is_op(n, "attention") && (!n->in[LS_ATT_K] || n->in[LS_ATT_K]->dim[0] == n->in[LS_ATT_Q]->dim[0]);
}

static ls_status check(const ls_node *n)
{
    LS_CHECK(!n->in[LS_ATT_PADDING] && !n->in[LS_ATT_MASK] && !n->in[LS_ATT_CACHE] && !n->in[LS_ATT_FIRST],
             LS_ERR_USAGE,
             "explain: %s: expected attention without a mask of its own, a cache and packed samples, found one",
             n->out[0]->name);
    return LS_OK;
}

/* Copies a head from rows of `stride` columns, beginning with column `first`. */
static void copy_head(float *to, const float *rows, int64_t tokens, int64_t stride, int64_t first, int64_t width)
{
    for (int64_t t = 0; t < tokens; t++) memcpy(to + t * width, rows + t * stride + first, (size_t)width * sizeof *to);
}

/* Splits queries, keys and values into heads; heads that share keys and values get copies of them. */
static void split(const ls_attention_args *a, ls_attention_map *m, const float *q, const float *k, const float *v,
                  ls_arena *memory)
{
    const int64_t d = m->width, own = m->heads * d, shared = a->kv_heads * d, packed = own + 2 * shared;
    const size_t  bytes = (size_t)(own * m->tokens) * sizeof(float);
    float        *to[3] = {ls_arena_alloc(memory, bytes), ls_arena_alloc(memory, bytes), ls_arena_alloc(memory, bytes)};
    for (int64_t h = 0; h < m->heads; h++) {
        const int64_t at = h * m->tokens * d, pair = h / (a->heads / a->kv_heads) * d;
        copy_head(to[0] + at, q, m->tokens, k ? own : packed, h * d, d);
        copy_head(to[1] + at, k ? k : q, m->tokens, k ? shared : packed, (k ? 0 : own) + pair, d);
        copy_head(to[2] + at, v ? v : q, m->tokens, v ? shared : packed, (v ? 0 : own + shared) + pair, d);
    }
    m->q = to[0];
    m->k = to[1];
    m->v = to[2];
}

/* Computes the weights and the output of query t of a head from its scores. */
static void attend(const ls_attention_args *a, const ls_attention_map *m, int64_t t, const float *score, const float *v,
                   float *weight, float *y)
{
    const int64_t first = a->window && t >= a->window ? t - a->window + 1 : 0, end = a->causal ? t + 1 : m->tokens;
    double        top = -INFINITY, sum = 0;
    for (int pass = 0; pass < 3; pass++)
        for (int64_t s = first; s < end; s++) {
            double z = (double)score[s] * (double)a->scale;
            if (a->cap > 0) z = (double)a->cap * tanh(z / (double)a->cap);
            if (pass == 0) top = fmax(top, z);
            if (pass == 1) sum += exp(z - top);
            if (pass == 2) weight[s] = (float)(exp(z - top) / sum);
        }
    for (int64_t c = 0; c < m->width; c++) {
        double total = 0;
        for (int64_t s = first; s < end; s++) total += (double)weight[s] * (double)v[s * m->width + c];
        y[c] = (float)total;
    }
}

static void compute(const ls_attention_args *a, ls_attention_map *m, ls_arena *memory)
{
    const int64_t n = m->tokens, d = m->width;
    float        *scores  = ls_arena_alloc(memory, (size_t)(m->heads * n * n) * sizeof *scores);
    float        *weights = ls_arena_alloc(memory, (size_t)(m->heads * n * n) * sizeof *weights);
    float        *y       = ls_arena_alloc(memory, (size_t)(m->heads * n * d) * sizeof *y);
    memset(weights, 0, (size_t)(m->heads * n * n) * sizeof *weights);
    for (int64_t row = 0; row < m->heads * n; row++) {
        const int64_t head = row / n;
        for (int64_t s = 0; s < n; s++) {
            double sum = 0;
            for (int64_t c = 0; c < d; c++) sum += (double)m->q[row * d + c] * (double)m->k[(head * n + s) * d + c];
            scores[row * n + s] = (float)sum;
        }
        attend(a, m, row % n, scores + row * n, m->v + head * n * d, weights + row * n, y + row * d);
    }
    m->scores  = scores;
    m->weights = weights;
    m->y       = y;
}

/* Lists the layers, and their values x, q, k, v.  Returns the number of layers. */
static ls_status list(const ls_graph *g, const ls_node **node, ls_tensor **part, int *layers)
{
    int n = 0;
    for (int i = 0; i < g->nodes; i++) {
        if (!attends_to_itself(g->node[i])) continue;
        const ls_node *linear = linear_of(g->node[i]->in[LS_ATT_Q]);
        LS_TRY(check(g->node[i]));
        LS_CHECK(linear, LS_ERR_USAGE, "explain: %s: expected queries of a linear layer, found none",
                 g->node[i]->out[0]->name);
        node[n]               = g->node[i];
        part[PARTS * n]       = linear->in[0];
        part[PARTS * n + 1]   = g->node[i]->in[LS_ATT_Q];
        part[PARTS * n + 2]   = g->node[i]->in[LS_ATT_K];
        part[PARTS * n++ + 3] = g->node[i]->in[LS_ATT_V];
    }
    LS_CHECK(n, LS_ERR_USAGE, "explain: the model has no attention of a text or an image to itself");
    *layers = n;
    return LS_OK;
}

static const float *copy_of(const ls_model *model, int output, const ls_tensor *t, ls_arena *memory)
{
    const size_t bytes = (size_t)ls__numel(t) * sizeof(float);
    return memcpy(ls_arena_alloc(memory, bytes), ls_model_output(model, output), bytes);
}

static void take(const ls_graph *g, const ls_node *node, ls_tensor *const *part, const float *const *value,
                 ls_attention_map *map, ls_arena *memory)
{
    const ls_attention_args *a = node->args;
    *map                       = (ls_attention_map){.name    = name_of(g, node, memory),
                                                    .heads   = a->heads,
                                                    .tokens  = node->out[0]->dim[0],
                                                    .width   = node->out[0]->dim[1] / a->heads,
                                                    .columns = part[0]->dim[1],
                                                    .scale   = a->scale,
                                                    .causal  = a->causal,
                                                    .x       = value[0]};
    split(a, map, value[1], value[2], value[3], memory);
    compute(a, map, memory);
}

ls_status ls_attention_values(ls_graph *g, ls_params *params, const ls_batch *batch, ls_tensor *const *more, int mores,
                              const float **value, ls_arena *memory, const ls_attention_map **maps, int *layers)
{
    const size_t    room  = (size_t)g->nodes + 1;
    const ls_node **node  = ls_arena_alloc(memory, room * sizeof *node);
    ls_tensor     **part  = ls_arena_alloc(memory, PARTS * room * sizeof *part),
              **out       = ls_arena_alloc(memory, (PARTS * room + (size_t)mores) * sizeof *out);
    ls_attention_map *map = ls_arena_alloc(memory, room * sizeof *map);
    ls_model         *model;
    int               n = 0, outs = 0;
    LS_TRY(list(g, node, part, &n));
    for (int i = 0; i < PARTS * n; i++)
        if (part[i]) out[outs++] = part[i];
    for (int i = 0; i < mores; i++) out[outs++] = more[i];
    LS_TRY(ls_model_new(&model, g, params, out, outs, 1));
    ls_status status = ls_model_run(model, batch);
    for (int i = 0, at = 0; i < n && status == LS_OK; i++) {
        const float *values[PARTS] = {0};
        for (int k = 0; k < PARTS; k++)
            if (part[PARTS * i + k]) values[k] = copy_of(model, at++, part[PARTS * i + k], memory);
        take(g, node[i], part + PARTS * i, values, &map[i], memory);
    }
    for (int i = 0; i < mores && status == LS_OK; i++) value[i] = copy_of(model, outs - mores + i, more[i], memory);
    ls_model_free(model);
    *maps   = map;
    *layers = n;
    return status;
}

ls_status ls_attention_maps(const ls_recipe *recipe, ls_params *params, int64_t vocabulary, const int32_t *tokens,
                            int64_t n, ls_arena *memory, const ls_attention_map **maps, int *layers)
{
    ls_graph          *g = ls_graph_new();
    ls_tensor         *logits;
    ls_language_inputs in     = {.x = ls_input(g, "tokens", LS_I32, n)};
    ls_status          status = ls_recipe_build_language(recipe, g, &in, vocabulary, &logits);
    if (status == LS_OK)
        status = ls_attention_values(
            g, params, &(ls_batch){.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = 1, .global_rows = 1},
            NULL, 0, NULL, memory, maps, layers);
    ls_graph_free(g);
    return status;
}

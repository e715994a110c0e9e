/* SPDX-License-Identifier: Apache-2.0 */
/* timeout: 300 */
#include "tests/check_op.h"

enum { Q, K, V, PADDING, MASK, START, CACHE, LENGTHS, FIRST };

/* Sizes of an attention node, computed without core/ops/attention_tile.c, which is under test. */
typedef struct shape {
    int64_t t, s, d, h, kvh;
    bool    packed;
} shape;

static shape shape_of(const ls_node *n)
{
    const ls_attention_args *a = n->args;
    shape                    s = {.h = a->heads ? a->heads : 1, .t = n->in[Q]->dim[0], .packed = !n->in[K]};
    s.kvh                      = a->kv_heads ? a->kv_heads : s.h;
    s.d                        = n->in[Q]->dim[1] / (s.packed ? s.h + 2 * s.kvh : s.h);
    s.s                        = n->in[CACHE] ? n->in[CACHE]->dim[0] : s.packed ? s.t : n->in[K]->dim[0];
    return s;
}

/* Rows of one head: the row of position 0, and the stride from one position to the next. */
typedef struct rows {
    const double *at;
    int64_t       row;
} rows;

/* Returns the rows of one head of q, k or v. */
static rows head_rows(const check_ref *r, const shape *s, int64_t b, int which, int64_t head)
{
    const int64_t width = s->packed ? (s->h + 2 * s->kvh) * s->d : (which == Q ? s->h : s->kvh) * s->d;
    const int64_t first = s->packed && which != Q ? (s->h + (which == V ? s->kvh : 0)) * s->d : 0;
    const int64_t count = which == Q || s->packed || r->node->in[CACHE] ? s->t : s->s;
    return (rows){r->x[s->packed ? Q : which] + b * count * width + first + head * s->d, width};
}

/* Returns the D elements of key or value k: from the call, or with a cache the row that the cache holds after the
 * call. */
static const double *key_or_value(const check_ref *r, const shape *s, int64_t b, int which, int64_t shared, int64_t k)
{
    rows x = head_rows(r, s, b, which, shared);
    if (!r->node->in[CACHE]) return x.at + k * x.row;
    int64_t at = k - (r->x[START] ? (int64_t)r->x[START][b] : 0);
    if (at >= 0 && at < s->t) return x.at + at * x.row;
    return r->x[CACHE] + (b * s->s + k) * 2 * s->kvh * s->d + (which == V ? s->kvh * s->d : 0) + shared * s->d;
}

static bool hidden(const check_ref *r, const shape *s, int64_t b, int64_t t, int64_t k)
{
    int64_t                  start = r->x[START] ? (int64_t)r->x[START][b] : 0;
    const ls_attention_args *a     = r->args;
    return (a->causal && k > start + t) || (a->window && k <= start + t - a->window) ||
           (r->x[FIRST] && k < r->x[FIRST][b * s->t + t]) || (r->x[PADDING] && r->x[PADDING][b * s->s + k] != 0) ||
           (r->x[LENGTHS] && k >= r->x[LENGTHS][b]);
}

/* Returns the dropout factor of weight (t, k): 0 or 1 / (1 - p). */
static double dropout_factor(const check_ref *r, const shape *s, int64_t b, int64_t head, int64_t t, int64_t k)
{
    const double p = (double)((const ls_attention_args *)r->args)->dropout;
    if (!r->training || p == 0) return 1;
    uint64_t counter = (uint64_t)(head * ((s->s + 3) / 4) + k / 4) << 32 | (uint64_t)t;
    return (double)ls_uniform01(ls_philox(r->key, (uint64_t)(r->first_sample + b), counter).v[k % 4]) < p ? 0
                                                                                                          : 1 / (1 - p);
}

/* Returns the score of query t and key k; -inf for a hidden key. */
static double score(const check_ref *r, const shape *s, int64_t b, int64_t head, int64_t t, int64_t k)
{
    const ls_attention_args *a    = r->args;
    const ls_tensor         *mask = r->node->in[MASK];
    const int64_t            maps = mask && mask->rank == 3 ? s->h : 1;
    const rows               all  = head_rows(r, s, b, Q, head);
    const double            *q = all.at + t * all.row, *key = key_or_value(r, s, b, K, head / (s->h / s->kvh), k);
    double                   sum = 0;
    if (hidden(r, s, b, t, k)) return -INFINITY;
    for (int64_t i = 0; i < s->d; i++) sum += q[i] * key[i];
    sum *= a->scale != 0 ? (double)a->scale : 1 / sqrt((double)s->d);
    if (a->cap > 0) sum = (double)a->cap * tanh(sum / (double)a->cap);
    return mask ? sum + r->x[MASK][((((mask->batched ? b * maps : 0) + (maps > 1 ? head : 0)) * s->t) + t) * s->s + k]
                : sum;
}

/* Computes y (D elements) of one query by the definition of attention. */
static void attend(const check_ref *r, const shape *s, int64_t b, int64_t head, int64_t t, double *y)
{
    double w[512], most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < s->s; k++) {
        w[k] = score(r, s, b, head, t, k);
        most = fmax(most, w[k]);
    }
    for (int64_t k = 0; k < s->s; k++) sum += w[k] = most == -INFINITY ? 0 : exp(w[k] - most);
    for (int64_t i = 0; i < s->d; i++) y[i] = 0;
    for (int64_t k = 0; sum > 0 && k < s->s; k++) {
        const double *value = key_or_value(r, s, b, V, head / (s->h / s->kvh), k),
                     weight = w[k] / sum * dropout_factor(r, s, b, head, t, k);
        for (int64_t i = 0; weight != 0 && i < s->d; i++) y[i] += weight * value[i];
    }
    r->y[1][(b * s->h + head) * s->t + t] = sum > 0 ? most + log(sum) : CHECK_UNSET;
}

static void reference(const check_ref *r)
{
    const shape s = shape_of(r->node);
    for (int64_t b = 0; b < r->rows; b++)
        for (int64_t head = 0; head < s.h; head++)
            for (int64_t t = 0; t < s.t; t++)
                attend(r, &s, b, head, t, r->y[0] + (b * s.t + t) * s.h * s.d + head * s.d);
}

#define ARGS(...)                                                                                                      \
    &(ls_attention_args) { __VA_ARGS__ }
#define IN(...)                                                                                                        \
    {                                                                                                                  \
        .dims = { __VA_ARGS__ }                                                                                        \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
#define NO_MORE NONE, NONE, NONE, NONE, NONE, NONE /* no padding, mask, start, cache, lengths, first */
#define NO_CACHE NONE, NONE, NONE, NONE            /* and no lengths, first */
#define PADDING_OF(s)                                                                                                  \
    {                                                                                                                  \
        .dims = {s}, .type = LS_I32, .low = 0, .high = 2                                                               \
    }
#define LENGTHS_OF(s)                                                                                                  \
    {                                                                                                                  \
        .type = LS_I32, .low = -1, .high = (s) + 2                                                                     \
    }
#define FIRST_OF(t)                                                                                                    \
    {                                                                                                                  \
        .dims = {t}, .type = LS_I32, .low = -1, .high = (t) + 1                                                        \
    }
#define INDEX(below)                                                                                                   \
    {                                                                                                                  \
        .type = LS_I32, .low = 0, .high = (below)                                                                      \
    }
#define CACHE_STATE(n, c)                                                                                              \
    {                                                                                                                  \
        .dims = {n, c}, .state = true                                                                                  \
    }

CHECK_OP(attention, reference,
         /* sizes: 1 in all dims; odd; wider than a vector; more keys and queries than a tile */
         {.in = {IN(1, 1), IN(1, 1), IN(1, 1), NO_MORE}, .tol_grad = 1e-3},
         {.in = {IN(7, 7), IN(7, 7), IN(7, 7), NO_MORE}},
         {.in = {IN(33, 2 * 7), IN(33, 2 * 7), IN(33, 2 * 7), NO_MORE}, .args = ARGS(.heads = 2)},
         {.in       = {IN(7, 33), IN(1, 33), IN(1, 33), NO_MORE},
          .tol_grad = 1e-3}, /* softmax of a single score: dq and dk are zero */
         {.in = {IN(1, 3 * 16), IN(33, 3 * 16), IN(33, 3 * 16), NO_MORE}, .args = ARGS(.heads = 3)},
         {.in = {IN(67, 16), IN(139, 16), IN(139, 16), NO_MORE}},
         {.in = {IN(7, 2 * 33), IN(261, 2 * 33), IN(261, 2 * 33), NO_MORE}, .args = ARGS(.heads = 2, .scale = 0.3f)},
         /* causal */
         {.in = {IN(33, 2 * 8), IN(33, 2 * 8), IN(33, 2 * 8), NO_MORE}, .args = ARGS(.heads = 2, .causal = true)},
         {.in = {IN(133, 9), IN(133, 9), IN(133, 9), NO_MORE}, .args = ARGS(.causal = true)},
         {.in = {IN(7, 7), IN(33, 7), IN(33, 7), NO_MORE}, .args = ARGS(.causal = true)},
         {.in = {IN(71, 7), IN(33, 7), IN(33, 7), NO_MORE}, .args = ARGS(.causal = true)},
         /* heads that share keys and values */
         {.in = {IN(33, 4 * 7), IN(7, 2 * 7), IN(7, 2 * 7), NO_MORE}, .args = ARGS(.heads = 4, .kv_heads = 2)},
         {.in   = {IN(67, 3 * 16), IN(67, 16), IN(67, 16), NO_MORE},
          .args = ARGS(.heads = 3, .kv_heads = 1, .causal = true)},
         /* queries, keys and values side by side */
         {.in = {IN(33, 3 * 2 * 7), NONE, NONE, NO_MORE}, .out = {33, 14}, .args = ARGS(.heads = 2)},
         {.in = {IN(67, 3 * 32), NONE, NONE, NO_MORE}, .out = {67, 32}, .args = ARGS(.causal = true)},
         {.in   = {IN(33, (4 + 2 * 2) * 7), NONE, NONE, NO_MORE},
          .out  = {33, 28},
          .args = ARGS(.heads = 4, .kv_heads = 2, .causal = true)},
         /* masks per position, per head and per sample; with key padding; all at once */
         {.in   = {IN(7, 2 * 7), IN(33, 2 * 7), IN(33, 2 * 7), NONE, {.dims = {7, 33}, .param = true}, NO_CACHE},
          .args = ARGS(.heads = 2)},
         {.in   = {IN(33, 2 * 7), IN(7, 2 * 7), IN(7, 2 * 7), NONE, {.dims = {2, 33, 7}, .param = true}, NO_CACHE},
          .args = ARGS(.heads = 2)},
         {.in = {IN(67, 7), IN(133, 7), IN(133, 7), NONE, IN(67, 133), NO_CACHE}},
         {.in   = {IN(7, 2 * 7), IN(7, 2 * 7), IN(7, 2 * 7), PADDING_OF(7), IN(2, 7, 7), NO_CACHE},
          .args = ARGS(.heads = 2, .causal = true)},
         {.in = {IN(33, 7), IN(33, 7), IN(33, 7), PADDING_OF(33), NONE, NO_CACHE}},
         {.in = {IN(7, 7), IN(133, 7), IN(133, 7), PADDING_OF(133), NONE, NO_CACHE}},
         {.in = {IN(33, 7), IN(2, 7), IN(2, 7), PADDING_OF(2), NONE, NO_CACHE}},
         {.in = {IN(7, 7), IN(2, 7), IN(2, 7), {.dims = {2}, .type = LS_I32, .low = 1, .high = 2}, NONE, NO_CACHE}},
         /* lengths */
         {.in   = {IN(7, 2 * 7), IN(5, 2 * 7), IN(5, 2 * 7), NONE, NONE, NONE, NONE, LENGTHS_OF(5), NONE},
          .args = ARGS(.heads = 2)},
         {.in   = {IN(33, 3 * 7), NONE, NONE, NONE, NONE, NONE, NONE, LENGTHS_OF(33), NONE},
          .out  = {33, 7},
          .args = ARGS(.causal = true)},
         {.in = {IN(1, 33), IN(131, 33), IN(131, 33), PADDING_OF(131), NONE, NONE, NONE, LENGTHS_OF(131), NONE}},
         /* dropout */
         {.in = {IN(7, 2 * 7), IN(33, 2 * 7), IN(33, 2 * 7), NO_MORE}, .args = ARGS(.heads = 2, .dropout = 0.3f)},
         {.in   = {IN(67, 3 * 2 * 8), NONE, NONE, NO_MORE},
          .out  = {67, 16},
          .args = ARGS(.heads = 2, .causal = true, .dropout = 0.5f)},
         {.in = {IN(33, 7), IN(131, 7), IN(131, 7), PADDING_OF(131), NONE, NO_CACHE}, .args = ARGS(.dropout = 0.1f)},
         {.in = {IN(7, 7), IN(7, 7), IN(7, 7), NO_MORE}, .args = ARGS(.dropout = 0.5f), .inference = true},
         /* window, first keys, cap */
         {.in   = {IN(7, 3 * 2 * 7), NONE, NONE, NO_MORE},
          .out  = {7, 14},
          .args = ARGS(.heads = 2, .causal = true, .window = 3)},
         {.in = {IN(67, 7), IN(33, 7), IN(33, 7), NO_MORE}, .args = ARGS(.causal = true, .window = 20)},
         {.in   = {IN(7, 4 * 3), NONE, NONE, NONE, NONE, NONE, NONE, NONE, FIRST_OF(7)},
          .out  = {7, 6},
          .args = ARGS(.heads = 2, .kv_heads = 1, .causal = true, .dropout = 0.3f)},
         {.in = {IN(5, 2 * 16), IN(33, 2 * 16), IN(33, 2 * 16), NO_MORE}, .args = ARGS(.heads = 2, .cap = 0.7f)},
         {.in   = {IN(9, 7), IN(9, 7), IN(9, 7), NONE, NONE, NONE, NONE, LENGTHS_OF(9), FIRST_OF(9)},
          .args = ARGS(.causal = true, .window = 4, .cap = 2, .dropout = 0.3f)},
         {.in        = {IN(7, 3 * 16), NONE, NONE, NONE, NONE, INDEX(90), CACHE_STATE(107, 32), NONE, NONE},
          .out       = {7, 16},
          .args      = ARGS(.causal = true, .window = 20, .cap = 3),
          .inference = true},
         /* with a cache */
         {.in        = {IN(1, 3 * 2 * 7), NONE, NONE, NONE, NONE, INDEX(33), CACHE_STATE(33, 28), NONE, NONE},
          .out       = {1, 14},
          .args      = ARGS(.heads = 2, .causal = true),
          .inference = true},
         {.in        = {IN(7, 2 * 7), IN(7, 7), IN(7, 7), NONE, NONE, INDEX(27), CACHE_STATE(33, 14), NONE, NONE},
          .args      = ARGS(.heads = 2, .kv_heads = 1, .causal = true),
          .inference = true},
         {.in        = {IN(67, 3 * 16), NONE, NONE, NONE, NONE, INDEX(90), CACHE_STATE(157, 32), NONE, NONE},
          .out       = {67, 16},
          .args      = ARGS(.causal = true),
          .inference = true},
         {.in        = {IN(7, 3 * 16), NONE, NONE, PADDING_OF(9), NONE, NONE, CACHE_STATE(9, 32), NONE, NONE},
          .out       = {7, 16},
          .args      = ARGS(.causal = true),
          .inference = true})

/* ---- a cache ----------------------------------------------------------------------------------------------------- */

enum { LONG = 141, WIDE = 2 * 3 * 16, ROOM = 150, SAMPLES = 3 };

/* Replaces rows [from, from + t) of each sample of x, which have WIDE floats, by the op's result in a graph for t
 * positions. */
static void attend_part(int64_t from, int64_t t, ls_model *m, const float *x, float *y)
{
    float  *part = malloc((size_t)(SAMPLES * t * WIDE) * sizeof *part);
    int32_t start[SAMPLES];
    for (int64_t b = 0; b < SAMPLES; b++) {
        start[b] = (int32_t)from;
        memcpy(part + b * t * WIDE, x + (b * LONG + from) * WIDE, (size_t)(t * WIDE) * sizeof *part);
    }
    ls_batch batch = {
        .inputs = 2, .name = {"x", "start"}, .data = {part, start}, .rows = SAMPLES, .global_rows = SAMPLES};
    assert_int_equal(ls_model_run(m, &batch), LS_OK);
    for (int64_t b = 0; b < SAMPLES; b++)
        memcpy(y + (b * LONG + from) * WIDE / 3, ls_model_output(m, 0) + b * t * WIDE / 3,
               (size_t)(t * WIDE / 3) * sizeof *y);
    free(part);
}

/* Processes all positions, `step` at a time; step 0: all at once without a cache. */
static void attend_in_steps(int64_t step, int64_t window, float cap, const float *x, float *y)
{
    ls_graph  *g     = ls_graph_new();
    ls_tensor *start = ls_input(g, "start", LS_I32), *in = ls_input(g, "x", LS_F32, step ? step : LONG, WIDE);
    ls_tensor *cache = step ? ls_state(g, "cache", LS_F32, ROOM, WIDE / 3 * 2) : NULL;
    ls_tensor *out   = ls_attention(in, .start = step ? start : NULL, .cache = cache, .heads = 2, .causal = true,
                                    .window = window, .cap = cap);
    ls_params *params;
    ls_model  *m;
    assert_int_equal(ls_graph_status(g), LS_OK);
    assert_int_equal(ls_params_new(&params, g, 1), LS_OK);
    assert_int_equal(ls_model_new(&m, g, params, &out, 1, SAMPLES), LS_OK);
    for (int64_t from = 0; from < LONG; from += step ? step : LONG) attend_part(from, step ? step : LONG, m, x, y);
    ls_model_free(m);
    ls_params_free(params);
    ls_graph_free(g);
}

/* The bits of a position are equal with and without a cache, and for any number of positions per call; with a window,
 * the tiles of keys before it are skipped. */
static void test_steps(void **state)
{
    static float x[SAMPLES * LONG * WIDE], whole[SAMPLES * LONG * WIDE / 3], part[SAMPLES * LONG * WIDE / 3];
    static const struct {
        int64_t window;
        float   cap;
    } cases[] = {{0, 0}, {11, 0}, {100, 2}};
    for (int64_t i = 0; i < SAMPLES * LONG * WIDE; i++) x[i] = check_normal(500, i);
    for (int k = 0; k < 3 * ((int)ls_isa_best() + 1); k++) {
        const int64_t window = cases[k % 3].window;
        const float   cap    = cases[k % 3].cap;
        assert_int_equal(ls_isa_set((ls_isa)(k / 3)), LS_OK);
        attend_in_steps(0, window, cap, x, whole);
        for (int64_t step = 1; step <= LONG; step = step == 1 ? 3 : step == 3 ? 47 : step == 47 ? LONG : LONG + 1) {
            memset(part, 0xFF, sizeof part);
            attend_in_steps(step, window, cap, x, part);
            if (memcmp(whole, part, sizeof whole) != 0)
                fail_msg("level %s, window %lld: bits differ with %lld positions per call",
                         ls_isa_name((ls_isa)(k / 3)), (long long)window, (long long)step);
        }
    }
}

/* A start at which the rows do not fit into the cache gives NaN for that sample and writes nothing. */
static void test_start_out_of_range(void **state)
{
    enum { N = 9, C = 4 };
    ls_graph *g = ls_graph_new();
    float     x[3 * 2 * 3 * C], cache[3 * N * 2 * C] = {0}, y[3 * 2 * C], log_sum[3 * 2];
    int32_t   start[3] = {8, 7, -1}; /* two rows fit at 7 */
    for (int i = 0; i < 3 * 2 * 3 * C; i++) x[i] = check_normal(600, i);
    ls_tensor *t = ls_attention(ls_input(g, "x", LS_F32, 2, 3 * C), .start = ls_input(g, "start", LS_I32),
                                .cache = ls_state(g, "cache", LS_F32, N, 2 * C), .causal = true);
    assert_int_equal(ls_graph_status(g), LS_OK);
    void   *scratch = aligned_alloc(64, ls__op(t->node)->scratch(t->node, 3, 1, omp_get_max_threads(), false) + 64);
    ls_call c       = {.node    = t->node,
                       .args    = t->node->args,
                       .rows    = 3,
                       .x       = {[Q] = x, [START] = start, [CACHE] = cache},
                       .y       = {y, log_sum},
                       .scratch = scratch};
    ls__op(t->node)->forward[LS_CPU](&c);
    for (int b = 0; b < 3; b++)
        for (int i = 0; i < 2 * C; i++) assert_true(isnan(y[b * 2 * C + i]) == (b != 1));
    for (int i = 0; i < 3 * N * 2 * C; i++)
        assert_true((cache[i] != 0) == (i / (2 * C) == N + 7 || i / (2 * C) == N + 8));
    free(scratch);
    ls_graph_free(g);
}

/* ---- hidden keys ------------------------------------------------------------------------------------------------- */

enum { MOST = 200 * 3 * 96 };

/* Values and gradients of one sample: y, log_sum, and dq, dk, dv side by side. */
typedef struct gradients {
    float y[MOST], log_sum[3 * 200], dx[MOST];
} gradients;

/* Computes attention of T positions with 2 heads that share a key head of width D, with hidden keys by window and first
 * keys, or by an additive mask. */
static void attend_hidden(int64_t T, int64_t D, int64_t window, const int32_t *first, const float *mask, gradients *out)
{
    static float x[2 * MOST], dy[MOST];
    ls_graph    *g      = ls_graph_new();
    ls_tensor   *hidden = mask ? ls_input(g, "mask", LS_F32, T, T) : NULL, *begin = ls_input(g, "first", LS_I32, T);
    ls_node     *n = ls_attention(ls_input(g, "x", LS_F32, T, 4 * D), .mask = hidden, .heads = 2, .kv_heads = 1,
                                  .first = !mask && first ? begin : NULL, .causal = true, .dropout = 0.2f,
                                  .window = mask ? 0 : window)
                     ->node;
    assert_int_equal(ls_graph_status(g), LS_OK);
    for (int64_t i = 0; i < T * 4 * D; i++) x[i] = check_normal(800, i);
    for (int64_t i = 0; i < T * 2 * D; i++) dy[i] = check_normal(801, i);
    void   *scratch = aligned_alloc(64, (ls__op(n)->scratch(n, 1, 1, omp_get_max_threads(), true) + 127) / 64 * 64);
    ls_call c       = {.node     = n,
                       .args     = n->args,
                       .rows     = 1,
                       .training = true,
                       .x        = {[Q] = x, [MASK] = (float *)mask, [FIRST] = mask ? NULL : (int32_t *)first},
                       .y        = {out->y, out->log_sum},
                       .dy       = {dy},
                       .dx       = {out->dx},
                       .scratch  = scratch};
    memset(out, 0, sizeof *out);
    ls__op(n)->forward[LS_CPU](&c);
    ls__op(n)->backward[LS_CPU](&c);
    free(scratch);
    ls_graph_free(g);
}

/* A window and first keys give the bits of an additive mask that hides the same keys. */
static void test_hidden_keys(void **state)
{
    static const int64_t times[] = {1, 7, 65, 200}, windows[] = {1, 3, 64, 100, 0}, widths[] = {16, 20, 48};
    static gradients     got, want;
    static float         mask[200 * 200];
    int32_t              first[200];
    assert_int_equal(ls_isa_set(ls_isa_best()), LS_OK);
    for (int k = 0; k < 4 * 5 * 2; k++) {
        const int64_t T = times[k / 10], window = windows[k / 2 % 5], D = widths[k % 3];
        const bool    packed = k % 2;
        for (int64_t t = 0; t < T; t++) { /* packed samples of 1, 2, 4, ... positions, then of 7 */
            first[t] = (int32_t)(t == 0 ? 0 : t < 127 ? (1 << (31 - __builtin_clz((unsigned)t + 1))) - 1 : t / 7 * 7);
            for (int64_t j = 0; j < T; j++)
                mask[t * T + j] = (window && j <= t - window) || (packed && j < first[t]) ? -INFINITY : 0;
        }
        attend_hidden(T, D, window, packed ? first : NULL, NULL, &got);
        attend_hidden(T, D, window, first, mask, &want);
        if (memcmp(&got, &want, sizeof got) != 0)
            fail_msg("T %lld, D %lld, window %lld, packed %d: bits differ from those of a mask", (long long)T,
                     (long long)D, (long long)window, packed);
    }
}

/* The FLOP count is that of the visible keys. */
static void test_flops(void **state)
{
    ls_graph  *g   = ls_graph_new();
    ls_tensor *x   = ls_input(g, "x", LS_F32, 10, 3 * 8);
    ls_node   *all = ls_attention(x, .causal = true)->node, *few = ls_attention(x, .causal = true, .window = 4)->node;
    assert_true(ls__op(all)->flops(all) == 4.0 * 8 * 55);
    assert_true(ls__op(few)->flops(few) == 4.0 * 8 * (10 + 6 * 4));
    ls_graph_free(g);
}

/* ---- one tensor as several inputs -------------------------------------------------------------------------------- */

/* Adds the gradients of q, k and v to the given buffers. */
static void add_gradients(ls_node *n, float *x, const float *dy, float *dq, float *dk, float *dv)
{
    const int64_t t = n->in[Q]->dim[0], c = n->in[Q]->dim[1], h = ((ls_attention_args *)n->args)->heads;
    float        *y = malloc((size_t)(2 * t * c) * sizeof *y), *log_sum = malloc((size_t)(2 * h * t) * sizeof *y);
    void   *scratch = aligned_alloc(64, (ls__op(n)->scratch(n, 2, 1, omp_get_max_threads(), true) + 127) / 64 * 64);
    ls_call call    = {.node     = n,
                       .args     = n->args,
                       .rows     = 2,
                       .training = true,
                       .x        = {x, x, x},
                       .y        = {y, log_sum},
                       .dy       = {(float *)dy},
                       .dx       = {dq, dk, dv},
                       .add      = {false, dk == dq, dv == dq || dv == dk},
                       .scratch  = scratch};
    ls__op(n)->forward[LS_CPU](&call);
    ls__op(n)->backward[LS_CPU](&call);
    free(scratch);
    free(log_sum);
    free(y);
}

static void test_one_tensor(void **state)
{
    enum { T = 70, C = 12, N = 2 * T * C };
    static float x[N], dy[N], apart[3][N], together[N], twice[N];
    for (int i = 0; i < N; i++) x[i] = check_normal(700, i), dy[i] = check_normal(701, i);
    for (int causal = 0; causal < 2; causal++) {
        ls_graph  *g  = ls_graph_new();
        ls_tensor *in = ls_input(g, "x", LS_F32, T, C), *y = ls_attention(in, in, in, .heads = 2, .causal = causal);
        assert_int_equal(ls_graph_status(g), LS_OK);
        add_gradients(y->node, x, dy, apart[0], apart[1], apart[2]);
        add_gradients(y->node, x, dy, together, together, together);
        add_gradients(y->node, x, dy, apart[0], twice, twice);
        for (int i = 0; i < N; i++) {
            assert_true(fabsf(apart[0][i] + apart[1][i] + apart[2][i] - together[i]) < 2e-5f);
            assert_true(fabsf(apart[1][i] + apart[2][i] - twice[i]) < 2e-5f);
        }
        ls_graph_free(g);
    }
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void test_refused(void **state)
{
    const check_in absent = NONE, x = IN(5, 12), narrow = IN(7, 6), wide = IN(7, 12);
    CHECK_REFUSED(attention, "keys are given without values", {.in = {x, x, absent, NO_MORE}});
    CHECK_REFUSED(attention, "values are given without keys", {.in = {x, absent, x, NO_MORE}});
    CHECK_REFUSED(attention, "B x T x (heads D)", {.in = {IN(12), absent, absent, NO_MORE}});
    CHECK_REFUSED(attention, "must be a multiple of 5, the number of heads",
                  {.in = {x, x, x, NO_MORE}, .args = ARGS(.heads = 5)});
    CHECK_REFUSED(attention, "must be a multiple of 15, the number of heads",
                  {.in = {x, absent, absent, NO_MORE}, .args = ARGS(.heads = 5)});
    CHECK_REFUSED(attention, "heads is 4, expected a multiple of kv_heads, which is 3",
                  {.in = {x, x, x, NO_MORE}, .args = ARGS(.heads = 4, .kv_heads = 3)});
    CHECK_REFUSED(attention, "heads is -2", {.in = {x, x, x, NO_MORE}, .args = ARGS(.heads = -2)});
    CHECK_REFUSED(attention, "expected B x S x 12", {.in = {x, narrow, narrow, NO_MORE}});
    CHECK_REFUSED(attention, "expected the same dims", {.in = {x, x, wide, NO_MORE}});
    CHECK_REFUSED(attention, "scale is -1", {.in = {x, x, x, NO_MORE}, .args = ARGS(.scale = -1)});
    CHECK_REFUSED(attention, "dropout is 1", {.in = {x, x, x, NO_MORE}, .args = ARGS(.dropout = 1)});
    CHECK_REFUSED(attention, "expected B x 7 of int32", {.in = {x, wide, wide, PADDING_OF(5), NONE, NO_CACHE}});
    CHECK_REFUSED(attention, "expected B x 7 of int32", {.in = {x, wide, wide, IN(7), NONE, NO_CACHE}});
    CHECK_REFUSED(attention, "expected one int32 per sample",
                  {.in = {x, wide, wide, NONE, NONE, NONE, NONE, PADDING_OF(7), NONE}});
    CHECK_REFUSED(
        attention, "lengths and a cache",
        {.in = {x, x, x, NONE, NONE, NONE, CACHE_STATE(9, 24), LENGTHS_OF(9), NONE}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(attention, "expected 5 x 7", {.in = {x, wide, wide, NONE, IN(7, 5), NO_CACHE}});
    CHECK_REFUSED(attention, "for each of 2 heads",
                  {.in = {x, wide, wide, NONE, IN(3, 5, 7), NO_CACHE}, .args = ARGS(.heads = 2)});
    CHECK_REFUSED(attention, "without a cache",
                  {.in = {x, x, x, NONE, NONE, INDEX(3), NONE, NONE, NONE}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(attention, "set .causal", {.in = {x, x, x, NONE, NONE, NONE, CACHE_STATE(9, 24), NONE, NONE}});
    CHECK_REFUSED(attention, "expected B x N x 24",
                  {.in = {x, x, x, NONE, NONE, NONE, CACHE_STATE(9, 12), NONE, NONE}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(attention, "do not fit",
                  {.in = {x, x, x, NONE, NONE, NONE, CACHE_STATE(4, 24), NONE, NONE}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(
        attention, "expected equal lengths with a cache",
        {.in = {x, wide, wide, NONE, NONE, NONE, CACHE_STATE(9, 24), NONE, NONE}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(attention, "expected B of int32",
                  {.in = {x, x, x, NONE, NONE, IN(1), CACHE_STATE(9, 24), NONE, NONE}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(attention, "window is 3", {.in = {x, x, x, NO_MORE}, .args = ARGS(.window = 3)});
    CHECK_REFUSED(attention, "window is -1", {.in = {x, x, x, NO_MORE}, .args = ARGS(.causal = true, .window = -1)});
    CHECK_REFUSED(attention, "cap is -1", {.in = {x, x, x, NO_MORE}, .args = ARGS(.cap = -1)});
    CHECK_REFUSED(attention, "a cap and an additive mask",
                  {.in = {x, wide, wide, NONE, IN(5, 7), NO_CACHE}, .args = ARGS(.cap = 1)});
    CHECK_REFUSED(attention, "expected B x 5 of int32",
                  {.in = {x, x, x, NONE, NONE, NONE, NONE, NONE, FIRST_OF(4)}, .args = ARGS(.causal = true)});
    CHECK_REFUSED(attention, "first keys need causal attention",
                  {.in = {x, x, x, NONE, NONE, NONE, NONE, NONE, FIRST_OF(5)}});
    CHECK_REFUSED(attention, "which is not a state",
                  {.in = {x, x, x, NONE, NONE, NONE, IN(9, 24), NONE, NONE}, .args = ARGS(.causal = true)});
}

CHECK_MAIN(cmocka_unit_test(check_attention), cmocka_unit_test(test_steps), cmocka_unit_test(test_start_out_of_range),
           cmocka_unit_test(test_hidden_keys), cmocka_unit_test(test_flops), cmocka_unit_test(test_one_tensor),
           cmocka_unit_test(test_refused))

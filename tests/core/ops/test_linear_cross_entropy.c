/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_linear_cross_entropy_args *a = r->args;
    int64_t v = r->node->in[1]->dim[0], channels = r->node->in[1]->dim[1], lead = ls__numel(r->node->in[2]);
    double  e = r->training ? (double)a->label_smoothing : 0, *z = malloc((size_t)v * sizeof *z);
    for (int64_t b = 0; b < r->rows; b++) {
        r->y[0][b] = r->y[1][b] = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            int64_t t   = (int64_t)r->x[2][p];
            double  sum = 0, all = 0;
            if (a->ignore && t == a->ignore_index) continue;
            for (int64_t i = 0; i < v; i++) {
                z[i] = 0;
                for (int64_t k = 0; k < channels; k++) z[i] += r->x[0][p * channels + k] * r->x[1][i * channels + k];
                if (r->x[3]) z[i] += r->x[3][i];
                if (a->cap > 0) z[i] = (double)a->cap * tanh(z[i] / (double)a->cap);
            }
            for (int64_t i = 0; i < v; i++) sum += exp(z[i] - z[0]), all += z[i] - z[0];
            r->y[0][b] += log(sum) - (1 - e) * (z[t] - z[0]) - e / (double)v * all;
            r->y[1][b] += 1;
        }
    }
    free(z);
}

#define X(...)                                                                                                         \
    {                                                                                                                  \
        .dims = { __VA_ARGS__ }                                                                                        \
    }
#define W(v, channels)                                                                                                 \
    {                                                                                                                  \
        .dims = {v, channels}, .param = true, .std = 0.3f                                                              \
    }
#define TARGET(v, ...)                                                                                                 \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .type = LS_I32, .high = (v)                                                             \
    }

#define BIAS(v)                                                                                                        \
    {                                                                                                                  \
        .dims = {v}, .param = true                                                                                     \
    }
#define NO_BIAS                                                                                                        \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }

CHECK_OP(
    linear_cross_entropy, reference, {.in = {X(3), W(1, 3), TARGET(1, 0), NO_BIAS}, .scalar = true},
    {.in = {X(5), W(10, 5), TARGET(10, 0), NO_BIAS}, .scalar = true},
    {.in = {X(7, 33), W(19, 33), TARGET(19, 7), NO_BIAS}, .scalar = true},
    {.in     = {X(3, 5, 7), W(33, 7), TARGET(33, 3, 5), NO_BIAS},
     .scalar = true,
     .args   = &(ls_linear_cross_entropy_args){.ignore = true, .ignore_index = 2}},
    {.in     = {X(7, 3), W(33, 3), TARGET(33, 7), NO_BIAS},
     .scalar = true,
     .args   = &(ls_linear_cross_entropy_args){.label_smoothing = 0.1f, .ignore = true, .ignore_index = 5}},
    {.in     = {X(2, 2), W(1031, 2), TARGET(1031, 2), NO_BIAS},
     .scalar = true,
     .args   = &(ls_linear_cross_entropy_args){.label_smoothing = 0.2f}},
    {.in        = {X(5), W(9, 5), TARGET(9, 0), NO_BIAS},
     .scalar    = true,
     .inference = true,
     .args      = &(ls_linear_cross_entropy_args){.label_smoothing = 0.2f}},
    {.in = {X(3, 7), W(19, 7), TARGET(19, 3), BIAS(19)}, .scalar = true},
    {.in     = {X(7, 3), W(33, 3), TARGET(33, 7), BIAS(33)},
     .scalar = true,
     .args   = &(ls_linear_cross_entropy_args){.label_smoothing = 0.1f, .ignore = true, .ignore_index = 5, .cap = 2}},
    {.in     = {X(2), W(523, 2), TARGET(523, 0), NO_BIAS},
     .scalar = true,
     .args   = &(ls_linear_cross_entropy_args){.cap = 0.8f}})

typedef struct result {
    float loss[32], weight[32], *dx, *dw, *db;
} result;

/* How `run` runs: with a bias and a cap; with an ignored target at every third position; with x = 0 there. */
enum { MORE_ARGS = 1, IGNORE = 2, ZERO_X = 4 };

/* Runs backward for `rows` samples of T x C in 8 shards, in groups of `width` shards, and adds the groups' dw as a
 * binary tree.  With gradient memory (`gradient_bytes` bytes), dx is written over x. */
static result run(int64_t rows, int64_t T, int64_t C, int64_t V, unsigned how, int width, int threads,
                  size_t gradient_bytes)
{
    enum { SHARDS = 8 };
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, T, C), *t = ls_input(g, "t", LS_I32, T),
              *w         = ls_param(g, "w", (ls_init){0}, V, C);
    const bool more_args = how & MORE_ARGS;
    ls_tensor *b         = more_args ? ls_param(g, "b", (ls_init){0}, V) : NULL;
    ls_node   *n         = ls_linear_cross_entropy(x, w, t, b, .label_smoothing = 0.1f, .cap = more_args ? 5 : 0,
                                                   .ignore = how & IGNORE, .ignore_index = -7)
                     ->node;
    const ls_op *op    = ls__op(n);
    const size_t numel = (size_t)(V * C), each = numel + (size_t)V; /* dw and db of a group */
    float       *xs = malloc((size_t)(rows * T * C) * sizeof *xs), *ws = malloc(numel * sizeof *ws), ones[32],
          *bs = malloc((size_t)V * sizeof *bs), *grads = calloc((size_t)(SHARDS / width) * each, sizeof *grads);
    int32_t *ts = malloc((size_t)(rows * T) * sizeof *ts);
    int64_t  bound[SHARDS + 1];
    ls_group group[SHARDS];
    result   r = {.dx = malloc((size_t)(rows * T * C) * sizeof *r.dx), .dw = malloc(each * sizeof *r.dw)};
    r.db       = r.dw + numel;
    for (int64_t i = 0; i < rows * T * C; i++) xs[i] = check_normal(1, i);
    for (int64_t i = 0; i < V * C; i++) ws[i] = check_normal(2, i);
    for (int64_t i = 0; i < V; i++) bs[i] = check_normal(3, i);
    for (int64_t i = 0; i < rows * T; i++) ts[i] = (int32_t)(how & IGNORE && i % 3 == 0 ? -7 : i * 7919 % V);
    for (int64_t i = 0; how & ZERO_X && i < rows * T * C; i++) xs[i] = i / C % 3 == 0 ? 0 : xs[i];
    for (int i = 0; i < 32; i++) ones[i] = 1;
    for (int s = 0; s <= SHARDS; s++) bound[s] = rows * s / SHARDS;
    for (int k = 0; k < SHARDS / width; k++)
        group[k] = (ls_group){.first = k * width, .shards = width, .offset = (size_t)k * each};
    omp_set_num_threads(threads);
    size_t bytes = op->scratch_beside_gradients(n, rows, SHARDS, threads, gradient_bytes);
    void  *space = aligned_alloc(64, (bytes + 63) / 64 * 64), *more = aligned_alloc(64, gradient_bytes + 64);
    if (gradient_bytes)
        assert_true(bytes < op->scratch(n, rows, SHARDS, threads, true));
    else
        assert_true(bytes == op->scratch(n, rows, SHARDS, threads, true));
    ls_call c = {.node                   = n,
                 .args                   = n->args,
                 .rows                   = rows,
                 .shards                 = SHARDS,
                 .bound                  = bound,
                 .shard_rows             = (rows + SHARDS - 1) / SHARDS,
                 .training               = true,
                 .x                      = {xs, ws, ts, more_args ? bs : NULL},
                 .y                      = {r.loss, r.weight},
                 .dy                     = {ones},
                 .dx                     = {r.dx, grads, NULL, more_args ? grads + numel : NULL},
                 .groups                 = SHARDS / width,
                 .group                  = group,
                 .scratch                = space,
                 .gradient_scratch       = more,
                 .gradient_scratch_bytes = gradient_bytes};
    memset(space, 0xFF, bytes);
    memset(more, 0xFF, gradient_bytes + 64);
    if (gradient_bytes) c.dx[0] = xs;
    op->backward[LS_CPU](&c);
    omp_set_num_threads(1);
    for (int step = 1; step < c.groups; step *= 2)
        for (int k = 0; k + step < c.groups; k += 2 * step)
            for (size_t i = 0; i < each; i++) grads[(size_t)k * each + i] += grads[(size_t)(k + step) * each + i];
    memcpy(r.dw, grads, each * sizeof *grads);
    if (gradient_bytes) memcpy(r.dx, xs, (size_t)(rows * T * C) * sizeof *xs);
    for (int i = 0; i < 64; i++) assert_int_equal(((unsigned char *)more)[gradient_bytes + (size_t)i], 0xFF);
    free(xs);
    free(ws);
    free(bs);
    free(ts);
    free(grads);
    free(space);
    free(more);
    ls_graph_free(g);
    return r;
}

/* Bits are equal for any grouping, number of threads and place of the workspace.  The sizes make a shard a part of a
 * logits block, one block of one or two runs of LS_KC, or several blocks; in the last one a leaf is larger than a
 * block, because that saves a partial sum. */
static void test_blocks(void **state)
{
    static const struct {
        int64_t rows, T, C, V;
    } sizes[] = {{8, 96, 2, 40000}, {16, 64, 2, 40000}, {8, 280, 2, 50000}, {11, 530, 2, 9000}, {8, 12, 13, 700000}};
    static const size_t gradient_bytes[] = {0, 64000, 70u << 20};
    assert_int_equal(ls_isa_set(ls_isa_best()), LS_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const unsigned how = i == 1 || i == 3 ? MORE_ARGS : 0;
        result         all = run(sizes[i].rows, sizes[i].T, sizes[i].C, sizes[i].V, how, 8, 1, 0);
        double         sum = 0;
        for (int64_t k = 0; k < sizes[i].rows; k++) sum += all.loss[k] / (double)(sizes[i].rows * sizes[i].T);
        assert_true(sum > log((double)sizes[i].V) && sum < 3 * log((double)sizes[i].V));
        for (int width = i == 4 ? 2 : 1, k = 0; k < 3; width = k == 1 ? 8 : 4, k++) {
            result part = run(sizes[i].rows, sizes[i].T, sizes[i].C, sizes[i].V, how, width, 1 + k, gradient_bytes[k]);
            assert_memory_equal(part.loss, all.loss, (size_t)sizes[i].rows * sizeof *all.loss);
            assert_memory_equal(part.weight, all.weight, (size_t)sizes[i].rows * sizeof *all.loss);
            assert_memory_equal(part.dx, all.dx, (size_t)(sizes[i].rows * sizes[i].T * sizes[i].C) * sizeof *all.dx);
            assert_memory_equal(part.dw, all.dw, (size_t)(sizes[i].V * sizes[i].C) * sizeof *all.dw);
            assert_memory_equal(part.db, all.db, (size_t)sizes[i].V * sizeof *all.db);
            free(part.dx);
            free(part.dw);
        }
        free(all.dx);
        free(all.dw);
    }
}

/* Skipping ignored positions changes no bits of the other positions and of dw: they are those of positions with x = 0,
 * which add zeros to dw.  In the first case a shard is one run of LS_KC positions, so that dw skips positions as well.
 */
static void test_ignored(void **state)
{
    static const struct {
        int64_t rows, T, C, V;
    } sizes[] = {{16, 64, 3, 9000}, {11, 530, 3, 9000}};
    assert_int_equal(ls_isa_set(ls_isa_best()), LS_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t rows = sizes[i].rows, T = sizes[i].T, C = sizes[i].C, V = sizes[i].V;
        const size_t  dx = (size_t)(rows * T * C) * sizeof(float), dw = (size_t)(V * C) * sizeof(float);
        result        skipped = run(rows, T, C, V, IGNORE, 8, 1, 0), zeros = run(rows, T, C, V, ZERO_X, 8, 1, 0),
               part = run(rows, T, C, V, IGNORE, 1, 2, 70u << 20);
        assert_memory_equal(skipped.dw, zeros.dw, dw);
        for (int64_t k = 0; k < rows * T * C; k++) assert_true(skipped.dx[k] == (k / C % 3 == 0 ? 0 : zeros.dx[k]));
        for (int64_t k = 0; k < rows; k++) {
            int counted = 0;
            for (int64_t p = k * T; p < (k + 1) * T; p++) counted += p % 3 != 0;
            assert_true(skipped.weight[k] == (float)counted);
        }
        assert_memory_equal(skipped.dx, part.dx, dx);
        assert_memory_equal(skipped.dw, part.dw, dw);
        assert_memory_equal(skipped.loss, part.loss, (size_t)rows * sizeof(float));
        free(skipped.dx), free(skipped.dw), free(zeros.dx), free(zeros.dw), free(part.dx), free(part.dw);
    }
}

/* Loss and gradients equal those of a linear layer followed by cross_entropy. */
static void test_equals_two_ops(void **state)
{
    enum { ROWS = 6, T = 5, C = 8, V = 700 };
    float x[ROWS * T * C], w[V * C], logits[ROWS * T * V], saved[ROWS * T * 3], loss[2][ROWS], weight[2][ROWS],
        ones[ROWS]     = {1, 1, 1, 1, 1, 1};
    float     *dlogits = malloc(sizeof logits), dx[2][ROWS * T * C], dw[2][V * C];
    int32_t    t[ROWS * T];
    ls_group   group   = {.first = 0, .shards = 2};
    int64_t    bound[] = {0, 2, ROWS};
    ls_graph  *g       = ls_graph_new();
    ls_tensor *xt = ls_input(g, "x", LS_F32, T, C), *tt = ls_input(g, "t", LS_I32, T),
              *wt    = ls_param(g, "w", (ls_init){0}, V, C);
    ls_node *fused   = ls_linear_cross_entropy(xt, wt, tt, .ignore = true, .ignore_index = 3)->node,
            *linear  = ls_linear_op(xt, wt)->node;
    ls_node *loss_of = ls_cross_entropy(linear->out[0], tt, .ignore = true, .ignore_index = 3)->node;
    for (int i = 0; i < ROWS * T * C; i++) x[i] = check_normal(1, i);
    for (int i = 0; i < V * C; i++) w[i] = check_normal(2, i);
    for (int i = 0; i < ROWS * T; i++) t[i] = i % 5 == 0 ? 3 : i * 17 % V;
    ls_call c = {.rows       = ROWS,
                 .shards     = 2,
                 .bound      = bound,
                 .shard_rows = ROWS - 2,
                 .training   = true,
                 .groups     = 1,
                 .group      = &group,
                 .scratch    = malloc(1 << 20)};
    c.node = linear, c.args = linear->args, c.x[0] = x, c.x[1] = w, c.y[0] = logits;
    ls__op(linear)->forward[LS_CPU](&c);
    ls_call ce = {.node = loss_of,
                  .args = loss_of->args,
                  .rows = ROWS,
                  .x    = {logits, t},
                  .y    = {loss[0], weight[0], saved},
                  .dy   = {ones},
                  .dx   = {dlogits}};
    ls__op(loss_of)->forward[LS_CPU](&ce);
    ls__op(loss_of)->backward[LS_CPU](&ce);
    c.dy[0] = dlogits, c.dx[0] = dx[0], c.dx[1] = dw[0];
    ls__op(linear)->backward[LS_CPU](&c);
    c.node = fused, c.args = fused->args, c.x[2] = t, c.y[0] = loss[1], c.y[1] = weight[1], c.dy[0] = ones,
    c.dx[0] = dx[1], c.dx[1] = dw[1];
    ls__op(fused)->backward[LS_CPU](&c);
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_memory_equal(weight[0], weight[1], sizeof weight[0]);
    for (int i = 0; i < ROWS * T * C; i++) assert_float_equal(dx[0][i], dx[1][i], 1e-5);
    for (int i = 0; i < V * C; i++) assert_float_equal(dw[0][i], dw[1][i], 1e-5);
    free(c.scratch);
    free(dlogits);
    ls_graph_free(g);
}

static void test_out_of_range(void **state)
{
    float     x[6] = {1, 2, 3, 4, 5, 6}, w[4] = {1, 2, 3, 4}, one[3] = {1, 1, 1}, loss[3], weight[3], dx[6];
    int32_t   t[3] = {1, 2, -1};
    ls_graph *g    = ls_graph_new();
    ls_node  *n    = ls_linear_cross_entropy(ls_input(g, "x", LS_F32, 2), ls_param(g, "w", (ls_init){0}, 2, 2),
                                             ls_input(g, "t", LS_I32))
                     ->node;
    ls_call c = {.node       = n,
                 .args       = n->args,
                 .rows       = 3,
                 .shards     = 1,
                 .bound      = (int64_t[]){0, 3},
                 .shard_rows = 3,
                 .x          = {x, w, t},
                 .y          = {loss, weight},
                 .dy         = {one},
                 .dx         = {dx},
                 .scratch    = malloc(1 << 12)};
    ls__op(n)->backward[LS_CPU](&c);
    assert_true(!isnan(loss[0]) && isnan(loss[1]) && isnan(loss[2]) && !isnan(dx[0]) && isnan(dx[2]) && isnan(dx[5]));
    ls__op(n)->forward[LS_CPU](&c);
    assert_true(!isnan(loss[0]) && isnan(loss[1]) && isnan(loss[2]) && weight[1] == 1);
    free(c.scratch);
    ls_graph_free(g);
}

/* The workspace for a large vocabulary is much smaller than the logits, which take 412 MB for GPT-2 with 8 x 256
 * positions. */
static void test_workspace(void **state)
{
    ls_graph *g = ls_graph_new();
    ls_node *n = ls_linear_cross_entropy(ls_input(g, "x", LS_F32, 256, 384), ls_param(g, "w", (ls_init){0}, 50304, 384),
                                         ls_input(g, "t", LS_I32, 256))
                     ->node;
    size_t weight = 50304u * 384 * sizeof(float), most = (1 << 26) + 65536, shard = 50304u * 256 * sizeof(float);
    assert_true(ls__op(n)->scratch(n, 8, 8, 2, false) < most);
    assert_true(ls__op(n)->scratch(n, 8, 8, 2, true) < 2 * shard + weight + 65536);
    assert_true(ls__op(n)->scratch(n, 8, 8, 2, true) > weight);
    assert_true(ls__op(n)->scratch(n, 4, 4, 2, true) < 2 * shard + 65536);
    assert_true(ls__op(n)->scratch(n, 2, 2, 2, true) < most);
    assert_true(ls__op(n)->scratch(n, 64, 8, 2, true) < most + 3 * weight);
    assert_true(ls__op(n)->scratch_beside_gradients(n, 8, 8, 2, weight + 2 * shard) < 65536);
    assert_true(ls__op(n)->scratch_beside_gradients(n, 8, 8, 2, weight + shard) < shard + 65536);
    ls_graph_free(g);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(linear_cross_entropy, "the last dims differ", {.in = {X(3, 4), W(7, 5), TARGET(4, 3), NO_BIAS}});
    CHECK_REFUSED(linear_cross_entropy, "without the last", {.in = {X(3, 4), W(7, 4), TARGET(4, 4), NO_BIAS}});
    CHECK_REFUSED(linear_cross_entropy, "samples of int32", {.in = {X(4), W(7, 4), X(0), NO_BIAS}});
    CHECK_REFUSED(linear_cross_entropy, "expected a parameter of 2 dims",
                  {.in = {X(4), X(7, 4), TARGET(4, 0), NO_BIAS}});
    CHECK_REFUSED(linear_cross_entropy, "expected length 7", {.in = {X(4), W(7, 4), TARGET(4, 0), BIAS(4)}});
    CHECK_REFUSED(linear_cross_entropy, "cap is -1",
                  {.in = {X(4), W(7, 4), TARGET(4, 0), NO_BIAS}, .args = &(ls_linear_cross_entropy_args){.cap = -1}});
    CHECK_REFUSED(
        linear_cross_entropy, "label_smoothing is 1",
        {.in = {X(4), W(7, 4), TARGET(4, 0), NO_BIAS}, .args = &(ls_linear_cross_entropy_args){.label_smoothing = 1}});
}

CHECK_MAIN(cmocka_unit_test(check_linear_cross_entropy), cmocka_unit_test(test_blocks), cmocka_unit_test(test_ignored),
           cmocka_unit_test(test_equals_two_ops), cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_workspace),
           cmocka_unit_test(test_refused))

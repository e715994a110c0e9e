/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

enum { Q, K, V, VALUES, LENGTHS, S_MAX = 64 };

static void reference(const check_ref *r)
{
    const ls_tensor *k = r->node->in[K];
    const int64_t    t = ls__rows(r->node->in[Q]), s = k->dim[0], a = k->dim[1], c = r->node->in[VALUES]->dim[1];
    for (int64_t i = 0; i < r->rows * t; i++) {
        const int64_t b = i / t, length = r->x[LENGTHS] ? (int64_t)fmin(fmax(r->x[LENGTHS][b], 0), (double)s) : s;
        double        e[S_MAX], sum     = 0;
        for (int64_t j = 0; j < length; sum += e[j] = exp(e[j]), j++) {
            e[j] = 0;
            for (int64_t n = 0; n < a; n++)
                e[j] += r->x[V][n] * tanh(r->x[Q][i * a + n] + r->x[K][(b * s + j) * a + n]);
        }
        for (int64_t n = 0; n < c; n++) r->y[0][i * c + n] = 0;
        for (int64_t j = 0; j < s; j++) {
            const double weight = r->y[1][i * s + j] = j < length ? e[j] / sum : 0;
            for (int64_t n = 0; n < c; n++) r->y[0][i * c + n] += weight * r->x[VALUES][(b * s + j) * c + n];
        }
    }
}

/* clang-format off */
#define IN(...) {.dims = {__VA_ARGS__}}
#define PARAM(a) {.dims = {a}, .param = true, .std = 0.5f}
#define LENGTHS(s) {.type = LS_I32, .low = -1, .high = (s) + 2}
#define NONE {.absent = true}
/* clang-format on */

CHECK_OP(additive_attention, reference, {.in = {IN(1, 1), IN(1, 1), PARAM(1), IN(1, 1), NONE}},
         {.in = {IN(3, 7), IN(2, 7), PARAM(7), IN(2, 33), LENGTHS(2)}, .out = {3, 33}},
         {.in = {IN(5, 33), IN(7, 33), PARAM(33), IN(7, 7), LENGTHS(7)}, .out = {5, 7}},
         {.in = {IN(2, 80), IN(33, 80), PARAM(80), IN(33, 70), NONE}, .out = {2, 70}},
         {.in = {IN(7), IN(5, 7), PARAM(7), IN(5, 3), LENGTHS(5)}, .out = {3}},
         {.in = {IN(33), IN(17, 33), PARAM(33), IN(17, 64), LENGTHS(17)}, .out = {64}})

/* ---- padding ----------------------------------------------------------------------------------------------------- */

enum { T = 3, A = 19, C = 9, SAMPLES = 3, WIDE = 24 };
static const int lengths[SAMPLES] = {7, 1, 0};

typedef struct outcome {
    float y[SAMPLES * T * C], a[SAMPLES * T * WIDE];
    float dq[SAMPLES * T * A], dk[SAMPLES * WIDE * A], dv[A], dvalues[SAMPLES * WIDE * C];
} outcome;

/* Runs samples [first, first + rows), with room for s keys; what follows the length of a sample is NaN. */
static void run(int64_t s, int first, int rows, outcome *o)
{
    static float q[SAMPLES * T * A], k[SAMPLES * WIDE * A], values[SAMPLES * WIDE * C], v[A], dy[SAMPLES * T * C],
        da[SAMPLES * T * WIDE];
    int32_t length[SAMPLES];
    for (int b = 0; b < rows; b++) {
        const int n = length[b] = lengths[first + b];
        for (int i = 0; i < T * A; i++) q[b * T * A + i] = check_normal(1, (first + b) * T * A + i);
        for (int i = 0; i < T * C; i++) dy[b * T * C + i] = check_normal(2, (first + b) * T * C + i);
        for (int i = 0; i < s * A; i++)
            k[b * s * A + i] = i < n * A ? check_normal(3, (first + b) * WIDE * A + i) : NAN;
        for (int i = 0; i < s * C; i++)
            values[b * s * C + i] = i < n * C ? check_normal(4, (first + b) * WIDE * C + i) : NAN;
        for (int i = 0; i < T * s; i++)
            da[b * T * s + i] = i % s < n ? check_normal(5, ((first + b) * T + i / s) * WIDE + i % s) : NAN;
    }
    for (int i = 0; i < A; i++) v[i] = check_normal(6, i);
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_additive_attention(ls_input(g, "q", LS_F32, T, A), ls_input(g, "k", LS_F32, s, A),
                                         ls_param(g, "v", (ls_init){0}, A), ls_input(g, "values", LS_F32, s, C),
                                         ls_input(g, "lengths", LS_I32));
    assert_int_equal(ls_graph_status(g), LS_OK);
    assert_true(ls_output(x, 1) && !ls_output(x, 2));
    const ls_op *op = ls__op(x->node);
    void *scratch   = aligned_alloc(64, (op->scratch(x->node, rows, 1, omp_get_max_threads(), true) + 127) & ~63ul);
    const ls_group group = {.shards = 1};
    const ls_call  call  = {.node     = x->node,
                            .rows     = rows,
                            .shards   = 1,
                            .bound    = (const int64_t[]){0, rows},
                            .training = true,
                            .x        = {q, k, v, values, length},
                            .y        = {o->y, o->a},
                            .dy       = {dy, da},
                            .dx       = {o->dq, o->dk, o->dv, o->dvalues},
                            .groups   = 1,
                            .group    = &group,
                            .scratch  = scratch};
    op->forward[LS_CPU](&call);
    op->backward[LS_CPU](&call);
    free(scratch);
    ls_graph_free(g);
}

/* Rows of `x` for sample b: `count` of the `room` that a sample has. */
static void same_rows(const float *x, const float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++) assert_true(isfinite(x[i]));
    assert_memory_equal(x, y, (size_t)count * sizeof *x);
}

/* A sample has the same bits alone and in a batch, at any S, and NaN after its length does not reach it. */
static void test_padding(void **state)
{
    static outcome narrow, wide, alone;
    run(7, 0, SAMPLES, &narrow);
    run(WIDE, 0, SAMPLES, &wide);
    same_rows(narrow.dv, wide.dv, A);
    for (int b = 0; b < SAMPLES; b++) {
        const int n = lengths[b];
        run(11, b, 1, &alone);
        same_rows(narrow.y + b * T * C, wide.y + b * T * C, T * C);
        same_rows(alone.y, wide.y + b * T * C, T * C);
        same_rows(narrow.dq + b * T * A, wide.dq + b * T * A, T * A);
        same_rows(alone.dk, wide.dk + b * WIDE * A, n * A);
        same_rows(narrow.dk + b * 7 * A, wide.dk + b * WIDE * A, n * A);
        same_rows(alone.dvalues, wide.dvalues + b * WIDE * C, n * C);
        for (int i = n * A; i < WIDE * A; i++) assert_true(wide.dk[b * WIDE * A + i] == 0);
        for (int i = n * C; i < WIDE * C; i++) assert_true(wide.dvalues[b * WIDE * C + i] == 0);
        for (int t = 0; t < T; t++) {
            same_rows(narrow.a + (b * T + t) * 7, wide.a + (b * T + t) * WIDE, n);
            for (int j = n; j < WIDE; j++) assert_true(wide.a[(b * T + t) * WIDE + j] == 0);
        }
    }
    for (int i = 0; i < T * C; i++) assert_true(wide.y[2 * T * C + i] == 0); /* the sample of length 0 */
}

static void test_refused(void **state)
{
    CHECK_REFUSED(additive_attention, "a linear layer projects the queries",
                  {.in = {IN(3, 6), IN(2, 7), PARAM(7), IN(2, 3), NONE}});
    CHECK_REFUSED(additive_attention, "expected B x S x 7", {.in = {IN(3, 7), IN(2, 6), PARAM(7), IN(2, 3), NONE}});
    CHECK_REFUSED(additive_attention, "one row for each key", {.in = {IN(3, 7), IN(2, 7), PARAM(7), IN(3, 3), NONE}});
    CHECK_REFUSED(additive_attention, "expected one int32 per sample",
                  {.in = {IN(3, 7), IN(2, 7), PARAM(7), IN(2, 3), IN(2)}});
    CHECK_REFUSED(additive_attention, "expected a parameter", {.in = {IN(3, 7), IN(2, 7), IN(7), IN(2, 3), NONE}});
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, 5, 7);
    assert_null(ls_additive_attention(x, x, ls_param(g, "v", (ls_init){0}, 7), x));
    assert_non_null(strstr((ls_graph_status(g), ls_error_message()), "by different layers"));
    ls_graph_free(g);
}

CHECK_MAIN(cmocka_unit_test(check_additive_attention), cmocka_unit_test(test_padding), cmocka_unit_test(test_refused))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"
#include "tests/windows.h"

/* The first of equal values is the maximum.  Many values of bfloat16 are equal.  The reference compares rounded values,
 * so that the maximum stays the same while central differences change one of them. */
static void reference(const check_ref *r)
{
    const ls_max_pool_args *a = r->args;
    const ls_tensor        *x = r->node->in[0];
    const space             X = space_of(x, 1), Y = space_of(r->node->out[0], 1);
    const int64_t           K[]      = {or_one(a->kernel_d), or_one(a->kernel_h), a->kernel_w};
    const int64_t           stride[] = {or_one(a->stride_d), or_one(a->stride_h), a->stride_w};
    const int64_t           step[]   = {or_one(a->dilation_d), or_one(a->dilation_h), a->dilation_w};
    const int64_t           front =
                      sides_of(a->same, a->pad_front, a->pad_back, a->padding_d, X.d, K[0], stride[0], step[0]).before,
                  top =
                      sides_of(a->same, a->pad_top, a->pad_bottom, a->padding_h, X.h, K[1], stride[1], step[1]).before,
                  left =
                      sides_of(a->same, a->pad_left, a->pad_right, a->padding_w, X.w, K[2], stride[2], step[2]).before;
    for (int64_t k = 0; k < r->rows * x->dim[0] * Y.d * Y.h * Y.w; k++) {
        const int64_t j = k % Y.w, i = k / Y.w % Y.h, e = k / Y.w / Y.h % Y.d, p = k / Y.w / Y.h / Y.d;
        double        y_max = -INFINITY;
        float         most  = -INFINITY;
        int64_t       found = 0;
        for (int64_t t = 0; t < K[0] * K[1] * K[2]; t++) {
            const int64_t d = e * stride[0] - front + t / K[2] / K[1] * step[0],
                          h = i * stride[1] - top + t / K[2] % K[1] * step[1],
                          w = j * stride[2] - left + t % K[2] * step[2];
            if (d < 0 || d >= X.d || h < 0 || h >= X.h || w < 0 || w >= X.w) continue;
            const double exact = r->x[0][((p * X.d + d) * X.h + h) * X.w + w];
            const float  value = check_rounded((float)exact, x->type);
            if (found++ && !(value > most)) continue;
            most  = value;
            y_max = exact;
        }
        r->y[0][k] = y_max;
    }
}

#define ARGS(...)                                                                                                      \
    &(ls_max_pool_args) { __VA_ARGS__ }

CHECK_OP(max_pool2d, reference, {.in = {{.dims = {6, 28, 28}}}, .args = ARGS(.kernel = 2), .out = {6, 14, 14}},
         {.in = {{.dims = {16, 10, 10}}}, .args = ARGS(.kernel = 2), .out = {16, 5, 5}},
         {.in = {{.dims = {3, 33, 33}}}, .args = ARGS(.kernel = 2), .out = {3, 16, 16}},
         {.in = {{.dims = {3, 33, 37}}}, .args = ARGS(.kernel = 2, .ceil_mode = true), .out = {3, 17, 19}},
         {.in = {{.dims = {2, 13, 40}}}, .args = ARGS(.kernel = 3, .stride = 2), .out = {2, 6, 19}},
         {.in = {{.dims = {2, 14, 39}}}, .args = ARGS(.kernel = 3, .stride = 2, .padding = 1), .out = {2, 7, 20}},
         {.in = {{.dims = {2, 11, 38}}}, .args = ARGS(.kernel = 3, .stride = 1, .padding = 1), .out = {2, 11, 38}},
         {.in   = {{.dims = {2, 9, 50}}},
          .args = ARGS(.kernel_h = 1, .kernel_w = 4, .stride_h = 2, .stride_w = 3, .padding_w = 2),
          .out  = {2, 5, 17}},
         {.in = {{.dims = {3, 7, 9}}}, .args = ARGS(.kernel = 2, .stride = 5), .out = {3, 2, 2}},
         {.in   = {{.dims = {2, 12, 30}}},
          .args = ARGS(.kernel = 3, .stride = 1, .dilation = 2, .padding = 1),
          .out  = {2, 10, 28}},
         {.in   = {{.dims = {2, 10, 10}}},
          .args = ARGS(.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true),
          .out  = {2, 6, 6}},
         {.in   = {{.dims = {2, 11, 40}}},
          .args = ARGS(.kernel = 3, .stride = 2, .pad_bottom = 1, .pad_left = 1),
          .out  = {2, 5, 20}},
         {.in   = {{.dims = {2, 7, 9}}},
          .args = ARGS(.kernel = 3, .stride = 2, .pad_top = 1, .pad_right = 1, .ceil_mode = true),
          .out  = {2, 4, 5}},
         {.in   = {{.dims = {2, 12, 38}}},
          .args = ARGS(.kernel = 3, .stride = 2, .same = LS_SAME_TENSORFLOW),
          .out  = {2, 6, 19}},
         {.in   = {{.dims = {2, 6, 9}}},
          .args = ARGS(.kernel = 2, .stride = 1, .same = LS_SAME_PYTORCH),
          .out  = {2, 6, 9}},
         {.in = {{.dims = {1, 1, 1}}}, .args = ARGS(.kernel = 1), .out = {1, 1, 1}},
         {.in = {{.dims = {5, 6, 3}}}, .args = ARGS(.kernel_h = 6, .kernel_w = 3), .out = {5, 1, 1}})

CHECK_OP(max_pool1d, reference, {.in = {{.dims = {3, 40}}}, .args = ARGS(.kernel = 2), .out = {3, 20}},
         {.in = {{.dims = {2, 37}}}, .args = ARGS(.kernel = 3, .stride = 2, .padding = 1), .out = {2, 19}})

CHECK_OP(max_pool3d, reference,
         {.in = {{.dims = {2, 5, 7, 37}}}, .args = ARGS(.kernel = 3, .stride = 2, .padding = 1), .out = {2, 3, 4, 19}},
         {.in   = {{.dims = {1, 7, 6, 6}}},
          .args = ARGS(.kernel = 2, .stride_d = 1, .dilation_d = 3, .pad_front = 1, .ceil_mode = true),
          .out  = {1, 5, 3, 3}},
         {.in = {{.dims = {2, 5, 5, 6}}}, .args = ARGS(.kernel = 2, .same = LS_SAME_TENSORFLOW), .out = {2, 3, 3, 3}})

enum { ROWS = 2, COLS = 40 };

static void pool(const float *x, float *y, int32_t *argmax, const float *dy, float *dx)
{
    ls_graph  *g       = ls_graph_new();
    ls_tensor *t       = ls_max_pool2d(ls_input(g, "x", LS_F32, 1, ROWS, COLS), .kernel = 2);
    int64_t    bound[] = {0, 1};
    ls_call    c       = {.node   = t->node,
                          .args   = t->node->args,
                          .rows   = 1,
                          .shards = 1,
                          .bound  = bound,
                          .x      = {(void *)x},
                          .y      = {y, argmax}};
    ls__op(t->node)->forward[LS_CPU](&c);
    c.dy[0] = (float *)dy, c.dx[0] = dx;
    ls__op(t->node)->backward[LS_CPU](&c);
    ls_graph_free(g);
}

/* The first of equal values is the maximum, NaN is larger than all, and argmax of a window of -inf is its first
 * element; checked in every vector lane. */
static void test_ties_and_nan(void **state)
{
    float   x[ROWS * COLS], y[COLS / 2], dy[COLS / 2], dx[ROWS * COLS];
    int32_t argmax[COLS / 2];
    for (int i = 0; i < COLS / 2; i++) {
        const float equal = i % 3 == 0 ? 0 : -INFINITY;
        x[2 * i] = x[2 * i + 1] = x[COLS + 2 * i] = x[COLS + 2 * i + 1] = equal;
        if (i % 3 == 2) x[COLS + 2 * i] = NAN, x[COLS + 2 * i + 1] = INFINITY;
        dy[i] = (float)(i + 1);
    }
    pool(x, y, argmax, dy, dx);
    for (int i = 0; i < COLS / 2; i++) {
        assert_int_equal(argmax[i], i % 3 == 2 ? COLS + 2 * i : 2 * i);
        if (i % 3 == 2)
            assert_true(isnan(y[i]));
        else
            assert_true(y[i] == x[2 * i]);
        float sum = 0;
        for (int k = 0; k < 4; k++) sum += fabsf(dx[k / 2 * COLS + 2 * i + k % 2]);
        assert_true(dx[argmax[i]] == dy[i] && sum == dy[i]);
    }
}

static void test_refused(void **state)
{
    CHECK_REFUSED(max_pool2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}}, .args = ARGS(.kernel = 2)});
    CHECK_REFUSED(max_pool3d, "expected x: B x C x D x H x W",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.kernel = 2)});
    CHECK_REFUSED(max_pool1d, "has attributes of the dim h",
                  {.in = {{.dims = {1, 8}}}, .args = ARGS(.kernel = 2, .kernel_h = 2)});
    CHECK_REFUSED(max_pool2d, "kernel_h must be at least 1", {.in = {{.dims = {1, 28, 28}}}});
    CHECK_REFUSED(max_pool2d, "expected at most the input's", {.in = {{.dims = {1, 4, 1}}}, .args = ARGS(.kernel = 2)});
    CHECK_REFUSED(max_pool2d, "at most half of the window",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.kernel = 3, .padding = 2)});
    CHECK_REFUSED(max_pool2d, "must be at least 1, found -1",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.kernel = 3, .stride_w = -1)});
}

CHECK_MAIN(cmocka_unit_test(check_max_pool1d), cmocka_unit_test(check_max_pool2d), cmocka_unit_test(check_max_pool3d),
           cmocka_unit_test(test_ties_and_nan), cmocka_unit_test(test_refused))

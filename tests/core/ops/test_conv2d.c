/* SPDX-License-Identifier: Apache-2.0 */
/* timeout: 600 */
#include "tests/conv2d_reference.h"

/* Small versions of the shapes of LeNet-5, each attribute alone and with others, and numbers of channels around the
 * number of vector lanes. */
CHECK_OP(
    conv2d, conv2d_reference,
    {.in = {{.dims = {1, 14, 14}}, W(6, 1, 5, 5), W(6)}, .args = ARGS(.padding = 2), .out = {6, 14, 14}},
    {.in = {{.dims = {6, 9, 9}}, W(16, 6, 5, 5), W(16)}, .out = {16, 5, 5}},
    {.in = {{.dims = {1, 1, 1}}, W(1, 1, 1, 1), NO_BIAS}, .out = {1, 1, 1}},
    {.in = {{.dims = {3, 7, 7}}, W(33, 3, 3, 3), W(33)}, .out = {33, 5, 5}},
    {.in = {{.dims = {33, 7, 9}}, W(17, 33, 1, 1), W(17)}, .out = {17, 7, 9}},
    {.in = {{.dims = {2, 16, 16}}, W(9, 2, 1, 1), NO_BIAS}, .out = {9, 16, 16}},
    {.in = {{.dims = {3, 11, 19}}, W(5, 3, 3, 3), W(5)}, .args = ARGS(.stride = 2, .padding = 1), .out = {5, 6, 10}},
    {.in   = {{.dims = {20, 7, 7}}, W(20, 20, 3, 3), NO_BIAS},
     .args = ARGS(.stride = 2, .padding = 1),
     .out  = {20, 4, 4}},
    {.in = {{.dims = {18, 9, 9}}, W(20, 18, 1, 1), NO_BIAS}, .args = ARGS(.stride = 2), .out = {20, 5, 5}},
    {.in = {{.dims = {2, 10, 11}}, W(4, 2, 2, 2), W(4)}, .args = ARGS(.stride = 3), .out = {4, 3, 4}},
    {.in   = {{.dims = {2, 13, 12}}, W(3, 2, 3, 2), W(3)},
     .args = ARGS(.stride_h = 3, .padding_w = 2, .dilation_w = 3),
     .out  = {3, 4, 13}},
    {.in   = {{.dims = {2, 13, 12}}, W(12, 2, 2, 3), W(12)},
     .args = ARGS(.stride_w = 2, .stride_h = 1, .padding_h = 3, .dilation_h = 4),
     .out  = {12, 15, 5}},
    {.in = {{.dims = {4, 9, 7}}, W(6, 2, 3, 3), W(6)}, .args = ARGS(.padding = 1, .groups = 2), .out = {6, 9, 7}},
    {.in   = {{.dims = {36, 5, 6}}, W(40, 18, 3, 3), NO_BIAS},
     .args = ARGS(.padding = 1, .groups = 2, .stride = 2),
     .out  = {40, 3, 3}},
    {.in = {{.dims = {7, 9, 17}}, W(7, 1, 3, 3), W(7)}, .args = ARGS(.padding = 1, .groups = 7), .out = {7, 9, 17}},
    {.in   = {{.dims = {3, 9, 9}}, W(6, 1, 3, 3), NO_BIAS},
     .args = ARGS(.padding = 2, .groups = 3, .dilation = 2, .stride = 2),
     .out  = {6, 5, 5}},
    {.in   = {{.dims = {2, 8, 8}}, W(3, 2, 3, 3), W(3)},
     .args = ARGS(.stride = 4, .dilation = 2, .padding = 3),
     .out  = {3, 3, 3}},
    {.in = {{.dims = {1, 3, 3}}, W(2, 1, 2, 2), W(2)}, .args = ARGS(.padding = 4, .stride = 5), .out = {2, 2, 2}},
    /* padding by side, as in AlexNet's first layer of 2012; `same` with an odd padding, a stride and a dilation */
    {.in   = {{.dims = {3, 16, 20}}, W(20, 3, 5, 5), W(20)},
     .args = ARGS(.stride = 4, .pad_bottom = 3, .pad_right = 3),
     .out  = {20, 4, 5}},
    {.in   = {{.dims = {2, 9, 7}}, W(3, 2, 3, 3), W(3)},
     .args = ARGS(.padding = 1, .pad_top = 3, .pad_left = 2, .stride_w = 2),
     .out  = {3, 11, 4}},
    {.in   = {{.dims = {2, 9, 8}}, W(3, 2, 4, 3), W(3)},
     .args = ARGS(.same = LS_SAME_PYTORCH, .dilation_h = 3),
     .out  = {3, 9, 8}},
    {.in   = {{.dims = {4, 9, 8}}, W(6, 4, 3, 3), NO_BIAS},
     .args = ARGS(.same = LS_SAME_TENSORFLOW, .stride = 2),
     .out  = {6, 5, 4}},
    {.in   = {{.dims = {4, 11, 8}}, W(20, 2, 5, 2), W(20)},
     .args = ARGS(.same = LS_SAME_TENSORFLOW, .stride_h = 3, .stride_w = 4, .groups = 2),
     .out  = {20, 4, 2}},
    /* depthwise: rows longer than several vectors, strides, dilations, padding by side, more taps than a tile */
    {.in = {{.dims = {3, 5, 70}}, W(3, 1, 3, 3), W(3)}, .args = ARGS(.padding = 1, .groups = 3), .out = {3, 5, 70}},
    {.in   = {{.dims = {5, 9, 37}}, W(5, 1, 5, 5), NO_BIAS},
     .args = ARGS(.padding = 2, .groups = 5, .stride = 2),
     .out  = {5, 5, 19}},
    {.in   = {{.dims = {4, 11, 20}}, W(4, 1, 3, 4), W(4)},
     .args = ARGS(.groups = 4, .stride_h = 2, .stride_w = 3, .dilation_h = 3, .dilation_w = 2, .pad_left = 4),
     .out  = {4, 3, 6}},
    {.in   = {{.dims = {2, 7, 9}}, W(2, 1, 2, 2), W(2)},
     .args = ARGS(.groups = 2, .stride = 4, .pad_bottom = 1),
     .out  = {2, 2, 2}},
    {.in   = {{.dims = {4, 11, 20}}, W(4, 1, 3, 4), W(4)},
     .args = ARGS(.groups = 4, .stride_h = 2, .dilation_h = 3, .dilation_w = 2, .pad_left = 5),
     .out  = {4, 3, 19}},
    {.in = {{.dims = {3, 5, 6}}, W(3, 1, 1, 1), W(3)}, .args = ARGS(.groups = 3, .stride = 2), .out = {3, 3, 3}},
    {.in   = {{.dims = {3, 12, 12}}, W(3, 1, 7, 7), W(3)},
     .args = ARGS(.groups = 3, .same = LS_SAME_TENSORFLOW, .stride = 2),
     .out  = {3, 6, 6}},
    /* more output points and taps than a kernel block; several panels and pieces, which do not fit PARTIAL_FLOATS at
     * once */
    {.in = {{.dims = {1, 18, 18}}, W(9, 1, 3, 3), W(9)}, .args = ARGS(.padding = 1), .out = {9, 18, 18}},
    {.in   = {{.dims = {1, 19, 19}}, W(18, 1, 11, 11), W(18)},
     .args = ARGS(.stride = 4, .padding = 2),
     .out  = {18, 4, 4},
     .tol  = 4e-6},
    {.in = {{.dims = {35, 4, 4}}, W(65, 35, 3, 3), W(65)}, .out = {65, 2, 2}, .tol = 4e-6})

/* One dim: few and many channels, a kernel of one tap, a stride and a dilation, groups, padding by side. */
CHECK_OP(conv1d, conv2d_reference,
         {.in = {{.dims = {3, 20}}, W(5, 3, 5), W(5)}, .args = ARGS(.padding = 2), .out = {5, 20}},
         {.in = {{.dims = {17, 9}}, W(18, 17, 3), NO_BIAS}, .args = ARGS(.stride = 2), .out = {18, 4}},
         {.in = {{.dims = {9, 20}}, W(8, 9, 1), W(8)}, .out = {8, 20}},
         {.in   = {{.dims = {4, 12}}, W(6, 2, 3), W(6)},
          .args = ARGS(.groups = 2, .dilation = 4, .pad_left = 8),
          .out  = {6, 12}})

/* Three dims: each attribute along the depth alone and with others; few and many channels; groups and depthwise; a
 * sample that the kernels read without a copy. */
CHECK_OP(conv3d, conv2d_reference,
         {.in = {{.dims = {2, 3, 4, 5}}, W(3, 2, 3, 3, 3), W(3)}, .args = ARGS(.padding = 1), .out = {3, 3, 4, 5}},
         {.in = {{.dims = {3, 3, 4, 6}}, W(17, 3, 2, 3, 3), NO_BIAS}, .out = {17, 2, 2, 4}},
         {.in   = {{.dims = {17, 2, 2, 3}}, W(18, 17, 2, 2, 2), W(18)},
          .args = ARGS(.padding_d = 1),
          .out  = {18, 3, 1, 2}},
         {.in   = {{.dims = {2, 5, 4, 5}}, W(3, 2, 3, 3, 3), W(3)},
          .args = ARGS(.stride = 2, .padding = 1),
          .out  = {3, 3, 2, 3}},
         {.in   = {{.dims = {2, 7, 4, 5}}, W(5, 2, 2, 3, 2), W(5)},
          .args = ARGS(.stride_d = 3, .dilation_d = 2, .stride_w = 2, .padding_h = 1),
          .out  = {5, 2, 4, 2}},
         {.in   = {{.dims = {4, 3, 3, 4}}, W(6, 2, 3, 1, 3), W(6)},
          .args = ARGS(.groups = 2, .pad_front = 2, .pad_right = 1),
          .out  = {6, 3, 3, 3}},
         {.in   = {{.dims = {3, 3, 3, 18}}, W(3, 1, 3, 3, 3), W(3)},
          .args = ARGS(.groups = 3, .padding = 1, .stride_h = 2),
          .out  = {3, 3, 2, 18}},
         {.in = {{.dims = {9, 2, 2, 3}}, W(8, 9, 1, 1, 1), W(8)}, .out = {8, 2, 2, 3}},
         {.in   = {{.dims = {1, 3, 4, 5}}, W(3, 1, 2, 2, 2), W(3)},
          .args = ARGS(.same = LS_SAME_TENSORFLOW, .stride = 2),
          .out  = {3, 2, 2, 3}})

/* The gradient of a shard of many samples, which is summed in blocks, includes all of them. */
static void test_blocks(void **state)
{
    enum { ROWS = 70, H = 6, K = 3, O = 3, OH = H - K + 1 };
    static float x[ROWS * H * H], dy[ROWS * O * OH * OH], w[O * K * K], dw[O * K * K], db[O];
    for (int i = 0; i < ROWS * H * H; i++) x[i] = check_normal(1, i);
    for (int i = 0; i < ROWS * O * OH * OH; i++) dy[i] = check_normal(2, i);
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
        ls_graph *g = ls_graph_new();
        ls_arena *memory;
        assert_int_equal(ls_arena_new(&memory, "test"), LS_OK);
        const ls_init init = {0};
        ls_tensor    *y    = ls_conv2d_op(ls_input(g, "x", LS_F32, 1, H, H), ls_param(g, "w", init, O, 1, K, K),
                                          ls_param(g, "b", init, O));
        const ls_op  *op   = ls__op(y->node);
        ls_call       c    = {.node     = y->node,
                              .args     = y->node->args,
                              .rows     = ROWS,
                              .shards   = 1,
                              .bound    = (int64_t[]){0, ROWS},
                              .training = true,
                              .x        = {x, w},
                              .dy       = {dy},
                              .dx       = {NULL, dw, db},
                              .groups   = 1,
                              .group    = &(ls_group){.shards = 1}};
        c.scratch          = ls_arena_alloc(memory, op->scratch(y->node, ROWS, 1, omp_get_max_threads(), true));
        op->backward[LS_CPU](&c);
        for (int o = 0; o < O; o++) {
            double bias = 0;
            for (int i = 0; i < ROWS * OH * OH; i++) bias += dy[(i / (OH * OH) * O + o) * OH * OH + i % (OH * OH)];
            assert_true(fabs(db[o] - bias) < 1e-4);
            for (int k = 0; k < K * K; k++) {
                double sum = 0;
                for (int b = 0; b < ROWS; b++)
                    for (int i = 0; i < OH * OH; i++)
                        sum += (double)dy[(b * O + o) * OH * OH + i] * x[(b * H + i / OH + k / K) * H + i % OH + k % K];
                assert_true(fabs(dw[o * K * K + k] - sum) < 1e-4);
            }
        }
        ls_arena_free(memory);
        ls_graph_free(g);
    }
}

static void test_refused(void **state)
{
    CHECK_REFUSED(conv2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}, W(6, 1, 5, 5), NO_BIAS}});
    CHECK_REFUSED(conv1d, "expected x: B x C x W of float32", {.in = {{.dims = {1, 28, 28}}, W(6, 1, 5), NO_BIAS}});
    CHECK_REFUSED(conv3d, "expected weights O x C/groups x KD x KH x KW",
                  {.in = {{.dims = {1, 4, 8, 8}}, W(6, 1, 3, 3), NO_BIAS}});
    CHECK_REFUSED(conv3d, "the window along d is 5, expected at most the input's 4",
                  {.in = {{.dims = {1, 4, 8, 8}}, W(6, 1, 5, 3, 3), NO_BIAS}});
    CHECK_REFUSED(conv2d, "has attributes of the dim d, which its input B x 1 x 28 x 28 does not have",
                  {.in = {{.dims = {1, 28, 28}}, W(6, 1, 5, 5), NO_BIAS}, .args = ARGS(.pad_back = 1)});
    CHECK_REFUSED(conv1d, "has attributes of the dim h",
                  {.in = {{.dims = {1, 28}}, W(6, 1, 5), NO_BIAS}, .args = ARGS(.stride_h = 2)});
    CHECK_REFUSED(conv2d, "expected weights", {.in = {{.dims = {1, 28, 28}}, W(6, 25), NO_BIAS}});
    CHECK_REFUSED(conv2d, "for 3 channels", {.in = {{.dims = {1, 28, 28}}, W(6, 3, 5, 5), NO_BIAS}});
    CHECK_REFUSED(conv2d, "the window along h is 5, expected at most the input's 4",
                  {.in = {{.dims = {1, 4, 4}}, W(6, 1, 5, 5), NO_BIAS}});
    CHECK_REFUSED(conv2d, "expected a bias of length 6", {.in = {{.dims = {1, 28, 28}}, W(6, 1, 5, 5), W(5)}});
    CHECK_REFUSED(conv2d, "expected a divisor of the channels",
                  {.in = {{.dims = {3, 8, 8}}, W(4, 1, 3, 3), NO_BIAS}, .args = ARGS(.groups = 2)});
    CHECK_REFUSED(conv2d, "stride_h and dilation_h must be at least 1",
                  {.in = {{.dims = {3, 8, 8}}, W(4, 3, 3, 3), NO_BIAS}, .args = ARGS(.stride = -1)});
    CHECK_REFUSED(conv2d, "padding along w must be at least 0",
                  {.in = {{.dims = {3, 8, 8}}, W(4, 3, 3, 3), NO_BIAS}, .args = ARGS(.padding_w = -1)});
    CHECK_REFUSED(conv2d, "padding along h must be at least 0, found 2 and -1",
                  {.in = {{.dims = {3, 8, 8}}, W(4, 3, 3, 3), NO_BIAS}, .args = ARGS(.padding = 2, .pad_bottom = -1)});
    CHECK_REFUSED(
        conv2d, "stride_w is 2, expected 1 with same: pytorch",
        {.in = {{.dims = {3, 8, 8}}, W(4, 3, 3, 3), NO_BIAS}, .args = ARGS(.same = LS_SAME_PYTORCH, .stride_w = 2)});
    CHECK_REFUSED(
        conv2d, "'same' computes it",
        {.in = {{.dims = {3, 8, 8}}, W(4, 3, 3, 3), NO_BIAS}, .args = ARGS(.same = LS_SAME_TENSORFLOW, .pad_left = 1)});
}

CHECK_MAIN(cmocka_unit_test(check_conv1d), cmocka_unit_test(check_conv2d), cmocka_unit_test(check_conv3d),
           cmocka_unit_test(test_blocks), cmocka_unit_test(test_refused))

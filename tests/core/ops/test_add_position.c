/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static double encoding(const check_ref *r, int64_t position, int64_t i)
{
    int64_t cols  = r->node->in[0]->dim[1];
    double  angle = (double)position * pow(10000, -2.0 * (double)(i / 2) / (double)cols);
    if (r->x[1]) return r->x[1][position * cols + i];
    return i % 2 ? cos(angle) : sin(angle);
}

static void reference(const check_ref *r)
{
    int64_t times = r->node->in[0]->dim[0], cols = r->node->in[0]->dim[1];
    for (int64_t k = 0; k < check_numel(r, 0); k++) {
        int64_t start =
            ((const ls_add_position_args *)r->args)->first + (r->x[2] ? (int64_t)r->x[2][k / cols / times] : 0);
        r->y[0][k] = r->x[0][k] + encoding(r, start + k / cols % times, k % cols);
    }
}

#define TABLE(...)                                                                                                     \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .param = true                                                                           \
    }
#define START(n)                                                                                                       \
    {                                                                                                                  \
        .type = LS_I32, .high = (n)                                                                                    \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }

CHECK_OP(add_position, reference, {.in = {{.dims = {1, 1}}, TABLE(1, 1), NONE}},
         {.in = {{.dims = {7, 33}}, TABLE(7, 33), NONE}}, {.in = {{.dims = {5, 10}}, TABLE(9, 10), NONE}},
         {.in = {{.dims = {3, 300}}, TABLE(40, 300), START(38)}}, {.in = {{.dims = {1, 6}}, TABLE(11, 6), START(11)}},
         {.in = {{.dims = {5, 10}}, TABLE(9, 10), NONE}, .args = &(ls_add_position_args){.first = 2}},
         {.in = {{.dims = {3, 33}}, TABLE(40, 33), START(30)}, .args = &(ls_add_position_args){.first = 7}},
         {.in = {{.dims = {33, 7}}, NONE, NONE}, .args = &(ls_add_position_args){.first = 9}},
         {.in = {{.dims = {1, 1}}, NONE, NONE}}, {.in = {{.dims = {33, 7}}, NONE, NONE}},
         {.in = {{.dims = {300, 10}}, NONE, START(100000)}}, {.in = {{.dims = {2, 546}}, NONE, START(3)}})

/* Runs forward for one sample of two rows that starts at position `start` of a table of two positions. */
static void test_out_of_range(void **state)
{
    for (int32_t start = -1; start <= 1; start += 2) {
        float      x[4] = {1, 2, 3, 4}, w[4] = {10, 20, 30, 40}, y[4], dy[4] = {5, 6, 7, 8}, dw[4];
        int64_t    scratch[8];
        ls_graph  *g = ls_graph_new();
        ls_tensor *t = ls_add_position(ls_input(g, "x", LS_F32, 2, 2), ls_param(g, "w", (ls_init){0}, 2, 2),
                                       ls_input(g, "start", LS_I32));
        assert_non_null(t);
        ls_group group = {.shards = 1};
        ls_call  c     = {.node    = t->node,
                          .args    = t->node->args,
                          .rows    = 1,
                          .shards  = 1,
                          .bound   = (int64_t[]){0, 1},
                          .x       = {x, w, &start},
                          .y       = {y},
                          .dy      = {dy},
                          .dx      = {NULL, dw},
                          .groups  = 1,
                          .group   = &group,
                          .scratch = scratch};
        assert_true(ls__op(t->node)->scratch(t->node, 1, 1, 1, true) <= sizeof scratch);
        ls__op(t->node)->forward[LS_CPU](&c);
        ls__op(t->node)->backward[LS_CPU](&c);
        int inside = start < 0;
        assert_true(isnan(y[2 - 2 * inside]) && isnan(y[3 - 2 * inside]) && y[2 * inside] == (start < 0 ? 13 : 31));
        assert_true(dw[2 * inside] == 0 && dw[2 - 2 * inside] == (start < 0 ? 7 : 5));
        ls_graph_free(g);
    }
}

static void test_refused(void **state)
{
    CHECK_REFUSED(add_position, "only 4 positions", {.in = {{.dims = {5, 2}}, TABLE(4, 2), NONE}});
    CHECK_REFUSED(add_position, "last dims differ", {.in = {{.dims = {5, 2}}, TABLE(5, 3), NONE}});
    CHECK_REFUSED(add_position, "expected B x T x C", {.in = {{.dims = {5}}, NONE, NONE}});
    CHECK_REFUSED(add_position, "one int32", {.in = {{.dims = {5, 2}}, NONE, {.std = 1}}});
    CHECK_REFUSED(add_position, "one int32", {.in = {{.dims = {5, 2}}, NONE, {.dims = {5}, .type = LS_I32}}});
}

CHECK_MAIN(cmocka_unit_test(check_add_position), cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_refused))

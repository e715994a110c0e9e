/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_mask_args *a = r->args;
    const ls_tensor    *x = r->node->in[0], *m = r->node->in[2];
    int64_t             heads = x->dim[0], t_dim = x->dim[1], s_dim = x->dim[2];
    for (int64_t k = 0; k < check_numel(r, 0); k++) {
        int64_t s = k % s_dim, t = k / s_dim % t_dim, h = k / s_dim / t_dim % heads, b = k / s_dim / t_dim / heads;
        int64_t at =
            ((m && m->batched ? b * (m->rank == 3 ? heads : 1) : 0) + (m && m->rank == 3 ? h : 0)) * t_dim * s_dim +
            t * s_dim + s;
        bool masked =
            (a->causal && s > t) || (a->window && s <= t - a->window) || (r->x[1] && r->x[1][b * s_dim + s] != 0);
        r->y[0][k] = masked ? -INFINITY : r->x[0][k] + (m ? r->x[2][at] : 0);
    }
}

#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
#define PAD(s)                                                                                                         \
    {                                                                                                                  \
        .dims = {s}, .type = LS_I32, .low = -1, .high = 2                                                              \
    }
#define CAUSAL                                                                                                         \
    &(ls_mask_args) { .causal = true }

CHECK_OP(mask, reference, {.in = {{.dims = {1, 1, 1}}, NONE, NONE}, .args = CAUSAL},
         {.in = {{.dims = {3, 7, 7}}, NONE, NONE}, .args = CAUSAL}, {.in = {{.dims = {2, 5, 33}}, PAD(33), NONE}},
         {.in = {{.dims = {2, 9, 4}}, PAD(4), {.dims = {9, 4}, .param = true}}, .args = CAUSAL},
         {.in = {{.dims = {3, 2, 10}}, NONE, {.dims = {3, 2, 10}, .param = true}}, .args = CAUSAL},
         {.in = {{.dims = {3, 4, 6}}, PAD(6), {.dims = {4, 6}}}},
         {.in = {{.dims = {1, 3, 1100}}, PAD(1100), {.dims = {3, 1100}, .param = true}}, .args = CAUSAL},
         {.in = {{.dims = {2, 17, 17}}, NONE, {.dims = {2, 17, 17}}}},
         {.in = {{.dims = {2, 9, 7}}, PAD(7), {.dims = {9, 7}}}, .args = &(ls_mask_args){.causal = true, .window = 3}},
         {.in = {{.dims = {1, 2, 1100}}, NONE, NONE}, .args = &(ls_mask_args){.causal = true, .window = 1}})

static void test_refused(void **state)
{
    CHECK_REFUSED(mask, "expected B x H x T x S", {.in = {{.dims = {3, 4}}, NONE, NONE}});
    CHECK_REFUSED(mask, "expected B x 4 of int32", {.in = {{.dims = {2, 3, 4}}, PAD(3), NONE}});
    CHECK_REFUSED(mask, "expected B x 4 of int32", {.in = {{.dims = {2, 3, 4}}, {.dims = {4}}, NONE}});
    CHECK_REFUSED(mask, "T x S or H x T x S", {.in = {{.dims = {2, 3, 4}}, NONE, {.dims = {4, 3}}}});
    CHECK_REFUSED(mask, "window is 2", {.in = {{.dims = {2, 3, 4}}, NONE, NONE}, .args = &(ls_mask_args){.window = 2}});
    CHECK_REFUSED(mask, "T x S or H x T x S", {.in = {{.dims = {2, 3, 4}}, NONE, {.dims = {3, 4}, .type = LS_I32}}});
}

CHECK_MAIN(cmocka_unit_test(check_mask), cmocka_unit_test(test_refused))

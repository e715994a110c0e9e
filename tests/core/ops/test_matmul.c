/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_matmul_args *a = r->args;
    const ls_tensor      *x = r->node->in[0], *z = r->node->out[0];
    int64_t m = z->dim[z->rank - 2], n = z->dim[z->rank - 1], k = x->dim[x->rank - (a->transpose_x ? 2 : 1)],
            count = check_numel(r, 0) / (m * k);
    for (int64_t at = 0; at < count * m * n; at++) {
        const double *p = r->x[0] + at / (m * n) * m * k, *q = r->x[1] + at / (m * n) * k * n;
        int64_t       i = at / n % m, j = at % n;
        r->y[0][at] = 0;
        for (int64_t t = 0; t < k; t++)
            r->y[0][at] += p[a->transpose_x ? t * m + i : i * k + t] * q[a->transpose_y ? j * k + t : t * n + j];
    }
}

#define TURN(x, y)                                                                                                     \
    &(ls_matmul_args) { .transpose_x = (x), .transpose_y = (y) }

CHECK_OP(matmul, reference, {.in = {{.dims = {1, 1}}, {.dims = {1, 1}}}},
         {.in = {{.dims = {7, 33}}, {.dims = {33, 5}}}, .out = {7, 5}},
         {.in = {{.dims = {7, 33}}, {.dims = {5, 33}}}, .out = {7, 5}, .args = TURN(false, true)},
         {.in = {{.dims = {33, 7}}, {.dims = {33, 5}}}, .out = {7, 5}, .args = TURN(true, false)},
         {.in = {{.dims = {33, 7}}, {.dims = {5, 33}}}, .out = {7, 5}, .args = TURN(true, true)},
         {.in = {{.dims = {3, 17, 16}}, {.dims = {3, 17, 16}}}, .out = {3, 17, 17}, .args = TURN(false, true)},
         {.in = {{.dims = {2, 2, 6, 10}}, {.dims = {2, 2, 10, 1}}}, .out = {2, 2, 6, 1}},
         {.in = {{.dims = {70, 80}}, {.dims = {80, 90}}}, .out = {70, 90}})

static void test_refused(void **state)
{
    CHECK_REFUSED(matmul, "rows of length 4 and columns of length 5", {.in = {{.dims = {3, 4}}, {.dims = {5, 3}}}});
    CHECK_REFUSED(matmul, "rows of length 3 and columns of length 5",
                  {.in = {{.dims = {3, 4}}, {.dims = {5, 3}}}, .args = TURN(true, false)});
    CHECK_REFUSED(matmul, "before the last two", {.in = {{.dims = {2, 3, 4}}, {.dims = {3, 4, 5}}}});
    CHECK_REFUSED(matmul, "before the last two", {.in = {{.dims = {2, 3, 4}}, {.dims = {4, 5}}}});
    CHECK_REFUSED(matmul, "at least two dims", {.in = {{.dims = {4}}, {.dims = {4}}}});
    CHECK_REFUSED(matmul, "ls_linear_op", {.in = {{.dims = {3, 4}}, {.dims = {4, 5}, .param = true}}});
}

CHECK_MAIN(cmocka_unit_test(check_matmul), cmocka_unit_test(test_refused))

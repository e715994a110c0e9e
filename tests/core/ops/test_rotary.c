/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_rotary_args *a     = r->args;
    int64_t               times = r->node->in[0]->dim[0], cols = r->node->in[0]->dim[1], d = cols / a->heads;
    for (int64_t at = 0; at < check_numel(r, 0); at += d) {
        int64_t head = at % cols / d, t = at / cols % times + (r->x[1] ? (int64_t)r->x[1][at / cols / times] : 0);
        for (int64_t i = 0; i < d / 2; i++) {
            int64_t p = at + (a->interleaved ? 2 * i : i), q = a->interleaved ? p + 1 : p + d / 2;
            double  angle = head < a->rotate ? (double)t * pow((double)a->base, -2.0 * (double)i / (double)d) : 0;
            r->y[0][p]    = r->x[0][p] * cos(angle) - r->x[0][q] * sin(angle);
            r->y[0][q]    = r->x[0][q] * cos(angle) + r->x[0][p] * sin(angle);
        }
    }
}

#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
#define START(n)                                                                                                       \
    {                                                                                                                  \
        .type = LS_I32, .high = (n)                                                                                    \
    }
#define HEADS(h, ...)                                                                                                  \
    &(ls_rotary_args) { .heads = (h), __VA_ARGS__ }

CHECK_OP(rotary, reference, {.in = {{.dims = {1, 2}}, NONE}, .args = HEADS(1, 0)},
         {.in = {{.dims = {7, 66}}, NONE}, .args = HEADS(3, 0)},
         {.in = {{.dims = {33, 60}}, START(100000)}, .args = HEADS(6, .rotate = 4)},
         {.in = {{.dims = {5, 12}}, START(4)}, .args = HEADS(2, .interleaved = true)},
         {.in = {{.dims = {3, 102}}, NONE}, .args = HEADS(3, .rotate = 2, .interleaved = true, .base = 500000)},
         {.in = {{.dims = {2, 524}}, START(3)}, .args = HEADS(1, .base = 100)},
         {.in = {{.dims = {2, 524}}, START(3)}, .args = HEADS(1, .interleaved = true)})

static void test_refused(void **state)
{
    CHECK_REFUSED(rotary, "expected B x T x (heads D)", {.in = {{.dims = {4}}, NONE}});
    CHECK_REFUSED(rotary, "2 heads of an even length", {.in = {{.dims = {3, 6}}, NONE}, .args = HEADS(2, 0)});
    CHECK_REFUSED(rotary, "rotate is 3, expected 1 to 2",
                  {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .rotate = 3)});
    CHECK_REFUSED(rotary, "base is 0.5", {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .base = 0.5f)});
    CHECK_REFUSED(rotary, "one int32", {.in = {{.dims = {3, 8}}, {.std = 1}}});
}

CHECK_MAIN(cmocka_unit_test(check_rotary), cmocka_unit_test(test_refused))

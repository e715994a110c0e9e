/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"
#include "tests/windows.h"

/* Steps from position i into the input, one at a time. */
static int64_t walk(ls_pad_mode mode, int64_t i, int64_t n)
{
    int64_t at = 0, step = i < 0 ? -1 : 1;
    for (int64_t k = 0; k < llabs(i); k++) {
        if (mode == LS_PAD_CIRCULAR)
            at = (at + step + n) % n;
        else if (mode == LS_PAD_REPLICATE)
            at = at + step < 0 || at + step >= n ? at : at + step;
        else {
            if (at + step < 0 || at + step >= n) step = -step;
            at += step;
        }
    }
    return at;
}

static int64_t before(int side, int own, int all) { return side ? side : own ? own : all; }

static void reference(const check_ref *r)
{
    const ls_pad_args *a = r->args;
    const ls_tensor   *x = r->node->in[0];
    const space        X = space_of(x, 1), Y = space_of(r->node->out[0], 1);
    const int64_t      front = x->rank > 3 ? before(a->pad_front, a->padding_d, a->padding) : 0,
                  top        = x->rank > 2 ? before(a->pad_top, a->padding_h, a->padding) : 0,
                  left       = before(a->pad_left, a->padding_w, a->padding);
    for (int64_t k = 0; k < r->rows * x->dim[0] * Y.d * Y.h * Y.w; k++) {
        const int64_t j = k % Y.w - left, i = k / Y.w % Y.h - top, e = k / Y.w / Y.h % Y.d - front,
                      p   = k / Y.w / Y.h / Y.d;
        const bool inside = e >= 0 && e < X.d && i >= 0 && i < X.h && j >= 0 && j < X.w;
        r->y[0][k]        = a->mode == LS_PAD_ZEROS && !inside
                                ? 0
                                : r->x[0][((p * X.d + walk(a->mode, e, X.d)) * X.h + walk(a->mode, i, X.h)) * X.w +
                                   walk(a->mode, j, X.w)];
    }
}

#define ARGS(...)                                                                                                      \
    &(ls_pad_args) { __VA_ARGS__ }

CHECK_OP(pad2d, reference, {.in = {{.dims = {3, 8, 8}}}, .args = ARGS(.padding = 2), .out = {3, 12, 12}},
         {.in = {{.dims = {2, 5, 33}}}, .args = ARGS(.pad_top = 3, .pad_right = 1), .out = {2, 8, 34}},
         {.in   = {{.dims = {2, 5, 33}}},
          .args = ARGS(.padding_h = 4, .pad_left = 3, .mode = LS_PAD_REFLECT),
          .out  = {2, 13, 36}},
         {.in = {{.dims = {3, 8, 8}}}, .args = ARGS(.padding = 4, .mode = LS_PAD_REFLECT), .out = {3, 16, 16}},
         {.in   = {{.dims = {2, 3, 4}}},
          .args = ARGS(.padding = 1, .pad_bottom = 9, .pad_left = 6, .mode = LS_PAD_REPLICATE),
          .out  = {2, 13, 11}},
         {.in   = {{.dims = {2, 3, 17}}},
          .args = ARGS(.padding = 3, .pad_right = 5, .mode = LS_PAD_CIRCULAR),
          .out  = {2, 9, 25}},
         {.in = {{.dims = {1, 1, 1}}}, .args = ARGS(.padding = 1, .mode = LS_PAD_CIRCULAR), .out = {1, 3, 3}},
         {.in = {{.dims = {2, 7, 7}}}, .out = {2, 7, 7}})

CHECK_OP(pad1d, reference,
         {.in = {{.dims = {2, 33}}}, .args = ARGS(.pad_left = 3, .mode = LS_PAD_REFLECT), .out = {2, 36}},
         {.in = {{.dims = {2, 7}}}, .args = ARGS(.padding = 5, .mode = LS_PAD_CIRCULAR), .out = {2, 17}})

CHECK_OP(pad3d, reference,
         {.in   = {{.dims = {2, 3, 4, 5}}},
          .args = ARGS(.pad_front = 2, .padding_w = 3, .mode = LS_PAD_REFLECT),
          .out  = {2, 5, 4, 11}},
         {.in   = {{.dims = {1, 2, 3, 4}}},
          .args = ARGS(.padding = 1, .pad_back = 4, .mode = LS_PAD_REPLICATE),
          .out  = {1, 7, 5, 6}},
         {.in = {{.dims = {2, 2, 3, 17}}}, .args = ARGS(.padding = 2, .mode = LS_PAD_CIRCULAR), .out = {2, 6, 7, 21}})

static void test_refused(void **state)
{
    CHECK_REFUSED(pad2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}}});
    CHECK_REFUSED(pad3d, "padding along d is 3 and 0, expected 0 ... 2 for the input",
                  {.in = {{.dims = {1, 3, 8, 8}}}, .args = ARGS(.pad_front = 3, .mode = LS_PAD_REFLECT)});
    CHECK_REFUSED(pad2d, "has padding of the dim d", {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.padding_d = 1)});
    CHECK_REFUSED(pad1d, "has padding of the dim h", {.in = {{.dims = {1, 8}}}, .args = ARGS(.pad_top = 1)});
    CHECK_REFUSED(pad2d, "padding along w is 0 and -1, expected 0 ...",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.pad_right = -1)});
    CHECK_REFUSED(pad2d, "padding along h is 8 and 0, expected 0 ... 7 for the input",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.pad_top = 8, .mode = LS_PAD_REFLECT)});
    CHECK_REFUSED(pad2d, "padding along h is 9 and 9, expected 0 ... 8 for the input",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.padding = 9, .mode = LS_PAD_CIRCULAR)});
}

CHECK_MAIN(cmocka_unit_test(check_pad1d), cmocka_unit_test(check_pad2d), cmocka_unit_test(check_pad3d),
           cmocka_unit_test(test_refused))

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* The frequency of pair i, radians per position, as in transformers' modeling_rope_utils.py. */
static double frequency(const ls_rotary_args *a, int64_t columns, int64_t i)
{
    const double pi = 3.14159265358979323846, base = (double)a->base, low = (double)a->low, high = (double)a->high;
    const double f = pow(base, -2.0 * (double)i / (double)columns), n = (double)a->original,
                 divided = f / (double)a->factor;
    if (a->scaling == LS_ROPE_NONE) return f;
    if (a->scaling == LS_ROPE_LINEAR) return divided;
    if (a->scaling == LS_ROPE_LLAMA3) {
        const double wavelength = 2 * pi / f, smooth = (n / wavelength - low) / (high - low);
        if (wavelength > n / low) return divided;
        return wavelength < n / high ? f : (1 - smooth) * divided + smooth * f;
    }
    double from = (double)columns * log(n / (high * 2 * pi)) / (2 * log(base)),
           to   = (double)columns * log(n / (low * 2 * pi)) / (2 * log(base));
    from = fmax(floor(from), 0), to = fmin(ceil(to), (double)columns - 1);
    const double ramp = fmin(fmax(((double)i - from) / (to == from ? 0.001 : to - from), 0), 1);
    return divided * ramp + f * (1 - ramp);
}

static void reference(const check_ref *r)
{
    const ls_rotary_args *a     = r->args;
    int64_t               times = r->node->in[0]->dim[0], cols = r->node->in[0]->dim[1], d = cols / a->heads,
            c        = a->columns ? a->columns : d;
    double magnitude = a->scaling == LS_ROPE_YARN ? 0.1 * log((double)a->factor) + 1 : 1;
    for (int64_t at = 0; at < check_numel(r, 0); at += d) {
        int64_t head = at % cols / d, t = at / cols % times + (r->x[1] ? (int64_t)r->x[1][at / cols / times] : 0);
        for (int64_t i = 0; i < d; i++) r->y[0][at + i] = r->x[0][at + i];
        for (int64_t i = 0; head < a->rotate && i < c / 2; i++) {
            int64_t p = at + (a->interleaved ? 2 * i : i), q = a->interleaved ? p + 1 : p + c / 2;
            double  angle = (double)t * frequency(a, c, i);
            r->y[0][p]    = (r->x[0][p] * cos(angle) - r->x[0][q] * sin(angle)) * magnitude;
            r->y[0][q]    = (r->x[0][q] * cos(angle) + r->x[0][p] * sin(angle)) * magnitude;
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
         {.in = {{.dims = {2, 524}}, START(3)}, .args = HEADS(1, .interleaved = true)},
         {.in   = {{.dims = {5, 60}}, START(50)},
          .args = HEADS(3, .rotate = 2, .columns = 6, .scaling = LS_ROPE_LINEAR, .factor = 3)},
         {.in   = {{.dims = {7, 40}}, START(9000)},
          .args = HEADS(2, .base = 500, .scaling = LS_ROPE_LLAMA3, .factor = 8, .original = 100)},
         {.in   = {{.dims = {3, 40}}, START(9000)},
          .args = HEADS(1, .columns = 32, .interleaved = true, .scaling = LS_ROPE_YARN, .factor = 4, .original = 1000)})

static void test_refused(void **state)
{
    CHECK_REFUSED(rotary, "expected B x T x (heads D)", {.in = {{.dims = {4}}, NONE}});
    CHECK_REFUSED(rotary, "2 heads of an even length", {.in = {{.dims = {3, 6}}, NONE}, .args = HEADS(2, 0)});
    CHECK_REFUSED(rotary, "rotate is 3, expected 1 to 2",
                  {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .rotate = 3)});
    CHECK_REFUSED(rotary, "columns is 6, expected an even number of at most 4",
                  {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .columns = 6)});
    CHECK_REFUSED(rotary, "columns is 3", {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .columns = 3)});
    CHECK_REFUSED(rotary, "without a scaling", {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .factor = 2)});
    CHECK_REFUSED(rotary, "factor is 0, expected at least 1 with linear scaling",
                  {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .scaling = LS_ROPE_LINEAR)});
    CHECK_REFUSED(rotary, "original is 0, expected the original number of positions with yarn scaling",
                  {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .scaling = LS_ROPE_YARN, .factor = 2)});
    CHECK_REFUSED(rotary, "low is 5 and high is 4",
                  {.in   = {{.dims = {3, 8}}, NONE},
                   .args = HEADS(2, .scaling = LS_ROPE_LLAMA3, .factor = 2, .original = 64, .low = 5)});
    CHECK_REFUSED(rotary, "base is 1, expected more",
                  {.in   = {{.dims = {3, 8}}, NONE},
                   .args = HEADS(2, .scaling = LS_ROPE_YARN, .factor = 2, .original = 64, .base = 1)});
    CHECK_REFUSED(rotary, "base is 0.5", {.in = {{.dims = {3, 8}}, NONE}, .args = HEADS(2, .base = 0.5f)});
    CHECK_REFUSED(rotary, "one int32", {.in = {{.dims = {3, 8}}, {.std = 1}}});
}

CHECK_MAIN(cmocka_unit_test(check_rotary), cmocka_unit_test(test_refused))

/* SPDX-License-Identifier: Apache-2.0
 *
 * Affine changes of an image: the output pixel with centre (x, y) shows the input at
 *
 *     u = m0 x + m1 y + m2,   v = m3 x + m4 y + m5
 *
 * and is black outside of the input.  The bytes are those of Pillow's Image.transform(size, AFFINE, m): the nearest
 * pixel in 16.16 fixed point, or bilinear in double, rounded down.
 */
#include <math.h>

#include "datasets/augment/image_augment.h"

/* Input and output of a change, apart from the augmenter: a store of a byte might change any member of *a. */
typedef struct view {
    int            channels, height, width;
    int64_t        plane;
    const uint8_t *x;
    uint8_t       *y;
} view;

static view view_of(const ls_augmenter *a)
{
    return (view){a->channels, a->height, a->width, (int64_t)a->height * a->width, a->pixels, a->other};
}

/* Copies to output pixel `to` of every channel the input pixel `from`, or 0 for from < 0. */
static inline void put(view p, int64_t to, int64_t from)
{
    for (int c = 0; c < p.channels; c++) p.y[c * p.plane + to] = from < 0 ? 0 : p.x[c * p.plane + from];
}

static int64_t fixed(double x) { return (int64_t)floor(x * 65536.0 + 0.5); }

static void nearest(view p, const double m[6])
{
    const int64_t du = fixed(m[0]), dv = fixed(m[3]), row_u = fixed(m[1]), row_v = fixed(m[4]);
    const int64_t u0 = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), v0 = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
    for (int y = 0; y < p.height; y++)
        for (int x = 0; x < p.width; x++) {
            const int64_t u = (u0 + y * row_u + x * du) >> 16, v = (v0 + y * row_v + x * dv) >> 16;
            const bool    inside = u >= 0 && u < p.width && v >= 0 && v < p.height;
            put(p, (int64_t)y * p.width + x, inside ? v * p.width + u : -1);
        }
}

static int clamp(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

/* Rounds down; x is above -1. */
static int down(double x) { return (int)x - (x < 0); }

static double between(double from, double to, double t) { return from + (to - from) * t; }

static void bilinear(view p, const double m[6])
{
    for (int y = 0; y < p.height; y++)
        for (int x = 0; x < p.width; x++) {
            const int64_t to = (int64_t)y * p.width + x;
            const double  u  = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2];
            const double  v  = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
            if (!(u >= 0 && u < p.width && v >= 0 && v < p.height)) {
                put(p, to, -1);
                continue;
            }
            const int      i = down(v - 0.5), j = down(u - 0.5);
            const double   s = v - 0.5 - i, t = u - 0.5 - j;
            const int      left = clamp(j, p.width), right = clamp(j + 1, p.width);
            const uint8_t *top    = p.x + (int64_t)clamp(i, p.height) * p.width;
            const uint8_t *bottom = p.x + (int64_t)clamp(i + 1, p.height) * p.width;
            for (int64_t c = 0; c < p.channels * p.plane; c += p.plane)
                p.y[c + to] = (uint8_t)between(between(top[c + left], top[c + right], t),
                                               between(bottom[c + left], bottom[c + right], t), s);
        }
}

void ls__augment_turn(ls_augmenter *a, double angle, int shift_x, int shift_y, ls_affine_filter filter)
{
    /* The order of operations is that of torchvision, so that a bilinear pixel is rounded down from the same number. */
    const double turn = angle * (M_PI / 180), cosine = cos(turn), sine = sin(turn);
    const double x = a->width * 0.5, y = a->height * 0.5;
    double       m[6] = {cosine, sine, 0, -sine, cosine, 0};
    m[2]              = m[0] * (-x - shift_x) + m[1] * (-y - shift_y) + x;
    m[5]              = m[3] * (-x - shift_x) + m[4] * (-y - shift_y) + y;
    ls__augment_affine(a, m, filter);
}

void ls__augment_affine(ls_augmenter *a, const double m[6], ls_affine_filter filter)
{
    if (filter == LS_AFFINE_NEAREST)
        nearest(view_of(a), m);
    else
        bilinear(view_of(a), m);
    ls__augment_swap(a);
}

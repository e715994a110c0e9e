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

/* Copies to output pixel `to` of every channel the input pixel `from`, or 0 for from < 0. */
static void put(ls_augmenter *a, int64_t to, int64_t from)
{
    const int64_t plane = (int64_t)a->height * a->width;
    for (int c = 0; c < a->channels; c++) a->other[c * plane + to] = from < 0 ? 0 : a->pixels[c * plane + from];
}

static int64_t fixed(double x) { return (int64_t)floor(x * 65536.0 + 0.5); }

static void nearest(ls_augmenter *a, const double m[6])
{
    const int64_t du = fixed(m[0]), dv = fixed(m[3]), row_u = fixed(m[1]), row_v = fixed(m[4]);
    const int64_t u0 = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), v0 = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++) {
            const int64_t u = (u0 + y * row_u + x * du) >> 16, v = (v0 + y * row_v + x * dv) >> 16;
            const bool    inside = u >= 0 && u < a->width && v >= 0 && v < a->height;
            put(a, (int64_t)y * a->width + x, inside ? v * a->width + u : -1);
        }
}

static int clamp(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

static double between(double from, double to, double t) { return from + (to - from) * t; }

static void bilinear(ls_augmenter *a, const double m[6])
{
    const int64_t plane = (int64_t)a->height * a->width;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++) {
            const int64_t to = (int64_t)y * a->width + x;
            double u = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2], v = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
            if (!(u >= 0 && u < a->width && v >= 0 && v < a->height)) {
                put(a, to, -1);
                continue;
            }
            const int    i = (int)floor(v - 0.5), j = (int)floor(u - 0.5);
            const double s = v - 0.5 - i, t = u - 0.5 - j;
            const int    left = clamp(j, a->width), right = clamp(j + 1, a->width);
            for (int c = 0; c < a->channels; c++) {
                const uint8_t *top    = a->pixels + c * plane + (int64_t)clamp(i, a->height) * a->width;
                const uint8_t *bottom = a->pixels + c * plane + (int64_t)clamp(i + 1, a->height) * a->width;
                a->other[c * plane + to] =
                    (uint8_t)between(between(top[left], top[right], t), between(bottom[left], bottom[right], t), s);
            }
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
        nearest(a, m);
    else
        bilinear(a, m);
    ls__augment_swap(a);
}

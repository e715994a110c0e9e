/* SPDX-License-Identifier: Apache-2.0
 *
 * Resizes images with the bytes of Pillow's Image.resize (src/libImaging/Resample.c), bilinear or bicubic, with
 * antialiasing: where the image shrinks by a factor s > 1, the filter is s times as wide.
 *
 *     centre(i) = (i + 0.5) in / out,  w(i, k) = f((k - centre(i) + 0.5) / max(in / out, 1))
 *     y(i) = sum_k w(i, k) x(k) / sum_k w(i, k)
 *
 * f is the triangle, or the cubic of Keys (1981) with a = -1/2.  Weights are fixed-point numbers of 22 bits, so that
 * every machine computes the same bytes.  Rows are resized first and rounded to bytes, then columns; but columns first
 * where h - H > 2 (w - W), the rule of Pillow 13.  Older versions always resize rows first: there up to 1 in a byte
 * differs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/image/image_decode.h"

enum { PRECISION = 22 };

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double cubic(double x)
{
    const double a = -0.5;
    x              = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static const struct {
    double (*f)(double x);
    double support;
} filters[] = {[LS_BILINEAR] = {triangle, 1}, [LS_BICUBIC] = {cubic, 2}};

/* Weights of one direction: output i is the sum over k < count[i] of weight[i * stride + k] x[first[i] + k]. */
typedef struct weights {
    int      size, stride;
    int     *first, *count;
    int32_t *weight;
    double  *exact; /* of one output */
} weights;

static void weights_free(weights *w)
{
    free(w->first);
    free(w->weight);
    free(w->exact);
}

static ls_status weights_new(const char *path, weights *w, int from, int to, ls_interpolation interpolation)
{
    double scale = (double)from / to, wide = scale < 1 ? 1 : scale, support = filters[interpolation].support * wide;
    w->size   = to;
    w->stride = (int)ceil(support) * 2 + 1;
    w->first  = malloc(sizeof *w->first * 2 * (size_t)to);
    w->count  = w->first + to;
    w->weight = malloc(sizeof *w->weight * (size_t)to * (size_t)w->stride);
    w->exact  = malloc(sizeof *w->exact * (size_t)w->stride);
    LS_CHECK(w->first && w->weight && w->exact, LS_ERR_ENV, "%s: out of memory to resize %d to %d pixels", path, from,
             to);
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * scale, sum = 0, inverse = 1.0 / wide;
        int    first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        first       = first < 0 ? 0 : first;
        end         = end > from ? from : end;
        w->first[i] = first;
        w->count[i] = end - first;
        for (int k = 0; k < end - first; k++)
            sum += w->exact[k] = filters[interpolation].f((k + first - centre + 0.5) * inverse);
        for (int k = 0; k < end - first; k++) {
            double fixed = (sum != 0 ? w->exact[k] / sum : w->exact[k]) * (1 << PRECISION);
            w->weight[(size_t)i * (size_t)w->stride + (size_t)k] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
    }
    return LS_OK;
}

static uint8_t clip(int32_t sum)
{
    sum >>= PRECISION;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void resize_row(const uint8_t *x, const weights *w, int channels, uint8_t *y)
{
    for (int i = 0; i < w->size; i++) {
        const uint8_t *pixel  = x + (size_t)w->first[i] * (size_t)channels;
        const int32_t *weight = w->weight + (size_t)i * (size_t)w->stride;
        int32_t        sum[3] = {1 << (PRECISION - 1), 1 << (PRECISION - 1), 1 << (PRECISION - 1)};
        if (channels == 1)
            for (int k = 0; k < w->count[i]; k++) sum[0] += pixel[k] * weight[k];
        else
            for (int k = 0; k < w->count[i]; k++, pixel += 3)
                for (int c = 0; c < 3; c++) sum[c] += pixel[c] * weight[k];
        for (int c = 0; c < channels; c++) *y++ = clip(sum[c]);
    }
}

/* Computes output row i from rows of `bytes` bytes. */
static void resize_column(const uint8_t *x, const weights *w, int i, size_t bytes, int32_t *sum, uint8_t *y)
{
    const int32_t *weight = w->weight + (size_t)i * (size_t)w->stride;
    for (size_t b = 0; b < bytes; b++) sum[b] = 1 << (PRECISION - 1);
    for (int k = 0; k < w->count[i]; k++) {
        const uint8_t *row = x + (size_t)(w->first[i] + k) * bytes;
        for (size_t b = 0; b < bytes; b++) sum[b] += row[b] * weight[k];
    }
    for (size_t b = 0; b < bytes; b++) y[b] = clip(sum[b]);
}

static ls_status resize_rows(const char *path, ls_pixels *p, int width, ls_interpolation interpolation)
{
    weights   w      = {0};
    ls_pixels wide   = *p;
    ls_status status = weights_new(path, &w, p->width, width, interpolation);
    if (status == LS_OK) status = ls__pixels_new(path, p, width, wide.height, wide.channels);
    size_t from = (size_t)wide.width * (size_t)wide.channels, to = (size_t)width * (size_t)wide.channels;
    for (int y = 0; y < wide.height && status == LS_OK; y++)
        resize_row(wide.data + (size_t)y * from, &w, p->channels, p->data + (size_t)y * to);
    weights_free(&w);
    if (status == LS_OK) free(wide.data);
    return status;
}

static ls_status resize_columns(const char *path, ls_pixels *p, int height, ls_interpolation interpolation)
{
    weights   w      = {0};
    ls_pixels tall   = *p;
    size_t    row    = (size_t)p->width * (size_t)p->channels;
    int32_t  *sum    = malloc(row * sizeof *sum);
    ls_status status = sum ? weights_new(path, &w, p->height, height, interpolation)
                           : LS_FAIL(LS_ERR_ENV, "%s: out of memory to resize", path);
    if (status == LS_OK) status = ls__pixels_new(path, p, tall.width, height, tall.channels);
    for (int i = 0; i < height && status == LS_OK; i++)
        resize_column(tall.data, &w, i, row, sum, p->data + (size_t)i * row);
    weights_free(&w);
    free(sum);
    if (status == LS_OK) free(tall.data);
    return status;
}

ls_status ls__image_resize(const char *path, ls_pixels *p, int height, int width, ls_interpolation interpolation)
{
    int64_t fewer_rows = p->height - height, fewer_columns = p->width - width;
    bool    columns_first = fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
    if (columns_first) LS_TRY(resize_columns(path, p, height, interpolation));
    if (width != p->width) LS_TRY(resize_rows(path, p, width, interpolation));
    if (height != p->height) LS_TRY(resize_columns(path, p, height, interpolation));
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Synthetic digits, the embedded dataset: images of handwritten digits, drawn by the program.  Sample i is a pure
 * function of (seed, split, i):
 *
 *   1. a skeleton of the class (digit_strokes.h): its points get random offsets, its pen strokes become Catmull-Rom
 *      curves;
 *   2. an elastic distortion: a random displacement field, interpolated from a 4 x 4 grid, moves the points of the
 *      curves (Simard, Steinkraus and Platt 2003 move pixels; points are fewer and keep the strokes sharp);
 *   3. a random affine map: slant, rotation, width, height, position;
 *   4. ink: each pixel is covered by a round nib with a radius that varies along the stroke and a soft rim, times the
 *      pressure, with random grain.
 *
 * Each group of ten samples has each class once, in random order.  Only + - * / and sqrt are used, because IEEE 754
 * defines their results to the bit.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "datasets/files/dataset.h"
#include "datasets/image/digit_strokes.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10, SKELETONS = sizeof skeletons / sizeof *skeletons };
enum { EMPTY, VALID, WRITING }; /* states of a cache entry */
enum { STEPS = 5, MAX_POINTS = MAX_PEN * STEPS, GRID = 4, CACHE_BYTES = 256 << 20 };

/* Standard deviation of the offsets of skeleton points, in heights of the writing box. */
#define JITTER 0.02f

/* Mean and std of 60,000 samples with seed 1.  They are constants, so that inputs do not depend on the number of
 * samples. */
static const float MEAN = 0.1103f, STD = 0.2658f;

typedef struct digits {
    ls_dataset       base;
    uint64_t         key;
    uint8_t         *cache; /* count x 28 x 28, filled at the first read of a sample; NULL: no cache */
    _Atomic uint8_t *drawn; /* state of each cache entry: EMPTY, VALID or WRITING */
} digits;

/* ---- random numbers of one sample -------------------------------------------------------------------------------- */

typedef struct random_stream {
    uint64_t   key, index, used;
    ls_philox4 four;
} random_stream;

static uint32_t bits(random_stream *r)
{
    if (r->used % 4 == 0) r->four = ls_philox(r->key, r->index, r->used / 4);
    return r->four.v[r->used++ % 4];
}

static float uniform(random_stream *r, float low, float high) { return low + (high - low) * ls_uniform01(bits(r)); }

/* Approximately normal, mean 0 and standard deviation 1, within +-3.5: a sum of four uniform 16-bit numbers. */
static float normal(random_stream *r)
{
    uint32_t a = bits(r), b = bits(r);
    float    sum = (float)(a & 0xffff) + (float)(a >> 16) + (float)(b & 0xffff) + (float)(b >> 16);
    return (sum * 0x1p-16f - 2.0f) * 1.7320508f;
}

/* ---- the curve --------------------------------------------------------------------------------------------------- */

typedef struct point {
    float x, y;
    bool  pen_up; /* the pen is lifted after this point */
} point;

typedef struct curve {
    int   points;
    point at[MAX_POINTS];
} curve;

static void add_point(curve *c, float x, float y)
{
    if (c->points < MAX_POINTS) c->at[c->points++] = (point){x, y, false};
}

/* Catmull-Rom spline between p[1] and p[2], with the slopes (p[2] - p[0]) / 2 and (p[3] - p[1]) / 2 there. */
static float catmull_rom(const float p[4], float t)
{
    float a = 2 * p[1], b = p[2] - p[0], c = 2 * p[0] - 5 * p[1] + 4 * p[2] - p[3], d = 3 * (p[1] - p[2]) + p[3] - p[0];
    return 0.5f * (a + t * (b + t * (c + t * d)));
}

/* Adds a smooth curve through n points. */
static void add_piece(curve *c, const float *x, const float *y, int n)
{
    add_point(c, x[0], y[0]);
    for (int i = 0; i + 1 < n; i++) {
        int   before = i ? i - 1 : 0, after = i + 2 < n ? i + 2 : n - 1;
        float px[4] = {x[before], x[i], x[i + 1], x[after]}, py[4] = {y[before], y[i], y[i + 1], y[after]};
        for (int s = 1; s <= STEPS; s++) {
            float t = (float)s / STEPS;
            add_point(c, catmull_rom(px, t), catmull_rom(py, t));
        }
    }
}

static void trace(curve *c, const skeleton *k, random_stream *r)
{
    float x[MAX_PEN], y[MAX_PEN];
    int   n   = 0;
    c->points = 0;
    for (const int8_t *p = k->pen;;) {
        if (*p >= 0) {
            x[n] = ((float)p[0] - 50) * 0.01f * ((float)k->width * 0.01f) + JITTER * normal(r);
            y[n] = ((float)p[1] - 50) * 0.01f + JITTER * normal(r);
            n++;
            p += 2;
            continue;
        }
        add_piece(c, x, y, n);
        if (*p == REST) return;
        if (*p == TURN) {
            x[0] = x[n - 1];
            y[0] = y[n - 1];
            n    = 1;
        } else {
            c->at[c->points - 1].pen_up = true;
            n                           = 0;
        }
        p++;
    }
}

/* ---- distortions ------------------------------------------------------------------------------------------------- */

static float smooth(float t) { return t * t * (3 - 2 * t); }

/* Interpolates a field with GRID x GRID knots at (u, v) in the unit square. */
static float field_at(float field[GRID][GRID], float u, float v)
{
    float gu = fminf(fmaxf(u, 0), 1) * (GRID - 1), gv = fminf(fmaxf(v, 0), 1) * (GRID - 1);
    int   i = gv < GRID - 2 ? (int)gv : GRID - 2, j = gu < GRID - 2 ? (int)gu : GRID - 2;
    float s = smooth(gv - (float)i), t = smooth(gu - (float)j);
    float top    = field[i][j] + t * (field[i][j + 1] - field[i][j]),
          bottom = field[i + 1][j] + t * (field[i + 1][j + 1] - field[i + 1][j]);
    return top + s * (bottom - top);
}

static void distort(curve *c, random_stream *r)
{
    float dx[GRID][GRID], dy[GRID][GRID], strength = 0.045f + 0.015f * normal(r);
    for (int i = 0; i < GRID * GRID; i++) {
        (&dx[0][0])[i] = strength * normal(r);
        (&dy[0][0])[i] = strength * normal(r);
    }
    for (int i = 0; i < c->points; i++) {
        point *p = &c->at[i];
        float  u = p->x + 0.5f, v = p->y + 0.5f;
        p->x += field_at(dx, u, v);
        p->y += field_at(dy, u, v);
    }
}

/* Maps the curve from the writing box to pixels. */
static void place(curve *c, random_stream *r)
{
    float height = 19.2f + 1.3f * normal(r), width = height * (1.0f + 0.13f * normal(r));
    float slant = 0.12f + 0.20f * normal(r), turn = 0.10f * normal(r);
    /* A rotation without sin and cos: (1 - h^2, 2 h) / (1 + h^2) is on the circle, at the angle 2 atan h. */
    float h = 0.5f * turn, cosine = (1 - h * h) / (1 + h * h), sine = 2 * h / (1 + h * h);
    float low_x = 1e9f, high_x = -1e9f, low_y = 1e9f, high_y = -1e9f;
    for (int i = 0; i < c->points; i++) {
        point *p = &c->at[i];
        float  x = (p->x - slant * p->y) * width, y = p->y * height;
        p->x   = cosine * x - sine * y;
        p->y   = sine * x + cosine * y;
        low_x  = fminf(low_x, p->x);
        high_x = fmaxf(high_x, p->x);
        low_y  = fminf(low_y, p->y);
        high_y = fmaxf(high_y, p->y);
    }
    /* Keep the digit inside the image: shrink it if it is too large, and limit its shift. */
    float largest = fmaxf(high_x - low_x, high_y - low_y), shrink = largest > 22.5f ? 22.5f / largest : 1.0f;
    float shift_x = 0.9f * normal(r), shift_y = 0.8f * normal(r);
    float room_x = 12.0f - 0.5f * shrink * (high_x - low_x), room_y = 12.0f - 0.5f * shrink * (high_y - low_y);
    shift_x = fminf(fmaxf(shift_x, -room_x), room_x);
    shift_y = fminf(fmaxf(shift_y, -room_y), room_y);
    for (int i = 0; i < c->points; i++) {
        point *p = &c->at[i];
        p->x     = (p->x - 0.5f * (low_x + high_x)) * shrink + 0.5f * SIDE + shift_x;
        p->y     = (p->y - 0.5f * (low_y + high_y)) * shrink + 0.5f * SIDE + shift_y;
    }
}

/* ---- ink --------------------------------------------------------------------------------------------------------- */

/* Updates depth, the signed distance from each pixel's centre to the rim of the ink (positive: inside), with one
 * segment of the curve. */
static void ink_segment(float depth[SIDE][SIDE], point p, point q, float radius)
{
    float reach = radius + 1.0f, dx = q.x - p.x, dy = q.y - p.y, length2 = dx * dx + dy * dy,
          inverse = length2 > 1e-12f ? 1 / length2 : 0;
    int left = (int)fmaxf(fminf(p.x, q.x) - reach, 0), right = (int)fminf(fmaxf(p.x, q.x) + reach, SIDE - 1);
    int top = (int)fmaxf(fminf(p.y, q.y) - reach, 0), bottom = (int)fminf(fmaxf(p.y, q.y) + reach, SIDE - 1);
    for (int i = top; i <= bottom; i++) {
        float y = (float)i + 0.5f - p.y;
        for (int j = left; j <= right; j++) {
            float x = (float)j + 0.5f - p.x, t = (x * dx + y * dy) * inverse;
            t        = t < 0 ? 0 : t > 1 ? 1 : t;
            float ex = x - t * dx, ey = y - t * dy, d = radius - sqrtf(ex * ex + ey * ey);
            depth[i][j] = d > depth[i][j] ? d : depth[i][j];
        }
    }
}

static void ink(const curve *c, random_stream *r, uint8_t *pixels)
{
    float depth[SIDE][SIDE];
    for (int i = 0; i < PIXELS; i++) (&depth[0][0])[i] = -1e9f;
    /* The radius is interpolated between its values at the start, the middle and the end. */
    float radius = 1.12f + 0.30f * normal(r), middle, end;
    radius       = fmaxf(radius, 0.62f);
    middle       = radius * (1 + 0.12f * normal(r));
    end          = radius * (1 + 0.16f * normal(r));
    for (int i = 0; i + 1 < c->points; i++) {
        if (c->at[i].pen_up) continue;
        float t  = (float)(2 * i) / (float)c->points,
              at = t < 1 ? radius + t * (middle - radius) : middle + (t - 1) * (end - middle);
        ink_segment(depth, c->at[i], c->at[i + 1], at);
    }
    float softness = uniform(r, 0.55f, 1.0f), pressure = uniform(r, 0.82f, 1.0f), grain = uniform(r, 0.0f, 0.16f);
    for (int i = 0; i < PIXELS; i++) {
        float d = (&depth[0][0])[i] / (2 * softness) + 0.5f;
        if (d <= 0) {
            pixels[i] = 0;
            continue;
        }
        float cover = d >= 1 ? 1 : smooth(d), value = 255 * cover * pressure * (1 + grain * normal(r));
        pixels[i] = (uint8_t)fminf(fmaxf(value, 0), 255);
    }
}

/* ---- the dataset ------------------------------------------------------------------------------------------------- */

static const skeleton *choose(int digit, random_stream *r)
{
    int total = 0;
    for (int i = 0; i < SKELETONS; i++) total += skeletons[i].digit == digit ? skeletons[i].often : 0;
    int at = (int)(bits(r) % (uint32_t)total), i = 0;
    for (;; i++)
        if (skeletons[i].digit == digit && (at -= skeletons[i].often) < 0) return &skeletons[i];
}

static int32_t label_of(const digits *d, int64_t i)
{
    return (int32_t)ls_sample_at(d->key, i / CLASSES, CLASSES, i % CLASSES);
}

static void draw(const digits *d, int64_t i, uint8_t *pixels)
{
    random_stream r = {.key = d->key, .index = (uint64_t)i};
    curve         c;
    trace(&c, choose(label_of(d, i), &r), &r);
    distort(&c, &r);
    place(&c, &r);
    ink(&c, &r, pixels);
}

static ls_status read_digit(ls_dataset *base, int64_t i, uint8_t *pixels, int32_t *label)
{
    digits *d = (digits *)base;
    *label    = label_of(d, i);
    if (!pixels) return LS_OK;
    if (!d->cache) {
        draw(d, i, pixels);
        return LS_OK;
    }
    uint8_t *cached = d->cache + i * PIXELS;
    if (atomic_load_explicit(&d->drawn[i], memory_order_acquire) == VALID) {
        memcpy(pixels, cached, PIXELS);
        return LS_OK;
    }
    draw(d, i, pixels);
    uint8_t empty = EMPTY;
    if (atomic_compare_exchange_strong(&d->drawn[i], &empty, WRITING)) {
        memcpy(cached, pixels, PIXELS);
        atomic_store_explicit(&d->drawn[i], VALID, memory_order_release);
    }
    return LS_OK;
}

static void close_digits(ls_dataset *base)
{
    digits *d = (digits *)base;
    free(d->cache);
    free((void *)d->drawn);
    free(d);
}

ls_status ls_dataset_digits(ls_dataset **dataset, const char *split, int64_t count, uint64_t seed)
{
    *dataset = NULL;
    LS_CHECK(count >= 1, LS_ERR_DATA, "digits: count: expected at least 1 sample, found %lld", (long long)count);
    digits *d = calloc(1, sizeof *d);
    LS_CHECK(d, LS_ERR_ENV, "digits: out of memory");
    ls_status status = ls_arena_new(&d->base.arena, "digits");
    if (status != LS_OK) {
        free(d);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    ls_arena *a   = d->base.arena;
    d->key        = ls_key(seed, ls_arena_printf(a, "digits.%s", split));
    d->base.info  = (ls_dataset_info){.split       = ls_arena_strdup(a, split),
                                      .path        = "digits",
                                      .count       = count,
                                      .channels    = 1,
                                      .height      = SIDE,
                                      .width       = SIDE,
                                      .classes     = CLASSES,
                                      .mean        = {MEAN},
                                      .std         = {STD},
                                      .class_names = ls__class_names(a, CLASSES)};
    d->base.read  = read_digit;
    d->base.close = close_digits;
    /* Without memory for the cache, each read draws its sample. */
    if (count <= CACHE_BYTES / PIXELS) {
        d->cache = malloc((size_t)count * PIXELS);
        d->drawn = d->cache ? calloc((size_t)count, 1) : NULL;
        if (!d->drawn) {
            free(d->cache);
            d->cache = NULL;
        }
    }
    *dataset = &d->base;
    return LS_OK;
}

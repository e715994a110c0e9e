/* SPDX-License-Identifier: Apache-2.0
 *
 * Random changes of training images (ls_augment in datasets.h).  Internal.
 *
 * The steps are applied in the order of the table in image_augment.c, to bytes before normalisation.  A step draws from
 * a stream of random numbers of its own, which is a function of (seed, step, epoch, sample).  So the result does not
 * depend on ranks, threads, batches, or on other steps.
 */
#ifndef LS_DATASETS_AUGMENT_IMAGE_AUGMENT_H
#define LS_DATASETS_AUGMENT_IMAGE_AUGMENT_H

#include "core/base/philox.h"
#include "datasets/files/dataset.h"

/* ---- a stream of random numbers ---------------------------------------------------------------------------------- */

typedef struct ls_draws {
    uint64_t   key;
    int64_t    epoch, sample;
    int        used; /* numbers drawn so far */
    ls_philox4 four;
} ls_draws;

static inline uint32_t ls__draw(ls_draws *d)
{
    if (d->used % 4 == 0)
        d->four = ls_philox(d->key, (uint64_t)d->epoch << 16 | (uint64_t)d->used / 4, (uint64_t)d->sample);
    return d->four.v[d->used++ % 4];
}

/* A whole number from 0 to n - 1. */
static inline int ls__draw_below(ls_draws *d, int n) { return (int)((uint64_t)ls__draw(d) * (uint64_t)n >> 32); }

/* A number in [low, high). */
static inline double ls__draw_between(ls_draws *d, double low, double high)
{
    return low + (high - low) * (ls__draw(d) * 0x1p-32);
}

/* True for half of all draws. */
static inline bool ls__draw_bit(ls_draws *d) { return ls__draw(d) >> 31; }

/* ---- the steps --------------------------------------------------------------------------------------------------- */

enum { LS_AUGMENT_STEPS = 16 };

/* State of a loader.  `pixels` holds the image, C x H x W; a step that does not work in place writes `other` and swaps
 * the two. */
typedef struct ls_augmenter {
    const ls_augment *options;
    int               channels, height, width;
    uint64_t          key[LS_AUGMENT_STEPS];
    uint8_t          *pixels, *other;
} ls_augmenter;

/* Whether any option changes the bytes of an image. */
bool ls__augment_bytes(const ls_augment *a);

/* Prepares the options of `info` for a seed.  `memory` holds two images. */
void ls__augmenter_init(ls_augmenter *a, const ls_dataset_info *info, uint64_t seed, uint8_t *memory);

/* Changes the image in a->pixels as sample `sample` in epoch `epoch`. */
ls_status ls__augment(ls_augmenter *a, int64_t epoch, int64_t sample);

/* Erases a rectangle of the normalised image x, as torchvision's RandomErasing with value 0. */
void ls__augment_erase(const ls_augment *o, uint64_t seed, int64_t epoch, int64_t sample, int channels, int height,
                       int width, float *x);

/* Exchanges a->pixels and a->other. */
static inline void ls__augment_swap(ls_augmenter *a)
{
    uint8_t *pixels = a->pixels;
    a->pixels       = a->other;
    a->other        = pixels;
}

/* ---- changes with given parameters ------------------------------------------------------------------------------- */

/* Cuts out a box and resizes it to the image's size, bilinear with antialiasing. */
ls_status ls__augment_resized_crop(ls_augmenter *a, int top, int left, int height, int width);

/* image_affine.c: an output pixel with centre (x, y) shows the input at (m0 x + m1 y + m2, m3 x + m4 y + m5). */
typedef enum ls_affine_filter { LS_AFFINE_NEAREST, LS_AFFINE_BILINEAR } ls_affine_filter;
void ls__augment_affine(ls_augmenter *a, const double m[6], ls_affine_filter filter);
/* Rotates clockwise around the centre by an angle in degrees, then shifts by whole pixels. */
void ls__augment_turn(ls_augmenter *a, double angle, int shift_x, int shift_y, ls_affine_filter filter);

/* image_colour.c: images of 1 or 3 channels.  Factor 1 leaves the image as it is. */
void ls__colour_brightness(ls_augmenter *a, float factor);
void ls__colour_contrast(ls_augmenter *a, float factor);
void ls__colour_saturation(ls_augmenter *a, float factor);
void ls__colour_sharpness(ls_augmenter *a, float factor);
void ls__colour_hue(ls_augmenter *a, double turn); /* fraction of the circle, -0.5 to 0.5 */
void ls__colour_posterize(ls_augmenter *a, int bits);
void ls__colour_solarize(ls_augmenter *a, float threshold);
void ls__colour_autocontrast(ls_augmenter *a);
void ls__colour_equalize(ls_augmenter *a);

/* image_trivial.c: change 0 to 13 with value 0 to LS_TRIVIAL_LAST of its strength. */
enum { LS_TRIVIAL_CHANGES = 14, LS_TRIVIAL_LAST = 30 };
void ls__augment_trivial(ls_augmenter *a, int change, int value, bool negative);

/* ---- mixing (image_mix.c) ---------------------------------------------------------------------------------------- */

/* How the images of a global batch are mixed. */
typedef struct ls_mix {
    bool  cut;                      /* a rectangle of the partner replaces that of the image; false: both are added  */
    int   top, left, bottom, right; /* the rectangle, pixels; bottom and right are not part of it                     */
    float share;                    /* of the partner                                                                */
} ls_mix;
static inline bool ls__augment_mixes(const ls_augment *a) { return a->mixup > 0 || a->cutmix > 0; }
ls_mix ls__mix_draw(const ls_augment *a, int height, int width, uint64_t seed, int64_t epoch, int64_t batch_first);
/* Mixes the image `partner` into x. */
void ls__mix(const ls_mix *m, int channels, int height, int width, const float *partner, float *x);

#endif

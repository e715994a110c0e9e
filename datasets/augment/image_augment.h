/* SPDX-License-Identifier: Apache-2.0
 *
 * Random changes of training images (ls_augment in datasets.h).  Internal.
 *
 * The steps are applied in the order of the table in image_augment.c, to bytes before normalisation.  A step draws from
 * a stream of random numbers of its own, which is a function of (seed, step, epoch, sample).  So the result does not
 * depend on ranks, threads, batches, or on other steps.
 */
#ifndef LS_DATASETS_IMAGE_IMAGE_AUGMENT_H
#define LS_DATASETS_IMAGE_IMAGE_AUGMENT_H

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

#endif

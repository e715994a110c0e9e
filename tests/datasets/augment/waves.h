/* SPDX-License-Identifier: Apache-2.0
 * A dataset of small images for tests of augmentation; the label is the index of the sample. */
#ifndef LS_TESTS_DATASETS_AUGMENT_WAVES_H
#define LS_TESTS_DATASETS_AUGMENT_WAVES_H

#include "core/base/arena.h"
#include "datasets/files/dataset.h"
#include "tests/unit.h"

enum { CHANNELS = 3, HEIGHT = 5, WIDTH = 7, PIXELS = CHANNELS * HEIGHT * WIDTH, COUNT = 300, EPOCHS = 3 };

static inline uint8_t pixel_of(int64_t sample, int p)
{
    return (uint8_t)(1 + (sample * 131 + p * p * 7 + p * 29) % 255);
}

static inline ls_status read_waves(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    (void)d;
    for (int p = 0; p < PIXELS; p++) pixels[p] = pixel_of(i, p);
    *label = (int32_t)i;
    return LS_OK;
}

static inline void close_waves(ls_dataset *d) { free(d); }

/* A pixel becomes byte / 255. */
static inline ls_dataset *waves(const ls_augment *augment)
{
    ls_dataset *d = calloc(1, sizeof *d);
    assert_ok(ls_arena_new(&d->arena, "waves"));
    d->info  = (ls_dataset_info){.split    = "train",
                                 .path     = "waves",
                                 .count    = COUNT,
                                 .channels = CHANNELS,
                                 .height   = HEIGHT,
                                 .width    = WIDTH,
                                 .classes  = COUNT,
                                 .std      = {1, 1, 1}};
    d->read  = read_waves;
    d->close = close_waves;
    if (augment) assert_ok(ls_dataset_augment(d, augment));
    return d;
}

/* Calls `each` for every row of EPOCHS epochs, on all ranks one after the other. */
static inline void walk_waves(const ls_augment *augment, ls_loader_options                                      o,
                              void (*each)(const ls_batch *b, int64_t row, int64_t epoch, void *context), void *context)
{
    ls_dataset *d = waves(augment);
    ls_batch    b;
    o.size   = sizeof o;
    o.epochs = EPOCHS;
    for (o.rank = 0; o.rank < o.ranks; o.rank++) {
        ls_loader *l;
        assert_ok(ls__loader_new(&l, d, &o));
        while (ls_loader_next(l, &b))
            for (int64_t row = 0; row < b.rows; row++) each(&b, row, ls_loader_position(l).epoch, context);
        assert_ok(ls_loader_status(l));
        ls_loader_free(l);
    }
    ls_dataset_free(d);
}

#endif

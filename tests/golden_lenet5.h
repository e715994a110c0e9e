/* SPDX-License-Identifier: Apache-2.0
 *
 * LeNet-5 with the weights and batches of tests/golden/make_lenet5.py, which are numbers by formula. */
#ifndef LS_TESTS_GOLDEN_LENET5_H
#define LS_TESTS_GOLDEN_LENET5_H

#include "tests/golden.h"

enum { GOLDEN_BATCH = 16, GOLDEN_PIXELS = 28 * 28 };

typedef struct golden_batch {
    float   image[GOLDEN_BATCH * GOLDEN_PIXELS];
    int32_t label[GOLDEN_BATCH];
} golden_batch;

static inline void golden_batch_fill(golden_batch *b, int k)
{
    char name[24];
    snprintf(name, sizeof name, "image%d", k);
    golden_fill(name, GOLDEN_BATCH * GOLDEN_PIXELS, 2, b->image);
    snprintf(name, sizeof name, "label%d", k);
    golden_labels(name, GOLDEN_BATCH, 10, b->label);
}

/* The samples of one rank as a batch. */
static inline ls_batch golden_share(const golden_batch *b, int64_t first, int64_t rows)
{
    return (ls_batch){.inputs      = 2,
                      .name        = {"image", "label"},
                      .data        = {b->image + first * GOLDEN_PIXELS, b->label + first},
                      .rows        = rows,
                      .first       = first,
                      .global_rows = GOLDEN_BATCH};
}

#endif

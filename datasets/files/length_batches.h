/* SPDX-License-Identifier: Apache-2.0
 * Batches of samples of similar lengths (datasets/files/length_batches.c).  Internal. */
#ifndef LS_DATASETS_FILES_LENGTH_BATCHES_H
#define LS_DATASETS_FILES_LENGTH_BATCHES_H

#include "datasets/files/dataset.h"

enum { LS_WIDTH_STEP = 4 }; /* widths of batches are multiples of it */

/* A sample and its lengths, tokens. */
typedef struct ls_length_item {
    int32_t first, second; /* the order of a pool: by first, then by second */
    int64_t index;
} ls_length_item;

/* Sets the lengths of the sample item->index. */
typedef void (*ls_lengths_of)(const ls_dataset *d, ls_length_item *item);

/* The pool that holds the current batch; starts with count 0. */
typedef struct ls_length_pool {
    int64_t        epoch, first; /* the pool begins at this position of the epoch */
    int64_t        count;
    ls_length_item item[];
} ls_length_pool;

/* Bytes of a pool of a split. */
size_t ls__length_pool_bytes(int64_t count, const ls_order *o);

/* Chooses the samples of the global batch at `first`: sample[r] is the sample of row r. */
void ls__length_batch(const ls_dataset *d, ls_lengths_of lengths, ls_length_pool *pool, const ls_order *o,
                      const ls_place *first, int64_t *sample);

#endif

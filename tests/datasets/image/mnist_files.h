/* SPDX-License-Identifier: Apache-2.0
 * Tiny idx files for tests: four of them in a folder, gzip or not. */
#ifndef TESTS_DATASETS_IDX_FILES_H
#define TESTS_DATASETS_IDX_FILES_H

#include <zlib.h>

#include "tests/datasets/dataset_files_for_tests.h"

enum { IDX_SIDE = 3, IDX_TRAIN = 12, IDX_TEST = 5, IDX_BYTES = 256, IDX_FILES = 4 };

static const char *const idx_names[IDX_FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                                 "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

static inline uint8_t idx_pixel(int64_t sample, int p) { return (uint8_t)(sample * 50 + p * 7); }
static inline int     idx_label(int64_t sample) { return (int)(sample * 7 % 10); }

/* Makes the bytes of file k; returns their number. */
static inline size_t idx_make(int k, uint8_t data[IDX_BYTES])
{
    int    n = k < 2 ? IDX_TRAIN : IDX_TEST, images = k % 2 == 0;
    size_t at = 0;
    memset(data, 0, 16);
    data[2] = 8;
    data[3] = images ? 3 : 1;
    data[7] = (uint8_t)n;
    at      = 8;
    if (images) data[11] = data[15] = IDX_SIDE, at = 16;
    for (int i = 0; i < n; i++)
        if (images)
            for (int p = 0; p < IDX_SIDE * IDX_SIDE; p++) data[at++] = idx_pixel(i, p);
        else
            data[at++] = (uint8_t)idx_label(i);
    return at;
}

/* Writes file k into the folder, with or without gzip, and removes the other form. */
static inline void idx_put(const char *folder, int k, const void *data, size_t bytes, int packed)
{
    char plain[FILES_PATH + 64], gz[FILES_PATH + 64];
    snprintf(plain, sizeof plain, "%s/%s", folder, idx_names[k]);
    snprintf(gz, sizeof gz, "%s/%s.gz", folder, idx_names[k]);
    unlink(plain);
    unlink(gz);
    if (!packed) {
        file_write(plain, data, bytes);
        return;
    }
    gzFile f = gzopen(gz, "wb");
    if (!f || (bytes && gzwrite(f, data, (unsigned)bytes) != (int)bytes) || gzclose(f)) abort();
}

static inline void idx_put_all(const char *folder, int packed)
{
    for (int k = 0; k < IDX_FILES; k++) {
        uint8_t data[IDX_BYTES];
        size_t  bytes = idx_make(k, data);
        idx_put(folder, k, data, bytes, packed);
    }
}

#endif

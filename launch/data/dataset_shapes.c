/* SPDX-License-Identifier: Apache-2.0
 * A stand-in dataset with given shapes and pseudorandom values, for `explain` and `bench` without the data. */
#include "launch/data/dataset_shapes.h"

#include <stdlib.h>

#include "datasets/files/dataset.h"

enum { SAMPLES = 1 << 20 };

/* Returns a pseudorandom value below `n`, a function of the position alone (the finaliser of MurmurHash3). */
static uint32_t value_at(int64_t position, uint32_t n)
{
    uint64_t h = (uint64_t)position;
    h          = (h ^ h >> 33) * 0xff51afd7ed558ccdull;
    h          = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ull;
    return (uint32_t)((h ^ h >> 33) % n);
}

static ls_status read_image(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    const int64_t bytes = ls__sample_bytes(&d->info);
    for (int64_t k = 0; pixels && k < bytes; k++) pixels[k] = (uint8_t)value_at(i * bytes + k, 256);
    *label = (int32_t)value_at(i, (uint32_t)d->info.classes);
    return LS_OK;
}

static ls_status read_tokens(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens)
{
    for (int64_t k = 0; k < n; k++) tokens[k] = (int32_t)value_at(first + k, (uint32_t)d->info.classes);
    return LS_OK;
}

static void close_shapes(ls_dataset *d) { free(d); }

ls_status ls_data_shapes(ls_dataset **dataset, const ls_dataset_info *info)
{
    ls_dataset *d = calloc(1, sizeof *d);
    *dataset      = NULL;
    LS_CHECK(d, LS_ERR_ENV, "%s: no memory for a dataset", info->path);
    d->info          = *info;
    d->read          = read_image;
    d->tokens        = read_tokens;
    d->close         = close_shapes;
    ls_status status = ls_arena_new(&d->arena, "dataset shapes");
    if (status != LS_OK) {
        free(d);
        return status;
    }
    d->info.count       = SAMPLES;
    d->info.class_names = ls__class_names(d->arena, info->classes);
    for (int c = 0; c < 4; c++) d->info.std[c] = 1;
    d->info.tokens = info->context * SAMPLES;
    *dataset       = d;
    return info->context ? ls_dataset_window(d, info->context) : LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures as rows of a batch: "image", float32 C x H x W, and "label", int32.
 *
 * Pixels stay bytes until a batch is built: (byte / 255 - mean) / std comes from a table of 256 values per channel,
 * which gives the bits of that formula (torchvision's ToTensor, then Normalize) without computing it for every pixel.
 */
#include "datasets/files/dataset.h"

enum { IMAGE, LABEL, CHANNELS = 4 };

typedef struct table {
    float value[CHANNELS][256];
} table;

static size_t row_bytes(const ls_dataset_info *info, int column)
{
    return column == IMAGE ? (size_t)ls__sample_bytes(info) * sizeof(float) : sizeof(int32_t);
}

static size_t own_bytes(const ls_dataset_info *info)
{
    (void)info;
    return sizeof(table);
}

static void prepare(void *own, const ls_dataset_info *info)
{
    table *t = own;
    for (int c = 0; c < info->channels; c++)
        for (int v = 0; v < 256; v++) t->value[c][v] = ((float)v / 255.0f - info->mean[c]) / info->std[c];
}

static ls_status row(ls_dataset *d, void *own, const ls_order *o, int64_t epoch, int64_t at, void *const *row)
{
    const ls_dataset_info *info  = &d->info;
    const table           *t     = own;
    int64_t                plane = (int64_t)info->height * info->width, all = plane * info->channels;
    int64_t                i = o->in_order ? at : ls_sample_at(o->seed, epoch, info->count, at);
    /* The bytes go to the end of the row's floats: float i of N ends before byte i + 1 of N, which is 3 N + i + 1 bytes
     * into the row. */
    float   *y      = row[IMAGE];
    uint8_t *pixels = (uint8_t *)row[IMAGE] + 3 * all;
    LS_TRY(d->read(d, i, pixels, row[LABEL]));
    for (int c = 0; c < info->channels; c++)
        for (int64_t p = 0; p < plane; p++) *y++ = t->value[c][*pixels++];
    return LS_OK;
}

const ls_kind ls__kind_images = {
    .name      = "images",
    .column    = {[IMAGE] = "image", [LABEL] = "label"},
    .row_bytes = row_bytes,
    .own_bytes = own_bytes,
    .prepare   = prepare,
    .row       = row,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Images as rows of a batch: the columns "image", float32 C x H x W, and "label", int32.
 *
 * A pixel becomes (byte / 255 - mean) / std, as in torchvision's ToTensor and Normalize.  A table of 256 values per
 * channel holds the results of this formula, so that it is not computed for each pixel.
 */
#include "datasets/files/dataset.h"

enum { IMAGE, LABEL, COLUMNS, CHANNELS = 4 };

typedef struct table {
    float value[CHANNELS][256];
} table;

static int columns(const ls_dataset_info *info, ls_column *column)
{
    column[IMAGE] = (ls_column){.name = "image",
                                .type = LS_F32,
                                .role = LS_COLUMN_INPUT,
                                .rank = 3,
                                .dim  = {info->channels, info->height, info->width}};
    column[LABEL] = (ls_column){.name = "label", .type = LS_I32, .role = LS_COLUMN_TARGET};
    return COLUMNS;
}

static size_t workspace_bytes(const ls_dataset_info *info)
{
    (void)info;
    return sizeof(table);
}

static void prepare(void *workspace, const ls_dataset_info *info)
{
    table *t = workspace;
    for (int c = 0; c < info->channels; c++)
        for (int v = 0; v < 256; v++) t->value[c][v] = ((float)v / 255.0f - info->mean[c]) / info->std[c];
}

static ls_status row(ls_dataset *d, void *workspace, const ls_order *o, int64_t epoch, int64_t at, void *const *row)
{
    const ls_dataset_info *info  = &d->info;
    const table           *t     = workspace;
    int64_t                plane = (int64_t)info->height * info->width, all = plane * info->channels;
    int64_t                i = o->in_order ? at : ls_sample_at(o->seed, epoch, info->count, at);
    /* Read the N bytes into the last N bytes of the row of N floats.  Converting in place is safe: float i ends at byte
     * 4 i + 4, and pixel i + 1 is at byte 3 N + i + 1. */
    float   *y      = row[IMAGE];
    uint8_t *pixels = (uint8_t *)row[IMAGE] + 3 * all;
    LS_TRY(d->read(d, i, pixels, row[LABEL]));
    for (int c = 0; c < info->channels; c++)
        for (int64_t p = 0; p < plane; p++) *y++ = t->value[c][*pixels++];
    return LS_OK;
}

const ls_kind ls__kind_images = {
    .name            = "images",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .prepare         = prepare,
    .row             = row,
};

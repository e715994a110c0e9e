/* SPDX-License-Identifier: Apache-2.0
 *
 * Images as rows of a batch: the columns "image", float32 C x H x W, and "label", int32.
 *
 * A pixel becomes (byte / 255 - mean) / std, as in torchvision's ToTensor and Normalize.  A table of 256 values per
 * channel holds the results of this formula, so that it is not computed for each pixel.
 */
#include "datasets/image/image_augment.h"

enum { IMAGE, LABEL, COLUMNS, CHANNELS = 4 };

typedef struct workspace {
    float        table[CHANNELS][256]; /* value of each byte */
    bool         augmented;            /* images are augmented by `augmenter` */
    ls_augmenter augmenter;
    uint8_t      images[]; /* two images, if augmented */
} workspace;

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
    return sizeof(workspace) + (ls__augment_bytes(&info->augment) ? 2 * (size_t)ls__sample_bytes(info) : 0);
}

static void prepare(void *memory, const ls_dataset_info *info, const ls_order *o)
{
    workspace *w = memory;
    for (int c = 0; c < info->channels; c++)
        for (int v = 0; v < 256; v++) w->table[c][v] = ((float)v / 255.0f - info->mean[c]) / info->std[c];
    w->augmented = !o->in_order && ls__augment_bytes(&info->augment);
    if (w->augmented) ls__augmenter_init(&w->augmenter, info, o->seed, w->images);
}

static ls_status row(ls_dataset *d, void *memory, const ls_order *o, const ls_place *p, void *const *row)
{
    const ls_dataset_info *info  = &d->info;
    workspace             *w     = memory;
    int64_t                plane = (int64_t)info->height * info->width, all = plane * info->channels;
    int64_t                i = o->in_order ? p->at : ls_sample_at(o->seed, p->epoch, info->count, p->at);
    /* Without augmentation, read the N bytes into the last N bytes of the row of N floats.  Converting in place is
     * safe: float i ends at byte 4 i + 4, and pixel i + 1 is at byte 3 N + i + 1. */
    float         *y      = row[IMAGE];
    uint8_t       *bytes  = w->augmented ? w->augmenter.pixels : (uint8_t *)row[IMAGE] + 3 * all;
    const uint8_t *pixels = bytes;
    LS_TRY(d->read(d, i, bytes, row[LABEL]));
    if (w->augmented) {
        LS_TRY(ls__augment(&w->augmenter, p->epoch, i));
        pixels = w->augmenter.pixels;
    }
    for (int c = 0; c < info->channels; c++)
        for (int64_t k = 0; k < plane; k++) *y++ = w->table[c][*pixels++];
    return LS_OK;
}

const ls_kind ls__kind_images = {
    .name            = "images",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .prepare         = prepare,
    .row             = row,
};

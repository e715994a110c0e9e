/* SPDX-License-Identifier: Apache-2.0
 *
 * Images as rows of a batch: the columns "image", float32 C x H x W, and "label", int32; with mixup or cutmix also
 * "partner", int32, and "partner_share", float32.
 *
 * A pixel becomes (byte / 255 - mean) / std, as in torchvision's ToTensor and Normalize.  A table of 256 values per
 * channel holds the results of this formula, so that it is not computed for each pixel.
 *
 * The partner of a sample is the sample before it in the global batch.  A thread makes consecutive rows, so that the
 * image of the partner is the one made last, except for the first row of its piece of a batch.
 */
#include <string.h>

#include "datasets/augment/image_augment.h"

enum { IMAGE, LABEL, PLAIN_COLUMNS, PARTNER = PLAIN_COLUMNS, PARTNER_SHARE, MIXED_COLUMNS, CHANNELS = 4 };

/* An image before mixing. */
typedef struct unmixed {
    int64_t epoch, at; /* position of the sample in its epoch; at -1: none */
    int32_t label;
    float  *image;
} unmixed;

typedef struct workspace {
    float        table[CHANNELS][256];     /* value of each byte      */
    bool         augmented, erased, mixed; /* changes that this loader makes */
    ls_augmenter augmenter;
    ls_mix       mix; /* of the global batch that begins at mix_first in mix_epoch */
    int64_t      mix_epoch, mix_first;
    unmixed      last;     /* the image made last                         */
    float       *spare;    /* an image, for the next `last`               */
    float        memory[]; /* two images of floats, two images of bytes */
} workspace;

static int columns(const ls_dataset_info *info, ls_column *column)
{
    column[IMAGE] = (ls_column){.name = "image",
                                .type = LS_F32,
                                .role = LS_COLUMN_INPUT,
                                .rank = 3,
                                .dim  = {info->channels, info->height, info->width}};
    column[LABEL] = (ls_column){.name = "label", .type = LS_I32, .role = LS_COLUMN_TARGET};
    if (!ls__augment_mixes(&info->augment)) return PLAIN_COLUMNS;
    column[PARTNER]       = (ls_column){.name = "partner", .type = LS_I32, .role = LS_COLUMN_TARGET};
    column[PARTNER_SHARE] = (ls_column){.name = "partner_share", .type = LS_F32, .role = LS_COLUMN_TARGET};
    return MIXED_COLUMNS;
}

static size_t workspace_bytes(const ls_dataset_info *info)
{
    const size_t image  = (size_t)ls__sample_bytes(info);
    const size_t floats = ls__augment_mixes(&info->augment) ? 2 * image * sizeof(float) : 0;
    return sizeof(workspace) + floats + (ls__augment_bytes(&info->augment) ? 2 * image : 0);
}

static void prepare(void *memory, const ls_dataset_info *info, const ls_order *o)
{
    workspace        *w     = memory;
    const ls_augment *a     = &info->augment;
    const int64_t     image = ls__sample_bytes(info);
    for (int c = 0; c < info->channels; c++)
        for (int v = 0; v < 256; v++) w->table[c][v] = ((float)v / 255.0f - info->mean[c]) / info->std[c];
    w->augmented = !o->in_order && ls__augment_bytes(a);
    w->erased    = !o->in_order && a->erase > 0;
    w->mixed     = !o->in_order && ls__augment_mixes(a);
    w->last      = (unmixed){.at = -1, .image = w->memory};
    w->spare     = w->memory + image;
    w->mix_first = -1;
    if (w->augmented)
        ls__augmenter_init(&w->augmenter, info, o->seed, (uint8_t *)(w->memory + (w->mixed ? 2 * image : 0)));
}

/* Writes the image and the label of the sample at position `at` of an epoch, without mixing. */
static ls_status make(ls_dataset *d, workspace *w, const ls_order *o, int64_t epoch, int64_t at, float *image,
                      int32_t *label)
{
    const ls_dataset_info *info  = &d->info;
    int64_t                plane = (int64_t)info->height * info->width, all = plane * info->channels;
    int64_t                i = o->in_order ? at : ls_sample_at(o->seed, epoch, info->count, at);
    /* Without augmentation, read the N bytes into the last N bytes of the row of N floats.  Converting in place is
     * safe: float i ends at byte 4 i + 4, and pixel i + 1 is at byte 3 N + i + 1. */
    float         *y      = image;
    uint8_t       *bytes  = w->augmented ? w->augmenter.pixels : (uint8_t *)image + 3 * all;
    const uint8_t *pixels = bytes;
    LS_TRY(d->read(d, i, bytes, label));
    if (w->augmented) {
        LS_TRY(ls__augment(&w->augmenter, epoch, i));
        pixels = w->augmenter.pixels;
    }
    for (int c = 0; c < info->channels; c++)
        for (int64_t k = 0; k < plane; k++) *y++ = w->table[c][*pixels++];
    if (w->erased)
        ls__augment_erase(&info->augment, o->seed, epoch, i, info->channels, info->height, info->width, image);
    return LS_OK;
}

static ls_status make_mixed(ls_dataset *d, workspace *w, const ls_order *o, const ls_place *p, void *const *row)
{
    const ls_dataset_info *info    = &d->info;
    const int64_t          partner = (p->at > p->batch_first ? p->at : p->batch_first + p->batch_rows) - 1;
    unmixed               *last    = &w->last;
    float                 *image   = row[IMAGE];
    if (w->mix_first != p->batch_first || w->mix_epoch != p->epoch) {
        w->mix       = ls__mix_draw(&info->augment, info->height, info->width, o->seed, p->epoch, p->batch_first);
        w->mix_epoch = p->epoch;
        w->mix_first = p->batch_first;
    }
    if (last->epoch != p->epoch || last->at != partner)
        LS_TRY(make(d, w, o, p->epoch, partner, last->image, &last->label));
    LS_TRY(make(d, w, o, p->epoch, p->at, image, row[LABEL]));
    *(int32_t *)row[PARTNER]     = last->label;
    *(float *)row[PARTNER_SHARE] = w->mix.share;
    memcpy(w->spare, image, (size_t)ls__sample_bytes(info) * sizeof *image);
    ls__mix(&w->mix, info->channels, info->height, info->width, last->image, image);

    float *unused = last->image;
    *last         = (unmixed){p->epoch, p->at, *(int32_t *)row[LABEL], w->spare};
    w->spare      = unused;
    return LS_OK;
}

static ls_status row(ls_dataset *d, void *memory, const ls_order *o, const ls_place *p, void *const *row)
{
    workspace *w = memory;
    if (w->mixed) return make_mixed(d, w, o, p, row);
    LS_TRY(make(d, w, o, p->epoch, p->at, row[IMAGE], row[LABEL]));
    if (!ls__augment_mixes(&d->info.augment)) return LS_OK;
    *(int32_t *)row[PARTNER]     = *(int32_t *)row[LABEL];
    *(float *)row[PARTNER_SHARE] = 0;
    return LS_OK;
}

const ls_kind ls__kind_images = {
    .name            = "images",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .prepare         = prepare,
    .row             = row,
};

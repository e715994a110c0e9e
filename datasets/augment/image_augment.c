/* SPDX-License-Identifier: Apache-2.0
 * Augmentation of training images: the order of the steps, crops and flips. */
#include "datasets/image/image_augment.h"

#include <stdio.h>
#include <string.h>

static void swap(ls_augmenter *a)
{
    uint8_t *pixels = a->pixels;
    a->pixels       = a->other;
    a->other        = pixels;
}

/* ---- crop -------------------------------------------------------------------------------------------------------- */

/* Index of the pixel that position i of a padded side of n pixels shows; -1: none. */
static int source(int i, int n, ls_crop_mode mode)
{
    if (i >= 0 && i < n) return i;
    if (mode == LS_CROP_ZEROS) return -1;
    return i < 0 ? -i : 2 * (n - 1) - i;
}

/* Cuts `width` pixels from position `left` on out of a padded row. */
static void crop_row(const uint8_t *x, int left, int width, ls_crop_mode mode, uint8_t *y)
{
    const int first = left < 0 ? -left : 0, end = left > 0 ? width - left : width; /* positions in the image */
    memcpy(y + first, x + first + left, (size_t)(end - first));
    for (int i = first ? 0 : end; i < (first ? first : width); i++) {
        int from = source(i + left, width, mode);
        y[i]     = from < 0 ? 0 : x[from];
    }
}

/* torchvision's RandomCrop(size, padding=crop, padding_mode="constant" or "reflect"). */
static ls_status crop(ls_augmenter *a, ls_draws *d)
{
    const int          padding = a->options->crop, top = ls__draw_below(d, 2 * padding + 1) - padding;
    const int          left = ls__draw_below(d, 2 * padding + 1) - padding;
    const ls_crop_mode mode = a->options->crop_mode;
    const size_t       row  = (size_t)a->width;
    for (int c = 0; c < a->channels; c++) {
        const uint8_t *x = a->pixels + (size_t)c * (size_t)a->height * row;
        uint8_t       *y = a->other + (size_t)c * (size_t)a->height * row;
        for (int i = 0; i < a->height; i++, y += row) {
            int from = source(i + top, a->height, mode);
            if (from < 0)
                memset(y, 0, row);
            else
                crop_row(x + (size_t)from * row, left, a->width, mode, y);
        }
    }
    swap(a);
    return LS_OK;
}

/* ---- flips ------------------------------------------------------------------------------------------------------- */

static ls_status flip(ls_augmenter *a, ls_draws *d)
{
    if (!ls__draw_bit(d)) return LS_OK;
    uint8_t *x = a->pixels;
    for (int r = 0; r < a->channels * a->height; r++, x += a->width)
        for (int i = 0, j = a->width - 1; i < j; i++, j--) {
            uint8_t pixel = x[i];
            x[i]          = x[j];
            x[j]          = pixel;
        }
    return LS_OK;
}

static ls_status vertical_flip(ls_augmenter *a, ls_draws *d)
{
    if (!ls__draw_bit(d)) return LS_OK;
    const size_t row = (size_t)a->width;
    for (int c = 0; c < a->channels; c++)
        for (int i = 0; i < a->height; i++)
            memcpy(a->other + (size_t)(c * a->height + i) * row,
                   a->pixels + (size_t)(c * a->height + a->height - 1 - i) * row, row);
    swap(a);
    return LS_OK;
}

/* ---- the order --------------------------------------------------------------------------------------------------- */

static bool has_crop(const ls_augment *a) { return a->crop > 0; }
static bool has_flip(const ls_augment *a) { return a->flip; }
static bool has_vertical_flip(const ls_augment *a) { return a->vertical_flip; }

static const struct {
    const char *name; /* part of the key of the random numbers */
    bool (*on)(const ls_augment *a);
    ls_status (*apply)(ls_augmenter *a, ls_draws *d);
} steps[] = {
    {"crop", has_crop, crop},
    {"flip", has_flip, flip},
    {"vertical_flip", has_vertical_flip, vertical_flip},
};
enum { STEPS = sizeof steps / sizeof *steps };

bool ls__augment_bytes(const ls_augment *a)
{
    bool any = false;
    for (int i = 0; i < STEPS; i++) any |= steps[i].on(a);
    return any;
}

void ls__augmenter_init(ls_augmenter *a, const ls_dataset_info *info, uint64_t seed, uint8_t *memory)
{
    *a = (ls_augmenter){.options  = &info->augment,
                        .channels = info->channels,
                        .height   = info->height,
                        .width    = info->width,
                        .pixels   = memory,
                        .other    = memory + ls__sample_bytes(info)};
    for (int i = 0; i < STEPS; i++) {
        char text[64];
        snprintf(text, sizeof text, "augment.%s", steps[i].name);
        a->key[i] = ls_key(seed, text);
    }
}

ls_status ls__augment(ls_augmenter *a, int64_t epoch, int64_t sample)
{
    for (int i = 0; i < STEPS; i++) {
        ls_draws draws = {.key = a->key[i], .epoch = epoch, .sample = sample};
        if (steps[i].on(a->options)) LS_TRY(steps[i].apply(a, &draws));
    }
    return LS_OK;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

ls_status ls_dataset_augment(ls_dataset *d, const ls_augment *a)
{
    const ls_dataset_info *info = &d->info;
    const int              side = info->height < info->width ? info->height : info->width;
    LS_CHECK(info->kind == LS_DATA_IMAGES, LS_ERR_USAGE, "%s: augmentation: expected a dataset of images", info->path);
    LS_CHECK(a->crop >= 0 && a->crop < side, LS_ERR_USAGE,
             "augment.crop: expected less than %d, because the images of %s are %d x %d, found %d" LS_HINT
             "crop is the padding of each side: 4 for images of 32 x 32",
             side, info->path, info->height, info->width, a->crop);
    d->info.augment = *a;
    return LS_OK;
}

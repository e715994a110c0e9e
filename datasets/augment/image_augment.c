/* SPDX-License-Identifier: Apache-2.0
 * Augmentation of training images: the order of the steps, their random parameters, crops and flips. */
#include "datasets/augment/image_augment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/image/image_decode.h"

/* ---- rectangles of random area and shape ------------------------------------------------------------------------- */

typedef struct box {
    int top, left, height, width;
} box;

/* Draws a rectangle inside of height x width with area in [area[0], area[1]] of the image's and width / height in
 * [ratio[0], ratio[1]], both sides at least `less` pixels shorter than the image's.  False: none of ten fits. */
static bool draw_box(ls_draws *d, int height, int width, const double area[2], const double ratio[2], int less, box *b)
{
    for (int attempt = 0; attempt < 10; attempt++) {
        const double pixels = (double)height * width * ls__draw_between(d, area[0], area[1]);
        const double shape  = exp(ls__draw_between(d, log(ratio[0]), log(ratio[1])));
        *b = (box){.height = (int)lround(sqrt(pixels / shape)), .width = (int)lround(sqrt(pixels * shape))};
        if (b->height < 1 || b->width < 1 || b->height > height - less || b->width > width - less) continue;
        b->top  = ls__draw_below(d, height - b->height + 1);
        b->left = ls__draw_below(d, width - b->width + 1);
        return true;
    }
    return false;
}

/* ---- resized crop ------------------------------------------------------------------------------------------------ */

ls_status ls__augment_resized_crop(ls_augmenter *a, int top, int left, int height, int width)
{
    const size_t plane = (size_t)a->height * (size_t)a->width;
    for (int c = 0; c < a->channels; c++) {
        ls_pixels p = {0};
        LS_TRY(ls__pixels_new("augment.resized_crop", &p, width, height, 1));
        for (int i = 0; i < height; i++)
            memcpy(p.data + (size_t)i * (size_t)width,
                   a->pixels + (size_t)c * plane + (size_t)(top + i) * (size_t)a->width + left, (size_t)width);
        ls_status status = ls__image_resize("augment.resized_crop", &p, a->height, a->width, LS_BILINEAR);
        if (status == LS_OK) memcpy(a->other + (size_t)c * plane, p.data, plane);
        free(p.data);
        LS_TRY(status);
    }
    ls__augment_swap(a);
    return LS_OK;
}

/* torchvision's RandomResizedCrop.  Where no box fits: the largest box in the middle with an allowed ratio. */
static ls_status resized_crop(ls_augmenter *a, ls_draws *d)
{
    static const double ratio[2] = {3.0 / 4, 4.0 / 3};
    const double        area[2]  = {(double)a->options->resized_crop[0], (double)a->options->resized_crop[1]};
    box                 b;
    if (!draw_box(d, a->height, a->width, area, ratio, 0, &b)) {
        const double shape = (double)a->width / a->height;
        b.width            = shape > ratio[1] ? (int)lround(a->height * ratio[1]) : a->width;
        b.height           = shape < ratio[0] ? (int)lround(a->width / ratio[0]) : a->height;
        b.top              = (a->height - b.height) / 2;
        b.left             = (a->width - b.width) / 2;
    }
    return ls__augment_resized_crop(a, b.top, b.left, b.height, b.width);
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
    ls__augment_swap(a);
    return LS_OK;
}

/* ---- rotation and shift ------------------------------------------------------------------------------------------ */

/* torchvision's RandomAffine(rotate, translate=(shift, shift), interpolation=BILINEAR). */
static ls_status turn(ls_augmenter *a, ls_draws *d)
{
    const double most = (double)a->options->shift, degrees = (double)a->options->rotate;
    const double angle = ls__draw_between(d, -degrees, degrees);
    const int    x     = (int)lround(ls__draw_between(d, -most, most) * a->width);
    const int    y     = (int)lround(ls__draw_between(d, -most, most) * a->height);
    ls__augment_turn(a, angle, x, y, LS_AFFINE_BILINEAR);
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
    ls__augment_swap(a);
    return LS_OK;
}

/* ---- colours ----------------------------------------------------------------------------------------------------- */

static ls_status trivial(ls_augmenter *a, ls_draws *d)
{
    const int change = ls__draw_below(d, LS_TRIVIAL_CHANGES), value = ls__draw_below(d, LS_TRIVIAL_LAST + 1);
    ls__augment_trivial(a, change, value, ls__draw_bit(d));
    return LS_OK;
}

static float factor(ls_draws *d, float most)
{
    return (float)ls__draw_between(d, most < 1 ? 1 - (double)most : 0, 1 + (double)most);
}

/* torchvision's ColorJitter: brightness, contrast, saturation and hue in random order. */
static ls_status jitter(ls_augmenter *a, ls_draws *d)
{
    const ls_augment *o = a->options;
    const float       b = factor(d, o->brightness), c = factor(d, o->contrast), s = factor(d, o->saturation);
    const double      hue      = ls__draw_between(d, -(double)o->hue, (double)o->hue);
    int               order[4] = {0, 1, 2, 3};
    for (int i = 3; i > 0; i--) {
        const int j = ls__draw_below(d, i + 1), moved = order[i];
        order[i] = order[j];
        order[j] = moved;
    }
    for (int i = 0; i < 4; i++) {
        if (order[i] == 0 && o->brightness > 0) ls__colour_brightness(a, b);
        if (order[i] == 1 && o->contrast > 0) ls__colour_contrast(a, c);
        if (order[i] == 2 && o->saturation > 0) ls__colour_saturation(a, s);
        if (order[i] == 3 && o->hue > 0) ls__colour_hue(a, hue);
    }
    return LS_OK;
}

/* ---- erasing ----------------------------------------------------------------------------------------------------- */

void ls__augment_erase(const ls_augment *o, uint64_t seed, int64_t epoch, int64_t sample, int channels, int height,
                       int width, float *x)
{
    static const double area[2] = {0.02, 0.33}, ratio[2] = {1 / 3.3, 1 / 0.3};
    ls_draws            d = {.key = ls_key(seed, "augment.erase"), .epoch = epoch, .sample = sample};
    box                 b;
    if (ls__draw_between(&d, 0, 1) >= (double)o->erase || !draw_box(&d, height, width, area, ratio, 1, &b)) return;
    for (int c = 0; c < channels; c++)
        for (int i = b.top; i < b.top + b.height; i++)
            memset(x + ((size_t)c * (size_t)height + (size_t)i) * (size_t)width + b.left, 0,
                   (size_t)b.width * sizeof *x);
}

/* ---- the order --------------------------------------------------------------------------------------------------- */

static bool has_resized_crop(const ls_augment *a) { return a->resized_crop[1] > 0; }
static bool has_crop(const ls_augment *a) { return a->crop > 0; }
static bool has_turn(const ls_augment *a) { return a->rotate > 0 || a->shift > 0; }
static bool has_flip(const ls_augment *a) { return a->flip; }
static bool has_vertical_flip(const ls_augment *a) { return a->vertical_flip; }
static bool has_trivial(const ls_augment *a) { return a->trivial; }

static bool has_jitter(const ls_augment *a)
{
    return a->brightness > 0 || a->contrast > 0 || a->saturation > 0 || a->hue > 0;
}

static const struct {
    const char *name; /* part of the key of the random numbers */
    bool (*on)(const ls_augment *a);
    ls_status (*apply)(ls_augmenter *a, ls_draws *d);
} steps[] = {
    {"resized_crop", has_resized_crop, resized_crop},
    {"crop", has_crop, crop},
    {"turn", has_turn, turn},
    {"flip", has_flip, flip},
    {"vertical_flip", has_vertical_flip, vertical_flip},
    {"trivial", has_trivial, trivial},
    {"jitter", has_jitter, jitter},
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

static ls_status check_number(const char *name, float x, float most)
{
    LS_CHECK(x >= 0 && x <= most, LS_ERR_USAGE, "augment.%s: expected a number from 0 to %g, found %g", name,
             (double)most, (double)x);
    return LS_OK;
}

static ls_status check_numbers(const ls_augment *a)
{
    const struct {
        const char *name;
        float       value, most;
    } number[] = {
        {"rotate", a->rotate, 180},
        {"shift", a->shift, 1},
        {"brightness", a->brightness, 100},
        {"contrast", a->contrast, 100},
        {"saturation", a->saturation, 100},
        {"hue", a->hue, 0.5f},
        {"erase", a->erase, 1},
        {"mixup", a->mixup, 1000},
        {"cutmix", a->cutmix, 1000},
    };
    const float low = a->resized_crop[0], high = a->resized_crop[1];
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        LS_TRY(check_number(number[i].name, number[i].value, number[i].most));
    LS_CHECK((low > 0 && low <= high && high <= 1) || (low == 0 && high == 0), LS_ERR_USAGE,
             "augment.resized_crop: expected two increasing areas above 0 and at most 1, found [%g, %g]" LS_HINT
             "[0.08, 1] is usual for images of 224 x 224",
             (double)low, (double)high);
    return LS_OK;
}

/* Returns the name of an option that reads the colours of a pixel together; NULL: none is set. */
static const char *needs_colours(const ls_augment *a)
{
    return a->trivial          ? "trivial"
           : a->contrast > 0   ? "contrast"
           : a->saturation > 0 ? "saturation"
           : a->hue > 0        ? "hue"
                               : NULL;
}

ls_status ls_dataset_augment(ls_dataset *d, const ls_augment *a)
{
    const ls_dataset_info *info    = &d->info;
    const int              side    = info->height < info->width ? info->height : info->width;
    const char            *colours = needs_colours(a);
    LS_CHECK(info->kind == LS_DATA_IMAGES, LS_ERR_USAGE, "%s: augmentation: expected a dataset of images", info->path);
    LS_TRY(check_numbers(a));
    LS_CHECK(!colours || info->channels == 1 || info->channels == 3, LS_ERR_USAGE,
             "augment.%s: expected images of 1 or 3 channels, but those of %s have %d", colours, info->path,
             info->channels);
    LS_CHECK(a->crop >= 0 && a->crop < side, LS_ERR_USAGE,
             "augment.crop: expected less than %d, because the images of %s are %d x %d, found %d" LS_HINT
             "crop is the padding of each side: 4 for images of 32 x 32",
             side, info->path, info->height, info->width, a->crop);
    d->info.augment = *a;
    return LS_OK;
}

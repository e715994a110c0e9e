/* SPDX-License-Identifier: Apache-2.0
 *
 * A contact sheet of what samples become in training: a row for each sample, a column for each epoch.
 *
 * The images are rows of training batches, made by the loader's code and converted back to bytes.  A sample's position
 * in an epoch decides its batch, and so the images that mixup and CutMix combine.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datasets/files/dataset.h"
#include "launch/data/dataset_source.h"
#include "launch/report/contact_sheet.h"

enum { SAMPLES = 8, SHOWN_EPOCHS = 11 };

typedef struct augmented_view {
    ls_dataset     *d;
    ls_dataset_info info;
    ls_order        order;
    int64_t         batch;
    int             samples;
    void           *workspace; /* of the rows           */
    float          *image;     /* a row                 */
    uint8_t        *pixels;    /* the same as bytes     */
    ls_sheet        sheet;
} augmented_view;

static ls_status open_view(augmented_view *v, const ls_recipe *r)
{
    static const ls_augment none;
    LS_CHECK(memcmp(&r->data.augment, &none, sizeof none) != 0, LS_ERR_USAGE,
             "%s: data.augment: expected at least one option, found none" LS_HINT
             "data.augment.flip=true on the command line tries one",
             r->name);
    LS_TRY(ls_data_open(&v->d, r, false));
    v->info = ls_dataset_info_of(v->d);
    LS_CHECK(v->info.kind == LS_DATA_IMAGES, LS_ERR_USAGE, "%s: --augment: expected a dataset of images", v->info.path);
    const ls_kind *kind  = ls__kind_of(v->d);
    const size_t   bytes = (size_t)ls__sample_bytes(&v->info);
    v->order             = (ls_order){.seed = (uint64_t)r->train.seed};
    v->batch             = r->train.batch;
    v->samples           = v->info.count < SAMPLES ? (int)v->info.count : SAMPLES;
    v->workspace         = malloc(kind->workspace_bytes(&v->d->info));
    v->image             = malloc(bytes * sizeof *v->image);
    v->pixels            = malloc(bytes);
    LS_CHECK(v->workspace && v->image && v->pixels, LS_ERR_ENV, "%s: no memory for a sample", v->info.path);
    kind->prepare(v->workspace, &v->d->info, &v->order);
    return ls_sheet_open(&v->sheet, &v->info, v->samples, SHOWN_EPOCHS + 1);
}

static void close_view(augmented_view *v)
{
    ls_sheet_close(&v->sheet);
    ls_dataset_free(v->d);
    free(v->workspace);
    free(v->image);
    free(v->pixels);
}

/* The samples of the sheet are evenly spaced, because a dataset may be sorted by class. */
static int64_t sample_of(const augmented_view *v, int line) { return line * v->info.count / v->samples; }

static ls_status draw_originals(augmented_view *v)
{
    for (int i = 0; i < v->samples; i++) {
        int32_t label;
        LS_TRY(ls_dataset_read(v->d, sample_of(v, i), v->pixels, &label));
        ls_sheet_draw(&v->sheet, i, 0, v->pixels, v->info.class_names[label]);
    }
    return LS_OK;
}

static void to_bytes(augmented_view *v)
{
    const int64_t plane = (int64_t)v->info.height * v->info.width;
    for (int64_t i = 0; i < plane * v->info.channels; i++) {
        const float mean = v->info.mean[i / plane], std = v->info.std[i / plane];
        const float x = roundf((v->image[i] * std + mean) * 255);
        v->pixels[i]  = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
    }
}

/* Draws the image at position `at` of an epoch. */
static ls_status draw_image(augmented_view *v, int64_t epoch, int64_t at, int line, int column)
{
    int32_t        label, partner;
    float          share = 0;
    char           text[64];
    const int64_t  first = at / v->batch * v->batch, left = v->info.count - first;
    const ls_place place = {
        .epoch = epoch, .at = at, .batch_first = first, .batch_rows = left < v->batch ? left : v->batch};
    void *const row[] = {v->image, &label, &partner, &share};
    LS_TRY(ls__kind_of(v->d)->row(v->d, v->workspace, &v->order, &place, row));
    to_bytes(v);
    if (share > 0)
        snprintf(text, sizeof text, "%lld %.2f", (long long)epoch, (double)share);
    else
        snprintf(text, sizeof text, "%lld", (long long)epoch);
    ls_sheet_draw(&v->sheet, line, column, v->pixels, text);
    return LS_OK;
}

static ls_status draw_epoch(augmented_view *v, int64_t epoch, int column)
{
    for (int64_t at = 0; at < v->info.count; at++) {
        const int64_t sample = ls_sample_at(v->order.seed, epoch, v->info.count, at);
        int           line   = 0;
        while (line < v->samples && sample_of(v, line) != sample) line++;
        if (line < v->samples) LS_TRY(draw_image(v, epoch, at, line, column));
    }
    return LS_OK;
}

static ls_status draw_view(augmented_view *v, const ls_recipe *r, int64_t epoch, const char *png)
{
    char        beside[LS_DATA_PATH + 32];
    struct stat st;
    LS_TRY(open_view(v, r));
    LS_TRY(draw_originals(v));
    for (int k = 0; k < SHOWN_EPOCHS; k++) LS_TRY(draw_epoch(v, epoch + k, k + 1));
    if (!png) {
        const bool folder = stat(v->info.path, &st) == 0 && S_ISDIR(st.st_mode);
        snprintf(beside, sizeof beside, "%s%s-augmented.png", v->info.path, folder ? "/train" : "");
        png = beside;
    }
    LS_TRY(ls_sheet_write(&v->sheet, png));
    printf("%s: %d samples of %s, as they are and in epochs %lld to %lld of %s\n", v->info.path, v->samples,
           v->info.split, (long long)epoch, (long long)epoch + SHOWN_EPOCHS - 1, r->name);
    printf("  picture    %s\n", png);
    return LS_OK;
}

ls_status ls_sheet_augmented(const ls_recipe *r, int64_t epoch, const char *png)
{
    augmented_view v      = {0};
    ls_status      status = draw_view(&v, r, epoch, png);
    close_view(&v);
    return status;
}

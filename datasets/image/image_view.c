/* SPDX-License-Identifier: Apache-2.0
 *
 * A dataset of images as a model reads it: some of its classes, some samples of each class, another size, another
 * normalisation.  The samples keep their order.
 *
 * The samples of a class are those with the smallest keys, where the key of sample i is the XXH3 of i with the seed.
 * So the samples of a smaller selection are in every larger one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/files/dataset.h"
#include "datasets/files/options.h"
#include "datasets/image/image_decode.h"

typedef struct view {
    ls_dataset       base;
    ls_dataset      *inner;
    int64_t         *sample; /* samples of the inner dataset; NULL: all */
    int32_t         *label;  /* class of the view by class of the inner dataset, -1: left out; NULL: all classes */
    ls_interpolation interpolation;
    int32_t         *pixel; /* position of each pixel of a plane before they are shuffled; NULL: they are not */
} view;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void planes_to_pixels(const uint8_t *planes, int64_t plane, int channels, uint8_t *pixels)
{
    for (int c = 0; c < channels; c++)
        for (int64_t k = 0; k < plane; k++) pixels[k * channels + c] = *planes++;
}

static void pixels_to_planes(const uint8_t *pixels, int64_t plane, int channels, uint8_t *planes)
{
    for (int c = 0; c < channels; c++)
        for (int64_t k = 0; k < plane; k++) *planes++ = pixels[k * channels + c];
}

/* Reads a sample of the inner dataset and resizes it. */
static ls_status read_resized(view *v, int64_t i, uint8_t *planes, int32_t *label)
{
    const ls_dataset_info *in = &v->inner->info, *out = &v->base.info;
    const int64_t          plane = (int64_t)in->height * in->width;
    ls_pixels              p     = {0};
    if (!planes) return v->inner->read(v->inner, i, NULL, label);
    uint8_t *whole = malloc((size_t)ls__sample_bytes(in));
    LS_CHECK(whole, LS_ERR_ENV, "%s: no memory for an image", in->path);
    ls_status status = v->inner->read(v->inner, i, whole, label);
    if (status == LS_OK) status = ls__pixels_new(in->path, &p, in->width, in->height, in->channels);
    if (status == LS_OK) {
        planes_to_pixels(whole, plane, in->channels, p.data);
        status = ls__image_resize(in->path, &p, out->height, out->width, v->interpolation);
    }
    if (status == LS_OK) pixels_to_planes(p.data, (int64_t)out->height * out->width, out->channels, planes);
    free(p.data);
    free(whole);
    return status;
}

/* Moves the pixels of each plane. */
static ls_status shuffle(const view *v, uint8_t *planes)
{
    const ls_dataset_info *info  = &v->base.info;
    const int64_t          plane = (int64_t)info->height * info->width;
    uint8_t               *copy  = malloc((size_t)plane);
    LS_CHECK(copy, LS_ERR_ENV, "%s: no memory for an image", info->path);
    for (int c = 0; c < info->channels; c++, planes += plane) {
        memcpy(copy, planes, (size_t)plane);
        for (int64_t k = 0; k < plane; k++) planes[k] = copy[v->pixel[k]];
    }
    free(copy);
    return LS_OK;
}

static ls_status read_sample(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    view                  *v    = (view *)d;
    const ls_dataset_info *in   = &v->inner->info;
    const bool             same = in->height == d->info.height && in->width == d->info.width;
    if (v->sample) i = v->sample[i];
    LS_TRY(same ? v->inner->read(v->inner, i, pixels, label) : read_resized(v, i, pixels, label));
    if (v->label) *label = v->label[*label];
    return v->pixel && pixels ? shuffle(v, pixels) : LS_OK;
}

/* Draws the permutation (Fisher & Yates), the same for every dataset of this size. */
static void draw_permutation(view *v)
{
    const int32_t plane = v->base.info.height * v->base.info.width;
    v->pixel            = ls_arena_alloc(v->base.arena, sizeof *v->pixel * (size_t)plane);
    for (int32_t k = 0; k < plane; k++) {
        const int32_t other = (int32_t)(XXH3_64bits(&k, sizeof k) % (uint64_t)(k + 1));
        v->pixel[k]         = v->pixel[other];
        v->pixel[other]     = k;
    }
}

static void close_view(ls_dataset *d)
{
    view *v = (view *)d;
    ls_dataset_free(v->inner);
    free(v->sample);
    free(v);
}

/* ---- selection --------------------------------------------------------------------------------------------------- */

static int class_of_name(const ls_dataset_info *info, const char *name)
{
    for (int k = 0; k < info->classes; k++)
        if (strcmp(info->class_names[k], name) == 0) return k;
    return -1;
}

/* Keeps the classes that the options name, in the order of the dataset. */
static ls_status select_classes(view *v, const ls_image_view *o)
{
    const ls_dataset_info *in   = &v->inner->info;
    ls_dataset_info       *info = &v->base.info;
    if (!o->class_name || !o->class_name[0]) return LS_OK;
    v->label = ls_arena_alloc(v->base.arena, sizeof *v->label * (size_t)in->classes);
    for (int k = 0; k < in->classes; k++) v->label[k] = -1;
    for (int i = 0; o->class_name[i]; i++) {
        const int k = class_of_name(in, o->class_name[i]);
        LS_CHECK(k >= 0, LS_ERR_USAGE,
                 "classes: expected names of classes in %s, found '%s'" LS_HINT
                 "`lockstep data inspect` lists the classes",
                 in->path, o->class_name[i]);
        v->label[k] = 0;
    }
    const char **names = ls_arena_alloc(v->base.arena, sizeof *names * (size_t)in->classes);
    info->classes      = 0;
    for (int k = 0; k < in->classes; k++) {
        if (v->label[k] < 0) continue;
        v->label[k]            = info->classes;
        names[info->classes++] = in->class_names[k];
    }
    LS_CHECK(info->classes > 1, LS_ERR_USAGE, "classes: expected at least two names, found one");
    info->class_names = names;
    return LS_OK;
}

typedef struct candidate {
    uint64_t key;
    int64_t  sample;
    int32_t  label;
} candidate;

static int by_class_and_key(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->label != y->label) return x->label < y->label ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int by_sample(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Lists the samples of the selected classes; *count is their number. */
static ls_status list_candidates(view *v, uint64_t seed, candidate *list, int64_t *count)
{
    for (int64_t i = 0; i < v->inner->info.count; i++) {
        int32_t label;
        LS_TRY(v->inner->read(v->inner, i, NULL, &label));
        if (v->label && v->label[label] < 0) continue;
        list[(*count)++] = (candidate){XXH3_64bits_withSeed(&i, sizeof i, seed), i, label};
    }
    return LS_OK;
}

/* Keeps up to `per_class` samples of each selected class, in the order of the dataset. */
static void keep_samples(view *v, candidate *list, int64_t count, int64_t per_class)
{
    int64_t kept = 0, of_class = 0;
    qsort(list, (size_t)count, sizeof *list, by_class_and_key);
    for (int64_t i = 0; i < count; i++) {
        of_class = i && list[i].label == list[i - 1].label ? of_class + 1 : 0;
        if (!per_class || of_class < per_class) v->sample[kept++] = list[i].sample;
    }
    qsort(v->sample, (size_t)kept, sizeof *v->sample, by_sample);
    v->base.info.count = kept;
}

static ls_status select_samples(view *v, const ls_image_view *o)
{
    const int64_t all   = v->inner->info.count;
    int64_t       count = 0;
    if (!v->label && !o->per_class) return LS_OK;
    candidate *list  = malloc(sizeof *list * (size_t)(all + 1));
    v->sample        = malloc(sizeof *v->sample * (size_t)(all + 1));
    ls_status status = list && v->sample ? list_candidates(v, o->seed, list, &count)
                                         : LS_FAIL(LS_ERR_ENV, "%s: no memory for its samples", v->inner->info.path);
    if (status == LS_OK) keep_samples(v, list, count, o->per_class);
    free(list);
    return status;
}

/* ---- the view ---------------------------------------------------------------------------------------------------- */

static ls_status set_up(view *v, const ls_image_view *o)
{
    ls_dataset_info *info = &v->base.info;
    LS_CHECK(info->kind == LS_DATA_IMAGES, LS_ERR_USAGE, "size: expected a dataset of images in %s", info->path);
    LS_CHECK(o->side >= 0 && o->side <= LS_MAX_SIDE, LS_ERR_USAGE, "size: expected 0 to %d pixels, found %d",
             LS_MAX_SIDE, o->side);
    if (o->side) {
        info->height = info->width        = o->side;
        info->image_options.interpolation = o->interpolation;
    }
    v->interpolation = o->interpolation;
    if (o->shuffles) draw_permutation(v);
    for (int c = 0; o->std[0] > 0 && c < info->channels; c++) {
        LS_CHECK(isfinite(o->mean[c]) && o->std[c] > 0 && isfinite(o->std[c]), LS_ERR_USAGE,
                 "std: expected a positive number for each of the %d channels, found %g", info->channels,
                 (double)o->std[c]);
        info->mean[c] = o->mean[c];
        info->std[c]  = o->std[c];
    }
    LS_TRY(select_classes(v, o));
    LS_TRY(select_samples(v, o));
    if (o->side && v->inner->decode_at) v->inner->decode_at(v->inner, o->side, o->interpolation);
    return LS_OK;
}

ls_status ls__dataset_view(ls_dataset **d, const ls_image_view *options)
{
    ls_image_view o;
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_image_view"));
    view *v = calloc(1, sizeof *v);
    LS_CHECK(v, LS_ERR_ENV, "%s: no memory", (*d)->info.path);
    ls_status status = ls_arena_new(&v->base.arena, "image view");
    if (status == LS_OK) {
        v->inner      = *d;
        v->base.info  = (*d)->info;
        v->base.read  = read_sample;
        v->base.close = close_view;
        status        = set_up(v, &o);
    }
    if (status == LS_OK) {
        *d = &v->base;
        return LS_OK;
    }
    ls_arena_free(v->base.arena);
    free(v->sample);
    free(v);
    return status;
}

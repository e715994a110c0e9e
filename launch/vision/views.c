/* SPDX-License-Identifier: Apache-2.0
 *
 * Test-time augmentation, as in airbench (Jordan 2024): see launch/vision/views.h.
 *
 *     flip          logits = 1/2 f(x) + 1/2 f(mirrored x)
 *     flip+shift    logits = 1/4 (f(x) + f(mirrored x)) + 1/8 sum of f over x shifted by one pixel towards each of two
 *                            opposite corners, and over these mirrored
 *
 * A shift repeats no border: the row or column that enters is that behind the border (reflection).  The logits are
 * averaged, not the probabilities.
 */
#include "launch/vision/views.h"

#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"

typedef struct view {
    int   shift; /* pixels down and to the right */
    bool  mirrored;
    float weight;
} view;

static const view        flip_views[] = {{0, false, 0.5f}, {0, true, 0.5f}, {0}}, shift_views[] = {{0, false, 0.25f},
                                                                                                   {0, true, 0.25f},
                                                                                                   {1, false, 0.125f},
                                                                                                   {1, true, 0.125f},
                                                                                                   {-1, false, 0.125f},
                                                                                                   {-1, true, 0.125f},
                                                                                                   {0}};
static const view *const tables[] = {
    [LS_EVAL_AUGMENT_NONE] = NULL, [LS_EVAL_AUGMENT_FLIP] = flip_views, [LS_EVAL_AUGMENT_FLIP_SHIFT] = shift_views};

struct ls_views {
    const view *table;                          /* ended by a weight of 0 */
    int64_t     planes, height, width, classes; /* planes: channels of an image */
    int64_t     rows;                           /* images, at most */
    float      *image;                          /* a view of each image */
    float      *logits;
};

ls_status ls_views_new(ls_views **views, const ls_run *run, int64_t rows)
{
    const view *table = tables[run->recipe->eval.augment];
    *views            = NULL;
    if (!table) return LS_OK;
    const ls_dataset_info *d = &run->data;
    ls_views              *v = calloc(1, sizeof *v);
    LS_CHECK(v, LS_ERR_ENV, "eval.augment: no memory");
    *v        = (ls_views){.table   = table,
                           .planes  = d->channels,
                           .height  = d->height,
                           .width   = d->width,
                           .classes = ls__cols(run->logits),
                           .rows    = rows};
    v->image  = calloc((size_t)(rows * v->planes * v->height * v->width), sizeof *v->image);
    v->logits = calloc((size_t)(rows * v->classes), sizeof *v->logits);
    *views    = v;
    LS_CHECK(v->image && v->logits, LS_ERR_ENV, "eval.augment: no memory for %lld images", (long long)rows);
    return LS_OK;
}

void ls_views_free(ls_views *v)
{
    if (!v) return;
    free(v->image);
    free(v->logits);
    free(v);
}

/* The position of a dim of n pixels that position i shows: i itself, mirrored at the border. */
static int64_t reflected(int64_t i, int64_t n) { return n == 1 ? 0 : i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i; }

/* Writes a view of a plane of pixels. */
static void draw(const ls_views *v, const view *how, const float *from, float *to)
{
    for (int64_t i = 0; i < v->height; i++)
        for (int64_t j = 0; j < v->width; j++) {
            const int64_t column = how->mirrored ? v->width - 1 - j : j;
            *to++ = from[reflected(i - how->shift, v->height) * v->width + reflected(column - how->shift, v->width)];
        }
}

ls_status ls_views_run(ls_views *v, ls_model *model, const ls_batch *batch, const float **logits)
{
    if (!v) {
        LS_TRY(ls_model_run(model, batch));
        *logits = ls_model_output(model, 0);
        return LS_OK;
    }
    LS_CHECK(batch->rows <= v->rows, LS_ERR_FAILED, "eval.augment: found %lld images, expected at most %lld",
             (long long)batch->rows, (long long)v->rows);
    const int64_t plane = v->height * v->width, planes = batch->rows * v->planes, n = batch->rows * v->classes;
    ls_batch      seen  = *batch;
    const float  *image = NULL;
    for (int i = 0; i < seen.inputs; i++)
        if (!strcmp(seen.name[i], "image")) {
            image        = seen.data[i];
            seen.data[i] = v->image;
        }
    memset(v->logits, 0, (size_t)n * sizeof *v->logits);
    for (const view *how = v->table; how->weight > 0; how++) {
#pragma omp parallel for schedule(static)
        for (int64_t p = 0; p < planes; p++) draw(v, how, image + p * plane, v->image + p * plane);
        LS_TRY(ls_model_run(model, &seen));
        const float *of_view = ls_model_output(model, 0);
        for (int64_t k = 0; k < n; k++) v->logits[k] += how->weight * of_view[k];
    }
    *logits = v->logits;
    return LS_OK;
}

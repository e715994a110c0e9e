/* SPDX-License-Identifier: Apache-2.0
 *
 * lockstep predict: the likeliest classes of pictures.
 *
 * The data set itself is not needed: the run's folder keeps its shape, mean, std and class names (data.json).
 *
 * A picture is scaled to the model's input, made grey for models of one channel, and normalised as the data set says.
 * Handwriting mostly comes dark on light, and data sets of digits light on dark.  The rule for models of one channel:
 * when the picture's border is lighter than its inside while the data set's average pixel is darker than middle grey
 * (mean < 0.5), the picture is inverted before the model sees it, and the output says so.  --invert yes or no overrides
 * the rule.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/run/run_setup.h"

enum { MOST_CHANNELS = 4 };

typedef struct predictor {
    ls_run     *job;
    ls_model   *model;
    ls_arena   *memory;
    const char *invert; /* "auto", "yes", "no" */
    int         top;
    uint8_t    *pixels;
    float      *image;
} predictor;

/* The mean of the pixels on the border, and of those within. */
static void border_and_inside(const uint8_t *pixels, int height, int width, double *border, double *inside)
{
    double sum[2] = {0, 0}, n[2] = {0, 0};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int at = y > 0 && x > 0 && y < height - 1 && x < width - 1;
            sum[at] += pixels[y * width + x];
            n[at] += 1;
        }
    *border = sum[0] / n[0];
    *inside = n[1] > 0 ? sum[1] / n[1] : *border;
}

static bool wants_inverting(const predictor *p)
{
    const ls_dataset_info *d = &p->job->data;
    double                 border, inside;
    if (strcmp(p->invert, "auto") != 0) return strcmp(p->invert, "yes") == 0;
    if (d->channels != 1 || d->mean[0] >= 0.5f) return false;
    border_and_inside(p->pixels, d->height, d->width, &border, &inside);
    return border > inside;
}

static void print_top(const predictor *p, const char *path, const float *logits, bool inverted)
{
    const ls_dataset_info *d       = &p->job->data;
    int                    classes = (int)ls__cols(p->job->logits), shown = p->top < classes ? p->top : classes;
    double                 most = logits[0], sum = 0;
    bool                  *used = ls_arena_alloc(p->memory, (size_t)classes * sizeof *used);
    for (int i = 1; i < classes; i++) most = fmax(most, logits[i]);
    for (int i = 0; i < classes; i++) sum += exp(logits[i] - most);
    printf("%s%s\n", path, inverted ? "  (inverted: dark on light)" : "");
    for (int k = 0; k < shown; k++) {
        int best = -1;
        for (int i = 0; i < classes; i++)
            if (!used[i] && (best < 0 || logits[i] > logits[best])) best = i;
        used[best] = true;
        printf("  %6.2f %%  %s\n", 100 * exp(logits[best] - most) / sum,
               best < d->classes ? d->class_names[best] : "(no name)");
    }
}

static ls_status predict_one(predictor *p, const char *path)
{
    const ls_dataset_info *d = &p->job->data;
    LS_TRY(ls_image_read(path, d->channels, d->height, d->width, p->pixels));
    size_t plane    = (size_t)d->height * (size_t)d->width;
    bool   inverted = wants_inverting(p);
    for (size_t i = 0; i < plane * (size_t)d->channels; i++) {
        size_t  c     = i / plane;
        uint8_t value = inverted ? (uint8_t)(255 - p->pixels[i]) : p->pixels[i];
        p->image[i]   = ((float)value / 255.0f - d->mean[c]) / d->std[c];
    }
    ls_batch batch = {.inputs = 1, .name = {"image"}, .data = {p->image}, .rows = 1, .global_rows = 1};
    LS_TRY(ls_model_run(p->model, &batch));
    print_top(p, path, ls_model_output(p->model, 0), inverted);
    return LS_OK;
}

static ls_status predict_all(ls_run *j, const ls_args *args)
{
    predictor p = {.job = j, .memory = j->memory, .invert = ls_args_option(args, "invert")};
    long long top;
    LS_TRY(ls_args_int(args, "top", 1, 1000000, 5, &top));
    p.top = (int)top;
    if (!p.invert) p.invert = "auto";
    LS_CHECK(!strcmp(p.invert, "auto") || !strcmp(p.invert, "yes") || !strcmp(p.invert, "no"), LS_ERR_USAGE,
             "predict: --invert: expected auto, yes or no, found '%s'", p.invert);
    size_t pixels = (size_t)j->data.channels * (size_t)j->data.height * (size_t)j->data.width;
    p.pixels      = ls_arena_alloc(j->memory, pixels);
    p.image       = ls_arena_alloc(j->memory, pixels * sizeof *p.image);
    ls_status status;
    LS_TRY(ls_model_new(&p.model, j->graph, ls_trainer_params(j->trainer), &j->logits, 1, 1));
    for (int i = 1; i < args->positionals; i++) LS_TRY_GOTO(status, predict_one(&p, args->positional[i]), done);
    status = LS_OK;
done:
    ls_model_free(p.model);
    return status;
}

static ls_status predict(ls_run *j, const ls_args *args)
{
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from;
    LS_TRY(ls_run_run(j, args->positional[0], 0, NULL, folder, &step));
    LS_TRY_COLLECTIVE(j, ls_dataset_card_read(ls_arena_printf(j->memory, "%s/data.json", folder), &j->data, j->memory));
    LS_TRY_COLLECTIVE(j, j->data.kind == LS_DATA_IMAGES
                             ? LS_OK
                             : LS_FAIL(LS_ERR_USAGE,
                                       "%s: expected the run of a model of pictures, found one of language" LS_HINT
                                       "`lockstep generate` writes text",
                                       folder));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    LS_TRY(ls_run_load(j, folder, step, &from));
    LS_TRY_COLLECTIVE(j, j->first ? predict_all(j, args) : LS_OK); /* one rank is enough */
    return LS_OK;
}

ls_status ls__predict_command(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    ls_status status = ls_run_start(&j, &args, argc, argv);
    if (status == LS_OK) status = predict(&j, &args);
    ls_run_free(&j, status);
    return status;
}

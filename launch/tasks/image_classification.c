/* SPDX-License-Identifier: Apache-2.0
 *
 * Image classification.      image: B x C x H x W, label: B  ->  logits: B x classes  ->  cross-entropy, accuracy
 *
 * With mixup or cutmix, the loss of a sample has a second label, that of the partner, with the partner's share.  The
 * accuracy in training counts the sample's own label.
 *
 * Prediction scales an image file to the model's input, converts it to grey for models of one channel, and normalises
 * it with the dataset's mean and standard deviation (launch/vision/image_input.h).  The prediction says if the image
 * was inverted first.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/report/report_html.h"
#include "launch/run/open_model.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"
#include "launch/vision/examine.h"
#include "launch/vision/image_input.h"
#include "launch/vision/views.h"

enum { MAX_CHANNELS = 4 };

static bool accepts(const ls_dataset_info *info) { return info->kind == LS_DATA_IMAGES; }

static void sample_text(const ls_dataset_info *d, char *text, size_t bytes)
{
    snprintf(text, bytes, "%d x %d x %d in %d classes", d->channels, d->height, d->width, d->classes);
}

static ls_status check_splits(const ls_dataset_info *a, const ls_dataset_info *b)
{
    char in_a[96], in_b[96];
    sample_text(a, in_a, sizeof in_a);
    sample_text(b, in_b, sizeof in_b);
    LS_CHECK(!strcmp(in_a, in_b), LS_ERR_DATA, "%s: expected the same samples in %s and %s, found %s and %s", a->path,
             a->split, b->split, in_a, in_b);
    return LS_OK;
}

/* Messages of ls_dataset_augment begin with the key below data: "augment.crop: expected ...". */
static ls_status prepare(ls_dataset *d, const ls_recipe *r)
{
    char      key[64];
    ls_status status = ls_dataset_augment(d, &r->data.augment);
    if (status == LS_OK) return LS_OK;
    snprintf(key, sizeof key, "data.%.*s", (int)strcspn(ls_error_message(), ":"), ls_error_message());
    return LS_FAIL(status, "%s: data.%s", ls_recipe_where(r, key), ls_error_message());
}

/* The synthetic digits and MNIST have known shapes; other datasets have to be opened. */
static bool describe_unopened(const ls_recipe *r, ls_dataset_info *info)
{
    if (strcmp(r->data.path, "digits") != 0 && strcmp(r->data.path, "mnist") != 0) return false;
    *info = (ls_dataset_info){
        .split    = "train",
        .path     = r->data.path,
        .channels = 1,
        .height   = 28,
        .width    = 28,
        .classes  = 10,
        .augment  = r->data.augment,
    };
    return true;
}

static ls_status build(ls_run *run)
{
    const ls_dataset_info *d     = &run->data;
    ls_tensor             *image = ls_input(run->graph, "image", LS_F32, d->channels, d->height, d->width);
    const ls_augment      *a     = &run->recipe->data.augment;
    const bool             mixed = a->mixup > 0 || a->cutmix > 0;
    ls_tensor             *other = mixed ? ls_input(run->graph, "partner", LS_I32) : NULL;
    ls_tensor             *share = mixed ? ls_input(run->graph, "partner_share", LS_F32) : NULL;
    run->label                   = ls_input(run->graph, "label", LS_I32);
    LS_TRY(ls_recipe_build(run->recipe, run->graph, image, &(ls_recipe_output){d->classes, "class", "images"},
                           &run->logits));
    run->loss =
        ls_cross_entropy(run->logits, run->label, other, share, .label_smoothing = run->recipe->train.label_smoothing);
    return LS_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static const ls_task_metric metrics[] = {
    LS_ACCURACY_METRIC("samples"),
    {0},
};

/* ---- data.json --------------------------------------------------------------------------------------------------- */

static ls_status write_card(json_t *json, const ls_dataset_card *card)
{
    const ls_dataset_info *info = &card->info;
    json_t                *mean = json_array(), *std = json_array(), *names = json_array();
    for (int c = 0; c < info->channels && c < MAX_CHANNELS; c++) {
        json_array_append_new(mean, json_real(info->mean[c]));
        json_array_append_new(std, json_real(info->std[c]));
    }
    for (int i = 0; i < info->classes; i++) json_array_append_new(names, json_string(info->class_names[i]));
    json_object_set_new(json, "channels", json_integer(info->channels));
    json_object_set_new(json, "height", json_integer(info->height));
    json_object_set_new(json, "width", json_integer(info->width));
    json_object_set_new(json, "classes", json_integer(info->classes));
    json_object_set_new(json, "mean", mean);
    json_object_set_new(json, "std", std);
    json_object_set_new(json, "class_names", names);
    for (int i = 0; ls_image_option_name(i); i++)
        json_object_set_new(json, ls_image_option_name(i), json_string(ls_image_option_text(&info->image_options, i)));
    return LS_OK;
}

static bool read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    ls_dataset_info *info = &card->info;
    enum { MAX_SIZE = 1000000 };
    const json_t *mean = json_object_get(json, "mean"), *std = json_object_get(json, "std"),
                 *names = json_object_get(json, "class_names");
    struct {
        const char *key;
        int        *value;
    } sizes[] = {
        {"channels", &info->channels}, {"height", &info->height}, {"width", &info->width}, {"classes", &info->classes}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        json_int_t x = json_integer_value(json_object_get(json, sizes[i].key));
        if (x < 1 || x > MAX_SIZE) return false;
        *sizes[i].value = (int)x;
    }
    if (info->channels > MAX_CHANNELS || json_array_size(mean) != (size_t)info->channels ||
        json_array_size(std) != (size_t)info->channels || json_array_size(names) != (size_t)info->classes)
        return false;
    for (int c = 0; c < info->channels; c++) {
        info->mean[c] = (float)json_number_value(json_array_get(mean, (size_t)c));
        info->std[c]  = (float)json_number_value(json_array_get(std, (size_t)c));
        if (!isfinite(info->mean[c]) || !(info->std[c] > 0)) return false;
    }
    for (int i = 0; ls_image_option_name(i); i++) { /* absent in cards of older versions */
        const char *text = json_string_value(json_object_get(json, ls_image_option_name(i)));
        if (text && !ls_image_option_set(&info->image_options, i, text)) return false;
    }
    const char **texts = ls_arena_alloc(memory, (size_t)info->classes * sizeof *texts);
    for (int i = 0; i < info->classes; i++) {
        const char *name = json_string_value(json_array_get(names, (size_t)i));
        if (!name) return false;
        texts[i] = ls_arena_strdup(memory, name);
    }
    info->kind        = LS_DATA_IMAGES;
    info->class_names = texts;
    return true;
}

static void report_data(ls_report *report, const ls_run *run)
{
    const ls_dataset_info *d = &run->data;
    ls_report_row(report, "A sample|%d x %d x %d", d->channels, d->height, d->width);
    ls_report_row(report, "Classes|%d", d->classes);
}

/* ---- prediction -------------------------------------------------------------------------------------------------- */

typedef struct predictor {
    const ls_run             *run;
    const ls_predict_options *options;
    ls_model                 *model;
    ls_views                 *views;
    uint8_t                  *pixels;
    float                    *image;       /* the model's input */
    double                   *all;         /* probabilities by class                  */
    double                   *probability; /* those of the likeliest classes, by rank */
    const char              **name;
    bool                     *used;
} predictor;

/* Passes the likeliest classes of an image to the caller. */
static ls_status give_top(const predictor *p, const char *path, const float *logits, bool inverted)
{
    const ls_dataset_info *d       = &p->run->data;
    int                    classes = (int)ls__cols(p->run->logits);
    int                    count   = p->options->top < classes ? p->options->top : classes;
    ls_probabilities(logits, classes, p->all);
    memset(p->used, 0, (size_t)classes * sizeof *p->used);
    for (int k = 0; k < count; k++) {
        int best = -1;
        for (int i = 0; i < classes; i++)
            if (!p->used[i] && (best < 0 || logits[i] > logits[best])) best = i;
        p->used[best]     = true;
        p->probability[k] = p->all[best];
        p->name[k]        = best < d->classes ? d->class_names[best] : "(no name)";
    }
    return p->options->each(&(ls_prediction){.source      = path,
                                             .note        = inverted ? "inverted: dark on light" : NULL,
                                             .samples     = 1,
                                             .classes     = count,
                                             .name        = p->name,
                                             .probability = p->probability},
                            p->options->context);
}

static ls_status predict_file(predictor *p, const char *path)
{
    bool         inverted;
    const float *logits;
    LS_TRY(ls_image_input(&p->run->data, path, p->options->invert, p->pixels, p->image, &inverted));
    ls_batch batch = {.inputs = 1, .name = {"image"}, .data = {p->image}, .rows = 1, .global_rows = 1};
    LS_TRY(ls_views_run(p->views, p->model, &batch, &logits));
    return give_top(p, path, logits, inverted);
}

static ls_status predict_files(ls_run *run, const ls_predict_options *options)
{
    predictor p       = {.run = run, .options = options};
    size_t    pixels  = (size_t)run->data.channels * (size_t)run->data.height * (size_t)run->data.width;
    size_t    classes = (size_t)ls__cols(run->logits);
    LS_CHECK(!run->recipe->data.shuffle_pixels, LS_ERR_USAGE,
             "predict: expected a model of images, found one that was trained with data.shuffle_pixels");
    LS_CHECK(!options->out, LS_ERR_USAGE, "predict: --out: the predictions of images go to stdout");
    p.pixels      = ls_arena_alloc(run->memory, pixels);
    p.image       = ls_arena_alloc(run->memory, pixels * sizeof *p.image);
    p.all         = ls_arena_alloc(run->memory, classes * sizeof *p.all);
    p.probability = ls_arena_alloc(run->memory, classes * sizeof *p.probability);
    p.name        = ls_arena_alloc(run->memory, classes * sizeof *p.name);
    p.used        = ls_arena_alloc(run->memory, classes * sizeof *p.used);
    LS_TRY(ls_model_new(&p.model, run->graph, run->loaded ? run->loaded : ls_trainer_params(run->trainer), &run->logits,
                        1, 1));
    ls_status status = ls_views_new(&p.views, run, 1);
    for (int i = 0; i < options->files && status == LS_OK; i++) status = predict_file(&p, options->file[i]);
    ls_model_free(p.model);
    ls_views_free(p.views);
    return status;
}

/* Rank 0 predicts: a few images are not worth distributing. */
static ls_status predict(ls_run *run, const ls_predict_options *options)
{
    LS_TRY_COLLECTIVE(run, run->is_root ? predict_files(run, options) : LS_OK);
    return LS_OK;
}

const ls_task ls__task_image_classification = {
    .name              = "image classification",
    .data              = "images",
    .card              = "images",
    .unit              = "samples",
    .split_title       = "Test",
    .use               = "`lockstep predict` classifies images",
    .metric            = metrics,
    .accepts           = accepts,
    .prepare           = prepare,
    .describe_unopened = describe_unopened,
    .sample_text       = sample_text,
    .samples_text      = "samples of",
    .check_splits      = check_splits,
    .build             = build,
    .score             = ls_score_accuracy,
    .write_card        = write_card,
    .read_card         = read_card,
    .examine           = ls_examine_classifier,
    .report_data       = report_data,
    .predict           = predict,
};

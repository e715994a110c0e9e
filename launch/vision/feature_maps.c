/* SPDX-License-Identifier: Apache-2.0
 * Filters and feature maps: see launch/vision/feature_maps.h. */
#include "launch/vision/feature_maps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/params.h"
#include "launch/run/open_model.h"
#include "launch/tasks/task.h"
#include "launch/vision/activations.h"
#include "launch/vision/image_input.h"

enum { MOST_LAYERS = 16 };

/* ---- computation ------------------------------------------------------------------------------------------------- */

static bool is_pool(const ls_node *n) { return strstr(ls__op(n)->name, "pool2d") != NULL; }

/* Lists the ends of layers with more than one pixel, each once: first[i] is the node with which layer i begins.
 * Returns their number. */
static int list_layers(const ls_graph *g, const ls_node **first, ls_tensor **end)
{
    int n = 0;
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *node = g->node[i];
        if (!(ls_is_conv(node) || is_pool(node)) || node->out[0]->rank != 3) continue;
        ls_tensor *last = is_pool(node) ? node->out[0] : ls_layer_end(node);
        bool       seen = last->dim[1] * last->dim[2] == 1;
        for (int k = 0; k < n; k++) seen |= end[k] == last;
        if (seen) continue;
        first[n] = node;
        end[n++] = last;
    }
    return n;
}

/* Keeps `most` of n layers, evenly chosen, with the first and the last one. */
static int thin_out(int n, int most, const ls_node **first, ls_tensor **end)
{
    if (n <= most) return n;
    for (int i = 0; i < most; i++) {
        const int at = i * (n - 1) / (most - 1);
        first[i]     = first[at];
        end[i]       = end[at];
    }
    return most;
}

/* "conv2d, batch_norm, relu": the ops from the node `first` to the one that computes `end`. */
static const char *ops_of(const ls_node *first, const ls_tensor *end, ls_arena *memory)
{
    const char *text = ls__op(end->node)->name;
    for (const ls_node *n = end->node; n != first;) {
        const ls_node *before = NULL; /* the input of the same shape that the layer has computed */
        for (int k = 0; k < n->ins; k++)
            if (n->in[k] && n->in[k]->node && n->in[k]->node->index >= first->index && !before) before = n->in[k]->node;
        if (!before) break;
        n    = before;
        text = ls_arena_printf(memory, "%s, %s", ls__op(n)->name, text);
    }
    return text;
}

static const ls_tensor *first_filters(const ls_graph *g)
{
    for (int i = 0; i < g->nodes; i++)
        if (!strcmp(ls__op(g->node[i])->name, "conv2d")) return g->node[i]->in[1];
    return NULL;
}

static ls_status compute(const ls_run *run, ls_graph *g, const float *image, ls_arena *memory, ls_feature_maps *maps)
{
    ls_tensor *input, *logits, *end[MOST_LAYERS + 1];
    ls_model  *model;
    LS_TRY(ls_rebuild_classifier(run, g, &input, &logits));
    const ls_node **first = ls_arena_alloc(memory, (size_t)(g->nodes + 1) * sizeof *first);
    ls_tensor     **all   = ls_arena_alloc(memory, (size_t)(g->nodes + 1) * sizeof *all);
    const int       found = list_layers(g, first, all), n = thin_out(found, MOST_LAYERS, first, all);
    maps->filters = first_filters(g);
    LS_CHECK(n && maps->filters, LS_ERR_USAGE, "%s: --maps: expected a model with convolutions, found none",
             run->directory ? run->directory : run->recipe->name);
    maps->layers   = n;
    maps->left_out = found - n;
    maps->layer    = ls_arena_alloc(memory, (size_t)n * sizeof *maps->layer);
    memcpy(end, all, (size_t)n * sizeof *end);
    end[n] = logits;
    LS_TRY(ls_model_new(&model, g, ls_run_params(run), end, n + 1, 1));
    ls_status status =
        ls_model_run(model, &(ls_batch){.inputs = 1, .name = {"image"}, .data = {image}, .rows = 1, .global_rows = 1});
    for (int i = 0; i < n && status == LS_OK; i++) {
        const size_t bytes = (size_t)ls__numel(end[i]) * sizeof(float);
        const char  *layer = ls__layer_name(first[i], memory);
        maps->layer[i] =
            (ls_feature_map){.name     = layer ? layer : ls__op(first[i])->name,
                             .ops      = layer ? ops_of(first[i], end[i], memory) : NULL,
                             .channels = end[i]->dim[0],
                             .height   = end[i]->dim[1],
                             .width    = end[i]->dim[2],
                             .value    = memcpy(ls_arena_alloc(memory, bytes), ls_model_output(model, i), bytes)};
    }
    if (status == LS_OK) {
        const int classes     = (int)ls__cols(logits);
        double   *probability = ls_arena_alloc(memory, (size_t)classes * sizeof *probability);
        ls_probabilities(ls_model_output(model, n), classes, probability);
        for (int i = 1; i < classes; i++)
            if (probability[i] > probability[maps->best]) maps->best = i;
        maps->probability = probability[maps->best];
    }
    ls_model_free(model);
    return status;
}

ls_status ls_feature_maps_of(const ls_run *run, const float *image, ls_arena *memory, ls_feature_maps *maps)
{
    ls_graph *g      = ls_graph_new();
    *maps            = (ls_feature_maps){0};
    ls_status status = compute(run, g, image, memory, maps);
    if (status == LS_OK) { /* the parameters outlive the graph */
        ls_params *params  = ls_run_params(run);
        const int  at      = ls_params_find(params, maps->filters->name);
        maps->filter_value = ls_params_get(params, at, NULL, NULL, NULL);
        maps->filters      = params->slot[at].tensor;
    }
    ls_graph_free(g);
    return status;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum {
    WIDTH      = 1120,
    MARGIN     = 28,
    TITLE      = 84,
    HEAD       = 30, /* height of the text above the tiles */
    TILE       = 58,
    STEP       = 66, /* from tile to tile                  */
    ACROSS     = 16, /* tiles of a row                     */
    MOST_TILES = 32, /* channels of a layer                */
    GAP        = 20,
    IMAGE      = 190
};

static double rows_of(int64_t tiles) { return (double)((tiles + ACROSS - 1) / ACROSS); }

static int64_t shown(int64_t channels) { return channels < MOST_TILES ? channels : MOST_TILES; }

static float largest(const float *value, int64_t n, bool *negative)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(value[i]));
        *negative |= value[i] < 0;
    }
    return most;
}

/* Number of channels that are 0 at every pixel. */
static int64_t dead(const ls_feature_map *m)
{
    int64_t n = 0;
    for (int64_t c = 0; c < m->channels; c++) {
        bool negative = false;
        n += largest(m->value + c * m->height * m->width, m->height * m->width, &negative) == 0;
    }
    return n;
}

/* Draws a matrix in a tile, which it fills along its longer side. */
static void draw_tile(ls_png *p, ls_heat heat, double x, double y, double side)
{
    const double scale = side / (double)(heat.rows > heat.cols ? heat.rows : heat.cols);
    heat.width         = scale * (double)heat.cols;
    heat.height        = scale * (double)heat.rows;
    heat.x             = x;
    heat.y             = y;
    ls_png_heat(p, &heat);
}

static void draw_layer(ls_png *p, const ls_feature_map *m, double y, ls_arena *memory)
{
    bool          negative = false;
    const int64_t plane = m->height * m->width, n = shown(m->channels), none = dead(m);
    const float   most      = largest(m->value, m->channels * plane, &negative);
    const char   *part      = n < m->channels ? ls_arena_printf(memory, ", the first %lld", (long long)n) : "",
               *zeros       = none ? ls_arena_printf(memory, " · %lld are 0 everywhere", (long long)none) : "",
               *ops         = m->ops ? ls_arena_printf(memory, "%s · ", m->ops) : "";
    const ls_png_font bold  = {.size = 14, .align = -1, .bold = true};
    const ls_png_font faint = {.size = 13, .align = -1, .faint = true};
    ls_png_text(p, MARGIN, y + 10, &bold, "%s", m->name);
    ls_png_text(p, MARGIN + ls_png_text_width(p, &bold, m->name) + 12, y + 10, &faint,
                "%s%lld channels of %lld x %lld%s · largest value %.3g%s", ops, (long long)m->channels,
                (long long)m->height, (long long)m->width, part, (double)most, zeros);
    for (int64_t c = 0; c < n; c++)
        draw_tile(p,
                  (ls_heat){.rows    = m->height,
                            .cols    = m->width,
                            .value   = m->value + c * plane,
                            .low     = negative ? -(double)most : 0,
                            .high    = (double)most,
                            .colours = negative ? LS_COLOURS_SIGNED : LS_COLOURS_VIRIDIS,
                            .root    = !negative},
                  MARGIN + (double)(c % ACROSS) * STEP, y + HEAD + floor((double)c / ACROSS) * STEP, TILE);
}

/* Filters of three channels as colours: grey is 0.  Others: their mean over the input channels, blue to red. */
static void draw_filters(ls_png *p, const ls_feature_maps *maps, double x, double y, int across, int64_t n,
                         ls_arena *memory)
{
    const ls_tensor *w     = maps->filters;
    const int64_t    plane = w->dim[2] * w->dim[3], channels = w->dim[1];
    bool             negative = false;
    const float      most     = largest(maps->filter_value, ls__numel(w), &negative);
    for (int64_t i = 0; i < n; i++) {
        uint8_t     *rgb   = ls_arena_alloc(memory, (size_t)plane * 3);
        float       *mean  = ls_arena_alloc(memory, (size_t)plane * sizeof *mean);
        const float *value = maps->filter_value + i * channels * plane;
        for (int64_t k = 0; k < plane; k++)
            for (int64_t c = 0; c < channels; c++) {
                mean[k] += value[c * plane + k] / (float)channels;
                if (c < 3)
                    rgb[3 * k + c] = (uint8_t)lrintf(127.5f + 127.5f * value[c * plane + k] / (most > 0 ? most : 1));
            }
        draw_tile(p,
                  (ls_heat){.rows    = w->dim[2],
                            .cols    = w->dim[3],
                            .value   = mean,
                            .rgb     = channels == 3 ? rgb : NULL,
                            .low     = -(double)most,
                            .high    = (double)most,
                            .colours = LS_COLOURS_SIGNED},
                  x + (double)(i % across) * STEP, y + floor((double)i / across) * STEP, TILE);
    }
}

static void draw_image(ls_png *p, const ls_dataset_info *d, const uint8_t *pixels, double y, ls_arena *memory)
{
    const size_t plane = (size_t)d->height * (size_t)d->width;
    uint8_t     *rgb   = ls_arena_alloc(memory, 3 * plane);
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = pixels[(d->channels < 3 ? 0 : c * plane) + i];
    draw_tile(p, (ls_heat){.rows = d->height, .cols = d->width, .rgb = rgb}, MARGIN, y, IMAGE);
}

ls_status ls_feature_maps_draw(const ls_run *run, const ls_feature_maps *maps, const uint8_t *pixels, const char *title,
                               ls_png **plot)
{
    enum { FILTERS_ACROSS = 12, MOST_FILTERS = 36, FILTERS_LEFT = MARGIN + IMAGE + 56 };
    const ls_dataset_info *d       = &run->data;
    const ls_tensor       *w       = maps->filters;
    const int64_t          filters = w->dim[0] < MOST_FILTERS ? w->dim[0] : MOST_FILTERS;
    const ls_png_font bold = {.size = 14, .align = -1, .bold = true}, faint = {.size = 13, .align = -1, .faint = true};
    ls_arena         *memory;
    double            y = TITLE + HEAD + IMAGE + GAP, height = y + MARGIN;
    for (int i = 0; i < maps->layers; i++) height += HEAD + rows_of(shown(maps->layer[i].channels)) * STEP + GAP;
    LS_TRY(ls_arena_new(&memory, "feature maps"));
    ls_status status = ls_png_new(plot, WIDTH, height);
    if (status == LS_OK) {
        ls_png *p = *plot;
        ls_png_text(p, MARGIN, 32, &(ls_png_font){.size = 20, .align = -1, .bold = true}, "Filters and feature maps");
        ls_png_text(
            p, MARGIN, 58, &faint, "%s · predicted: %s, %.1f %%%s", title,
            maps->best < d->classes ? d->class_names[maps->best] : "a class without a name", 100 * maps->probability,
            maps->left_out ? ls_arena_printf(memory, " · %d of %d layers", maps->layers, maps->layers + maps->left_out)
                           : "");
        ls_png_text(p, MARGIN, TITLE + 10, &bold, "image");
        ls_png_text(p, FILTERS_LEFT, TITLE + 10, &bold, "%s", w->name);
        ls_png_text(p, FILTERS_LEFT + ls_png_text_width(p, &bold, w->name) + 12, TITLE + 10, &faint,
                    "%lld filters of %lld x %lld x %lld%s", (long long)w->dim[0], (long long)w->dim[1],
                    (long long)w->dim[2], (long long)w->dim[3],
                    filters < w->dim[0] ? ls_arena_printf(memory, ", the first %lld", (long long)filters) : "");
        draw_image(p, d, pixels, TITLE + HEAD, memory);
        draw_filters(p, maps, FILTERS_LEFT, TITLE + HEAD, FILTERS_ACROSS, filters, memory);
        for (int i = 0; i < maps->layers; i++) {
            draw_layer(p, &maps->layer[i], y, memory);
            y += HEAD + rows_of(shown(maps->layer[i].channels)) * STEP + GAP;
        }
    }
    ls_arena_free(memory);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

ls_status ls_inspect_image(ls_inspected *s, ls_run *run, const ls_inspect_options *options, const char *option,
                           const uint8_t **bytes, const float **input)
{
    bool inverted;
    *s = (ls_inspected){.run = run};
    LS_CHECK(options->overrides == 0, LS_ERR_USAGE, "explain: --%s: expected no key=value, found '%s'", option,
             options->override[0]);
    LS_TRY(ls_run_open_model(run, options->model, NULL));
    LS_CHECK(run->task == &ls__task_image_classification, LS_ERR_USAGE,
             "%s: --%s: expected a model for image classification, found one for %s", options->model, option,
             run->task->name);
    LS_CHECK(!run->recipe->data.shuffle_pixels, LS_ERR_USAGE,
             "%s: --%s: expected a model of images, found one that was trained with data.shuffle_pixels",
             options->model, option);
    const size_t n      = (size_t)run->data.channels * (size_t)run->data.height * (size_t)run->data.width;
    uint8_t     *pixels = ls_arena_alloc(run->memory, n);
    float       *image  = ls_arena_alloc(run->memory, n * sizeof *image);
    LS_TRY(ls_image_input(&run->data, options->text, "auto", pixels, image, &inverted));
    snprintf(s->folder, sizeof s->folder, "%s", run->directory ? run->directory : "");
    *bytes = pixels;
    *input = image;
    return LS_OK;
}

ls_status ls__explain_maps(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected    s;
    ls_feature_maps maps;
    ls_png         *plot   = NULL;
    const uint8_t  *pixels = NULL;
    const float    *image  = NULL;
    LS_TRY(ls_inspect_image(&s, run, options, "maps", &pixels, &image));
    LS_TRY(ls_feature_maps_of(run, image, run->memory, &maps));
    ls_status status = ls_feature_maps_draw(
        run, &maps, pixels, ls_arena_printf(run->memory, "%s · %s", options->model, options->text), &plot);
    if (status == LS_OK) status = ls_inspect_save(&s, options, plot, "maps");
    ls_png_free(plot);
    return status;
}

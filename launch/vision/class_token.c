/* SPDX-License-Identifier: Apache-2.0
 *
 * The path of the class token through a Vision Transformer (Dosovitskiy et al. 2021).
 *
 *     attention   row of the class token in the softmax weights of a layer, mean over the heads
 *     rollout     R_l = (A_l / 2 + I / 2) R_(l-1), R_0 = I (Abnar & Zuidema 2020): A_l is the attention of layer l, I
 *                 the residual connection; the row of the class token says from which patches its vector is made
 *     class       the model's last norm and head, applied to the token after each layer
 */
#include "launch/vision/class_token.h"

#include <math.h>
#include <string.h>

#include "core/graph/params.h"
#include "launch/run/open_model.h"
#include "launch/tasks/task.h"
#include "launch/vision/activations.h"
#include "launch/vision/feature_maps.h"
#include "launch/vision/image_input.h"
#include "launch/vision/picture.h"

enum { MOST_LAYERS = 48 };

/* ---- computation ------------------------------------------------------------------------------------------------- */

/* The parts of the graph behind the last layer, and the patches. */
typedef struct parts {
    const ls_node *patches, *norm, *head; /* the last norm; the linear layer on the class token */
} parts;

static bool is_op(const ls_node *n, const char *name) { return n && !strcmp(ls__op(n)->name, name); }

/* Finds the parts.  Returns false if the model is not a Vision Transformer. */
static bool find_parts(const ls_graph *g, parts *p)
{
    *p = (parts){0};
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *n = g->node[i], *from = n->in[0] ? n->in[0]->node : NULL;
        if (ls_is_conv(n) && !p->patches) p->patches = n;
        if (!is_op(n, "linear") || !is_op(from, "select") || !is_op(from->in[0]->node, "layer_norm") || p->head)
            continue;
        p->head = n;
        p->norm = from->in[0]->node;
    }
    return p->patches && p->head;
}

bool ls_has_class_token(const ls_run *run)
{
    parts      p;
    ls_tensor *image, *logits;
    ls_graph  *g     = ls_graph_new();
    const bool found = ls_rebuild_classifier(run, g, &image, &logits) == LS_OK && find_parts(g, &p);
    ls_graph_free(g);
    return found;
}

/* Adds the logits of the class token in the vectors x, those behind a layer. */
static ls_tensor *logits_of(const parts *p, ls_tensor *x)
{
    const ls_layer_norm_args *norm = p->norm->args;
    x                              = ls_layer_norm_op(x, p->norm->in[1], p->norm->in[2], .eps = norm->eps);
    return ls_linear_op(ls_select(x, 0), p->head->in[1], p->head->in[2]);
}

/* Adds the logits behind each layer: those of layer i are the input of the first norm of layer i + 1.  Returns their
 * number; 0: a layer has no norm before its attention. */
static int add_logits(ls_graph *g, const parts *p, ls_tensor **logits)
{
    const int nodes = g->nodes;
    int       n     = 0;
    for (int i = 0, layer = 0; i < nodes && n < MOST_LAYERS; i++) {
        const ls_node *node = g->node[i], *norm = node;
        if (!is_op(node, "attention")) continue;
        while (norm && !is_op(norm, "layer_norm")) norm = norm->in[0] ? norm->in[0]->node : NULL;
        if (!norm) return 0;
        if (layer++) logits[n++] = logits_of(p, norm->in[0]);
    }
    logits[n++] = logits_of(p, p->norm->in[0]);
    return n;
}

void ls_attention_rollout(const ls_attention_map *map, double *rollout, ls_arena *memory)
{
    const int64_t n    = map->tokens;
    double       *next = ls_arena_alloc(memory, (size_t)(n * n) * sizeof *next);
    for (int64_t t = 0; t < n; t++)
        for (int64_t s = 0; s < n; s++) next[t * n + s] = 0.5 * rollout[t * n + s];
    for (int64_t row = 0; row < map->heads * n; row++)
        for (int64_t k = 0; k < n; k++) {
            const double weight = 0.5 * (double)map->weights[row * n + k] / (double)map->heads;
            for (int64_t s = 0; s < n; s++) next[row % n * n + s] += weight * rollout[k * n + s];
        }
    memcpy(rollout, next, (size_t)(n * n) * sizeof *next);
}

/* The maps of a layer: its attention, and the rollout up to it. */
static void take_maps(const ls_class_token *token, const ls_attention_map *map, const double *rollout,
                      ls_class_token_layer *layer, ls_arena *memory)
{
    const int64_t n = map->tokens, patches = token->rows * token->columns, first = n - patches;
    layer->name      = map->name;
    layer->attention = ls_arena_alloc(memory, (size_t)patches * sizeof *layer->attention);
    layer->rollout   = ls_arena_alloc(memory, (size_t)patches * sizeof *layer->rollout);
    for (int64_t i = 0; i < patches; i++) {
        layer->attention[i] = 0;
        layer->rollout[i]   = (float)rollout[first + i];
        for (int64_t h = 0; h < map->heads; h++)
            layer->attention[i] += map->weights[h * n * n + first + i] / (float)map->heads;
    }
}

static void take_class(const float *logits, int classes, ls_class_token_layer *layer, ls_arena *memory)
{
    double *probability = ls_arena_alloc(memory, (size_t)classes * sizeof *probability);
    ls_probabilities(logits, classes, probability);
    layer->best = 0;
    for (int i = 1; i < classes; i++)
        if (probability[i] > probability[layer->best]) layer->best = i;
    layer->probability = probability[layer->best];
}

static ls_status compute(const ls_run *run, ls_graph *g, const float *image, ls_arena *memory, ls_class_token *token)
{
    parts                   p;
    ls_tensor              *input, *out, *logits[MOST_LAYERS + 1];
    const ls_attention_map *map;
    const float            *value[MOST_LAYERS + 1];
    LS_TRY(ls_rebuild_classifier(run, g, &input, &out));
    const int n = find_parts(g, &p) ? add_logits(g, &p, logits) : 0;
    LS_CHECK(n, LS_ERR_USAGE, "%s: --class-token: expected a Vision Transformer, found another model",
             run->directory ? run->directory : run->recipe->name);
    LS_TRY(ls_graph_status(g));
    const ls_batch batch = {.inputs = 1, .name = {"image"}, .data = {image}, .rows = 1, .global_rows = 1};
    LS_TRY(ls_attention_values(g, ls_run_params(run), &batch, logits, n, value, memory, &map, &token->layers));
    LS_CHECK(token->layers == n, LS_ERR_USAGE, "%s: --class-token: expected at most %d layers, found %d",
             run->recipe->name, MOST_LAYERS, token->layers);
    token->rows           = p.patches->out[0]->dim[1];
    token->columns        = p.patches->out[0]->dim[2];
    token->layer          = ls_arena_alloc(memory, (size_t)n * sizeof *token->layer);
    const int64_t tokens  = map->tokens;
    double       *rollout = ls_arena_alloc(memory, (size_t)(tokens * tokens) * sizeof *rollout);
    for (int64_t i = 0; i < tokens * tokens; i++) rollout[i] = i / tokens == i % tokens;
    for (int i = 0; i < n; i++) {
        ls_attention_rollout(&map[i], rollout, memory);
        take_maps(token, &map[i], rollout, &token->layer[i], memory);
        take_class(value[i], (int)ls__cols(logits[i]), &token->layer[i], memory);
    }
    return LS_OK;
}

ls_status ls_class_token_of(const ls_run *run, const float *image, ls_arena *memory, ls_class_token *token)
{
    ls_graph *g      = ls_graph_new();
    ls_status status = compute(run, g, image, memory, token);
    ls_graph_free(g);
    return status;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { MARGIN = 28, TITLE = 118, TILE = 150, GAP = 16, IMAGE = 200, ROW = TILE + 54 };

/* Draws the image, and a map over it.  The largest value of the map has the full colour.  NULL: no map. */
static ls_status draw_tile(ls_png *plot, const ls_run *run, const uint8_t *pixels, const float *map,
                           const ls_class_token *t, double x, double y, double side, ls_arena *memory)
{
    const int64_t patches = t->rows * t->columns;
    float        *part = ls_arena_alloc(memory, (size_t)patches * sizeof *part), most = 1e-12f;
    ls_picture    picture;
    LS_TRY(ls_picture_of(&picture, &run->data, pixels));
    for (int64_t i = 0; map && i < patches; i++) most = fmaxf(most, map[i]);
    for (int64_t i = 0; map && i < patches; i++) part[i] = map[i] / most;
    if (map) ls_picture_heat(&picture, part, (int)t->rows, (int)t->columns);
    const double scale = side / (picture.width > picture.height ? picture.width : picture.height);
    ls_png_heat(plot, &(ls_heat){.x      = x,
                                 .y      = y,
                                 .width  = scale * picture.width,
                                 .height = scale * picture.height,
                                 .rows   = picture.height,
                                 .cols   = picture.width,
                                 .rgb    = picture.rgb});
    ls_picture_free(&picture);
    return LS_OK;
}

static ls_status draw_layers(ls_png *plot, const ls_run *run, const ls_class_token *t, const uint8_t *pixels,
                             ls_arena *memory)
{
    const ls_png_font bold = {.size = 13, .align = -1, .bold = true}, faint = {.size = 12, .align = -1, .faint = true};
    ls_png_text(plot, MARGIN, TITLE + 14, &bold, "image");
    LS_TRY(draw_tile(plot, run, pixels, NULL, t, MARGIN, TITLE + 36, TILE, memory));
    ls_png_text(plot, MARGIN, TITLE + ROW + 14, &bold, "rollout");
    ls_png_text(plot, MARGIN, TITLE + ROW + 44, &faint, "share of each patch");
    ls_png_text(plot, MARGIN, TITLE + ROW + 60, &faint, "in the class token");
    for (int i = 0; i < t->layers; i++) {
        const ls_class_token_layer *l    = &t->layer[i];
        const double                x    = MARGIN + IMAGE + i * (TILE + GAP);
        const char                 *name = l->best < run->data.classes ? run->data.class_names[l->best] : "?";
        ls_png_text(plot, x, TITLE + 14, &bold, "layer %d", i);
        LS_TRY(draw_tile(plot, run, pixels, l->attention, t, x, TITLE + 36, TILE, memory));
        LS_TRY(draw_tile(plot, run, pixels, l->rollout, t, x, TITLE + ROW + 36, TILE, memory));
        ls_png_text(plot, x, TITLE + 2 * ROW + 14, &faint, "%s, %.0f %%", name, 100 * l->probability);
    }
    return LS_OK;
}

ls_status ls_class_token_draw(const ls_run *run, const ls_class_token *token, const uint8_t *pixels, const char *title,
                              ls_png **plot)
{
    const ls_png_font faint = {.size = 13, .align = -1, .faint = true};
    ls_arena         *memory;
    LS_TRY(ls_png_new(plot, fmax(MARGIN + IMAGE + token->layers * (TILE + GAP) + MARGIN, 960), TITLE + 2 * ROW + 44));
    ls_png_text(*plot, MARGIN, 32, &(ls_png_font){.size = 20, .align = -1, .bold = true},
                "The path of the class token");
    ls_png_text(*plot, MARGIN, 60, &faint,
                "Above: its attention to the patches in each layer, mean over the heads. Below: "
                "attention rollout up to the layer (Abnar & Zuidema 2020).");
    ls_png_text(*plot, MARGIN, 80, &faint,
                "Last line: the class that the model's head reads from the token after the layer.");
    ls_png_text(*plot, MARGIN, 100, &faint, "%s", title);
    ls_status status = ls_arena_new(&memory, "class token");
    if (status == LS_OK) {
        status = draw_layers(*plot, run, token, pixels, memory);
        ls_arena_free(memory);
    }
    if (status != LS_OK) {
        ls_png_free(*plot);
        *plot = NULL;
    }
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

ls_status ls__explain_class_token(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected   s;
    ls_class_token t      = {0};
    ls_png        *plot   = NULL;
    const uint8_t *pixels = NULL;
    const float   *image  = NULL;
    LS_TRY(ls_inspect_image(&s, run, options, "class-token", &pixels, &image));
    LS_TRY(ls_class_token_of(run, image, run->memory, &t));
    for (int i = 0; i < t.layers; i++)
        printf("after layer %2d  %-16s %5.1f %%\n", i,
               t.layer[i].best < run->data.classes ? run->data.class_names[t.layer[i].best] : "?",
               100 * t.layer[i].probability);
    ls_status status = ls_class_token_draw(
        run, &t, pixels, ls_arena_printf(run->memory, "%s · %s", options->model, options->text), &plot);
    if (status == LS_OK) status = ls_inspect_save(&s, options, plot, "class-token");
    ls_png_free(plot);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations of convolutional networks, and Grad-CAM (Selvaraju 2017, "Grad-CAM: visual explanations from deep
 * networks via gradient-based localization").
 *
 *     w_k  = mean over pixels of dy/dA_k                     y: logit of the class, A: last convolutional activation
 *     map  = relu(sum_k w_k A_k)                             divided by its maximum
 *
 * y is written as the sum of logits x choice, where choice is 1 for the class and 0 for the others, so that one program
 * serves all classes.
 */
#include "launch/vision/activations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool begins_with(const char *text, const char *begin) { return strncmp(text, begin, strlen(begin)) == 0; }

bool ls_is_conv(const ls_node *n) { return begins_with(ls__op(n)->name, "conv") && n->out[0]->rank == 3; }

/* Whether the output of a node belongs to the layer of its input: a norm, a sum or a nonlinearity. */
static bool continues_layer(const ls_node *n, const ls_tensor *x)
{
    static const char *const others[] = {"conv", "pad", "concat", "permute", "reshape"};
    const char              *name     = ls__op(n)->name;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (begins_with(name, others[i])) return false;
    const ls_tensor *y = n->out[0];
    return !strstr(name, "pool") && y->rank == x->rank && !memcmp(y->dim, x->dim, (size_t)x->rank * sizeof *x->dim);
}

/* Returns the only node that reads x; NULL: none, or several. */
static const ls_node *only_reader(const ls_tensor *x)
{
    const ls_node *reader = NULL;
    for (int i = 0; i < x->graph->nodes; i++) {
        const ls_node *n     = x->graph->node[i];
        bool           reads = false;
        for (int k = 0; k < n->ins; k++) reads |= n->in[k] == x;
        if (reads && reader) return NULL;
        if (reads) reader = n;
    }
    return reader;
}

ls_tensor *ls_layer_end(const ls_node *n)
{
    for (const ls_node *next; (next = only_reader(n->out[0])) && continues_layer(next, n->out[0]);) n = next;
    return n->out[0];
}

ls_status ls_rebuild_classifier(const ls_run *run, ls_graph *g, ls_tensor **image, ls_tensor **logits)
{
    const ls_dataset_info *d = &run->data;
    *image                   = ls_input(g, "image", LS_F32, d->channels, d->height, d->width);
    return ls_recipe_build(run->recipe, g, *image, &(ls_recipe_output){d->classes, "class", "images"}, logits);
}

ls_params *ls_run_params(const ls_run *run) { return run->loaded ? run->loaded : ls_trainer_params(run->trainer); }

/* ---- Grad-CAM ---------------------------------------------------------------------------------------------------- */

struct ls_grad_cam {
    ls_graph   *graph;
    ls_model   *model;
    ls_tensor  *activation; /* C x H x W */
    int         classes;
    float      *choice;
    const char *layer;
};

/* Returns the last convolution with more than one output pixel; NULL: none. */
static const ls_node *last_conv(const ls_graph *g)
{
    for (int i = g->nodes - 1; i >= 0; i--)
        if (ls_is_conv(g->node[i]) && g->node[i]->out[0]->dim[1] * g->node[i]->out[0]->dim[2] > 1) return g->node[i];
    return NULL;
}

static ls_status build(ls_grad_cam *cam, const ls_run *run, bool *found)
{
    ls_tensor *image, *logits;
    LS_TRY(ls_rebuild_classifier(run, cam->graph, &image, &logits));
    const ls_node *conv = last_conv(cam->graph);
    *found              = conv != NULL;
    if (!conv) return LS_OK;
    ls_arena   *memory = cam->graph->arena;
    const char *name   = ls__layer_name(conv, memory);
    cam->activation    = ls_layer_end(conv);
    cam->classes       = (int)ls__cols(logits);
    cam->choice        = calloc((size_t)cam->classes, sizeof *cam->choice);
    cam->layer        = ls_arena_printf(memory, "%s, %s", name ? name : conv->out[0]->name, ls__shape(cam->activation));
    ls_tensor *choice = ls_input(cam->graph, "choice", LS_F32, cam->classes);
    LS_CHECK(cam->choice, LS_ERR_ENV, "Grad-CAM: no memory");
    return ls_model_new_gradient(&cam->model, cam->graph, ls_run_params(run), ls_sum(ls_mul(logits, choice)),
                                 cam->activation, 1);
}

ls_status ls_grad_cam_new(ls_grad_cam **out, const ls_run *run)
{
    bool found       = false;
    *out             = NULL;
    ls_grad_cam *cam = calloc(1, sizeof *cam);
    LS_CHECK(cam, LS_ERR_ENV, "Grad-CAM: no memory");
    cam->graph       = ls_graph_new();
    ls_status status = build(cam, run, &found);
    if (status == LS_OK && found)
        *out = cam;
    else
        ls_grad_cam_free(cam);
    return status;
}

void ls_grad_cam_free(ls_grad_cam *cam)
{
    if (!cam) return;
    ls_model_free(cam->model);
    ls_graph_free(cam->graph);
    free(cam->choice);
    free(cam);
}

int         ls_grad_cam_height(const ls_grad_cam *cam) { return (int)cam->activation->dim[1]; }
int         ls_grad_cam_width(const ls_grad_cam *cam) { return (int)cam->activation->dim[2]; }
const char *ls_grad_cam_layer(const ls_grad_cam *cam) { return cam->layer; }

ls_status ls_grad_cam_map(ls_grad_cam *cam, const float *image, int class, float *map)
{
    const int64_t channels = cam->activation->dim[0], pixels = cam->activation->dim[1] * cam->activation->dim[2];
    memset(cam->choice, 0, (size_t)cam->classes * sizeof *cam->choice);
    cam->choice[class] = 1;
    LS_TRY(ls_model_run(
        cam->model,
        &(ls_batch){
            .inputs = 2, .name = {"image", "choice"}, .data = {image, cam->choice}, .rows = 1, .global_rows = 1}));
    const float *a = ls_model_output(cam->model, 1), *gradient = ls_model_gradient(cam->model);
    float        most = 0;
    memset(map, 0, (size_t)pixels * sizeof *map);
    for (int64_t k = 0; k < channels; k++) {
        double sum = 0;
        for (int64_t i = 0; i < pixels; i++) sum += (double)gradient[k * pixels + i];
        const float weight = (float)(sum / (double)pixels);
        for (int64_t i = 0; i < pixels; i++) map[i] += weight * a[k * pixels + i];
    }
    for (int64_t i = 0; i < pixels; i++) {
        map[i] = fmaxf(map[i], 0);
        most   = fmaxf(most, map[i]);
    }
    for (int64_t i = 0; i < pixels && most > 0; i++) map[i] /= most;
    return LS_OK;
}

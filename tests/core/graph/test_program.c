/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: order and selection of instructions, in-place writes, plans without overlaps, gradients of weights that are
 * used several times, recomputation, workspace in gradients, and states. */
#include "tests/unit.h"

#include <math.h>

#include "core/graph/graph.h"
#include "core/graph/program.h"
#include "dist/trainer/trainer.h"

enum { IN = 6, HIDDEN = 6, CLASSES = 3, ROWS = 8 };

/* A model of `uses` layers that share one weight, then a head. */
static ls_tensor *tied(ls_graph *g, int uses, ls_tensor **logits)
{
    ls_tensor *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    for (int i = 0; i < uses; i++) x = ls_tanh(ls_linear(g, "tied", x, HIDDEN));
    *logits = ls_linear(g, "head", x, CLASSES);
    return ls_cross_entropy(*logits, y);
}

static void fill(float *image, int32_t *label)
{
    for (int i = 0; i < ROWS * IN; i++) image[i] = sinf((float)i * 1.7f);
    for (int i = 0; i < ROWS; i++) label[i] = i % CLASSES;
}

/* Compares gradients with central differences of the loss.  With SGD at learning rate 1 a parameter changes by minus
 * its gradient. */
static void tied_weights_have_the_whole_gradient(void **state)
{
    float      image[ROWS * IN];
    int32_t    label[ROWS];
    ls_metrics m;
    fill(image, label);
    ls_batch batch = {
        .inputs = 2, .name = {"image", "label"}, .data = {image, label}, .rows = ROWS, .global_rows = ROWS};
    for (int uses = 1; uses <= 4; uses++) {
        ls_graph   *g = ls_graph_new();
        ls_tensor  *logits;
        ls_trainer *t;
        ls_tensor  *loss = tied(g, uses, &logits);
        assert_ok(ls_trainer_new(&t, g, loss, .batch = ROWS, .optim = ls_sgd(.lr = 1)));
        ls_params *p = ls_trainer_params(t);
        int        w = ls_params_find(p, "tied.weight");
        assert_true(w >= 0);
        float *values = ls_params_get(p, w, NULL, NULL, NULL);
        for (int i = 0; i < HIDDEN * IN; i += 5) {
            float  keep = values[i], h = 1e-2f;
            double up, down;
            values[i] = keep + h;
            assert_ok(ls_trainer_eval(t, &batch, &m));
            up        = m.loss;
            values[i] = keep - h;
            assert_ok(ls_trainer_eval(t, &batch, &m));
            down      = m.loss;
            values[i] = keep;
            float before[HIDDEN * IN];
            memcpy(before, values, sizeof before);
            size_t all   = p->floats * sizeof(float);
            float *saved = malloc(all);
            memcpy(saved, p->block.data, all);
            assert_ok(ls_trainer_step(t, &batch, NULL));
            double gradient = (double)before[i] - values[i];
            memcpy(p->block.data, saved, all);
            free(saved);
            assert_true(fabs(gradient - (up - down) / (2 * h)) < 2e-4 + 0.01 * fabs(gradient));
        }
        ls_trainer_free(t);
        ls_graph_free(g);
    }
}

static ls_program *compile(ls_graph *g, ls_params **params, ls_tensor *loss)
{
    ls_program *p;
    assert_ok(ls_params_new(params, g, 1));
    assert_ok(ls__program_new(&p, g, *params, &(ls_program_options){.loss = loss, .max_rows = ROWS, .max_shards = 4}));
    assert_ok(ls__program_plan(p));
    return p;
}

/* Two buffers in use at the same time never share a byte, unless one is written in place of the other. */
static void plans_do_not_overlap(void **state)
{
    for (int uses = 1; uses <= 4; uses++) {
        ls_graph   *g = ls_graph_new();
        ls_tensor  *logits;
        ls_tensor  *loss = tied(g, uses, &logits);
        ls_params  *params;
        ls_program *p      = compile(g, &params, loss);
        int         placed = 0;
        for (int i = 0; i < p->buffers; i++)
            for (int k = 0; k < i; k++) {
                const ls_buffer *a = &p->buffer[i], *b = &p->buffer[k];
                if (a->place != LS_PLACE_STEP || b->place != LS_PLACE_STEP || a->home == b->home) continue;
                placed++;
                bool time  = a->born <= b->last && b->born <= a->last,
                     space = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
                assert_false(time && space);
            }
        assert_true(placed > 0);
        ls__program_free(p);
        ls_params_free(params);
        ls_graph_free(g);
    }
}

static int count(const ls_program *p, ls_instr_kind kind)
{
    int n = 0;
    for (int i = 0; i < p->instrs; i++) n += p->instr[i].kind == kind;
    return n;
}

static void frozen_parts_are_not_differentiated(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *logits;
    ls_params  *params;
    ls_tensor  *loss = tied(g, 3, &logits);
    ls_program *p    = compile(g, &params, loss);
    assert_int_equal(count(p, LS_INSTR_FORWARD), 8);
    assert_int_equal(count(p, LS_INSTR_BACKWARD), 8 + 3); /* three uses: one for the weight, one for the bias */
    assert_int_equal(count(p, LS_INSTR_FOLD), 2);         /* weight and bias */
    ls__program_free(p);
    ls_params_free(params);
    assert_int_equal(ls_freeze(g, "tied.*"), 2);
    p = compile(g, &params, loss);
    assert_int_equal(count(p, LS_INSTR_BACKWARD), 2); /* loss and head */
    assert_int_equal(count(p, LS_INSTR_FOLD), 0);
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
}

/* A list of globs: the last match decides, ! excludes.  A batch norm with frozen statistics sums no batch. */
static void globs_freeze_parameters_and_statistics(void **state)
{
    static const char *const all_but_head[] = {"*", "!head.*", NULL}, *const weights[] = {"*.weight", NULL};
    for (int k = 0; k < 2; k++) {
        ls_graph  *g = ls_graph_new();
        ls_tensor *x = ls_batch_norm(g, "norm", ls_linear(g, "body", ls_input(g, "x", LS_F32, 3), 4));
        ls_tensor *y = ls_linear(g, "head", x, 2);
        assert_non_null(y);
        assert_int_equal(ls__freeze(g, k ? weights : all_but_head), k ? 3 : 6);
        int sums = 0, trained = 0;
        for (int i = 0; i < g->nodes; i++) sums += ls__batch_sums(g->node[i], false) > 0;
        for (int i = 0; i < g->tensors; i++) trained += g->tensor[i]->role == LS_ROLE_PARAM && g->tensor[i]->needs_grad;
        assert_int_equal(sums, k ? 1 : 0); /* "*.weight" leaves the statistics as they are */
        assert_int_equal(trained, k ? 3 : 2);
        assert_int_equal(x->needs_grad, k == 1);
        ls_graph_free(g);
    }
}

static void gradients_are_laid_out_as_they_become_complete(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *logits;
    ls_params  *params;
    ls_tensor  *loss  = tied(g, 2, &logits);
    ls_program *p     = compile(g, &params, loss);
    int         ready = 0;
    for (int i = 0; i < params->count; i++) {
        const ls_param_slot *s = &params->slot[params->order[i]];
        int                  r = ls__program_ready(p, s->offset, (size_t)s->count);
        assert_true(r >= ready);
        ready = r;
        if (i == 0) assert_true(strncmp(s->tensor->name, "head", 4) == 0);
    }
    assert_int_equal(ready, p->instrs);
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
}

/* The two uses of a tied weight write two segments.  Each is complete on its own, the second one first. */
static void tied_weights_have_two_segments(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *logits, *loss = tied(g, 2, &logits);
    ls_params  *params;
    ls_program *p;
    assert_ok(ls_params_new(&params, g, 1));
    assert_true(params->grads == params->trained);
    ls__params_tie(params, loss);
    assert_int_equal(params->tied, 2); /* weight and bias */
    assert_true(params->grads == params->trained + 2 * LS_PARAM_ALIGN);
    assert_ok(ls__program_new(&p, g, params, &(ls_program_options){.loss = loss, .max_rows = ROWS, .max_shards = 4}));
    assert_ok(ls__program_plan(p));
    assert_int_equal(count(p, LS_INSTR_FOLD), 0);
    for (int i = 0; i < p->buffers; i++)
        assert_false(p->buffer[i].place == LS_PLACE_STEP && p->buffer[i].tensor->role == LS_ROLE_PARAM);
    for (int k = 0; k < 2; k++) {
        const ls_param_slot *s = &params->slot[params->seconds[k]];
        assert_true(s->second >= params->trained && s->second + (size_t)s->count <= params->grads);
        int first  = ls__program_ready(p, s->offset, (size_t)s->count),
            second = ls__program_ready(p, s->second, (size_t)s->count);
        assert_true(second < first);
        assert_int_equal(first, p->instrs);
    }
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
}

/* A use of a parameter that the loss does not depend on (for the accuracy) does not delay its gradient. */
static void uses_without_a_gradient_do_not_count(void **state)
{
    for (int uses = 1; uses <= 3; uses++) {
        ls_graph   *g = ls_graph_new();
        ls_tensor  *logits, *loss = tied(g, uses, &logits), *other = ls_linear(g, "tied", g->tensor[0], HIDDEN);
        ls_params  *params;
        ls_program *p;
        assert_ok(ls_params_new(&params, g, 1));
        ls__params_tie(params, loss);
        assert_int_equal(params->tied, uses == 2 ? 2 : 0);
        assert_ok(ls__program_new(
            &p, g, params,
            &(ls_program_options){.output = &other, .outputs = 1, .loss = loss, .max_rows = ROWS, .max_shards = 4}));
        assert_int_equal(count(p, LS_INSTR_FOLD), uses == 3 ? 2 : 0);
        ls__program_free(p);
        ls_params_free(params);
        ls_graph_free(g);
    }
}

static const ls_instr *find(const ls_program *p, ls_instr_kind kind, const char *op)
{
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == kind && strcmp(p->instr[i].name, op) == 0) return &p->instr[i];
    return NULL;
}

/* An op that computes the loss in backward has no forward instruction, and the loss is known before the first gradient
 * is complete. */
static void loss_is_made_by_backward(void **state)
{
    for (int read = 0; read < 2; read++) {
        ls_graph  *g     = ls_graph_new();
        ls_tensor *x     = ls_linear(g, "a", ls_input(g, "image", LS_F32, IN), HIDDEN),
                  *w     = ls_param(g, "head", (ls_init){0}, CLASSES, HIDDEN);
        ls_tensor *loss  = ls_linear_cross_entropy(x, w, ls_input(g, "label", LS_I32)),
                  *twice = ls_scale(loss, .factor = 2);
        ls_params  *params;
        ls_program *p, *eval;
        assert_ok(ls_params_new(&params, g, 1));
        assert_ok(ls__program_new(&p, g, params,
                                  &(ls_program_options){.output     = (ls_tensor *[]){loss, twice},
                                                        .outputs    = 1 + read,
                                                        .loss       = loss,
                                                        .max_rows   = ROWS,
                                                        .max_shards = 4}));
        assert_ok(ls__program_plan(p));
        const ls_instr *forward  = find(p, LS_INSTR_FORWARD, "linear_cross_entropy"),
                       *backward = find(p, LS_INSTR_BACKWARD, "linear_cross_entropy");
        const ls_buffer *value   = &p->buffer[p->value_of[loss->index]];
        int              at      = (int)((read ? find(p, LS_INSTR_FORWARD, "scale") : backward) - p->instr);
        assert_true((forward != NULL) == read);
        assert_true((backward->out[0] >= 0) == !read);
        assert_int_equal(ls__program_loss_known(p), at + 1);
        assert_true(value->born == (int)((read ? forward : backward) - p->instr) && value->last == p->instrs);
        assert_true(ls__program_ready(p, 0, LS_HEADER) == at + 1);
        for (int i = 0; i < params->count; i++)
            assert_true(ls__program_ready(p, params->slot[i].offset, (size_t)params->slot[i].count) > at);
        assert_ok(ls__program_new(
            &eval, g, params, &(ls_program_options){.output = &loss, .outputs = 1, .max_rows = ROWS, .max_shards = 4}));
        assert_non_null(find(eval, LS_INSTR_FORWARD, "linear_cross_entropy"));
        ls__program_free(eval);
        ls__program_free(p);
        ls_params_free(params);
        ls_graph_free(g);
    }
}

/* Runs a program and returns its arena bytes, its gradients and its number of RECOMPUTE instructions.  Values of
 * `outputs` are never recomputed. */
static size_t gradients_of(ls_graph *g, ls_params *params, ls_tensor *loss, ls_tensor *const *output, int outputs,
                           float *grads, int *recomputed)
{
    float       image[ROWS * IN];
    int32_t     label[ROWS];
    ls_program *p;
    fill(image, label);
    assert_ok(ls__program_new(
        &p, g, params,
        &(ls_program_options){.output = output, .outputs = outputs, .loss = loss, .max_rows = ROWS, .max_shards = 1}));
    assert_ok(ls__program_plan(p));
    size_t bytes = p->arena_bytes;
    void  *arena = aligned_alloc(64, (p->arena_bytes + 63) / 64 * 64);
    memset(arena, 0xFF, p->arena_bytes);
    assert_ok(ls__program_bind(p, arena));
    ls_batch batch = {
        .inputs = 2, .name = {"image", "label"}, .data = {image, label}, .rows = ROWS, .global_rows = ROWS};
    assert_ok(ls__program_run(p, &(ls_execution){.batch    = &batch,
                                                 .rows     = ROWS,
                                                 .shards   = 1,
                                                 .bound    = (int64_t[]){0, ROWS},
                                                 .groups   = 1,
                                                 .group    = &(ls_group){.shards = 1},
                                                 .grads    = grads,
                                                 .training = true,
                                                 .micros   = 1}));
    *recomputed = count(p, LS_INSTR_RECOMPUTE);
    for (int i = 0; i < p->instrs && *recomputed; i++)
        if (p->instr[i].kind == LS_INSTR_RECOMPUTE)
            assert_true(p->buffer[p->value_of[p->instr[i].node->out[0]->index]].last < ls__program_loss_known(p));
    ls__program_free(p);
    free(arena);
    return bytes;
}

static void cheap_values_are_recomputed(void **state)
{
    ls_graph  *g    = ls_graph_new();
    ls_tensor *x    = ls_linear(g, "a", ls_input(g, "image", LS_F32, IN), 64),
              *norm = ls_gelu(ls_layer_norm(g, "norm", x));
    ls_tensor *wide = ls_gelu(ls_linear(g, "b", norm, 64)),
              *loss = ls_cross_entropy(ls_linear(g, "c", wide, CLASSES), ls_input(g, "label", LS_I32));
    ls_params *params;
    int        recomputed;
    assert_ok(ls_params_new(&params, g, 1));
    float *lean = calloc(params->grads, sizeof *lean), *kept = calloc(params->grads, sizeof *kept);
    size_t small = gradients_of(g, params, loss, NULL, 0, lean, &recomputed);
    assert_int_equal(recomputed, 3); /* two gelus, and the norm for one of them */
    size_t large = gradients_of(g, params, loss, (ls_tensor *[]){norm->node->in[0], norm, wide}, 3, kept, &recomputed);
    assert_int_equal(recomputed, 0);
    assert_true(small < large);
    assert_memory_equal(lean, kept, params->grads * sizeof *lean);
    assert_true(fabsf(lean[params->slot[0].offset]) > 0);
    free(lean), free(kept);
    ls_params_free(params);
    ls_graph_free(g);
}

/* Costly values are recomputed where the step uses most memory, unless they are outputs.  The gradients are equal. */
static void costly_values_are_recomputed_at_the_peak(void **state)
{
    enum { WIDE = 163840, V = 1000000, C = 16 };
    ls_graph  *g    = ls_graph_new();
    ls_tensor *wide = ls_linear(g, "a", ls_input(g, "image", LS_F32, IN), WIDE);
    ls_tensor *loss = ls_linear_cross_entropy(ls_linear(g, "b", ls_gelu(wide), C),
                                              ls_param(g, "w", ((ls_init){.kind = LS_INIT_NORMAL, .std = 0.1f}), V, C),
                                              ls_input(g, "label", LS_I32));
    ls_params *params;
    int        recomputed;
    assert_ok(ls_params_new(&params, g, 1));
    float *lean = calloc(params->grads, sizeof *lean), *kept = calloc(params->grads, sizeof *kept);
    size_t small = gradients_of(g, params, loss, NULL, 0, lean, &recomputed);
    assert_int_equal(recomputed, 2); /* the linear layer and the gelu */
    size_t large = gradients_of(g, params, loss, (ls_tensor *[]){wide}, 1, kept, &recomputed);
    assert_int_equal(recomputed, 1);
    assert_true(small + ROWS * WIDE * sizeof(float) <= large);
    assert_memory_equal(lean, kept, params->grads * sizeof *lean);
    assert_true(fabsf(lean[params->slot[0].offset]) > 0);
    free(lean), free(kept);
    ls_params_free(params);
    ls_graph_free(g);
}

/* A loss that uses memory of later gradients as workspace: equal gradients, and zeros in the padding between them. */
static void gradients_serve_as_workspace(void **state)
{
    enum { V = 300, C = 9, SHARDS = 8 };
    ls_graph  *g    = ls_graph_new();
    ls_tensor *x    = ls_linear(g, "b", ls_tanh(ls_linear(g, "a", ls_input(g, "image", LS_F32, IN), 150)), C);
    ls_tensor *loss = ls_linear_cross_entropy(
        x, ls_param(g, "w", ((ls_init){.kind = LS_INIT_NORMAL, .std = 0.1f}), V, C), ls_input(g, "label", LS_I32));
    ls_params *params;
    float      image[ROWS * IN], *grads[2];
    size_t     bytes[2];
    int32_t    label[ROWS];
    int64_t    bound[SHARDS + 1];
    fill(image, label);
    for (int s = 0; s <= SHARDS; s++) bound[s] = ROWS * s / SHARDS;
    assert_ok(ls_params_new(&params, g, 1));
    ls_batch batch = {
        .inputs = 2, .name = {"image", "label"}, .data = {image, label}, .rows = ROWS, .global_rows = ROWS};
    for (int shared = 0; shared < 2; shared++) {
        ls_program *p;
        assert_ok(ls__program_new(
            &p, g, params,
            &(ls_program_options){
                .loss = loss, .max_rows = ROWS, .max_shards = SHARDS, .gradient_scratch = shared == 1}));
        assert_ok(ls__program_plan(p));
        void *arena = aligned_alloc(64, (p->arena_bytes + 63) / 64 * 64);
        memset(arena, 0xFF, p->arena_bytes);
        assert_ok(ls__program_bind(p, arena));
        const ls_instr *head = find(p, LS_INSTR_BACKWARD, "linear_cross_entropy");
        const size_t    end  = head->gradient_scratch_at + head->gradient_scratch / sizeof(float),
                     w       = params->slot[ls_params_find(params, "w")].offset;
        assert_true((head->gradient_scratch > 0) == shared && end <= params->trained &&
                    (!shared || end <= w || head->gradient_scratch_at > w));
        grads[shared] = calloc(params->grads, sizeof *grads[0]);
        bytes[shared] = head->scratch;
        memset(grads[shared] + head->gradient_scratch_at, 0xFF, head->gradient_scratch);
        assert_ok(ls__program_run(p, &(ls_execution){.batch    = &batch,
                                                     .rows     = ROWS,
                                                     .shards   = SHARDS,
                                                     .bound    = bound,
                                                     .groups   = 1,
                                                     .group    = &(ls_group){.shards = SHARDS},
                                                     .grads    = grads[shared],
                                                     .training = true,
                                                     .micros   = 1}));
        assert_true(p->high_water == p->arena_bytes);
        ls__program_free(p);
        free(arena);
    }
    assert_true(bytes[1] + 4096 < bytes[0]);
    assert_memory_equal(grads[0], grads[1], params->grads * sizeof *grads[0]);
    assert_true(fabsf(grads[0][params->slot[0].offset]) > 0);
    free(grads[0]), free(grads[1]);
    ls_params_free(params);
    ls_graph_free(g);
}

static void relu_runs_in_place(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    ls_tensor  *hidden = ls_linear(g, "a", x, HIDDEN), *r = ls_relu(hidden);
    ls_params  *params;
    ls_program *p = compile(g, &params, ls_cross_entropy(ls_linear(g, "b", r, CLASSES), y));
    assert_int_equal(p->buffer[p->value_of[r->index]].offset, p->buffer[p->value_of[hidden->index]].offset);
    assert_int_equal(p->buffer[p->value_of[r->index]].home, p->value_of[hidden->index]);
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
}

/* Memory of a GPT with 6 layers, width 384, GPT-2's vocabulary, on 8 x 256 tokens: four blocks of the size of the
 * parameters, a second gradient of the tied head, the activations that backward reads (7 of 16 per layer, of which four
 * are recomputed), and the part of the loss's workspace that does not fit into gradients.  PyTorch uses 2.2 GB compiled
 * and 4.7 GB in eager mode. */
static void a_gpt_takes_little_memory(void **state)
{
    enum { V = 50304, C = 384, T = 256, LAYERS = 6 };
    ls_graph  *g    = ls_graph_new();
    ls_tensor *loss = ls_gpt(g, ls_input(g, "tokens", LS_I32, T), V, ls_input(g, "target", LS_I32, T), .layers = LAYERS,
                             .heads = 6, .width = C, .context = T);
    ls_trainer    *t;
    ls_memory_line line[LS_MEMORY_LINES];
    assert_ok(ls_trainer_new(&t, g, loss, .batch = 8, .optim = ls_adamw(.lr = 1e-3f)));
    const ls_params  *params = ls_trainer_params(t);
    const ls_program *p      = ls__trainer_program(t);
    const double      weight = sizeof(float) * (double)V * C, all = sizeof(float) * (double)params->floats,
                 layers = 16.0 * LAYERS * sizeof(float) * 8 * T * C;
    ls__trainer_memory(t, line);
    assert_int_equal(params->tied, 1);
    assert_true((double)line[1].planned < all + weight + 4096); /* gradients */
    assert_true((double)p->scratch_bytes < 0.8 * weight);
    assert_true((double)p->arena_bytes < 0.66 * layers);
    assert_true((double)ls_trainer_planned_bytes(t) < 0.76e9);
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void a_loss_is_one_float_per_sample(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *x = ls_input(g, "image", LS_F32, IN);
    ls_trainer *t;
    assert_fails(ls_trainer_new(&t, g, ls_linear(g, "a", x, 3), .batch = 8), LS_ERR_USAGE, "one float per sample");
    ls_graph_free(g);
}

/* Two states of different sizes: zero at first, kept from run to run, zeroed by a reset. */
static void states_are_kept_from_run_to_run(void **state)
{
    static const int64_t bound[]      = {0, 2};
    float                image[2 * 3] = {1, 2, 3, 4, 5, 6};
    ls_graph            *g            = ls_graph_new();
    ls_params           *params;
    ls_program          *p;
    ls_tensor *x = ls_input(g, "image", LS_F32, 3), *a = ls_state(g, "a", LS_F32, 3), *b = ls_state(g, "b", LS_F32, 3);
    ls_tensor *y = ls_add(ls_add(x, a), ls_add(ls_relu(b), b));
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls__program_new(&p, g, params,
                              &(ls_program_options){.output = &y, .outputs = 1, .max_rows = 4, .max_shards = 1}));
    assert_ok(ls__program_plan(p));
    assert_int_equal(p->state_bytes, 2 * 64); /* 4 samples of 3 floats each, in whole cache lines */
    void *arena = malloc(p->arena_bytes);
    assert_ok(ls__program_bind(p, arena));
    ls_batch     batch = {.inputs = 1, .name = {"image"}, .data = {image}, .rows = 2, .global_rows = 2};
    ls_execution run   = {.batch = &batch, .rows = 2, .shards = 1, .bound = bound};
    for (int round = 0; round < 3; round++) {
        assert_ok(ls__program_run(p, &run));
        float *value = ls__program_value(p, &run, y), *keep = ls__program_value(p, &run, a);
        for (int i = 0; i < 6; i++) assert_true(value[i] == image[i] + (round == 1 ? 10 * (float)i : 0));
        if (round == 1)
            ls__program_reset(p);
        else
            for (int i = 0; i < 6; i++) keep[i] = 10 * (float)i;
    }
    assert_true(((float *)p->state.data)[1] == 10);
    assert_ok(ls__program_bind(p, arena));
    assert_true(((float *)p->state.data)[1] == 0);
    free(arena);
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
}

/* A model updates its cache in every run until a reset.  Training cannot update states, and an op cannot update a
 * tensor that is no state. */
static void states_are_updated(void **state)
{
    enum { N = 4 };
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, 1, 3), *start = ls_input(g, "start", LS_I32),
              *cache = ls_state(g, "cache", LS_F32, N, 2);
    ls_tensor  *y    = ls_attention(x, .start = start, .cache = cache, .causal = true);
    ls_params  *params;
    ls_program *p;
    ls_model   *m;
    float       first[3];
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls_model_new(&m, g, params, &y, 1, 1));
    for (int round = 0; round < 2; round++) {
        for (int32_t t = 0; t < 3; t++) { /* queries and keys are 0, so the result is the mean of the values so far */
            float    token[3] = {0, 0, (float)(t + 1)};
            ls_batch batch    = {.inputs = 2, .name = {"x", "start"}, .data = {token, &t}, .rows = 1, .global_rows = 1};
            assert_ok(ls_model_run(m, &batch));
            if (round == 0) first[t] = *ls_model_output(m, 0);
            assert_float_equal(*ls_model_output(m, 0), (float)(t + 2) / 2, 1e-6);
            assert_true(*ls_model_output(m, 0) == first[t]);
        }
        ls_model_reset(m);
        int32_t  last     = 3; /* the reset has zeroed three keys */
        float    token[3] = {0, 0, 8};
        ls_batch batch    = {.inputs = 2, .name = {"x", "start"}, .data = {token, &last}, .rows = 1, .global_rows = 1};
        assert_ok(ls_model_run(m, &batch));
        assert_float_equal(*ls_model_output(m, 0), 2, 1e-6);
    }
    ls_model_free(m);
    ls_params_free(params);

    ls_tensor *w = ls_param(g, "w", (ls_init){0}, 1);
    assert_ok(ls_params_new(&params, g, 1));
    assert_fails(ls__program_new(&p, g, params,
                                 &(ls_program_options){.loss = ls_sum(ls_mul(y, w)), .max_rows = 1, .max_shards = 1}),
                 LS_ERR_USAGE, "writes the state 'cache'");
    ls_params_free(params);
    assert_null(ls_attention(x, .start = start, .cache = ls_input(g, "no cache", LS_F32, N, 2), .causal = true));
    assert_int_equal(ls_graph_status(g), LS_ERR_USAGE);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tied_weights_have_the_whole_gradient),
                                       cmocka_unit_test(plans_do_not_overlap),
                                       cmocka_unit_test(frozen_parts_are_not_differentiated),
                                       cmocka_unit_test(globs_freeze_parameters_and_statistics),
                                       cmocka_unit_test(gradients_are_laid_out_as_they_become_complete),
                                       cmocka_unit_test(tied_weights_have_two_segments),
                                       cmocka_unit_test(uses_without_a_gradient_do_not_count),
                                       cmocka_unit_test(loss_is_made_by_backward),
                                       cmocka_unit_test(cheap_values_are_recomputed),
                                       cmocka_unit_test(costly_values_are_recomputed_at_the_peak),
                                       cmocka_unit_test(gradients_serve_as_workspace),
                                       cmocka_unit_test(relu_runs_in_place),
                                       cmocka_unit_test(states_are_kept_from_run_to_run),
                                       cmocka_unit_test(states_are_updated),
                                       cmocka_unit_test(a_gpt_takes_little_memory),
                                       cmocka_unit_test(a_loss_is_one_float_per_sample)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

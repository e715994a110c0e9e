/* SPDX-License-Identifier: Apache-2.0 */
/* Loops: a decoder with attention and input feeding as a loop against the same decoder unrolled, central differences,
 * gradients of parameters that are deferred and that are not, bits of a sample in any batch and width, and errors. */
#include "tests/unit.h"

#include <math.h>
#include <omp.h>

#include "core/graph/graph.h"
#include "core/graph/program.h"

enum { ROWS = 7, SHARDS = 4, T = 5, S = 6, IN = 5, H = 9, MEMORY = 10, A = 7, CLASSES = 4 };

/* ---- the decoder ------------------------------------------------------------------------------------------------- */

typedef struct settings {
    bool  unrolled;
    float dropout;
    int   t, s; /* 0: T, S */
} settings;

typedef struct decoder {
    ls_graph  *g;
    ls_tensor *memory, *lengths, *keys, *dot_keys, *v;
} decoder;

typedef struct cell_state {
    ls_tensor *h, *c, *feed;
} cell_state;

static ls_tensor *weight(ls_graph *g, const char *name, int64_t rows)
{
    return ls_param(g, name, ((ls_init){.kind = LS_INIT_NORMAL, .std = 0.4f}), rows);
}

/* One step, with ops of all kinds.  Most weights are used once in a step, `shared` twice, `thrice` three times.
 * Returns the result of the step, and sets the next state. */
static ls_tensor *cell(const decoder *d, float dropout, ls_tensor *x, cell_state *s)
{
    ls_graph  *g       = d->g;
    ls_tensor *gates   = ls_linear(g, "cell.x", ls_concat(x, s->feed), 4 * H),
              *product = ls_linear(g, "cell.h", s->h, 4 * H);
    s->h               = ls_lstm_cell_op(gates, product, s->c);
    s->c               = ls_output(s->h, 1);
    ls_tensor *q       = ls_linear(g, "query", s->h, A, .no_bias = true);
    ls_tensor *context = ls_additive_attention(q, d->keys, d->v, d->memory, d->lengths);
    ls_tensor *dot = ls_attention(ls_reshape(s->h, 1, H), d->dot_keys, d->dot_keys, .lengths = d->lengths, .scale = 1);
    context        = ls_concat(context, ls_reshape(dot, H));
    ls_tensor *y   = ls_layer_norm(g, "norm", ls_linear(g, "out", ls_concat(context, s->h), H));
    y              = ls_gelu(ls_mul(ls_add(y, weight(g, "shift", H)), weight(g, "shared", H)));
    y              = ls_dropout(ls_tanh(ls_mul(y, weight(g, "shared", H))), .p = dropout);
    for (int i = 0; i < 3; i++) y = ls_add(y, weight(g, "thrice", H));
    s->feed = y;
    return ls_add(y, ls_relu(ls_reshape(ls_reshape(s->h, 3, 3), H)));
}

static void add_keys(decoder *d)
{
    d->keys     = ls_linear(d->g, "keys", d->memory, A);
    d->dot_keys = ls_linear(d->g, "dot_keys", d->memory, H);
}

/* y appended to ys along T. */
static ls_tensor *append(ls_tensor *ys, ls_tensor *y)
{
    y = ls_reshape(y, 1, H);
    return ys ? ls_concat(ys, y, .channels = true) : y;
}

/* The results of all steps, B x T x H. */
static ls_tensor *decode(ls_graph *g, settings o)
{
    const int  t = o.t ? o.t : T, s = o.s ? o.s : S;
    ls_tensor *x = ls_input(g, "x", LS_F32, t, IN), *token = ls_input(g, "token", LS_I32, t), *ys = NULL, *x_t;
    decoder    d  = {.g       = g,
                     .memory  = ls_gelu(ls_linear(g, "encoder", ls_input(g, "source", LS_F32, s, IN), MEMORY)),
                     .lengths = ls_input(g, "lengths", LS_I32),
                     .v       = weight(g, "v", A)};
    ls_tensor *h0 = ls_tanh(ls_linear(g, "bridge", ls_select(d.memory), H)), *zeros = ls_input(g, "zeros", LS_F32, H);
    ls_tensor *table = ls_param(g, "table", ((ls_init){.kind = LS_INIT_NORMAL, .std = 0.4f}), CLASSES, IN);
    if (o.unrolled) {
        cell_state now = {h0, zeros, zeros};
        add_keys(&d);
        for (int i = 0; i < t; i++) {
            x_t = ls_add(ls_select(x, .index = i), ls_embedding_op(ls_select(token, .index = i), table));
            ys  = append(ys, cell(&d, o.dropout, x_t, &now));
        }
        return ys;
    }
    ls_loop   *l     = ls_loop_begin(g);
    cell_state first = {ls_loop_carry(l, h0), ls_loop_zeros(l, H), ls_loop_zeros(l, H)}, now = first;
    add_keys(&d); /* they read no value of a step: before the loop */
    x_t = ls_add(ls_loop_step(l, x), ls_embedding_op(ls_loop_step(l, token), table));
    ys  = ls_loop_stack(l, cell(&d, o.dropout, x_t, &now));
    ls_loop_next(l, first.h, now.h);
    ls_loop_next(l, first.c, now.c);
    ls_loop_next(l, first.feed, now.feed);
    ls_loop_end(l);
    return ys;
}

/* ---- running it -------------------------------------------------------------------------------------------------- */

typedef struct machine {
    ls_graph   *g;
    ls_params  *params;
    ls_program *program;
    ls_tensor  *ys, *loss;
    ls_block    arena, grads;
} machine;

static machine machine_new(settings o)
{
    machine m = {.g = ls_graph_new()};
    m.ys      = decode(m.g, o);
    m.loss = ls_cross_entropy(ls_linear(m.g, "logits", m.ys, CLASSES), ls_input(m.g, "target", LS_I32, o.t ? o.t : T));
    assert_ok(ls_graph_status(m.g));
    assert_ok(ls_params_new(&m.params, m.g, 1));
    ls__params_tie(m.params, m.loss);
    assert_ok(ls__program_new(&m.program, m.g, m.params,
                              &(ls_program_options){.output     = (ls_tensor *[]){m.ys, m.loss},
                                                    .outputs    = 2,
                                                    .loss       = m.loss,
                                                    .max_rows   = ROWS,
                                                    .max_shards = SHARDS}));
    assert_ok(ls__program_plan(m.program));
    assert_ok(ls_block_new(&m.arena, m.program->arena_bytes, "arena"));
    assert_ok(ls_block_new(&m.grads, m.params->grads * sizeof(float), "gradients"));
    memset(m.arena.data, 0xff, m.program->arena_bytes); /* NaN: a value that is read before it is written shows */
    assert_ok(ls__program_bind(m.program, m.arena.data));
    return m;
}

static void machine_free(machine *m)
{
    ls__program_free(m->program);
    ls_params_free(m->params);
    ls_graph_free(m->g);
    ls_block_free(&m->arena);
    ls_block_free(&m->grads);
}

static float value(int64_t stream, int64_t i) { return sinf((float)(i * 37 + stream * 101) * 0.7f); }

/* Runs samples [first, first + rows) with t steps and s source positions; the sum of the losses. */
static double run(machine *m, int first, int rows, int t, int s)
{
    static float   x[ROWS * T * IN], source[ROWS * S * IN], zeros[ROWS * H];
    static int32_t lengths[ROWS], target[ROWS * T], token[ROWS * T];
    int64_t        bound[SHARDS + 1];
    for (int i = 0; i <= SHARDS; i++) bound[i] = i * rows / SHARDS;
    for (int b = 0; b < rows; b++) {
        const int n = first + b;
        lengths[b]  = n % 4 == 3 ? 0 : n % 3 + 1; /* at most 3 */
        for (int i = 0; i < t * IN; i++) x[b * t * IN + i] = value(1, n * T * IN + i);
        for (int i = 0; i < s * IN; i++) source[b * s * IN + i] = i < lengths[b] * IN ? value(2, n * S * IN + i) : 0;
        for (int i = 0; i < t; i++) target[b * t + i] = (n + 3 * i) % CLASSES, token[b * t + i] = (2 * n + i) % CLASSES;
    }
    const ls_group     group = {.shards = SHARDS};
    const ls_batch     batch = {.inputs      = 6,
                                .name        = {"x", "source", "zeros", "lengths", "target", "token"},
                                .data        = {x, source, zeros, lengths, target, token},
                                .dim0        = {t, s, 0, 0, t, t},
                                .rows        = rows,
                                .first       = first,
                                .global_rows = ROWS};
    const ls_execution e     = {.batch        = &batch,
                                .rows         = rows,
                                .shards       = SHARDS,
                                .bound        = bound,
                                .groups       = 1,
                                .group        = &group,
                                .grads        = m->grads.data,
                                .training     = true,
                                .seed         = 5,
                                .first_sample = first};
    assert_ok(ls__program_run(m->program, &e));
    const float *loss = ls__program_value(m->program, &e, m->loss);
    double       sum  = 0;
    for (int b = 0; b < rows; b++) sum += (double)loss[b];
    return sum;
}

static const float *results(const machine *m) { return ls__program_value(m->program, &(ls_execution){0}, m->ys); }

/* The gradient of parameter i: tied weights have two parts. */
static float gradient(const machine *m, const ls_param_slot *slot, int64_t i)
{
    const float *grads = m->grads.data;
    return grads[slot->offset + (size_t)i] + (slot->second ? grads[slot->second + (size_t)i] : 0);
}

static void a_loop_is_the_unrolled_graph(void **state)
{
    machine      loop = machine_new((settings){0}), unrolled = machine_new((settings){.unrolled = true});
    const double a = run(&loop, 0, ROWS, T, S), b = run(&unrolled, 0, ROWS, T, S);
    assert_true(isfinite(a) && fabs(a - b) < 1e-6 * b);
    for (int i = 0; i < ROWS * T * H; i++) assert_true(fabsf(results(&loop)[i] - results(&unrolled)[i]) < 1e-6f);
    assert_int_equal(ls_params_count(loop.params), ls_params_count(unrolled.params));
    for (int k = 0; k < loop.params->count; k++) {
        const ls_param_slot *p = &loop.params->slot[k],
                            *q = &unrolled.params->slot[ls_params_find(unrolled.params, p->tensor->name)];
        float most = 0, apart = 0;
        for (int64_t i = 0; i < p->count; i++) {
            const float want = gradient(&unrolled, q, i);
            most             = fmaxf(most, fabsf(want));
            apart            = fmaxf(apart, fabsf(gradient(&loop, p, i) - want));
        }
        if (!(most > 1e-4f && apart <= 2e-6f * fmaxf(most, 1)))
            fail_msg("%s: gradients of up to %g, differ by %g", p->tensor->name, (double)most, (double)apart);
    }
    machine_free(&loop);
    machine_free(&unrolled);
}

static void gradients_are_central_differences(void **state)
{
    for (int dropout = 0; dropout < 2; dropout++) {
        machine m = machine_new((settings){.dropout = dropout ? 0.3f : 0});
        for (int k = 0; k < m.params->count; k++) {
            const ls_param_slot *p = &m.params->slot[k];
            float               *w = (float *)m.params->block.data + p->offset;
            for (int64_t i = 0; i < p->count; i += p->count / 3 + 1) {
                const float keep = w[i], h = 1e-3f;
                run(&m, 0, ROWS, T, S);
                const double got  = (double)gradient(&m, p, i);
                w[i]              = keep + h;
                const double up   = run(&m, 0, ROWS, T, S);
                w[i]              = keep - h;
                const double down = run(&m, 0, ROWS, T, S), want = (up - down) / (2 * (double)h);
                w[i] = keep;
                if (!(fabs(got - want) < 5e-3 + 0.01 * fabs(want)))
                    fail_msg("%s[%lld]: %g, expected %g", p->tensor->name, (long long)i, got, want);
            }
        }
        machine_free(&m);
    }
}

/* Dropout draws other numbers in each step. */
static void dropout_differs_between_steps(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_loop   *l = ls_loop_begin(g);
    ls_tensor *x = ls_loop_step(l, ls_input(g, "x", LS_F32, T, 16));
    ls_tensor *y = ls_loop_stack(l, ls_dropout(ls_scale(x, .term = 1), .p = 0.5f)), *loss;
    ls_loop_end(l);
    loss = ls_sum(ls_mul(y, ls_param(g, "w", (ls_init){0}, T, 16)));
    assert_ok(ls_graph_status(g));
    ls_params  *params;
    ls_program *p;
    ls_block    arena, grads;
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls__program_new(
        &p, g, params,
        &(ls_program_options){.output = &y, .outputs = 1, .loss = loss, .max_rows = 1, .max_shards = 1}));
    assert_ok(ls__program_plan(p));
    assert_ok(ls_block_new(&arena, p->arena_bytes, "arena"));
    assert_ok(ls_block_new(&grads, params->grads * sizeof(float), "gradients"));
    assert_ok(ls__program_bind(p, arena.data));
    float              x_data[T * 16] = {0};
    const ls_batch     batch          = {.inputs = 1, .name = {"x"}, .data = {x_data}, .rows = 1, .global_rows = 1};
    const ls_group     group          = {.shards = 1};
    const ls_execution e              = {.batch    = &batch,
                                         .rows     = 1,
                                         .shards   = 1,
                                         .bound    = (const int64_t[]){0, 1},
                                         .groups   = 1,
                                         .group    = &group,
                                         .grads    = grads.data,
                                         .training = true};
    assert_ok(ls__program_run(p, &e));
    const float *got = ls__program_value(p, &e, y);
    for (int t = 1; t < T; t++) assert_true(memcmp(got, got + t * 16, 16 * sizeof *got) != 0);
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
    ls_block_free(&arena);
    ls_block_free(&grads);
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

/* A sample has the same bits alone and in a batch, in a program for its width and in one for greater widths, and with
 * any number of threads. */
static void the_bits_of_a_sample_are_its_own(void **state)
{
    enum { SHORT = 3, NARROW = 3 };
    const settings most = {.dropout = 0.2f}, least = {.dropout = 0.2f, .t = SHORT, .s = NARROW};
    machine        wide = machine_new(most), narrow = machine_new(least);
    float          whole[ROWS * T * H];
    double         losses = 0, loss = run(&wide, 0, ROWS, T, S);
    memcpy(whole, results(&wide), sizeof whole);
    float *grads = malloc(wide.grads.bytes);
    memcpy(grads, wide.grads.data, wide.grads.bytes);
    for (int threads = 2; threads <= 3; threads++) {
        machine other;
        omp_set_num_threads(threads);
        other = machine_new(most);
        assert_true(run(&other, 0, ROWS, T, S) == loss);
        assert_memory_equal(results(&other), whole, sizeof whole);
        assert_memory_equal((float *)other.grads.data + LS_PARAM_START, grads + LS_PARAM_START,
                            (wide.params->trained - LS_PARAM_START) * sizeof *grads);
        machine_free(&other);
    }
    omp_set_num_threads(1);
    for (int b = 0; b < ROWS; b++) {
        losses += run(&wide, b, 1, T, S);
        assert_memory_equal(results(&wide), whole + b * T * H, T * H * sizeof(float));
        run(&wide, b, 1, SHORT, NARROW);
        assert_memory_equal(results(&wide), whole + b * T * H, SHORT * H * sizeof(float));
        run(&narrow, b, 1, SHORT, NARROW);
        assert_memory_equal(results(&narrow), whole + b * T * H, SHORT * H * sizeof(float));
        for (int k = 0; k < wide.params->count; k++) {
            const ls_param_slot *p = &wide.params->slot[k], *q = &narrow.params->slot[k];
            assert_memory_equal((float *)wide.grads.data + p->offset, (float *)narrow.grads.data + q->offset,
                                (size_t)p->count * sizeof(float));
        }
    }
    assert_true(fabs(losses - loss) < 1e-5 * loss);
    free(grads);
    machine_free(&wide);
    machine_free(&narrow);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static const ls_instr *find_instr(const ls_program *p, ls_instr_kind kind, const char *name, int *at)
{
    for (; *at < p->instrs; ++*at)
        if (p->instr[*at].kind == kind && !strcmp(p->instr[*at].name, name)) return &p->instr[(*at)++];
    return NULL;
}

/* Deferred gradients come after the second loop.  Those of v, which is not deferred, and of `thrice` have leaves and a
 * FOLD.  Loop-invariant nodes come before the loop.  */
static void the_program_is_a_flat_list(void **state)
{
    machine           m     = machine_new((settings){0});
    const ls_program *p     = m.program;
    int               first = 0, end, second, second_end, at, deferred = 0, folds = 0;
    assert_non_null(find_instr(p, LS_INSTR_LOOP, "5 steps", &first));
    end = first;
    assert_non_null(find_instr(p, LS_INSTR_END, "", &end));
    second = end;
    assert_non_null(find_instr(p, LS_INSTR_LOOP, "5 steps", &second));
    second_end = second;
    assert_non_null(find_instr(p, LS_INSTR_END, "", &second_end));
    for (int i = 0; i < p->instrs; i++) {
        deferred += p->instr[i].deferred != NULL;
        folds += p->instr[i].kind == LS_INSTR_FOLD;
        if (p->instr[i].deferred || p->instr[i].kind == LS_INSTR_FOLD) assert_true(i >= second_end);
        if (p->instr[i].kind == LS_INSTR_PACK) assert_true(i < first || (i > end && i < second));
    }
    assert_int_equal(folds, 2);     /* v, thrice */
    assert_int_equal(deferred, 12); /* cell.x, cell.h, query, out, norm, shift, table; two of shared, three of thrice */
    at                   = 0;
    const ls_instr *keys = NULL;
    while ((keys = find_instr(p, LS_INSTR_FORWARD, "linear", &at)) && strcmp(keys->label, "keys (linear)") != 0)
        ;
    assert_true(keys && at < first);
    for (int b = 0; b < p->buffers; b++)
        if (strstr(p->buffer[b].name, "cell.x") && !p->buffer[b].gradient && p->buffer[b].place == LS_PLACE_STEP)
            assert_int_equal(p->buffer[b].copies, 0); /* lstm_cell saves its gates instead */
    char  text[20000];
    FILE *to = fmemopen(text, sizeof text, "w");
    ls__program_print(p, to);
    ls__plan_print(p, to);
    fclose(to);
    assert_non_null(strstr(text, "loop       5 steps"));
    assert_non_null(strstr(text, "  forward    lstm_cell"));
    assert_non_null(strstr(text, "5 steps of "));
    assert_non_null(strstr(text, ", 6 copies")); /* a carried value that backward reads */
    machine_free(&m);
}

/* Buffers in use at the same time share no byte; what a step keeps for later steps is in use during the whole loop. */
static void plans_do_not_overlap(void **state)
{
    machine           m = machine_new((settings){0});
    const ls_program *p = m.program;
    for (int i = 0; i < p->buffers; i++)
        for (int k = 0; k < i; k++) {
            const ls_buffer *a = &p->buffer[i], *b = &p->buffer[k];
            if (a->place != LS_PLACE_STEP || b->place != LS_PLACE_STEP || a->home == b->home) continue;
            assert_false(a->born <= b->last && b->born <= a->last && a->offset < b->offset + b->bytes &&
                         b->offset < a->offset + a->bytes);
        }
    machine_free(&m);
}

/* ---- a model, and a step alone ----------------------------------------------------------------------------------- */

/* The cell outside of a loop, with its states as inputs, gives the bits of the loop: a search decodes step by step. */
static void a_step_alone_is_a_step_of_the_loop(void **nothing)
{
    machine   m = machine_new((settings){0});
    ls_graph *g = ls_graph_new();
    ls_model *model;
    decoder   d = {.g       = g,
                   .memory  = ls_gelu(ls_linear(g, "encoder", ls_input(g, "source", LS_F32, S, IN), MEMORY)),
                   .lengths = ls_input(g, "lengths", LS_I32),
                   .v       = weight(g, "v", A)};
    add_keys(&d);
    cell_state s = {ls_input(g, "h", LS_F32, H), ls_input(g, "c", LS_F32, H), ls_input(g, "feed", LS_F32, H)};
    ls_tensor *y = cell(&d, 0, ls_input(g, "x", LS_F32, IN), &s), *h0, *outputs[5];
    h0           = ls_tanh(ls_linear(g, "bridge", ls_select(d.memory), H));
    memcpy(outputs, (ls_tensor *[]){y, s.h, s.c, s.feed, h0}, sizeof outputs);
    assert_ok(ls_model_new(&model, g, m.params, outputs, 5, ROWS));
    float   x[IN], source[S * IN] = {0}, h[H], c[H] = {0}, feed[H] = {0};
    int32_t length = 2; /* of sample 1 */
    for (int i = 0; i < length * IN; i++) source[i] = value(2, S * IN + i);
    run(&m, 1, 1, T, S);
    const float   *table = ls_params_get(m.params, ls_params_find(m.params, "table"), NULL, NULL, NULL);
    const ls_batch batch = {.inputs      = 6,
                            .name        = {"x", "source", "h", "c", "feed", "lengths"},
                            .data        = {x, source, h, c, feed, &length},
                            .rows        = 1,
                            .global_rows = 1};
    memset(x, 0, sizeof x);
    memset(h, 0, sizeof h);
    assert_ok(ls_model_run(model, &batch));
    memcpy(h, ls_model_output(model, 4), sizeof h);
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < IN; i++) x[i] = value(1, T * IN + t * IN + i) + table[(2 + t) % CLASSES * IN + i];
        assert_ok(ls_model_run(model, &batch));
        assert_memory_equal(ls_model_output(model, 0), results(&m) + t * H, sizeof h);
        memcpy(h, ls_model_output(model, 1), sizeof h);
        memcpy(c, ls_model_output(model, 2), sizeof c);
        memcpy(feed, ls_model_output(model, 3), sizeof feed);
    }
    ls_model_free(model);
    ls_graph_free(g);
    machine_free(&m);
}

/* ---- other types and errors -------------------------------------------------------------------------------------- */

static void a_bfloat16_loop_runs(void **state)
{
    ls_graph *g = ls_graph_new();
    ls_graph_precision(g, LS_BF16);
    ls_tensor *ys   = decode(g, (settings){0});
    ls_tensor *loss = ls_cross_entropy(ls_linear(g, "logits", ys, CLASSES), ls_input(g, "target", LS_I32, T));
    machine    m    = machine_new((settings){0});
    double     want = run(&m, 0, ROWS, T, S);
    machine    n    = {.g = g, .ys = ys, .loss = loss};
    assert_ok(ls_graph_status(g));
    assert_ok(ls_params_new(&n.params, g, 1));
    ls__params_tie(n.params, loss);
    assert_ok(ls__program_new(
        &n.program, g, n.params,
        &(ls_program_options){.output = &loss, .outputs = 1, .loss = loss, .max_rows = ROWS, .max_shards = SHARDS}));
    assert_ok(ls__program_plan(n.program));
    assert_ok(ls_block_new(&n.arena, n.program->arena_bytes, "arena"));
    assert_ok(ls_block_new(&n.grads, n.params->grads * sizeof(float), "gradients"));
    memset(n.arena.data, 0xff, n.program->arena_bytes);
    assert_ok(ls__program_bind(n.program, n.arena.data));
    assert_true(fabs(run(&n, 0, ROWS, T, S) - want) < 0.02 * want);
    for (int k = 0; k < m.params->count; k++) {
        const ls_param_slot *p    = &m.params->slot[k];
        double               most = 0, apart = 0;
        for (int64_t i = 0; i < p->count; i++) {
            most  = fmax(most, fabs((double)gradient(&m, p, i)));
            apart = fmax(apart, fabs((double)(gradient(&m, p, i) - gradient(&n, &n.params->slot[k], i))));
        }
        if (!(apart < 0.1 * fmax(most, 0.1))) fail_msg("%s: %g of %g", p->tensor->name, apart, most);
    }
    machine_free(&m);
    machine_free(&n);
}

#define REFUSED(part, ...)                                                                                             \
    do {                                                                                                               \
        ls_graph  *g = ls_graph_new();                                                                                 \
        ls_tensor *x = ls_input(g, "x", LS_F32, 3, 4), *other = ls_input(g, "other", LS_F32, 2, 4), *y, *h;            \
        ls_loop   *l = ls_loop_begin(g);                                                                               \
        (void)x, (void)other, (void)y, (void)h, (void)l;                                                               \
        __VA_ARGS__;                                                                                                   \
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, part);                                                          \
        ls_graph_free(g);                                                                                              \
    } while (0)

static void errors_are_named(void **state)
{
    REFUSED("another loop has not ended", ls_loop_begin(g));
    REFUSED("the loop has no steps", ls_loop_end(l));
    REFUSED("with the same T for all", ls_loop_step(l, x), ls_loop_step(l, other));
    REFUSED("the number of steps is not known", h = ls_loop_zeros(l, 4), ls_loop_stack(l, h));
    REFUSED("has no value of the next step", ls_loop_step(l, x), ls_loop_zeros(l, 4), ls_loop_end(l));
    REFUSED("the width is 0", ls_loop_zeros(l, 0));
    REFUSED("is not a carried value", y = ls_loop_step(l, x), ls_loop_next(l, y, y));
    REFUSED("already", y = ls_loop_step(l, x), h = ls_loop_zeros(l, 4), ls_loop_next(l, h, y), ls_loop_next(l, h, y));
    REFUSED("and the next value", y = ls_loop_step(l, x), h = ls_loop_zeros(l, 5), ls_loop_next(l, h, y));
    REFUSED("expected one of outside", y = ls_loop_step(l, x), ls_loop_carry(l, y));
    REFUSED("ls_loop_stack gives the values", y = ls_loop_step(l, x), ls_loop_end(l), ls_tanh(y));
    REFUSED("use it after ls_loop_end", y = ls_loop_stack(l, ls_loop_step(l, x)), ls_tanh(y));
    REFUSED("the loop has ended", ls_loop_step(l, x), ls_loop_end(l), ls_loop_step(l, x));
    REFUSED("sums over the batch", y = ls_loop_step(l, x), ls_batch_norm(g, "norm", y));
}

static void values_of_a_step_are_no_outputs(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_loop   *l = ls_loop_begin(g);
    ls_tensor *y = ls_linear(g, "a", ls_loop_step(l, ls_input(g, "x", LS_F32, 3, 4)), 2);
    ls_params *params;
    ls_model  *m;
    assert_ok(ls_params_new(&params, g, 1));
    assert_fails(ls_model_new(&m, g, params, &y, 1, 1), LS_ERR_USAGE, "has not ended");
    ls_loop_end(l);
    assert_fails(ls_model_new(&m, g, params, &y, 1, 1), LS_ERR_USAGE, "a value of one step");
    ls_params_free(params);
    ls_graph_free(g);
}

int main(void)
{
    omp_set_num_threads(1); /* the products are small */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_is_the_unrolled_graph),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(dropout_differs_between_steps),
        cmocka_unit_test(the_bits_of_a_sample_are_its_own),
        cmocka_unit_test(the_program_is_a_flat_list),
        cmocka_unit_test(plans_do_not_overlap),
        cmocka_unit_test(a_step_alone_is_a_step_of_the_loop),
        cmocka_unit_test(a_bfloat16_loop_runs),
        cmocka_unit_test(errors_are_named),
        cmocka_unit_test(values_of_a_step_are_no_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

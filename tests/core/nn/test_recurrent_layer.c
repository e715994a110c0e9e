/* SPDX-License-Identifier: Apache-2.0
 * core/nn/recurrent_layer.c: outputs, last states and gradients of PyTorch's nn.RNN, nn.LSTM and nn.GRU, with layers,
 * directions and lengths (tests/golden/make_recurrent.py); the cached form; messages. */
#include "core/graph/program.h"
#include "dist/trainer/trainer.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { INPUTS = 3, SAMPLES = 5, STATES = 6, PROBES = 9, MOST = SAMPLES * 17 * 128, NAME = 24 };

/* One case. */
typedef struct layer {
    ls_graph  *g;
    int64_t    hidden, positions;
    int        states; /* layers x directions */
    bool       lstm;
    ls_tensor *y, *loss, *last_h[STATES], *last_c[STATES];
    ls_batch   batch;
    char       name[LS_MAX_INPUTS][NAME];
    int32_t    lengths[SAMPLES];
} layer;

/* An input of the batch, with values by formula. */
static ls_tensor *input(layer *l, const char *name, int64_t rows, int64_t columns)
{
    const int     i     = l->batch.inputs++;
    const int64_t count = SAMPLES * (rows ? rows : 1) * columns;
    float        *data  = ls_arena_alloc(l->g->arena, (size_t)count * sizeof *data);
    golden_fill(name, count, strcmp(name, "zeros") == 0 ? 0 : 2, data);
    snprintf(l->name[i], NAME, "%s", name);
    l->batch.name[i] = l->name[i];
    l->batch.data[i] = data;
    return rows ? ls_input(l->g, l->name[i], LS_F32, rows, columns) : ls_input(l->g, l->name[i], LS_F32, columns);
}

/* A parameter without batch dim, added to samples: its gradient is a sum over samples. */
static ls_tensor *shifted(const layer *l, ls_tensor *x, const char *name)
{
    const ls_init zeros = {.kind = LS_INIT_ZEROS};
    return ls_add(x, x->rank == 2 ? ls_param(l->g, name, zeros, x->dim[0], x->dim[1])
                                  : ls_param(l->g, name, zeros, x->dim[0]));
}

static void add_to_loss(layer *l, ls_tensor *x, ls_tensor *dx)
{
    ls_tensor *sum = ls_sum(ls_mul(x, dx));
    l->loss        = l->loss ? ls_add(l->loss, sum) : sum;
}

static void build(layer *l, const golden *file)
{
    const bool both = golden_number(file, "bidirectional", 0) != 0;
    char       name[NAME];
    ls_tensor *h0[STATES], *c0[STATES];
    *l               = (layer){.g         = ls_graph_new(),
                               .hidden    = (int64_t)golden_number(file, "hidden", 0),
                               .positions = (int64_t)golden_number(file, "positions", 0),
                               .lstm      = strcmp(file->name, "lstm") == 0};
    const int layers = (int)golden_number(file, "layers", 0);
    l->states        = layers * (both ? 2 : 1);
    l->batch.rows = l->batch.global_rows = SAMPLES;
    ls_recurrent_layer a = {.g = l->g, .name = "rnn", .hidden = l->hidden, .layers = layers, .bidirectional = both};
    a.x                  = shifted(l, input(l, "x", l->positions, INPUTS), "x");
    ls_tensor *zeros = input(l, "zeros", 0, l->hidden), *dh = input(l, "dh", 0, l->hidden);
    for (int i = 0; i < l->states; i++) {
        snprintf(name, sizeof name, "h0.%d", i);
        h0[i] = shifted(l, zeros, name);
        snprintf(name, sizeof name, "c0.%d", i);
        if (l->lstm) c0[i] = shifted(l, zeros, name);
    }
    if (golden_number(file, "ragged", 0) != 0) {
        const int32_t t = (int32_t)l->positions, lengths[SAMPLES] = {t, 1, 0, t > 3 ? t - 2 : 1, t};
        memcpy(l->lengths, lengths, sizeof lengths);
        l->batch.name[l->batch.inputs]   = "lengths";
        l->batch.data[l->batch.inputs++] = l->lengths;
        a.lengths                        = ls_input(l->g, "lengths", LS_I32);
    }
    a.h0     = h0;
    a.last_h = l->last_h;
    a.relu   = strcmp(file->name, "relu") == 0;
    if (l->lstm) a.c0 = c0, a.last_c = l->last_c;
    l->y = l->lstm ? ls__lstm(a, LS_HERE) : strcmp(file->name, "gru") == 0 ? ls__gru(a, LS_HERE) : ls__rnn(a, LS_HERE);
    add_to_loss(l, l->y, input(l, "dy", l->positions, ls__cols(l->y)));
    for (int i = 0; i < l->states; i++) {
        add_to_loss(l, l->last_h[i], dh);
        if (l->lstm) add_to_loss(l, l->last_c[i], dh);
    }
    assert_ok(ls_graph_status(l->g));
}

/* Compares eight elements of an array, and the sum of all, with PyTorch's. */
static void compare(const golden *file, const char *name, int64_t n, const float *values)
{
    const golden_array *want = golden_get(file, name);
    float               got[PROBES], most = 0;
    double              sum = 0, size = 0;
    assert_int_equal(want->count, PROBES);
    for (int i = 0; i < PROBES - 1; i++) got[i] = values[i * (n - 1) / 7];
    for (int64_t i = 0; i < n; i++) sum += (double)values[i], size += fabs((double)values[i]);
    got[PROBES - 1] = (float)sum;
    for (int i = 0; i < PROBES; i++) most = fmaxf(most, fabsf(want->f32[i]));
    for (int i = 0; i < PROBES; i++)
        if (!(fabsf(got[i] - want->f32[i]) <= 1e-5f * fabsf(want->f32[i]) + 2e-6f * (i < 8 ? most : (float)size + 1)))
            fail_msg("%s: case %d: %s: value %d is %.9g, PyTorch has %.9g", file->name, file->number, name, i,
                     (double)got[i], (double)want->f32[i]);
}

static void fill_params(ls_params *params, int64_t hidden)
{
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        float         *values = ls_params_get(params, i, &name, &rank, &dim);
        if (strncmp(name, "rnn.", 4) == 0)
            golden_fill(name + 4, dim[0] * (rank > 1 ? dim[1] : 1), 2 / sqrt((double)hidden), values);
        if (strncmp(name + 1, "0.", 2) == 0) golden_fill(name, dim[0], 2, values);
    }
}

static void check_values(const layer *l, const golden *file, ls_params *params)
{
    ls_model  *m;
    ls_tensor *out[2 * STATES + 1] = {l->y};
    char       name[NAME];
    int        outs = 1;
    for (int i = 0; i < l->states; i++) {
        out[outs++] = l->last_h[i];
        if (l->lstm) out[outs++] = l->last_c[i];
    }
    assert_ok(ls_model_new(&m, l->g, params, out, outs, SAMPLES));
    assert_ok(ls_model_run(m, &l->batch));
    compare(file, "y", SAMPLES * ls__numel(l->y), ls_model_output(m, 0));
    for (int i = 1; i < outs; i++) {
        const int each = l->lstm ? 2 : 1;
        snprintf(name, sizeof name, "%s.%d", (i - 1) % each ? "c" : "h", (i - 1) / each);
        compare(file, name, SAMPLES * l->hidden, ls_model_output(m, i));
    }
    ls_model_free(m);
}

/* With SGD at learning rate 1 a parameter changes by minus its gradient. */
static void check_gradients(const layer *l, const golden *file, ls_trainer *t)
{
    ls_params *params  = ls_trainer_params(t);
    float     *before  = malloc(params->floats * sizeof *before), gradient[256 * 128];
    int        checked = 0;
    memcpy(before, params->block.data, params->floats * sizeof *before);
    assert_ok(ls_trainer_step(t, &l->batch, NULL));
    for (int i = 0; i < ls_params_count(params); i++, checked++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        const float   *values = ls_params_get(params, i, &name, &rank, &dim);
        const int64_t  n      = dim[0] * (rank > 1 ? dim[1] : 1);
        for (int64_t k = 0; k < n; k++)
            gradient[k] = before[values - (const float *)params->block.data + k] - values[k];
        compare(file, strncmp(name, "rnn.", 4) == 0 ? name + 4 : name, n, gradient);
    }
    assert_int_equal(checked, file->arrays - 1 - l->states * (l->lstm ? 2 : 1)); /* all but y and the last states */
    free(before);
}

static void as_pytorch(void **state)
{
    (void)state;
    int cases = 0;
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        assert_ok(ls_isa_set((ls_isa)isa));
        golden file = golden_open("values/recurrent.txt");
        for (; golden_next(&file); cases++) {
            layer       l;
            ls_trainer *t;
            build(&l, &file);
            assert_ok(ls_trainer_new(&t, l.g, l.loss, .batch = SAMPLES, .optim = ls_sgd(.lr = 1)));
            fill_params(ls_trainer_params(t), l.hidden);
            check_values(&l, &file, ls_trainer_params(t));
            check_gradients(&l, &file, t);
            ls_trainer_free(t);
            ls_graph_free(l.g);
        }
        golden_close(&file);
    }
    assert_true(cases >= 28);
}

/* A layer over T positions at a time, with its state kept from run to run. */
static ls_model *steps(ls_graph **g, ls_params **params, int64_t positions, bool cached)
{
    ls_model *m;
    *g           = ls_graph_new();
    ls_tensor *x = ls_input(*g, "x", LS_F32, positions, INPUTS), *start = NULL;
    if (cached) start = ls_input(*g, "start", LS_I32);
    ls_tensor *y = ls_lstm(*g, "rnn", x, .hidden = 9, .layers = 2, .cached = cached, .start = start);
    if (!*params) assert_ok(ls_params_new(params, *g, 1));
    assert_ok(ls_model_new(&m, *g, *params, &y, 1, SAMPLES));
    return m;
}

/* Position by position, with the state kept, every position has the bits that it has in the whole sample. */
static void cached_bits(void **state)
{
    (void)state;
    enum { POSITIONS = 6 };
    ls_graph  *g[2];
    ls_params *params = NULL;
    ls_model  *whole = steps(&g[0], &params, POSITIONS, false), *one = steps(&g[1], &params, 1, true);
    float      x[SAMPLES * POSITIONS * INPUTS], step[SAMPLES * INPUTS];
    golden_fill("x", SAMPLES * POSITIONS * INPUTS, 2, x);
    ls_batch batch = {.inputs = 1, .name = {"x"}, .data = {x}, .rows = SAMPLES, .global_rows = SAMPLES};
    assert_ok(ls_model_run(whole, &batch));
    for (int t = 0; t < 2 * POSITIONS; t++) { /* the second time, start is 0 again */
        const int32_t at = t % POSITIONS, start[SAMPLES] = {at, at, at, at, at};
        for (int b = 0; b < SAMPLES; b++)
            memcpy(step + b * INPUTS, x + (b * POSITIONS + at) * INPUTS, INPUTS * sizeof *step);
        ls_batch row = {
            .inputs = 2, .name = {"x", "start"}, .data = {step, start}, .rows = SAMPLES, .global_rows = SAMPLES};
        assert_ok(ls_model_run(one, &row));
        for (int b = 0; b < SAMPLES; b++)
            assert_memory_equal(ls_model_output(one, 0) + b * 9, ls_model_output(whole, 0) + (b * POSITIONS + at) * 9,
                                9 * sizeof(float));
    }
    ls_model_free(one);
    ls_model_free(whole);
    ls_params_free(params);
    ls_graph_free(g[1]);
    ls_graph_free(g[0]);
}

static void messages(void **state)
{
    (void)state;
    static const struct {
        int64_t     hidden;
        int         layers;
        bool        flat, both, cached;
        const char *message;
    } table[] = {{0, 1, .message = "at least one hidden unit"},
                 {4, -1, .message = "one layer"},
                 {4, 1, .flat = true, .message = "ls_reshape(x, T, I)"},
                 {4, 1, .both = true, .cached = true, .message = "cached and bidirectional exclude each other"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g = ls_graph_new();
        ls_tensor *x = table[i].flat ? ls_input(g, "x", LS_F32, 12) : ls_input(g, "x", LS_F32, 4, 3);
        assert_null(ls_gru(g, "gru", x, .hidden = table[i].hidden, .layers = table[i].layers,
                           .bidirectional = table[i].both, .cached = table[i].cached));
        assert_int_equal(ls_graph_status(g), LS_ERR_USAGE);
        assert_non_null(strstr(ls_error_message(), table[i].message));
        ls_graph_free(g);
    }
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

typedef ls_tensor *layer_fn(ls_recurrent_layer l, ls_where where);
typedef ls_tensor *cell_fn(ls_cell_layer l, ls_where where);

/* Two layers of cells in a loop give the results of a recurrent layer with the same parameters, to rounding. */
static void cells_in_a_loop_are_the_layer(void **state)
{
    enum { T = 5, I = 3, HIDDEN = 7, ROWS = 4 };
    static const struct {
        layer_fn *layer;
        cell_fn  *cell;
        bool      lstm, relu, reset_before;
    } kinds[] = {{ls__rnn, ls__rnn_cell, .relu = false},
                 {ls__rnn, ls__rnn_cell, .relu = true},
                 {ls__lstm, ls__lstm_cell, .lstm = true},
                 {ls__gru, ls__gru_cell, .relu = false},
                 {ls__gru, ls__gru_cell, .reset_before = true}};
    float x_data[ROWS * T * I];
    golden_fill("x", ROWS * T * I, 2, x_data);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        ls_graph          *g   = ls_graph_new();
        ls_tensor         *x   = ls_input(g, "x", LS_F32, T, I), *out[2];
        ls_recurrent_layer all = {.g = g, .name = "rnn", .x = x, .hidden = HIDDEN, .layers = 2};
        ls_cell_layer      one = {.g = g, .name = "rnn", .hidden = HIDDEN};
        all.no_bias = one.no_bias = k % 2;
        all.relu = one.relu = kinds[k].relu;
        all.reset_before = one.reset_before = kinds[k].reset_before;
        out[0]                              = kinds[k].layer(all, LS_HERE);
        ls_loop *l                          = ls_loop_begin(g);
        one.x                               = ls_loop_step(l, x);
        for (one.layer = 0; one.layer < 2; one.layer++) {
            ls_tensor *c0 = kinds[k].lstm ? ls_loop_zeros(l, HIDDEN) : NULL, *c = c0;
            one.h = ls_loop_zeros(l, HIDDEN);
            one.c = c ? &c : NULL;
            one.x = kinds[k].cell(one, LS_HERE);
            ls_loop_next(l, one.h, one.x);
            if (c) ls_loop_next(l, c0, c);
        }
        out[1] = ls_loop_stack(l, one.x);
        ls_loop_end(l);
        assert_ok(ls_graph_status(g));
        ls_params *params;
        ls_model  *m;
        assert_ok(ls_params_new(&params, g, 1));
        assert_int_equal(ls_params_count(params), all.no_bias ? 4 : 8);
        assert_ok(ls_model_new(&m, g, params, out, 2, ROWS));
        const ls_batch batch = {.inputs = 1, .name = {"x"}, .data = {x_data}, .rows = ROWS, .global_rows = ROWS};
        assert_ok(ls_model_run(m, &batch));
        for (int i = 0; i < ROWS * T * HIDDEN; i++)
            if (!(fabsf(ls_model_output(m, 0)[i] - ls_model_output(m, 1)[i]) < 1e-6f))
                fail_msg("cell %zu: [%d] is %g, expected %g", k, i, (double)ls_model_output(m, 1)[i],
                         (double)ls_model_output(m, 0)[i]);
        ls_model_free(m);
        ls_params_free(params);
        ls_graph_free(g);
    }
}

static void a_cell_of_the_wrong_shape_is_refused(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, 3), *h = ls_input(g, "h", LS_F32, 4);
    ls_lstm_cell(g, "cell", x, 4, .h = h);
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "a state B x hidden and c");
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pytorch), cmocka_unit_test(cached_bits),
                                       cmocka_unit_test(messages), cmocka_unit_test(cells_in_a_loop_are_the_layer),
                                       cmocka_unit_test(a_cell_of_the_wrong_shape_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

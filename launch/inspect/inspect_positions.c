/* SPDX-License-Identifier: Apache-2.0
 * `lockstep explain RUN|RECIPE --positions`: computes and draws the position encoding and its dot products. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/nn/layer_table.h"
#include "launch/inspect/inspect.h"

/* ---- the encoding ------------------------------------------------------------------------------------------------ */

static bool is_op(const ls_node *n, const char *name) { return !strcmp(ls__op(n)->name, name); }

/* Runs a graph with the single input "x" on one sample; *out: the values of y.  Frees the graph. */
static ls_status run_small(ls_graph *g, ls_tensor *y, const float *x, ls_arena *memory, const float **out)
{
    ls_params *params = NULL;
    ls_model  *model  = NULL;
    ls_status  status = ls_graph_status(g);
    if (status == LS_OK) status = ls_params_new(&params, g, 0);
    if (status == LS_OK) status = ls_model_new(&model, g, params, &y, 1, 1);
    if (status == LS_OK)
        status = ls_model_run(model, &(ls_batch){.inputs = 1, .name = {"x"}, .data = {x}, .rows = 1, .global_rows = 1});
    if (status == LS_OK) {
        size_t bytes = (size_t)ls__numel(y) * sizeof(float);
        *out         = memcpy(ls_arena_alloc(memory, bytes), ls_model_output(model, 0), bytes);
    }
    ls_model_free(model);
    ls_params_free(params);
    ls_graph_free(g);
    return status;
}

static ls_status sinusoidal(ls_positions *p, ls_arena *memory)
{
    ls_graph  *g     = ls_graph_new();
    ls_tensor *x     = ls_input(g, "x", LS_F32, p->rows, p->cols);
    float     *zeros = ls_arena_alloc(memory, (size_t)(p->rows * p->cols) * sizeof *zeros);
    memset(zeros, 0, (size_t)(p->rows * p->cols) * sizeof *zeros);
    return run_small(g, ls_add_position(x), zeros, memory, &p->table);
}

/* Rotates the pair (1, 0) at every position.  The result is the cosine and sine of its angle, and the dot product of
 * two positions is the sum of the cosines of their angle differences. */
static ls_status rotary(ls_positions *p, const ls_rotary_args *args, ls_arena *memory)
{
    ls_graph  *g     = ls_graph_new();
    ls_tensor *x     = ls_input(g, "x", LS_F32, p->rows, p->cols);
    float     *pairs = ls_arena_alloc(memory, (size_t)(p->rows * p->cols) * sizeof *pairs);
    for (int64_t i = 0; i < p->rows * p->cols; i++)
        pairs[i] = args->interleaved ? (float)(i % 2 == 0) : (float)(i % p->cols < p->cols / 2);
    return run_small(g, ls_rotary(x, .base = args->base, .interleaved = args->interleaved), pairs, memory, &p->table);
}

static ls_status products(ls_positions *p, ls_arena *memory)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, p->rows, p->cols);
    LS_TRY(run_small(g, ls_matmul(x, x, .transpose_y = true), p->table, memory, &p->dots));
    p->mean = ls_arena_alloc(memory, (size_t)p->rows * sizeof *p->mean);
    for (int64_t d = 0; d < p->rows; d++) {
        double sum = 0;
        for (int64_t t = 0; t + d < p->rows; t++) sum += (double)p->dots[t * p->rows + t + d];
        p->mean[d] = sum / (double)(p->rows - d);
    }
    return LS_OK;
}

ls_status ls_positions_of(const ls_graph *g, ls_params *params, int64_t rows, ls_arena *memory, ls_positions *p)
{
    *p = (ls_positions){.kind = LS_ENCODING_NONE, .rows = rows};
    for (int i = 0; i < g->nodes && p->kind == LS_ENCODING_NONE; i++) {
        const ls_node   *n = g->node[i];
        const ls_tensor *w = is_op(n, "add_position") ? n->in[1] : NULL;
        if (w) {
            p->kind  = LS_ENCODING_LEARNED;
            p->rows  = w->dim[0];
            p->cols  = w->dim[1];
            p->table = ls_params_get(params, ls_params_find(params, w->name), NULL, NULL, NULL);
        } else if (is_op(n, "add_position")) {
            p->kind = LS_ENCODING_SINUSOIDAL;
            p->cols = n->out[0]->dim[1];
            LS_TRY(sinusoidal(p, memory));
        } else if (is_op(n, "rotary")) {
            const ls_rotary_args *args = n->args;
            p->kind                    = LS_ENCODING_ROTARY;
            p->cols                    = n->out[0]->dim[1] / (args->heads ? args->heads : 1);
            LS_TRY(rotary(p, args, memory));
        }
    }
    LS_CHECK(p->kind != LS_ENCODING_NONE, LS_ERR_USAGE,
             "explain: --positions: the model has no position encoding" LS_HINT
             "model.options.position=learned, sinusoidal or rotary adds one");
    return products(p, memory);
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum {
    LEFT    = 74,
    TOP     = 150,
    SIDE    = 440,
    BETWEEN = 150,
    WIDTH   = LEFT + 3 * SIDE + 2 * BETWEEN + 60,
    HEIGHT  = TOP + SIDE + 110
};

/* Returns the largest absolute value, at most 3 standard deviations, so that outliers do not decide the colours. */
static double range_of(const float *value, int64_t n)
{
    double sum = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = fabs((double)value[i]);
        sum += v * v;
        most = fmax(most, v);
    }
    return n && most > 0 ? fmin(most, 3 * sqrt(sum / (double)n)) : 1;
}

static void axis(ls_png *plot, double x, double y, int64_t n, const char *name, bool upright)
{
    const ls_png_font font  = {.size = 13, .faint = true, .align = upright ? 1 : 0},
                      title = {.size = 13, .faint = true, .upright = upright};
    for (int i = 0; i <= 4; i++) {
        int64_t at = i < 4 ? n * i / 4 : n - 1;
        double  px = SIDE * ((double)at + 0.5) / (double)n;
        if (upright)
            ls_png_text(plot, x - 7, y + px, &font, "%lld", (long long)at);
        else
            ls_png_text(plot, x + px, y + SIDE + 14, &font, "%lld", (long long)at);
    }
    if (upright)
        ls_png_text(plot, x - 54, y + SIDE / 2, &title, "%s", name);
    else
        ls_png_text(plot, x + SIDE / 2, y + SIDE + 36, &title, "%s", name);
}

static void heat(ls_png *plot, double x, const char *title, int64_t rows, int64_t cols, const float *value,
                 const char *across)
{
    double  most = range_of(value, rows * cols);
    ls_heat h    = {.x       = x,
                    .y       = TOP,
                    .width   = SIDE,
                    .height  = SIDE,
                    .rows    = rows,
                    .cols    = cols,
                    .value   = value,
                    .low     = -most,
                    .high    = most,
                    .colours = LS_COLOURS_SIGNED};
    ls_png_text(plot, x, TOP - 20, &(ls_png_font){.size = 16, .align = -1, .bold = true}, "%s", title);
    ls_png_heat(plot, &h);
    ls_png_colours(plot, &h, x + SIDE + 12, TOP, 12, SIDE);
    axis(plot, x, TOP, rows, "position", true);
    axis(plot, x, TOP, cols, across, false);
}

static ls_status draw(const ls_positions *p, const char *from, ls_arena *memory, ls_png **out)
{
    static const char *const what[] = {
        [LS_ENCODING_LEARNED] = "A learned row is added to the token at each position.",
        [LS_ENCODING_SINUSOIDAL] =
            "Sines and cosines of the position are added to the token, from fast to slow (Vaswani 2017).",
        [LS_ENCODING_ROTARY] = "Pairs of elements of queries and keys are rotated by angles that grow with the "
                               "position (Su 2021); drawn for the pairs (1, 0).",
    };
    LS_TRY(ls_png_new(out, WIDTH, HEIGHT));
    ls_png      *plot     = *out;
    double      *distance = ls_arena_alloc(memory, (size_t)p->rows * sizeof *distance);
    const double x[]      = {LEFT, LEFT + SIDE + BETWEEN, LEFT + 2 * (SIDE + BETWEEN)};
    for (int64_t i = 0; i < p->rows; i++) distance[i] = (double)i;
    ls_png_text(plot, 28, 34, &(ls_png_font){.size = 20, .align = -1, .bold = true}, "Positions: %s",
                ls__encodings[p->kind]);
    ls_png_text(plot, 28, 62, &(ls_png_font){.size = 14, .align = -1, .faint = true}, "%s", what[p->kind]);
    ls_png_text(plot, 28, 84, &(ls_png_font){.size = 13, .align = -1, .faint = true}, "%s · %lld positions, %lld dims",
                from, (long long)p->rows, (long long)p->cols);
    heat(plot, x[0], "Encoding", p->rows, p->cols, p->table, "dim");
    heat(plot, x[1], "Dot products of positions", p->rows, p->rows, p->dots, "position");
    ls_png_lines(plot, &(ls_lines){.x      = x[2],
                                   .y      = TOP,
                                   .width  = SIDE,
                                   .height = SIDE,
                                   .title  = "Dot product by distance (mean)",
                                   .x_name = "distance",
                                   .count  = 1,
                                   .line   = (ls_png_line[]){{.n = (int)p->rows, .x = distance, .y = p->mean}}});
    return LS_OK;
}

ls_status ls__explain_positions(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected s;
    ls_positions p;
    ls_png      *plot = NULL;
    LS_TRY(ls_inspect(&s, run, options, false, false));
    LS_TRY(ls_positions_of(run->graph, ls_trainer_params(run->trainer), run->data.context, run->memory, &p));
    ls_status status = draw(&p, s.from, run->memory, &plot);
    if (status == LS_OK) status = ls_inspect_save(&s, options, plot, "positions");
    ls_png_free(plot);
    return status;
}

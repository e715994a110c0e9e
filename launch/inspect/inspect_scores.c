/* SPDX-License-Identifier: Apache-2.0
 * `lockstep explain RUN|RECIPE --scores`: measures the effect of dividing attention scores by sqrt(d).
 *
 * The dot product of a query and a key with d elements of mean 0 and variance 1 each has variance d (Vaswani 2017,
 * section 3.2.1).  The wider a head, the closer the softmax is to selecting a single key, where its gradient vanishes.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/graph.h"
#include "dist/dist.h"
#include "launch/inspect/inspect.h"

enum { HEADS = 16, KEYS = 64, WIDTHS = 7, LEAST = 8, MOST_LAYERS = 64 };

/* ---- measuring --------------------------------------------------------------------------------------------------- */

ls_status ls_score_random(int64_t matrices, int64_t n, int64_t d, uint64_t seed, ls_arena *memory, const float **scores)
{
    const ls_init normal = {.kind = LS_INIT_NORMAL, .std = 1};
    ls_graph     *g      = ls_graph_new();
    ls_params    *params = NULL;
    ls_model     *model  = NULL;
    ls_tensor    *q = ls_input(g, "q", LS_F32, matrices, n, d), *k = ls_input(g, "k", LS_F32, matrices, n, d),
              *y = ls_matmul(q, k, .transpose_y = true);
    size_t bytes = (size_t)(matrices * n * n) * sizeof(float);
    ls_param(g, "q", normal, matrices, n, d); /* parameters, because these are initialised with random numbers */
    ls_param(g, "k", normal, matrices, n, d);
    ls_status status = ls_params_new(&params, g, seed);
    if (status == LS_OK) status = ls_model_new(&model, g, params, &y, 1, 1);
    if (status == LS_OK)
        status = ls_model_run(model, &(ls_batch){.inputs      = 2,
                                                 .name        = {"q", "k"},
                                                 .rows        = 1,
                                                 .global_rows = 1,
                                                 .data        = {ls_params_get(params, 0, NULL, NULL, NULL),
                                                                 ls_params_get(params, 1, NULL, NULL, NULL)}});
    if (status == LS_OK) *scores = memcpy(ls_arena_alloc(memory, bytes), ls_model_output(model, 0), bytes);
    ls_model_free(model);
    ls_params_free(params);
    ls_graph_free(g);
    return status;
}

/* Returns the statistics of all rows of scores, their softmax weights, and the gradient of the scores. */
static ls_score_stats summarise(const float *scores, const float *weights, const float *gradient, int64_t rows,
                                int64_t n, bool causal)
{
    ls_score_stats s   = {0};
    double         sum = 0, squares = 0;
    int64_t        seen = 0;
    for (int64_t r = 0; r < rows; r++) {
        double  largest = 0, entropy = 0, norm = 0;
        int64_t keys = causal ? r % n + 1 : n;
        for (int64_t k = r * n; k < r * n + keys; k++) {
            double w = (double)weights[k], x = (double)scores[k];
            largest = fmax(largest, w);
            entropy -= w > 0 ? w * log(w) : 0;
            norm += (double)gradient[k] * (double)gradient[k];
            sum += x;
            squares += x * x;
        }
        seen += keys;
        s.largest += largest / (double)rows;
        s.entropy += entropy / (double)rows;
        s.gradient += sqrt(norm) / (double)rows;
    }
    s.variance = squares / (double)seen - sum / (double)seen * (sum / (double)seen);
    return s;
}

/* Measures the gradient of the scores by a parameter of zeros that is added to them: one step of gradient descent with
 * learning rate 1 sets it to minus the gradient. */
static ls_status measure(ls_graph *g, const float *scores, int64_t matrices, int64_t n, float scale, bool causal,
                         ls_arena *memory, ls_score_stats *stats)
{
    const ls_init normal = {.kind = LS_INIT_NORMAL, .std = 1}, none = {.kind = LS_INIT_ZEROS};
    const int64_t count    = matrices * n * n;
    ls_tensor    *x        = ls_input(g, "scores", LS_F32, matrices, n, n);
    ls_tensor    *zeros    = ls_param(g, "zeros", none, matrices, n, n);
    ls_tensor    *random   = ls_param(g, "random", normal, matrices, n, n);
    ls_tensor    *scaled   = ls_scale(x, .factor = scale),
              *weights     = ls_softmax(ls_mask(scaled, NULL, zeros, .causal = causal));
    const ls_batch batch   = {.inputs = 1, .name = {"scores"}, .data = {scores}, .rows = 1, .global_rows = 1};
    ls_trainer    *trainer = NULL;
    ls_model      *model   = NULL;
    ls_metrics     metrics;
    ls_freeze(g, "random");
    ls_tensor *loss = ls_sum(ls_mul(weights, random));
    LS_TRY(ls_trainer_new(&trainer, g, loss, .batch = 1, .optim = ls_sgd(.lr = 1), .seed = 1));
    ls_params *params = ls_trainer_params(trainer);
    float     *copy   = ls_arena_alloc(memory, 2 * (size_t)count * sizeof *copy);
    ls_tensor *out[]  = {weights, scaled};
    ls_status  status = ls_model_new(&model, g, params, out, 2, 1);
    if (status == LS_OK) status = ls_model_run(model, &batch);
    if (status == LS_OK) memcpy(copy, ls_model_output(model, 0), (size_t)count * sizeof *copy);
    if (status == LS_OK) memcpy(copy + count, ls_model_output(model, 1), (size_t)count * sizeof *copy);
    if (status == LS_OK) status = ls_trainer_step(trainer, &batch, &metrics);
    if (status == LS_OK)
        *stats = summarise(copy + count, copy, ls_params_get(params, ls_params_find(params, "zeros"), NULL, NULL, NULL),
                           matrices * n, n, causal);
    ls_model_free(model);
    ls_trainer_free(trainer);
    return status;
}

ls_status ls_score_measure(const float *scores, int64_t matrices, int64_t n, float scale, bool causal, ls_arena *memory,
                           ls_score_stats *stats)
{
    ls_graph *g      = ls_graph_new();
    ls_status status = measure(g, scores, matrices, n, scale, causal, memory, stats);
    ls_graph_free(g);
    return status;
}

/* ---- the measured scores ----------------------------------------------------------------------------------------- */

typedef struct row {
    const char    *name;
    int64_t        d;
    ls_score_stats with[2];   /* [0]: without the scale; [1]: with it */
    bool           chosen[2]; /* true for the one that the model uses */
} row;

typedef struct scores {
    row wide[WIDTHS], layer[MOST_LAYERS];
    int layers;
} scores;

static ls_status measure_both(row *r, const float *value, int64_t matrices, int64_t n, bool causal, ls_arena *memory)
{
    LS_TRY(ls_score_measure(value, matrices, n, 1, causal, memory, &r->with[0]));
    return ls_score_measure(value, matrices, n, (float)(1 / sqrt((double)r->d)), causal, memory, &r->with[1]);
}

static ls_status measure_random(scores *s, ls_arena *memory)
{
    for (int i = 0; i < WIDTHS; i++) {
        const float *value;
        row         *r = &s->wide[i];
        *r             = (row){.name = "random", .d = (int64_t)LEAST << i};
        LS_TRY(ls_score_random(HEADS, KEYS, r->d, (uint64_t)i + 1, memory, &value));
        LS_TRY(measure_both(r, value, HEADS, KEYS, false, memory));
    }
    return LS_OK;
}

static ls_status first_window(ls_run *run, const int32_t **tokens)
{
    ls_loader *loader;
    ls_batch   batch;
    LS_TRY(ls_loader_new(&loader, run->test, .batch = 1, .shards = 1, .ranks = 1, .in_order = true, .epochs = 1,
                         .prefetch = 1));
    ls_status status = ls_loader_next(loader, &batch) ? LS_OK : ls_loader_status(loader);
    size_t    bytes  = (size_t)run->data.context * sizeof **tokens;
    if (status == LS_OK) *tokens = memcpy(ls_arena_alloc(run->memory, bytes), batch.data[0], bytes);
    ls_loader_free(loader);
    return status;
}

static ls_status measure_model(scores *s, ls_run *run)
{
    const int32_t          *tokens = NULL;
    const ls_attention_map *maps;
    LS_TRY(first_window(run, &tokens));
    LS_TRY(ls_attention_maps(run->recipe, ls_trainer_params(run->trainer), run->data.classes, tokens, run->data.context,
                             run->memory, &maps, &s->layers));
    if (s->layers > MOST_LAYERS) s->layers = MOST_LAYERS;
    for (int i = 0; i < s->layers; i++) {
        row *r       = &s->layer[i];
        *r           = (row){.name = maps[i].name, .d = maps[i].width};
        r->chosen[0] = fabsf(maps[i].scale - 1) < 1e-6f;
        r->chosen[1] = fabs((double)maps[i].scale * sqrt((double)r->d) - 1) < 1e-5;
        LS_TRY(measure_both(r, maps[i].scores, maps[i].heads, maps[i].tokens, true, run->memory));
    }
    return LS_OK;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void print_rows(const char *title, const row *rows, int n)
{
    int wide = 6;
    for (int i = 0; i < n; i++) wide = (int)strlen(rows[i].name) > wide ? (int)strlen(rows[i].name) : wide;
    printf("%s\n  %-*s %5s   %38s   %38s\n  %-*s %5s", title, wide, "", "", "not scaled", "divided by sqrt(d)", wide,
           "", "d");
    for (int k = 0; k < 2; k++) printf("   %9s %8s %8s %10s", "variance", "largest", "entropy", "gradient");
    printf("\n");
    for (int i = 0; i < n; i++) {
        printf("  %-*s %5lld", wide, rows[i].name, (long long)rows[i].d);
        for (int k = 0; k < 2; k++)
            printf("  %c%9.4g %8.4f %8.4f %10.3e", rows[i].chosen[k] ? '*' : ' ', rows[i].with[k].variance,
                   rows[i].with[k].largest, rows[i].with[k].entropy, rows[i].with[k].gradient);
        printf("\n");
    }
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static double figure_of(const row *r, int with, int what)
{
    const ls_score_stats *s = &r->with[with];
    return what == 0 ? s->variance : what == 1 ? s->largest : s->gradient;
}

static void draw_panel(ls_png *plot, const scores *s, int what)
{
    static const char *const titles[] = {"Variance of the scores", "Largest weight of a query (1: saturated)",
                                         "Gradient of a query's scores"};
    double                   x[WIDTHS], y[2][WIDTHS], lx[2][MOST_LAYERS], ly[2][MOST_LAYERS];
    ls_png_line              line[4];
    int                      count = 0;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < WIDTHS; i++) x[i] = (double)s->wide[i].d, y[k][i] = figure_of(&s->wide[i], k, what);
        line[count++] = (ls_png_line){
            .name = k ? "divided by √d" : "not scaled", .n = WIDTHS, .x = x, .y = y[k], .colour = k ? 0 : 1};
    }
    for (int k = 0; k < 2; k++) {
        int n = 0;
        for (int i = 0; i < s->layers; i++)
            lx[k][n] = (double)s->layer[i].d, ly[k][n++] = figure_of(&s->layer[i], k, what);
        line[count++] = (ls_png_line){.name   = k ? NULL : "layers of this model",
                                      .n      = n,
                                      .x      = lx[k],
                                      .y      = ly[k],
                                      .colour = k ? 0 : 1,
                                      .points = true};
    }
    ls_png_lines(plot, &(ls_lines){.x      = 70 + 530 * what,
                                   .y      = 150,
                                   .width  = 430,
                                   .height = 360,
                                   .title  = titles[what],
                                   .x_name = "width d of a head",
                                   .log_x  = true,
                                   .log_y  = what != 1,
                                   .least  = 0,
                                   .most   = what == 1 ? 1 : 0,
                                   .count  = count,
                                   .line   = line});
}

static ls_status draw(const scores *s, const char *from, ls_png **plot)
{
    LS_TRY(ls_png_new(plot, 1620, 610));
    ls_png_text(*plot, 28, 34, &(ls_png_font){.size = 20, .align = -1, .bold = true}, "Why scores are divided by √d");
    ls_png_text(
        *plot, 28, 62, &(ls_png_font){.size = 14, .align = -1, .faint = true},
        "Lines: %d heads of random queries and keys, elements from N(0, 1), %d keys per query.  The product q·k "
        "has variance d: the wider the head, the closer the softmax is to selecting one key, and the smaller "
        "its gradient.",
        HEADS, KEYS);
    ls_png_text(*plot, 28, 84, &(ls_png_font){.size = 13, .align = -1, .faint = true},
                "Points: %s, on a window of held-out text", from);
    for (int what = 0; what < 3; what++) draw_panel(*plot, s, what);
    return LS_OK;
}

ls_status ls__explain_scores(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected seen;
    ls_png      *plot = NULL;
    LS_TRY(ls_inspect(&seen, run, options, false, true));
    scores *s = ls_arena_alloc(run->memory, sizeof *s);
    LS_TRY(measure_random(s, run->memory));
    LS_TRY(measure_model(s, run));
    print_rows(
        ls_arena_printf(
            run->memory,
            "Scores q k of random queries and keys, elements from N(0, 1), %d keys per query: means over queries",
            KEYS),
        s->wide, WIDTHS);
    print_rows(ls_arena_printf(run->memory, "\n%s, on a window of held-out text (*: used by the model)", seen.from),
               s->layer, s->layers);
    printf("  variance of the scores; largest weight of a query; entropy of its weights in nats; norm of the gradient "
           "of its scores\n\n");
    ls_status status = draw(s, seen.from, &plot);
    if (status == LS_OK) status = ls_inspect_save(&seen, options, plot, "scores");
    ls_png_free(plot);
    return status;
}

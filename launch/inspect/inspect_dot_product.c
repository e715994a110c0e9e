/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep explain RUN|FOLDER --dot-product TEXT`: scaled dot-product attention (Vaswani et al. 2017) of one head on a
 * text, step by step with its numbers, from the embeddings to the output.
 *
 *     q = x Wq, k = x Wk, v = x Wv      scores = q k^T / sqrt(d)      weights = softmax(scores)      y = weights v
 *
 * The page ends with the vectors of the tokens before the first and after the last layer, as their two principal
 * components: tokens with equal text lie in one point before, and apart after, because their contexts differ.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/inspect/inspect.h"

/* ---- principal components ---------------------------------------------------------------------------------------- */

/* Computes the eigenvector of the largest eigenvalue of a symmetric matrix n x n by power iteration, and removes it
 * from the matrix.  Returns the eigenvalue. */
static double take_component(double *matrix, int64_t n, double *vector, double *next)
{
    enum { ITERATIONS = 1000 };
    double value = 0;
    for (int64_t i = 0; i < n; i++) vector[i] = 1 + 0.5 * cos((double)i);
    for (int k = 0; k < ITERATIONS; k++) {
        double norm = 0;
        for (int64_t i = 0; i < n; i++) {
            next[i] = 0;
            for (int64_t j = 0; j < n; j++) next[i] += matrix[i * n + j] * vector[j];
            norm += next[i] * next[i];
        }
        value = sqrt(norm);
        for (int64_t i = 0; i < n; i++) vector[i] = value > 0 ? next[i] / value : 0;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) matrix[i * n + j] -= value * vector[i] * vector[j];
    return value;
}

double ls_principal_components(const float *rows, int64_t n, int64_t width, ls_arena *memory, double *x, double *y)
{
    double *mean = ls_arena_alloc(memory, (size_t)width * sizeof *mean),
           *gram = ls_arena_alloc(memory, (size_t)(n * n) * sizeof *gram),
           *next = ls_arena_alloc(memory, (size_t)n * sizeof *next), all = 0;
    for (int64_t c = 0; c < width; c++) {
        mean[c] = 0;
        for (int64_t i = 0; i < n; i++) mean[c] += (double)rows[i * width + c] / (double)n;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t c = 0; c < width; c++)
                sum += ((double)rows[i * width + c] - mean[c]) * ((double)rows[j * width + c] - mean[c]);
            gram[i * n + j] = sum;
            all += i == j ? sum : 0;
        }
    const double first = take_component(gram, n, x, next), second = take_component(gram, n, y, next);
    for (int64_t i = 0; i < n; i++) {
        x[i] *= sqrt(first);
        y[i] *= sqrt(second);
    }
    return all > 0 ? (first + second) / all : 1;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void print_numbers(const char *name, const float *value, int64_t n)
{
    enum { MOST = 8 };
    printf("  %-10s", name);
    for (int64_t i = 0; i < n && i < MOST; i++) printf(" %8.4f", (double)value[i]);
    printf("%s\n", n > MOST ? " ..." : "");
}

/* Prints the steps for the last token as query. */
static void print(const ls_attended *t, const ls_attention_map *m, int head)
{
    const int64_t n = m->tokens, d = m->width, query = n - 1, row = head * n + query;
    const float  *v = m->v + head * n * d;
    printf("%s, head %d of %lld, width d = %lld; query: token %lld, %s\n\n", m->name, head, (long long)m->heads,
           (long long)d, (long long)query, t->label[query]);
    print_numbers("embedding", t->embedding + query * t->width, t->width);
    print_numbers("x", m->x + query * m->columns, m->columns);
    print_numbers("q = x Wq", m->q + row * d, d);
    printf("\n  %-16s %10s %10s %10s   %s\n", "key", "q k", "scaled", "weight", "v");
    for (int64_t s = 0; s < n; s++) {
        printf("  %2lld %-13s %10.4f %10.4f %10.4f  ", (long long)s, t->label[s], (double)m->scores[row * n + s],
               (double)(m->scale * m->scores[row * n + s]), (double)m->weights[row * n + s]);
        for (int64_t c = 0; c < d && c < 4; c++) printf(" %8.4f", (double)v[s * d + c]);
        printf("%s\n", d > 4 ? " ..." : "");
    }
    printf("\n");
    print_numbers("y = sum", m->y + row * d, d);
    printf("  scaled: q k times %.4g; weight: softmax of the column%s; y: sum of the values by their weights\n\n",
           (double)m->scale, m->causal ? ", later tokens hidden" : "");
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum {
    MARGIN  = 28,
    TITLE   = 110,
    ROW     = 20,  /* height of a token in the first row of maps      */
    WIDE    = 250, /* width of x, q, k, v, y                          */
    BETWEEN = 40,
    CELL    = 46, /* width of a weight with its number                */
    NUMBERS = 20, /* tokens up to which weights have numbers          */
    SCATTER = 560
};

typedef struct page {
    ls_png                 *plot;
    const ls_attended      *t;
    const ls_attention_map *map;
    int                     head;
    double                  left, cell; /* width of the labels; of a weight */
} page;

static double largest(const float *value, int64_t n)
{
    double most = 1e-12;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)value[i]));
    return most;
}

static void heading(const page *p, double x, double y, const char *title, const char *text)
{
    ls_png_text(p->plot, x, y - 32, &(ls_png_font){.size = 15, .align = -1, .bold = true}, "%s", title);
    ls_png_text(p->plot, x, y - 13, &(ls_png_font){.size = 12, .align = -1, .faint = true}, "%s", text);
}

static void row_labels(const page *p, double x, double y, double height)
{
    for (int64_t i = 0; i < p->t->tokens; i++)
        ls_png_text(p->plot, x - 6, y + height * ((double)i + 0.5), &(ls_png_font){.size = 12, .align = 1}, "%s",
                    p->t->label[i]);
}

/* Draws a matrix with a row per token, negative values blue and positive red. */
static void rows_map(const page *p, double x, double y, const char *title, const float *value, int64_t cols)
{
    char         text[64];
    const double most = largest(value, p->t->tokens * cols);
    snprintf(text, sizeof text, "%lld x %lld, up to %.3g", (long long)p->t->tokens, (long long)cols, most);
    heading(p, x, y, title, text);
    ls_png_heat(p->plot, &(ls_heat){.x       = x,
                                    .y       = y,
                                    .width   = WIDE,
                                    .height  = (double)(ROW * p->t->tokens),
                                    .rows    = p->t->tokens,
                                    .cols    = cols,
                                    .value   = value,
                                    .low     = -most,
                                    .high    = most,
                                    .colours = LS_COLOURS_SIGNED});
}

/* Draws tokens x tokens values, with their numbers while there is room. */
static void square_map(const page *p, double x, double y, const char *title, const char *text, const float *value,
                       double most)
{
    const int64_t     n    = p->t->tokens;
    const ls_png_font font = {.size = 11}, upright = {.size = 12, .align = 1, .upright = true};
    heading(p, x, y, title, text);
    ls_png_heat(p->plot, &(ls_heat){.x       = x,
                                    .y       = y,
                                    .width   = p->cell * (double)n,
                                    .height  = (double)(ROW * n),
                                    .rows    = n,
                                    .cols    = n,
                                    .value   = value,
                                    .low     = -most,
                                    .high    = most,
                                    .colours = LS_COLOURS_SIGNED,
                                    .lower   = p->map->causal});
    row_labels(p, x, y, ROW);
    for (int64_t s = 0; s < n; s++) {
        ls_png_text(p->plot, x + p->cell * ((double)s + 0.5), y + (double)(ROW * n) + 6, &upright, "%s",
                    p->t->label[s]);
        for (int64_t t = 0; t < n && n <= NUMBERS; t++)
            if (s <= t || !p->map->causal)
                ls_png_text(p->plot, x + p->cell * ((double)s + 0.5), y + ROW * ((double)t + 0.5), &font, "%.2f",
                            (double)value[t * n + s]);
    }
}

/* Writes the tokens beside their points, further down where another label is. */
static void scatter_labels(const page *p, double left, double top, const double *x, const double *y, double range,
                           ls_arena *memory)
{
    enum { LINE = 14 };
    const ls_png_font font = {.size = 13, .align = -1};
    const int64_t     n    = p->t->tokens;
    double *at = ls_arena_alloc(memory, (size_t)n * sizeof *at), *row = ls_arena_alloc(memory, (size_t)n * sizeof *row),
           *width = ls_arena_alloc(memory, (size_t)n * sizeof *width);
    for (int64_t i = 0; i < n; i++) {
        const char *text = ls_arena_printf(memory, "%s %lld", p->t->label[i], (long long)i);
        at[i]            = left + SCATTER * (0.5 + x[i] / range) + 10;
        row[i]           = top + SCATTER * (0.5 - y[i] / range);
        width[i]         = ls_png_text_width(p->plot, &font, text);
        for (int64_t k = 0; k < i; k++)
            if (fabs(row[i] - row[k]) < LINE - 1e-9 && at[i] < at[k] + width[k] && at[k] < at[i] + width[i]) {
                row[i] = row[k] + LINE;
                k      = -1;
            }
        ls_png_text(p->plot, at[i], row[i], &font, "%s", text);
    }
}

/* Draws the tokens at their two principal components. */
static void scatter(const page *p, double left, double top, const char *title, const float *rows, ls_arena *memory)
{
    const int64_t n = p->t->tokens;
    char          text[96];
    double       *x = ls_arena_alloc(memory, (size_t)n * sizeof *x), *y = ls_arena_alloc(memory, (size_t)n * sizeof *y);
    double        most = 1e-12;
    const double  part = ls_principal_components(rows, n, p->t->width, memory, x, y);
    for (int64_t i = 0; i < n; i++) most = fmax(most, fmax(fabs(x[i]), fabs(y[i])));
    snprintf(text, sizeof text, "two principal components, %.0f %% of the variance", 100 * part);
    heading(p, left, top, title, text);
    const ls_png_line points = {.n = (int)n, .x = x, .y = y, .colour = 0, .points = true};
    ls_png_lines(p->plot, &(ls_lines){.x      = left,
                                      .y      = top,
                                      .width  = SCATTER,
                                      .height = SCATTER,
                                      .title  = "",
                                      .x_name = "",
                                      .first  = -1.25 * most,
                                      .last   = 1.25 * most,
                                      .least  = -1.25 * most,
                                      .most   = 1.25 * most,
                                      .count  = 1,
                                      .line   = &points});
    scatter_labels(p, left, top, x, y, 2.5 * most, memory);
}

static ls_status draw(page *p, const char *from, ls_arena *memory)
{
    const ls_attention_map *m = p->map;
    const int64_t           n = m->tokens, d = m->width, first = p->head * n * d;
    const ls_png_font       faint  = {.size = 13, .align = -1, .faint = true};
    float                  *scaled = ls_arena_alloc(memory, (size_t)(n * n) * sizeof *scaled);
    const float            *weight = m->weights + p->head * n * n;
    ls_png                 *any;
    double                  most = 1e-12;
    for (int64_t i = 0; i < n * n; i++) {
        scaled[i] = m->scale * m->scores[p->head * n * n + i];
        if (i % n <= i / n || !m->causal) most = fmax(most, fabs((double)scaled[i]));
    }
    LS_TRY(ls_png_new(&any, 1, 1)); /* measures text */
    for (int64_t i = 0; i < n; i++)
        p->left = fmax(p->left, ls_png_text_width(any, &(ls_png_font){.size = 12}, p->t->label[i]) + 12);
    ls_png_free(any);
    p->cell             = n <= NUMBERS ? CELL : ROW;
    const double square = p->cell * (double)n, high = ROW * (double)n, x = MARGIN + p->left,
                 second = TITLE + 60 + high + 70, third = second + high + p->left + 90;
    LS_TRY(ls_png_new(
        &p->plot, fmax(x + 5 * (WIDE + BETWEEN), fmax(x + 2 * (square + p->left + BETWEEN), x + 2 * (SCATTER + 110))),
        third + SCATTER + 60));
    ls_png_text(p->plot, MARGIN, 34, &(ls_png_font){.size = 20, .align = -1, .bold = true},
                "Scaled dot-product attention, step by step");
    ls_png_text(p->plot, MARGIN, 62, &faint,
                "%s, head %d of %lld, width d = %lld: q = x Wq, k = x Wk, v = x Wv, weights = "
                "softmax(q k / √d), y = weights v%s",
                m->name, p->head, (long long)m->heads, (long long)d, m->causal ? "; later tokens are hidden" : "");
    ls_png_text(p->plot, MARGIN, 84, &faint, "%s · %lld tokens", from, (long long)n);
    const struct {
        const char  *title;
        const float *value;
        int64_t      cols;
    } maps[] = {{"1. x: input of the layer", m->x, m->columns},
                {"2. q: queries", m->q + first, d},
                {"k: keys", m->k + first, d},
                {"v: values", m->v + first, d},
                {"5. y: output of the head", m->y + first, d}};
    row_labels(p, x, TITLE + 60, ROW);
    for (int i = 0; i < 5; i++)
        rows_map(p, x + i * (WIDE + BETWEEN), TITLE + 60, maps[i].title, maps[i].value, maps[i].cols);
    square_map(p, x, second, "3. scores q k / √d", "row: query, column: key", scaled, 1.4 * most);
    square_map(p, x + square + p->left + BETWEEN, second, "4. weights: softmax of a row", "a row sums to 1", weight,
               1.4);
    scatter(p, x, third, "Embeddings, before the first layer", p->t->embedding, memory);
    scatter(p, x + SCATTER + 110, third, "After the last layer: context has moved them", p->t->last, memory);
    return LS_OK;
}

ls_status ls__explain_dot_product(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected s;
    ls_attended  t;
    LS_TRY(ls_inspect_text(&s, run, options, "dot-product", &t));
    LS_CHECK(options->layer < t.layers, LS_ERR_USAGE, "explain: --layer: expected 0 to %d, the last layer, found %d",
             t.layers - 1, options->layer);
    const ls_attention_map *m = &t.map[options->layer];
    LS_CHECK(options->head < m->heads, LS_ERR_USAGE, "explain: --head: expected 0 to %lld, the last head, found %d",
             (long long)m->heads - 1, options->head);
    page p = {.t = &t, .map = m, .head = options->head};
    print(&t, m, p.head);
    ls_status status = draw(&p, s.from, run->memory);
    if (status == LS_OK) status = ls_inspect_save(&s, options, p.plot, "dot-product");
    ls_png_free(p.plot);
    return status;
}

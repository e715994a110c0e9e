/* SPDX-License-Identifier: Apache-2.0
 * Vectors of texts: see launch/embed/embed.h.
 *
 * Texts are sorted by length and cut into batches, which the ranks compute in turn.  After each turn rank 0 gathers the
 * vectors.  A batch is as wide as its longest text.
 */
#include "launch/embed/embed.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/graph/graph.h"
#include "core/graph/params.h"
#include "dist/interop/hf_config.h"
#include "launch/data/pretrained.h"

typedef struct text {
    int64_t  line;
    int64_t  count; /* tokens */
    int32_t *id, *type;
} text;

typedef struct work {
    ls_run                 *run;
    const ls_embed_options *options;
    ls_encoder_args         args;
    ls_graph               *graph;
    ls_params              *params;
    ls_model               *model;
    ls_tokenizer           *tokenizer;
    int64_t                 batch, most; /* texts of a batch; tokens of a text */
    text                   *text;
    float                  *vector;    /* rank 0: of all texts */
    float                  *own, *all; /* of a batch; of the batches of all ranks */
    int32_t                *token, *type, *length;
} work;

/* ---- the model --------------------------------------------------------------------------------------------------- */

static ls_status build(work *e)
{
    const ls_architecture *a;
    const char            *path   = ls_arena_printf(e->run->memory, "%s/config.json", e->options->folder);
    ls_tensor             *hidden = NULL;
    LS_TRY(ls__hf_config_architecture(path, &a));
    LS_CHECK(a == &ls__arch_encoder, LS_ERR_USAGE, "%s: expected an encoder of texts (bert, roberta, distilbert)",
             path);
    LS_TRY(ls__hf_config_args(path, a, &e->args));
    e->most = e->args.context - (e->args.kind == LS_ROBERTA ? 2 : 0);
    if (e->options->max_tokens) e->most = ls__min(e->most, e->options->max_tokens);
    e->graph        = ls_graph_new();
    e->args.dropout = 0;
    e->args.classes = 0;
    e->args.g       = e->graph;
    e->args.x       = ls_input(e->graph, "tokens", LS_I32, e->most);
    e->args.length  = ls_input(e->graph, "length", LS_I32);
    if (e->args.types) e->args.type = ls_input(e->graph, "type", LS_I32, e->most);
    hidden = ls__encoder(e->args);
    LS_TRY(ls_graph_status(e->graph));
    LS_TRY(ls_pretrained_check_size(e->options->folder, e->graph));
    LS_TRY(ls__params_new_unset(&e->params, e->graph));
    LS_TRY(ls_pretrained_load(e->options->folder, e->params, NULL));
    LS_TRY(ls_model_new(&e->model, e->graph, e->params, &hidden, 1, (int)e->batch));
    return ls_pretrained_tokenizer(&e->tokenizer, e->options->folder, (int)e->args.vocab);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static int by_length(const void *x, const void *y)
{
    const text *a = x, *b = y;
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    return a->line < b->line ? -1 : 1;
}

static ls_status encode(work *e)
{
    ls_arena      *memory = e->run->memory;
    ls_text_tokens tokens = {0};
    ls_status      status = LS_OK;
    e->text               = ls_arena_alloc(memory, sizeof *e->text * (size_t)ls__max(e->options->lines, 1));
    for (int64_t i = 0; i < e->options->lines && status == LS_OK; i++) {
        const char        *line  = e->options->line[i];
        const ls_text_line whole = {.data = line, .bytes = strlen(line)};
        status                   = ls_tokenizer_encode_texts(e->tokenizer, &whole, NULL, e->most, &tokens);
        if (status != LS_OK) break;
        const size_t bytes = sizeof(int32_t) * (size_t)ls__max(tokens.count, 1);
        text        *t     = &e->text[i];
        *t                 = (text){.line  = i,
                                    .count = tokens.count,
                                    .id    = ls_arena_alloc(memory, bytes),
                                    .type  = ls_arena_alloc(memory, bytes)};
        memcpy(t->id, tokens.id, sizeof(int32_t) * (size_t)tokens.count);
        memcpy(t->type, tokens.type, sizeof(int32_t) * (size_t)tokens.count);
    }
    ls_text_tokens_free(&tokens);
    if (status == LS_OK) qsort(e->text, (size_t)e->options->lines, sizeof *e->text, by_length);
    return status;
}

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

/* Computes the vector of a text from its rows. */
static void pool(const work *e, int64_t count, const float *rows, float *vector)
{
    const int64_t width = e->args.width, used = e->options->cls ? ls__min(count, 1) : count;
    double        squares = 0;
    for (int64_t c = 0; c < width; c++) {
        double sum = 0;
        for (int64_t t = 0; t < used; t++) sum += (double)rows[t * width + c];
        sum       = used ? sum / (double)used : 0;
        vector[c] = (float)sum;
        squares += sum * sum;
    }
    const double length = sqrt(squares);
    for (int64_t c = 0; c < width && !e->options->unscaled && length > 0; c++)
        vector[c] = (float)((double)vector[c] / length);
}

/* Computes the vectors of the texts [first, first + n) of the sorted list. */
static ls_status compute(work *e, int64_t first, int64_t n)
{
    const int64_t width = e->text[first + n - 1].count;
    ls_batch      b     = {.rows = n, .global_rows = n};
    for (int64_t i = 0; i < n; i++) {
        const text *t = &e->text[first + i];
        memset(e->token + i * width, 0, sizeof(int32_t) * (size_t)width);
        memset(e->type + i * width, 0, sizeof(int32_t) * (size_t)width);
        memcpy(e->token + i * width, t->id, sizeof(int32_t) * (size_t)t->count);
        memcpy(e->type + i * width, t->type, sizeof(int32_t) * (size_t)t->count);
        e->length[i] = (int32_t)t->count;
    }
    const struct {
        const char *name;
        const void *data;
        int64_t     dim0;
        bool        given;
    } inputs[] = {
        {"tokens", e->token, width, true}, {"length", e->length, 0, true}, {"type", e->type, width, e->args.types > 0}};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        if (!inputs[i].given) continue;
        b.name[b.inputs]   = inputs[i].name;
        b.data[b.inputs]   = inputs[i].data;
        b.dim0[b.inputs++] = inputs[i].dim0;
    }
    LS_TRY(ls_model_run(e->model, &b));
    for (int64_t i = 0; i < n; i++)
        pool(e, e->text[first + i].count, ls_model_output(e->model, 0) + i * width * e->args.width,
             e->own + i * e->args.width);
    return LS_OK;
}

/* Each rank computes one batch of every turn. */
static ls_status compute_all(work *e)
{
    const ls_run *run   = e->run;
    const int64_t lines = e->options->lines, width = e->args.width, turn = e->batch * run->ranks;
    for (int64_t first = 0; first < lines; first += turn) {
        const int64_t from = first + run->rank * e->batch, n = ls__min(e->batch, lines - from);
        LS_TRY(ls_comm_agree(run->comm, n > 0 ? compute(e, from, n) : LS_OK));
        LS_TRY(ls_comm_allgather(run->comm, e->own, e->all, sizeof(float) * (size_t)(e->batch * width)));
        for (int64_t i = 0; run->is_root && i < ls__min(turn, lines - first); i++)
            memcpy(e->vector + e->text[first + i].line * width, e->all + i * width, sizeof(float) * (size_t)width);
    }
    return LS_OK;
}

static ls_status allocate(work *e)
{
    ls_arena    *memory = e->run->memory;
    const size_t rows = (size_t)e->batch, tokens = rows * (size_t)e->most * sizeof(int32_t),
                 width = (size_t)e->args.width;
    e->token           = ls_arena_alloc(memory, tokens);
    e->type            = ls_arena_alloc(memory, tokens);
    e->length          = ls_arena_alloc(memory, rows * sizeof(int32_t));
    e->own             = ls_arena_alloc(memory, rows * width * sizeof(float));
    e->all             = ls_arena_alloc(memory, rows * width * (size_t)e->run->ranks * sizeof(float));
    if (!e->run->is_root) return LS_OK;
    e->vector = malloc(sizeof(float) * width * (size_t)ls__max(e->options->lines, 1));
    LS_CHECK(e->vector, LS_ERR_ENV, "embed: no memory for %lld vectors", (long long)e->options->lines);
    return LS_OK;
}

static ls_status pass(const work *e)
{
    for (int64_t i = 0; i < e->options->lines; i++)
        LS_TRY(e->options->each(i, e->vector + i * e->args.width, e->args.width, e->options->context));
    return LS_OK;
}

ls_status ls_run_embed(ls_run *run, const ls_embed_options *options)
{
    work      e      = {.run = run, .options = options, .batch = options->batch ? options->batch : 32};
    ls_status status = ls_comm_agree(run->comm, build(&e));
    if (status == LS_OK) status = ls_comm_agree(run->comm, encode(&e));
    if (status == LS_OK) status = ls_comm_agree(run->comm, allocate(&e));
    if (status == LS_OK) status = compute_all(&e);
    if (status == LS_OK) status = ls_comm_agree(run->comm, run->is_root ? pass(&e) : LS_OK);
    free(e.vector);
    ls_tokenizer_free(e.tokenizer);
    ls_model_free(e.model);
    ls_params_free(e.params);
    ls_graph_free(e.graph);
    return status;
}

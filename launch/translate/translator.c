/* SPDX-License-Identifier: Apache-2.0
 * Runs encoder and decoder for a beam search.  The rows of the decoder's states and carries follow the hypotheses:
 * before each position, a row takes those of the row that it continues. */
#include "launch/translate/translator.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"

enum { WIDTH_STEP = 4 }; /* widths of batches are multiples, as in training */

struct ls_translator {
    ls_arena             *arena;
    ls_translator_options options;
    ls_graph             *graph[2];
    ls_model             *encoder, *decoder;
    ls_encoder_output     out, in;                   /* what the encoder passes on, and what the decoder takes */
    int64_t               rows;                      /* most rows of the decoder */
    int64_t               width;                     /* S of the present batch */
    int32_t              *source, *source_length;    /* by sentence */
    int32_t              *previous, *length, *start; /* by row */
    int64_t              *loaded;                    /* sentence whose memories a row has; -1: none */
    float                *memory[LS_MAX_MEMORIES];   /* rows x S x width */
    int64_t               memory_width[LS_MAX_MEMORIES];
    int                   first[LS_MAX_CARRIES]; /* output of the encoder with the first value of a carry; -1: zeros */
    float                *carry[LS_MAX_CARRIES]; /* rows x width */
    int64_t               carry_width[LS_MAX_CARRIES];
    float                *moved;   /* rows of one state */
    int32_t              *padding; /* rows x S, with the option weights */
    int64_t              *covered; /* tokens of each source, without the end token */
    int64_t              *most;    /* ls_sentence.most, and the prefix, by sentence */
    const int32_t       **prefix;
};

/* ---- models ------------------------------------------------------------------------------------------------------ */

static ls_translation_inputs inputs(const ls_translator *t, ls_graph *g, ls_translation_part part,
                                    ls_encoder_output *encoded)
{
    const ls_translator_options *o = &t->options;
    return (ls_translation_inputs){.g              = g,
                                   .classes        = o->vocabulary,
                                   .source_classes = o->source_vocabulary,
                                   .joint          = o->joint,
                                   .source_length  = ls_input(g, "source_length", LS_I32),
                                   .part           = part,
                                   .encoded        = encoded,
                                   .source_width   = o->source_width,
                                   .target_width   = o->target_width};
}

static ls_graph *new_graph(ls_translator *t, int i)
{
    t->graph[i] = ls_graph_new();
    ls_graph_precision(t->graph[i], t->options.recipe->train.precision);
    return t->graph[i];
}

static ls_status make_encoder(ls_translator *t)
{
    ls_tensor            *outputs[LS_MAX_MEMORIES + LS_MAX_CARRIES], *memory;
    int                   n  = 0;
    ls_translation_inputs in = inputs(t, new_graph(t, 0), LS_ENCODER, &t->out);
    in.source                = ls_input(in.g, "source", LS_I32, t->options.source_width);
    LS_TRY(ls_recipe_build_translation(t->options.recipe, &in, &memory));
    for (int i = 0; i < t->out.memories; i++) outputs[n++] = t->out.memory[i];
    for (int i = 0; i < t->out.carries; i++) {
        t->first[i] = t->out.carry[i] ? n : -1;
        if (t->out.carry[i]) outputs[n++] = t->out.carry[i];
    }
    return ls_model_new(&t->encoder, in.g, t->options.params, outputs, n, t->options.batch);
}

static ls_status make_decoder(ls_translator *t)
{
    ls_tensor            *logits, *outputs[2 + LS_MAX_CARRIES];
    const bool            weighs = t->options.weights;
    ls_translation_inputs in     = inputs(t, new_graph(t, 1), LS_DECODER, &t->in);
    in.previous                  = ls_input(in.g, "previous", LS_I32, 1);
    in.start                     = ls_input(in.g, "start", LS_I32);
    if (weighs) in.source_padding = ls_input(in.g, "source_padding", LS_I32, t->options.source_width);
    LS_TRY(ls_recipe_build_translation(t->options.recipe, &in, &logits));
    LS_CHECK(t->in.memories == t->out.memories && t->in.carries == t->out.carries, LS_ERR_FAILED,
             "translator: the encoder passes %d and %d values, the decoder takes %d and %d", t->out.memories,
             t->out.carries, t->in.memories, t->in.carries);
    outputs[0] = ls_log_softmax(logits);
    for (int i = 0; i < t->in.carries; i++) outputs[1 + i] = t->in.next[i];
    LS_CHECK(!weighs || t->in.weights, LS_ERR_USAGE,
             "%s: the model has no attention, so there is no alignment" LS_HINT
             "model.options.attention=general adds it",
             t->options.recipe->model.name);
    outputs[1 + t->in.carries] = t->in.weights;
    return ls_model_new(&t->decoder, in.g, t->options.params, outputs, 1 + t->in.carries + weighs, t->rows);
}

bool ls_translator_weighs(const ls_recipe *recipe)
{
    enum { ANY = 4 }; /* sizes of the inputs and of the vocabulary */
    ls_graph             *g       = ls_graph_new();
    ls_encoder_output     encoded = {0};
    ls_tensor            *logits;
    ls_translation_inputs in     = {.g              = g,
                                    .classes        = ANY,
                                    .source_classes = ANY,
                                    .source_length  = ls_input(g, "source_length", LS_I32),
                                    .previous       = ls_input(g, "previous", LS_I32, 1),
                                    .start          = ls_input(g, "start", LS_I32),
                                    .source_padding = ls_input(g, "source_padding", LS_I32, ANY),
                                    .part           = LS_DECODER,
                                    .encoded        = &encoded,
                                    .source_width   = ANY,
                                    .target_width   = ANY};
    const bool            weighs = ls_recipe_build_translation(recipe, &in, &logits) == LS_OK && encoded.weights;
    ls_graph_free(g);
    return weighs;
}

/* Elements of a row of state i; 0: there is no such state.  used: only those of positions before `position`. */
static int64_t state_row(const ls_translator *t, int i, float **values, int64_t position, int64_t *used)
{
    int64_t dims[LS_MAX_DIMS], all = 1;
    int     rank;
    *values = ls_model_state(t->decoder, i, &rank, dims);
    for (int k = 0; k < rank; k++) all *= dims[k];
    *used = rank == 2 ? position * dims[1] : all; /* rank 2: a cache with a row for each position */
    return *values ? all : 0;
}

static ls_status make_buffers(ls_translator *t)
{
    const size_t batch = (size_t)t->options.batch, rows = (size_t)t->rows;
    int64_t      most = 0, used;
    float       *values;
    t->source        = ls_arena_alloc(t->arena, batch * (size_t)t->options.source_width * sizeof *t->source);
    t->source_length = ls_arena_alloc(t->arena, batch * sizeof *t->source_length);
    t->previous      = ls_arena_alloc(t->arena, rows * sizeof *t->previous);
    t->length        = ls_arena_alloc(t->arena, rows * sizeof *t->length);
    t->start         = ls_arena_alloc(t->arena, rows * sizeof *t->start);
    t->most          = ls_arena_alloc(t->arena, batch * sizeof *t->most);
    t->prefix        = ls_arena_alloc(t->arena, batch * sizeof *t->prefix);
    t->covered       = ls_arena_alloc(t->arena, batch * sizeof *t->covered);
    t->loaded        = ls_arena_alloc(t->arena, rows * sizeof *t->loaded);
    for (int i = 0; i < t->in.memories; i++) {
        int64_t dims[LS_MAX_DIMS];
        ls_tensor_dims(t->in.memory[i], dims);
        t->memory_width[i] = dims[1];
        t->memory[i] = ls_arena_alloc(t->arena, rows * (size_t)(t->options.source_width * dims[1]) * sizeof(float));
    }
    for (int i = 0; i < t->in.carries; i++) {
        int64_t dims[LS_MAX_DIMS];
        ls_tensor_dims(t->in.carry[i], dims);
        t->carry_width[i] = dims[0];
        t->carry[i]       = ls_arena_alloc(t->arena, rows * (size_t)dims[0] * sizeof(float));
    }
    if (t->options.weights)
        t->padding = ls_arena_alloc(t->arena, rows * (size_t)t->options.source_width * sizeof *t->padding);
    for (int64_t i = 0, n; (n = state_row(t, (int)i, &values, 0, &used)) > 0; i++) most = n > most ? n : most;
    t->moved = ls_arena_alloc(t->arena, rows * (size_t)most * sizeof(float));
    return LS_OK;
}

ls_status ls_translator_new(ls_translator **out, const ls_translator_options *options)
{
    ls_arena *arena;
    LS_TRY(ls_arena_new(&arena, "translator"));
    ls_translator *t        = ls_arena_alloc(arena, sizeof *t);
    *t                      = (ls_translator){.arena = arena, .options = *options};
    t->rows                 = options->batch * options->search.beam;
    t->options.weights      = options->weights || options->search.coverage > 0;
    t->options.source_width = (options->source_width + WIDTH_STEP - 1) / WIDTH_STEP * WIDTH_STEP;
    ls_status status        = make_encoder(t);
    if (status == LS_OK) status = make_decoder(t);
    if (status == LS_OK) status = make_buffers(t);
    if (status != LS_OK) {
        ls_translator_free(t);
        return status;
    }
    *out = t;
    return LS_OK;
}

void ls_translator_free(ls_translator *t)
{
    if (!t) return;
    ls_model_free(t->encoder);
    ls_model_free(t->decoder);
    for (int i = 0; i < 2; i++) ls_graph_free(t->graph[i]);
    ls_arena_free(t->arena);
}

/* ---- one batch --------------------------------------------------------------------------------------------------- */

static ls_status run_encoder(ls_translator *t, const ls_sentence *sentence, int64_t n)
{
    t->width = 0;
    for (int64_t i = 0; i < n; i++) {
        LS_CHECK(sentence[i].length >= 1 && sentence[i].length <= t->options.source_width, LS_ERR_USAGE,
                 "translator: expected a source of 1 to %lld tokens, found %lld", (long long)t->options.source_width,
                 (long long)sentence[i].length);
        if (sentence[i].length > t->width) t->width = sentence[i].length;
    }
    t->width = (t->width + WIDTH_STEP - 1) / WIDTH_STEP * WIDTH_STEP;
    for (int64_t i = 0; i < n; i++) {
        int32_t *row        = t->source + i * t->width;
        t->source_length[i] = (int32_t)sentence[i].length;
        memset(row, 0, (size_t)t->width * sizeof *row);
        memcpy(row, sentence[i].token, (size_t)sentence[i].length * sizeof *row);
    }
    return ls_model_run(t->encoder, &(ls_batch){.inputs      = 2,
                                                .name        = {"source", "source_length"},
                                                .data        = {t->source, t->source_length},
                                                .dim0        = {t->width},
                                                .rows        = n,
                                                .global_rows = n});
}

/* Copies the memories of the sentence of each row that has those of another one. */
static void load_memories(ls_translator *t, const ls_search_row *row, int64_t rows)
{
    for (int i = 0; i < t->in.memories; i++) {
        const float  *from = ls_model_output(t->encoder, i);
        const int64_t size = t->width * t->memory_width[i];
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < rows; r++)
            if (t->loaded[r] != row[r].sentence)
                memcpy(t->memory[i] + r * size, from + row[r].sentence * size, (size_t)size * sizeof(float));
    }
    for (int64_t r = 0; r < rows; r++) t->loaded[r] = row[r].sentence;
}

/* Gives each row the states of its parent. */
static void move_states(ls_translator *t, const ls_search_row *row, int64_t rows, int64_t position)
{
    float  *values;
    int64_t used;
    for (int i = 0; position > 0; i++) {
        const int64_t all = state_row(t, i, &values, position, &used);
        if (!all) return;
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < rows; r++)
            if (row[r].parent != r)
                memcpy(t->moved + r * used, values + row[r].parent * all, (size_t)used * sizeof(float));
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < rows; r++)
            if (row[r].parent != r) memcpy(values + r * all, t->moved + r * used, (size_t)used * sizeof(float));
    }
}

/* Gives each row the carries of its parent, or at position 0 those of the encoder. */
static void move_carries(ls_translator *t, const ls_search_row *row, int64_t rows, int64_t position)
{
    for (int i = 0; i < t->in.carries; i++) {
        const int64_t width = t->carry_width[i];
        const float  *from  = position           ? ls_model_output(t->decoder, 1 + i)
                              : t->first[i] >= 0 ? ls_model_output(t->encoder, t->first[i])
                                                 : NULL;
        for (int64_t r = 0; r < rows; r++) {
            const int64_t parent = position ? row[r].parent : row[r].sentence;
            if (from)
                memcpy(t->carry[i] + r * width, from + parent * width, (size_t)width * sizeof(float));
            else
                memset(t->carry[i] + r * width, 0, (size_t)width * sizeof(float));
        }
    }
}

static ls_status run_decoder(ls_translator *t, const ls_sentence *sentence, const ls_search_row *row, int64_t rows,
                             int64_t position)
{
    ls_batch b = {.inputs      = 3,
                  .name        = {"previous", "start", "source_length"},
                  .data        = {t->previous, t->start, t->length},
                  .rows        = rows,
                  .global_rows = rows};
    move_states(t, row, rows, position);
    move_carries(t, row, rows, position);
    load_memories(t, row, rows);
    for (int64_t r = 0; r < rows; r++) {
        t->previous[r] = row[r].token;
        t->start[r]    = (int32_t)position;
        t->length[r]   = (int32_t)sentence[row[r].sentence].length;
    }
    for (int i = 0; i < t->in.memories; i++) {
        b.name[b.inputs]   = ls_tensor_name(t->in.memory[i]);
        b.data[b.inputs]   = t->memory[i];
        b.dim0[b.inputs++] = t->width;
    }
    for (int i = 0; i < t->in.carries; i++) {
        b.name[b.inputs]   = ls_tensor_name(t->in.carry[i]);
        b.data[b.inputs++] = t->carry[i];
    }
    if (t->options.weights) {
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < t->width; k++) t->padding[r * t->width + k] = k >= t->length[r];
        b.name[b.inputs]   = "source_padding";
        b.data[b.inputs]   = t->padding;
        b.dim0[b.inputs++] = t->width;
    }
    return ls_model_run(t->decoder, &b);
}

ls_status ls_translator_run(ls_translator *t, const ls_sentence *sentence, int64_t n, ls_search *search)
{
    const ls_search_row *row;
    int64_t              rows;
    *search = (ls_search){0};
    LS_CHECK(n >= 1 && n <= t->options.batch, LS_ERR_USAGE, "translator: expected 1 to %lld sentences, found %lld",
             (long long)t->options.batch, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        t->covered[i] = sentence[i].length - 1;
        t->most[i]    = sentence[i].most < t->options.target_width ? sentence[i].most : t->options.target_width;
        t->prefix[i]  = sentence[i].prefix;
    }
    LS_TRY(run_encoder(t, sentence, n));
    LS_TRY(ls_search_new(search, &t->options.search, n, t->most, t->prefix));
    search->covered = t->covered;
    for (int64_t r = 0; r < t->rows; r++) t->loaded[r] = -1;
    while ((rows = ls_search_rows(search, &row)) > 0) {
        LS_TRY(run_decoder(t, sentence, row, rows, search->position));
        search->width   = t->width;
        search->weights = t->options.weights ? ls_model_output(t->decoder, 1 + t->in.carries) : NULL;
        LS_TRY(ls_search_take(search, ls_model_output(t->decoder, 0)));
    }
    return LS_OK;
}

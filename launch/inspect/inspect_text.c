/* SPDX-License-Identifier: Apache-2.0
 * Runs a language model on a text, for pictures of attention: that of a run, or of a folder of transformers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/params.h"
#include "dist/dist.h"
#include "dist/interop/hf_config.h"
#include "launch/data/dataset_source.h"
#include "launch/data/pretrained.h"
#include "launch/inspect/inspect.h"
#include "launch/run/open_model.h"
#include "launch/tasks/task.h"

/* ---- labels ------------------------------------------------------------------------------------------------------ */

const char *ls_token_label(const ls_tokenizer *t, int32_t id, ls_arena *memory)
{
    enum { ROOM = 96, MOST = 14 };
    size_t      bytes = 0, used = 0;
    int         characters = 0;
    const char *text       = ls_tokenizer_token(t, id, &bytes);
    char       *out        = ls_arena_alloc(memory, ROOM);
    for (size_t i = 0; text && i < bytes;) {
        const unsigned char c     = (unsigned char)text[i];
        size_t              n     = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        bool                whole = n && i + n <= bytes;
        for (size_t k = 1; whole && k < n; k++) whole = ((unsigned char)text[i + k] & 0xc0) == 0x80;
        if (characters++ == MOST) {
            used += (size_t)snprintf(out + used, ROOM - used, "…");
            break;
        }
        if (c == ' ')
            used += (size_t)snprintf(out + used, ROOM - used, "␣");
        else if (c == '\n')
            used += (size_t)snprintf(out + used, ROOM - used, "↵");
        else if (whole && c >= 0x20 && c != 0x7f)
            used += (size_t)snprintf(out + used, ROOM - used, "%.*s", (int)n, text + i);
        else
            used += (size_t)snprintf(out + used, ROOM - used, "<%02x>", c);
        i += whole ? n : 1;
    }
    out[used] = 0;
    return out;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* A model and its tokens, before its graph is built for their number. */
typedef struct opened {
    ls_run             *run;
    const char         *option; /* of the command, for messages          */
    const ls_tokenizer *tokenizer;
    bool                encodes; /* an encoder, such as BERT, in a folder */
    ls_encoder_args     encoder;
    int64_t             context, count;
    int32_t             vocabulary;
    const int32_t      *id, *type; /* type: of an encoder                   */
} opened;

static ls_status check_tokens(const opened *o)
{
    LS_CHECK(o->count, LS_ERR_USAGE,
             "explain: --%s: expected a text, found nothing" LS_HINT "--%s 'to be, or not to be'", o->option,
             o->option);
    LS_CHECK(o->count <= o->context, LS_ERR_USAGE,
             "explain: --%s: the text has %lld tokens, more than the context of %lld of the model" LS_HINT
             "pass a shorter text",
             o->option, (long long)o->count, (long long)o->context);
    for (int64_t i = 0; i < o->count; i++)
        LS_CHECK(o->id[i] < o->vocabulary, LS_ERR_DATA,
                 "explain: --%s: token %d of the text is outside the model's vocabulary of %d", o->option, o->id[i],
                 o->vocabulary);
    return LS_OK;
}

static const int32_t *copy_of(const int32_t *id, int64_t count, ls_arena *memory)
{
    int32_t *copy = ls_arena_alloc(memory, (size_t)(count + 1) * sizeof *copy);
    if (count) memcpy(copy, id, (size_t)count * sizeof *copy);
    return copy;
}

/* Encodes the text; an encoder's tokens have [CLS] and [SEP] around them. */
static ls_status encode(opened *o, const char *text)
{
    ls_text_tokens     sentence = {0};
    ls_tokens          tokens   = {0};
    const ls_text_line whole    = {.data = text, .bytes = strlen(text)};
    ls_arena          *memory   = o->run->memory;
    ls_status          status   = o->encodes ? ls_tokenizer_encode_texts(o->tokenizer, &whole, NULL, 0, &sentence)
                                             : ls_tokenizer_encode(o->tokenizer, text, whole.bytes, &tokens);
    const int64_t      replaced = o->encodes ? sentence.replaced : tokens.replaced;
    if (status == LS_OK) {
        o->count = !*text ? 0 : o->encodes ? sentence.count : tokens.count;
        o->id    = copy_of(o->encodes ? sentence.id : tokens.id, o->count, memory);
        o->type  = o->encodes ? copy_of(sentence.type, o->count, memory) : NULL;
        status   = check_tokens(o);
    }
    if (replaced && status == LS_OK)
        fprintf(stderr, "note: --%s: %lld invalid bytes of the text were replaced by U+FFFD\n", o->option,
                (long long)replaced);
    ls_text_tokens_free(&sentence);
    ls_tokens_free(&tokens);
    return status;
}

/* Opens a folder of transformers. */
static ls_status open_folder(opened *o, const char *folder)
{
    const ls_architecture *a;
    ls_run                *run  = o->run;
    const char            *path = ls_arena_printf(run->memory, "%s/config.json", folder);
    LS_TRY(ls__hf_config_architecture(path, &a));
    o->encodes = a == &ls__arch_encoder;
    if (!o->encodes) {
        LS_TRY(ls_run_open_model(run, folder, NULL));
        LS_CHECK(run->task == &ls__task_language_model, LS_ERR_USAGE,
                 "%s: --%s: expected a language model, found one for %s", folder, o->option, run->task->name);
        o->vocabulary = run->data.classes;
        o->context    = run->data.context;
    } else {
        LS_TRY(ls__hf_config_args(path, a, &o->encoder));
        o->vocabulary      = (int32_t)o->encoder.vocab;
        o->context         = o->encoder.context - (o->encoder.kind == LS_ROBERTA ? 2 : 0);
        o->encoder.dropout = 0;
        o->encoder.classes = 0;
        LS_TRY(ls_pretrained_tokenizer(&run->tokenizer, folder, o->vocabulary));
    }
    o->tokenizer = run->tokenizer;
    return LS_OK;
}

static ls_status open_run(opened *o, ls_inspected *s, const ls_inspect_options *options)
{
    LS_TRY(ls_inspect(s, o->run, options, true, false));
    LS_TRY(ls_data_tokenizer(&o->run->tokenizer, &o->run->data));
    LS_CHECK(o->run->tokenizer, LS_ERR_DATA, "%s: expected a tokenizer.json beside data.json, found none", s->folder);
    o->tokenizer  = o->run->tokenizer;
    o->vocabulary = o->run->data.classes;
    o->context    = o->run->data.context;
    return LS_OK;
}

/* ---- the values -------------------------------------------------------------------------------------------------- */

static ls_tensor *embedding_of(const ls_graph *g)
{
    for (int i = 0; i < g->nodes; i++)
        if (!strcmp(ls__op(g->node[i])->name, "embedding")) return g->node[i]->out[0];
    return NULL;
}

/* Returns the output of the last norm of vectors as wide as the embedding x. */
static ls_tensor *last_of(const ls_graph *g, const ls_tensor *x)
{
    for (int i = g->nodes - 1; i >= 0; i--) {
        const char      *op = ls__op(g->node[i])->name;
        ls_tensor *const y  = g->node[i]->out[0];
        if ((!strcmp(op, "layer_norm") || !strcmp(op, "rms_norm")) && y->rank == 2 && y->dim[1] == x->dim[1]) return y;
    }
    return NULL;
}

static ls_status build(opened *o, ls_graph *g)
{
    ls_tensor         *out;
    ls_language_inputs in = {.x = ls_input(g, "tokens", LS_I32, o->count)};
    if (!o->encodes) return ls_recipe_build_language(o->run->recipe, g, &in, o->vocabulary, &out);
    o->encoder.g      = g;
    o->encoder.x      = in.x;
    o->encoder.length = ls_input(g, "length", LS_I32);
    if (o->encoder.types) o->encoder.type = ls_input(g, "type", LS_I32, o->count);
    ls__encoder(o->encoder);
    return ls_graph_status(g);
}

static ls_status run_graph(opened *o, ls_graph *g, ls_params *params, ls_attended *t)
{
    const int32_t length = (int32_t)o->count;
    const float  *value[2];
    LS_TRY(build(o, g));
    ls_tensor *x = embedding_of(g), *last = x ? last_of(g, x) : NULL;
    LS_CHECK(last, LS_ERR_USAGE, "explain: --%s: expected a model with an embedding and norms, found another",
             o->option);
    const ls_batch batch = {.inputs      = o->encodes ? 2 + (o->encoder.types > 0) : 1,
                            .name        = {"tokens", "length", "type"},
                            .data        = {o->id, &length, o->type},
                            .rows        = 1,
                            .global_rows = 1};
    LS_TRY(ls_attention_values(g, params, &batch, (ls_tensor *[]){x, last}, 2, value, o->run->memory, &t->map,
                               &t->layers));
    t->tokens    = o->count;
    t->width     = x->dim[1];
    t->embedding = value[0];
    t->last      = value[1];
    return LS_OK;
}

/* Loads the parameters of an encoder, which a run does not have.  They refer to the graph of the run. */
static ls_status load_encoder(opened *o, const char *folder)
{
    ls_graph *g = o->run->graph = ls_graph_new();
    LS_TRY(build(o, g));
    LS_TRY(ls_pretrained_check_size(folder, g));
    LS_TRY(ls__params_new_unset(&o->run->loaded, g));
    return ls_pretrained_load(folder, o->run->loaded, NULL);
}

/* "minilm" of "/models/minilm/". */
static const char *base_name(const ls_run *run, const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
    return ls_arena_printf(run->memory, "%.*s", (int)(end - begin), path + begin);
}

ls_status ls_inspect_text(ls_inspected *s, ls_run *run, const ls_inspect_options *options, const char *option,
                          ls_attended *t)
{
    opened     o      = {.run = run, .option = option};
    const bool folder = ls_pretrained_is(options->model);
    *s = (ls_inspected){.run = run, .from = options->model, .name = folder ? base_name(run, options->model) : NULL};
    LS_CHECK(!folder || !options->overrides, LS_ERR_USAGE, "explain: --%s: expected no key=value, found '%s'", option,
             options->override[0]);
    LS_TRY(folder ? open_folder(&o, options->model) : open_run(&o, s, options));
    LS_TRY(encode(&o, options->text));
    if (o.encodes) LS_TRY(load_encoder(&o, options->model));
    ls_graph *g      = ls_graph_new();
    ls_status status = run_graph(&o, g, run->loaded ? run->loaded : ls_trainer_params(run->trainer), t);
    ls_graph_free(g);
    LS_TRY(status);
    t->label = ls_arena_alloc(run->memory, (size_t)t->tokens * sizeof *t->label);
    for (int64_t i = 0; i < t->tokens; i++) t->label[i] = ls_token_label(o.tokenizer, o.id[i], run->memory);
    return LS_OK;
}

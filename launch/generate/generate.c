/* SPDX-License-Identifier: Apache-2.0
 *
 * Text generation with a language model, token by token.
 *
 * The model is built twice for inference over the run's parameters: for one token per execution, and for BLOCK tokens
 * per execution, which processes a prompt faster.  Both share one cache of keys and values, so that each token is
 * computed once.  Without the cache the model computes the whole context for every token, with the same result.
 *
 * The context holds the tokens that the model attends to, at most as many as in training, and at most as many as the
 * prompt and the text have.  When the context is full, its second half becomes the beginning of the next context.
 *
 * Every rank generates the whole text; at the end the ranks compare a hash of their tokens.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/graph/graph.h"
#include "launch/data/dataset_source.h"
#include "launch/generate/sampling.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"

enum { BLOCK = 32, DEFAULT_TOKENS = 200 };

/* The model, built for a number of tokens per execution. */
typedef struct inference {
    int64_t   tokens;
    ls_graph *graph;
    ls_model *model;
} inference;

typedef struct generator {
    ls_run                    *run;
    const ls_generate_options *options;
    ls_params                 *params;
    const ls_tokenizer        *tokenizer;
    ls_sampling                sampling;
    ls_candidate              *candidates; /* workspace of ls_sample_token, `vocabulary` entries             */
    float                     *penalised;  /* logits after the repetition penalty                            */
    inference                  one;        /* for one token; without the cache, for the whole context        */
    inference                  block;      /* for BLOCK tokens; unused without the cache                     */
    int32_t                   *context;    /* tokens that the model attends to                               */
    int64_t                    capacity;   /* of the context, tokens                                         */
    int64_t                    length;     /* tokens in the context                                          */
    int64_t                    cached;     /* first tokens of the context with keys and values in the cache  */
    int32_t                    vocabulary; /* of the model, tokens                                           */
    int32_t                    known;      /* tokens of the tokenizer; at most `vocabulary`                  */
    int32_t                    end;        /* id of <|endoftext|>; -1: the tokenizer has none                */
    ls_tokens                  prompt;
    const int32_t             *before; /* tokens before the prompt, such as <s>                          */
    int                        befores;
    uint64_t                   hash; /* hash of all generated tokens                                   */
} generator;

/* ---- the model --------------------------------------------------------------------------------------------------- */

static ls_status build_inference(generator *g, inference *m, int64_t tokens)
{
    ls_tensor         *logits;
    ls_language_inputs in = {.cached = g->options->no_cache ? 0 : g->capacity};
    m->tokens             = tokens;
    m->graph              = ls_graph_new();
    ls_graph_precision(m->graph, g->run->recipe->train.precision);
    in.x = ls_input(m->graph, "tokens", LS_I32, tokens);
    if (in.cached) in.start = ls_input(m->graph, "start", LS_I32);
    LS_TRY(ls_recipe_build_language(g->run->recipe, m->graph, &in, g->run->data.classes, &logits));
    g->vocabulary = (int32_t)ls__cols(logits);
    return ls_model_new(&m->model, m->graph, g->params, &logits, 1, 1);
}

static void free_inference(inference *m)
{
    ls_model_free(m->model);
    ls_graph_free(m->graph);
}

static ls_status build(generator *g)
{
    const bool cache = !g->options->no_cache;
    LS_TRY(build_inference(g, &g->one, cache ? 1 : g->capacity));
    if (cache && g->capacity > BLOCK) {
        LS_TRY(build_inference(g, &g->block, BLOCK));
        LS_TRY(ls_model_share_state(g->block.model, g->one.model));
    }
    g->context    = ls_arena_alloc(g->run->memory, (size_t)g->capacity * sizeof *g->context);
    g->candidates = ls_arena_alloc(g->run->memory, (size_t)g->vocabulary * sizeof *g->candidates);
    g->penalised  = ls_arena_alloc(g->run->memory, (size_t)g->vocabulary * sizeof *g->penalised);
    return LS_OK;
}

static ls_status run_model(const inference *m, const int32_t *tokens, int64_t first)
{
    int32_t  start = (int32_t)first;
    ls_batch batch = {.inputs = 2, .name = {"tokens", "start"}, .data = {tokens, &start}, .rows = 1, .global_rows = 1};
    return ls_model_run(m->model, &batch);
}

/* Computes the tokens of the context that are not in the cache.  *logits: the logits of the next token. */
static ls_status compute_context(generator *g, const float **logits)
{
    const inference *m   = &g->one;
    int64_t          row = 0;
    if (g->options->no_cache) { /* attention is causal, so padding does not change earlier tokens */
        for (int64_t i = g->length; i < g->capacity; i++) g->context[i] = 0;
        LS_TRY(run_model(m, g->context, 0));
        row = g->length - 1;
    }
    for (; !g->options->no_cache && g->cached < g->length; g->cached += m->tokens) {
        m = g->block.model && g->length - g->cached >= BLOCK ? &g->block : &g->one;
        LS_TRY(run_model(m, g->context + g->cached, g->cached));
        row = m->tokens - 1;
    }
    *logits = ls_model_output(m->model, 0) + row * g->vocabulary;
    return LS_OK;
}

static void append(generator *g, int32_t token)
{
    if (g->length == g->capacity) {
        g->length = g->capacity / 2;
        g->cached = 0;
        memmove(g->context, g->context + g->capacity - g->length, (size_t)g->length * sizeof *g->context);
    }
    g->context[g->length++] = token;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Returns the id of the token that ends a text; -1: the tokenizer has none.  Of words, <eos> ends a line only. */
static int32_t end_of_text(const ls_tokenizer *t)
{
    return ls_tokenizer_kind_of(t) == LS_TOKENIZER_WORDS ? -1 : ls_tokenizer_end(t);
}

/* Passes a token to the caller's function on rank 0. */
static ls_status emit(const generator *g, int32_t token)
{
    size_t      bytes = 0;
    const char *text  = ls_tokenizer_token(g->tokenizer, token, &bytes);
    if (!g->run->is_root || !g->options->each) return LS_OK;
    return g->options->each(token, text, bytes, g->options->context);
}

/* Returns the token that an empty prompt continues: <|endoftext|>, else the newline token, else token 0. */
static int32_t first_token(const generator *g)
{
    ls_tokens line = {0};
    int32_t   id   = g->end;
    if (id < 0 && ls_tokenizer_encode(g->tokenizer, "\n", 1, &line) == LS_OK && line.count == 1) id = line.id[0];
    ls_tokens_free(&line);
    return id < 0 ? 0 : id;
}

/* Encodes the prompt; without a prompt, a newline where the tokenizer has one.  A prompt begins with the tokens that
 * the tokenizer puts before a text. */
static ls_status encode_prompt(generator *g)
{
    const char *prompt = g->options->prompt;
    size_t      bytes  = prompt && !g->options->prompt_bytes ? strlen(prompt) : g->options->prompt_bytes;
    ls_tokens  *tokens = &g->prompt;
    ls_status   status = ls_tokenizer_encode(g->tokenizer, prompt ? prompt : "\n", prompt ? bytes : 1, tokens);
    if (status != LS_OK && prompt) return status;
    if (status != LS_OK) tokens->count = 0;
    g->before = ls_tokenizer_before(g->tokenizer, &g->befores);
    if (g->befores && tokens->count && tokens->id[0] == g->before[0]) g->befores = 0; /* the text has them already */
    if (tokens->replaced && g->run->is_root)
        fprintf(stderr, "lockstep: the prompt has %lld invalid UTF-8 sequences, replaced by U+FFFD\n",
                (long long)tokens->replaced);
    LS_CHECK(tokens->count + g->befores <= g->capacity, LS_ERR_USAGE,
             "generate: the prompt has %lld tokens, more than the model's context of %lld" LS_HINT
             "give a shorter prompt, or a model trained with a larger data.context",
             (long long)tokens->count, (long long)g->capacity);
    return LS_OK;
}

static int64_t most_tokens(const generator *g)
{
    return g->options->max_tokens ? g->options->max_tokens : DEFAULT_TOKENS;
}

/* Puts the prompt into the context. */
static ls_status take_prompt(generator *g)
{
    const ls_tokens *tokens = &g->prompt;
    for (int64_t i = 0; i < tokens->count; i++)
        LS_CHECK(tokens->id[i] < g->vocabulary, LS_ERR_DATA,
                 "generate: token %d of the prompt is outside the model's vocabulary of %d", tokens->id[i],
                 g->vocabulary);
    for (int i = 0; i < g->befores; i++) append(g, g->before[i]);
    for (int64_t i = 0; i < tokens->count; i++) {
        append(g, tokens->id[i]);
        if (!g->options->silent_prompt) LS_TRY(emit(g, tokens->id[i]));
    }
    if (!g->length) append(g, first_token(g));
    return LS_OK;
}

/* Applies the repetition penalty to the tokens of the context. */
static const float *penalise(generator *g, const float *logits)
{
    const float penalty = (float)g->options->repetition_penalty;
    if (!(penalty > 0) || penalty == 1) return logits;
    memcpy(g->penalised, logits, (size_t)g->vocabulary * sizeof *logits);
    for (int64_t i = 0; i < g->length; i++) {
        const int32_t token = g->context[i];
        g->penalised[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
    }
    return g->penalised;
}

static bool stops(const generator *g, int32_t token)
{
    if (g->options->no_stop) return false;
    for (int i = 0; i < g->options->stops; i++)
        if (token == g->options->stop[i]) return true;
    if (g->options->stops) return false;
    return token >= 0 && (token == g->end || token == ls_tokenizer_role(g->tokenizer, LS_TOKEN_EOS));
}

static ls_status generate_text(generator *g)
{
    LS_TRY(encode_prompt(g));
    g->capacity = ls__min(g->capacity, ls__max(g->befores + g->prompt.count, 1) + most_tokens(g));
    LS_TRY(build(g));
    LS_TRY(take_prompt(g));
    for (int64_t i = 0, count = most_tokens(g); i < count; i++) {
        const float *logits = NULL;
        LS_TRY(compute_context(g, &logits));
        int32_t token = ls_sample_token(&g->sampling, g->known, penalise(g, logits), i, g->candidates);
        LS_CHECK(token >= 0, LS_ERR_DATA,
                 "generate: after %lld tokens the model's logits are not finite" LS_HINT
                 "`lockstep ckpt inspect` shows which parameters are not finite",
                 (long long)i);
        if (stops(g, token)) break;
        g->hash = g->hash * 0x100000001b3ull ^ (uint64_t)(uint32_t)token;
        LS_TRY(emit(g, token));
        append(g, token);
    }
    return LS_OK;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static ls_status check_model(const ls_run *run)
{
    LS_CHECK(run->task == &ls__task_language_model, LS_ERR_USAGE,
             "%s: expected the run of a language model, found one for %s" LS_HINT "%s",
             run->directory ? run->directory : run->recipe->name, run->task->name, run->task->use);
    return LS_OK;
}

static ls_status load_tokenizer(ls_run *run)
{
    if (run->tokenizer) return LS_OK;
    LS_TRY(ls_data_tokenizer(&run->tokenizer, &run->data));
    LS_CHECK(run->tokenizer, LS_ERR_DATA,
             "%s: expected a tokenizer.json beside data.json, found none" LS_HINT
             "copy the tokenizer.json of the training data (hash %s) to this folder",
             run->directory ? run->directory : run->data.path, run->data.tokenizer_hash);
    return LS_OK;
}

/* Compares the hash of the text on all ranks; LS_ERR_ENV when they differ. */
static ls_status compare_ranks(const generator *g)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)g->hash);
    const char *names[] = {"text"}, *values[] = {hash};
    return ls_comm_same(g->run->comm, 1, names, values);
}

ls_status ls_run_generate(ls_run *run, const ls_generate_options *options)
{
    LS_TRY_COLLECTIVE(run, check_model(run));
    LS_TRY_COLLECTIVE(run, load_tokenizer(run));
    generator g = {.run       = run,
                   .options   = options,
                   .params    = run->loaded ? run->loaded : ls_trainer_params(run->trainer),
                   .tokenizer = run->tokenizer,
                   .capacity  = run->data.context,
                   .known     = ls_tokenizer_size(run->tokenizer),
                   .end       = end_of_text(run->tokenizer)};
    g.sampling  = (ls_sampling){.temperature = options->temperature,
                                .top_k       = options->top_k,
                                .top_p       = options->top_p > 0 ? options->top_p : 1,
                                .seed        = options->seed};
    LS_TRY(ls_run_swap_average(run));
    ls_status status = ls_comm_agree(run->comm, generate_text(&g));
    if (status == LS_OK) status = compare_ranks(&g);
    ls_tokens_free(&g.prompt);
    free_inference(&g.block); /* before `one`, whose cache it shares */
    free_inference(&g.one);
    LS_TRY(ls_run_swap_average(run));
    return status;
}

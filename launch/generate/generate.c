/* SPDX-License-Identifier: Apache-2.0
 *
 * lockstep generate: text from a trained model, token by token: of a run, or of a folder of Hugging Face.
 *
 * The model is built for inference, over the run's parameters: for one token a call, and for PIECE tokens a call, which
 * reads the prompt faster.  Both share one cache of keys and values, so each token is computed once.  Without the cache
 * (--no-cache) the whole window is computed for every token, with the same result.
 *
 * The window is what the model sees: at most as many tokens as it was trained on.  When it is full, its later half
 * becomes the beginning of the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "launch/commands/cmd_data.h"
#include "launch/run/pretrained.h"
#include "launch/run/progress.h"
#include "launch/run/run_setup.h"
#include "launch/generate/sampling.h"

enum { PIECE = 32 };

/* The model for a number of tokens a call. */
typedef struct shape {
    int64_t   tokens;
    ls_graph *graph;
    ls_model *model;
} shape;

typedef struct generator {
    ls_run       *job;
    ls_graph     *graph;           /* of a folder that is no run: it holds the parameters */
    ls_params    *loaded, *params; /* that folder's; those in use    */
    ls_tokenizer *tokenizer;
    ls_sampling   sampling;
    ls_candidate *room;
    int64_t       most; /* tokens to generate             */
    bool          no_cache, ids, stop;
    shape         one, piece;          /* without a cache, one is for the whole window */
    int64_t       context, held, done; /* tokens: of a window; in it; of these in the cache */
    int32_t      *window;
    int32_t       vocabulary, end; /* of the model                   */
    int32_t       writable;        /* how many of these the tokenizer has */
    uint64_t      hash;            /* of all tokens generated        */
} generator;

/* ---- the model --------------------------------------------------------------------------------------------------- */

static ls_status build_shape(generator *g, shape *s, int64_t tokens)
{
    ls_run            *j = g->job;
    ls_tensor         *logits;
    ls_language_inputs in = {.cached = !g->no_cache};
    s->tokens             = tokens;
    s->graph              = ls_graph_new();
    in.x                  = ls_input(s->graph, "tokens", LS_I32, tokens);
    if (in.cached) in.start = ls_input(s->graph, "start", LS_I32);
    LS_TRY(ls_recipe_build_language(j->recipe, s->graph, &in, j->data.classes, &logits));
    g->vocabulary = (int32_t)ls__cols(logits);
    return ls_model_new(&s->model, s->graph, g->params, &logits, 1, 1);
}

static ls_status build(generator *g)
{
    LS_TRY(build_shape(g, &g->one, g->no_cache ? g->context : 1));
    if (!g->no_cache && g->context > PIECE) {
        LS_TRY(build_shape(g, &g->piece, PIECE));
        LS_TRY(ls_model_share_state(g->piece.model, g->one.model));
    }
    g->window = ls_arena_alloc(g->job->memory, (size_t)g->context * sizeof *g->window);
    g->room   = ls_arena_alloc(g->job->memory, (size_t)g->vocabulary * sizeof *g->room);
    return LS_OK;
}

static ls_status run(const shape *s, const int32_t *tokens, int64_t first)
{
    int32_t  start = (int32_t)first;
    ls_batch batch = {.inputs = 2, .name = {"tokens", "start"}, .data = {tokens, &start}, .rows = 1, .global_rows = 1};
    return ls_model_run(s->model, &batch);
}

/* Computes what is in the window and not in the cache; *logits are those of the token that follows the last. */
static ls_status read_window(generator *g, const float **logits)
{
    int64_t row = 0;
    if (g->no_cache) { /* what stands behind the last token changes nothing before it */
        for (int64_t i = g->held; i < g->context; i++) g->window[i] = 0;
        LS_TRY(run(&g->one, g->window, 0));
        row = g->held - 1;
    }
    const shape *s = &g->one;
    for (; !g->no_cache && g->done < g->held; g->done += s->tokens) {
        s = g->piece.model && g->held - g->done >= PIECE ? &g->piece : &g->one;
        LS_TRY(run(s, g->window + g->done, g->done));
        row = s->tokens - 1;
    }
    *logits = ls_model_output(s->model, 0) + row * g->vocabulary;
    return LS_OK;
}

static void append(generator *g, int32_t token)
{
    if (g->held == g->context) {
        g->held = g->context / 2;
        g->done = 0;
        memmove(g->window, g->window + g->context - g->held, (size_t)g->held * sizeof *g->window);
    }
    g->window[g->held++] = token;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static ls_status show(const generator *g, int32_t token)
{
    size_t      bytes;
    const char *text = ls_tokenizer_token(g->tokenizer, token, &bytes);
    if (!g->job->first) return LS_OK;
    if (g->ids)
        printf("%d ", token);
    else if (text)
        fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    LS_CHECK(!ferror(stdout), LS_ERR_ENV, "generate: cannot write to standard output: %s", strerror(errno));
    return LS_OK;
}

/* What an empty prompt goes on from: the token <|endoftext|>; without one a new line; without that, whatever comes
 * first. */
static int32_t beginning(const generator *g)
{
    ls_tokens line = {0};
    int32_t   id   = g->end;
    if (id < 0 && ls_tokenizer_encode(g->tokenizer, "\n", 1, &line) == LS_OK && line.count == 1) id = line.id[0];
    ls_tokens_free(&line);
    return id < 0 ? 0 : id;
}

static ls_status take_tokens(generator *g, const ls_tokens *tokens)
{
    LS_CHECK(tokens->count <= g->context, LS_ERR_USAGE,
             "generate: the prompt has %lld tokens, more than the %lld that the model was trained to look at" LS_HINT
             "a shorter prompt, or a model trained with a larger data.context",
             (long long)tokens->count, (long long)g->context);
    for (int64_t i = 0; i < tokens->count; i++)
        LS_CHECK(tokens->id[i] < g->vocabulary, LS_ERR_DATA,
                 "generate: token %d of the prompt is outside the model's vocabulary of %d", tokens->id[i],
                 g->vocabulary);
    for (int64_t i = 0; i < tokens->count; i++) {
        append(g, tokens->id[i]);
        LS_TRY(show(g, tokens->id[i]));
    }
    if (!tokens->count) append(g, beginning(g));
    if (tokens->replaced && g->job->first)
        fprintf(stderr, "lockstep: %lld places of the prompt are not UTF-8 and became U+FFFD\n",
                (long long)tokens->replaced);
    return LS_OK;
}

/* Without a prompt the text begins with a new line, where the model knows one. */
static ls_status take_prompt(generator *g, const ls_string *prompt)
{
    ls_tokens tokens = {0};
    ls_status status = ls_tokenizer_encode(g->tokenizer, prompt->data ? prompt->data : "\n",
                                           prompt->data ? prompt->bytes : 1, &tokens);
    if (status != LS_OK && !prompt->data) {
        tokens.count = 0;
        status       = LS_OK;
    }
    if (status == LS_OK) status = take_tokens(g, &tokens);
    ls_tokens_free(&tokens);
    return status;
}

static ls_status write_text(generator *g, const ls_string *prompt)
{
    double  began;
    int64_t made = 0;
    LS_TRY(build(g));
    LS_TRY(take_prompt(g, prompt));
    began = ls_now();
    for (; made < g->most; made++) {
        const float *logits = NULL;
        LS_TRY(read_window(g, &logits));
        int32_t token = ls_sample_token(&g->sampling, g->writable, logits, made, g->room);
        LS_CHECK(token >= 0, LS_ERR_DATA,
                 "generate: after %lld tokens the model gives logits that are not numbers" LS_HINT
                 "`lockstep ckpt inspect` shows which parameters are not finite",
                 (long long)made);
        if (g->stop && token == g->end) break;
        g->hash = g->hash * 0x100000001b3ull ^ (uint64_t)(uint32_t)token;
        LS_TRY(show(g, token));
        append(g, token);
    }
    if (!g->job->first) return LS_OK;
    printf("\n");
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "%lld tokens, %.1f a second\n", (long long)made, (double)made / fmax(ls_now() - began, 1e-9));
    return LS_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static ls_status real_option(const ls_args *args, const char *name, double low, double high, double fallback,
                             double *value)
{
    const char *text = ls_args_option(args, name);
    char       *end;
    *value = fallback;
    if (!text) return LS_OK;
    *value = strtod(text, &end);
    LS_CHECK(*text && !*end && *value >= low && *value <= high, LS_ERR_USAGE,
             "generate: --%s: expected a number from %g to %g, found '%s'", name, low, high, text);
    return LS_OK;
}

static ls_status take_options(generator *g, const ls_args *args)
{
    long long most, top_k, seed;
    LS_TRY(ls_args_int(args, "max-tokens", 1, 1 << 30, 200, &most));
    LS_TRY(ls_args_int(args, "top-k", 0, 1 << 30, 0, &top_k));
    LS_TRY(ls_args_int(args, "seed", 0, INT64_MAX, 1, &seed));
    LS_TRY(real_option(args, "temperature", 0, 1e3, 1, &g->sampling.temperature));
    LS_TRY(real_option(args, "top-p", 0, 1, 1, &g->sampling.top_p));
    g->most           = most;
    g->sampling.top_k = (int32_t)top_k;
    g->sampling.seed  = (uint64_t)seed;
    g->no_cache       = ls_args_option(args, "no-cache") != NULL;
    g->ids            = ls_args_option(args, "ids") != NULL;
    return LS_OK;
}

/* --prompt TEXT, or --prompt-file FILE; no data when there is neither. */
static ls_status read_prompt(const ls_args *args, ls_string *prompt)
{
    enum { MOST = 1 << 24 };
    const char *text = ls_args_option(args, "prompt"), *path = ls_args_option(args, "prompt-file");
    LS_CHECK(!text || !path, LS_ERR_USAGE, "generate: expected --prompt or --prompt-file, found both");
    if (text) *prompt = (ls_string){.data = strdup(text), .bytes = strlen(text)};
    LS_CHECK(!text || prompt->data, LS_ERR_ENV, "no memory for the prompt");
    if (!path) return LS_OK;
    int   file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below, not waited for */
    FILE *f    = file < 0 ? NULL : fdopen(file, "r");
    LS_CHECK(f, LS_ERR_USAGE, "generate: --prompt-file: cannot read %s: %s", path, strerror(errno));
    struct stat s;
    bool        plain = fstat(fileno(f), &s) == 0 && S_ISREG(s.st_mode) && s.st_size <= MOST;
    size_t      room  = plain ? (size_t)s.st_size : 0;
    prompt->data      = plain ? malloc(room + 1) : NULL;
    if (prompt->data) prompt->bytes = fread(prompt->data, 1, room, f);
    fclose(f);
    LS_CHECK(plain, LS_ERR_USAGE, "generate: --prompt-file: expected a file of at most %d bytes, found %s", MOST, path);
    LS_CHECK(prompt->data, LS_ERR_ENV, "no memory for the prompt");
    return LS_OK;
}

/* Every rank generates the same; this is where it would show if one did not. */
static ls_status compare_ranks(const generator *g)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)g->hash);
    const char *names[] = {"text"}, *values[] = {hash};
    return ls_comm_same(g->job->comm, 1, names, values);
}

/* The model of a run, or of one of its checkpoints. */
static ls_status open_run(generator *g, const char *path)
{
    ls_run     *j = g->job;
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from;
    LS_TRY(ls_run_run(j, path, 0, NULL, folder, &step));
    LS_TRY_COLLECTIVE(j, ls_dataset_card_read(ls_arena_printf(j->memory, "%s/data.json", folder), &j->data, j->memory));
    LS_TRY_COLLECTIVE(j, j->data.kind == LS_DATA_TEXT
                             ? LS_OK
                             : LS_FAIL(LS_ERR_USAGE,
                                       "%s: expected the run of a model of language, found one of pictures" LS_HINT
                                       "`lockstep predict` says what is on a picture",
                                       folder));
    LS_TRY_COLLECTIVE(j, ls_data_tokenizer(&g->tokenizer, &j->data));
    LS_TRY_COLLECTIVE(j, g->tokenizer ? LS_OK
                                      : LS_FAIL(LS_ERR_DATA,
                                                "%s: expected a tokenizer.json beside data.json, found none" LS_HINT
                                                "copy the one that its data were made with (hash %s) there",
                                                folder, j->data.tokenizer_hash));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    LS_TRY(ls_run_load(j, folder, step, &from));
    g->params = ls_trainer_params(j->trainer);
    return LS_OK;
}

/* The model of a folder of Hugging Face. */
static ls_status open_pretrained(generator *g, const char *folder)
{
    ls_run *j = g->job;
    LS_TRY_COLLECTIVE(j, ls_pretrained_open(j, folder, &g->graph, &g->loaded));
    LS_TRY_COLLECTIVE(j, ls_pretrained_tokenizer(&g->tokenizer, folder, j->data.classes));
    g->params = g->loaded;
    char digest[17];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)ls_params_digest(g->params));
    const char *names[] = {"parameters"}, *values[] = {digest};
    return ls_comm_same(j->comm, 1, names, values);
}

/* What all ranks must find alike, or they would wait for one another at different places. */
static ls_status choose_kind(ls_run *j, const char *path, bool *pretrained)
{
    *pretrained         = ls_pretrained_is(path);
    const char *names[] = {"folder"}, *values[] = {*pretrained ? "one of Hugging Face" : "a run"};
    return ls_comm_same(j->comm, 1, names, values);
}

static ls_status generate(ls_run *j, const ls_args *args, generator *g, ls_string *prompt)
{
    bool pretrained;
    LS_TRY_COLLECTIVE(j, take_options(g, args));
    LS_TRY_COLLECTIVE(j, read_prompt(args, prompt));
    LS_TRY(choose_kind(j, args->positional[0], &pretrained));
    LS_TRY(pretrained ? open_pretrained(g, args->positional[0]) : open_run(g, args->positional[0]));
    g->context  = j->data.context;
    g->end      = ls_tokenizer_end(g->tokenizer);
    g->writable = ls_tokenizer_size(g->tokenizer);
    g->stop     = g->end >= 0 && !ls_args_option(args, "no-stop");
    LS_TRY_COLLECTIVE(j, write_text(g, prompt));
    return compare_ranks(g);
}

static void free_shape(shape *s)
{
    ls_model_free(s->model);
    ls_graph_free(s->graph);
}

ls_status ls__generate_command(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    generator g      = {.job = &j};
    ls_string prompt = {0};
    ls_status status = ls_run_start(&j, &args, argc, argv);
    if (status == LS_OK) status = generate(&j, &args, &g, &prompt);
    ls_string_free(&prompt);
    free_shape(&g.piece); /* its state is that of the other */
    free_shape(&g.one);
    ls_params_free(g.loaded);
    ls_graph_free(g.graph);
    ls_tokenizer_free(g.tokenizer);
    ls_run_free(&j, status);
    return status;
}

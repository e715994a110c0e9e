/* SPDX-License-Identifier: Apache-2.0
 *
 * lockstep generate: text from a trained model, token by token.
 *
 * The model is built for inference, over the run's parameters: for one token a call, and for PIECE tokens a call, which reads the
 * prompt faster.  Both share one cache of keys and values, so each token is computed once.  Without the cache (--no-cache) the
 * whole window is computed for every token, with the same result.
 *
 * The window is what the model sees: at most as many tokens as it was trained on.  When it is full, its later half becomes the
 * beginning of the next.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "launch/data.h"
#include "launch/progress.h"
#include "launch/run.h"
#include "launch/sample.h"

enum { PIECE = 32 };

/* The model for a number of tokens a call. */
typedef struct shape {
    int64_t   tokens;
    ls_graph *graph;
    ls_model *model;
} shape;

typedef struct generator {
    ls_job       *job;
    ls_tokenizer *tokenizer;
    ls_sampling   sampling;
    ls_candidate *room;
    int64_t       most;               /* tokens to generate             */
    bool          no_cache, ids, stop;
    shape         one, piece;         /* without a cache, one is for the whole window */
    int64_t       context, held, done;/* tokens: of a window; in it; of these in the cache */
    int32_t      *window;
    int32_t       vocabulary, end;
    uint64_t      hash;               /* of all tokens generated        */
} generator;

/* ---- the model ------------------------------------------------------------------------------------------------------ */

static ls_status build_shape(generator *g, shape *s, int64_t tokens)
{
    ls_job             *j = g->job;
    ls_tensor          *logits;
    ls_language_inputs  in = {.cached = !g->no_cache};
    s->tokens = tokens;
    s->graph  = ls_graph_new();
    in.x      = ls_input(s->graph, "tokens", LS_I32, tokens);
    if (in.cached) in.start = ls_input(s->graph, "start", LS_I32);
    LS_TRY(ls_recipe_build_language(j->recipe, s->graph, &in, j->data.classes, &logits));
    g->vocabulary = (int32_t)ls__cols(logits);
    return ls_model_new(&s->model, s->graph, ls_trainer_params(j->trainer), &logits, 1, 1);
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

/* ---- text ----------------------------------------------------------------------------------------------------------- */

static ls_status show(const generator *g, int32_t token)
{
    size_t      bytes;
    const char *text = ls_tokenizer_token(g->tokenizer, token, &bytes);
    if (!g->job->first) return LS_OK;
    if (g->ids) printf("%d ", token);
    else if (text) fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    LS_CHECK(!ferror(stdout), LS_ERR_ENV, "generate: cannot write to standard output: %s", strerror(errno));
    return LS_OK;
}

/* The prompt's tokens; none is an error of its own kind, as a model goes on from something. */
static ls_status take_prompt(generator *g, const char *prompt, size_t bytes)
{
    ls_tokens tokens = {0};
    ls_status status = ls_tokenizer_encode(g->tokenizer, prompt, bytes, &tokens);
    if (status == LS_OK && !tokens.count && g->end >= 0) append(g, g->end);
    else if (status == LS_OK && !tokens.count)
        status = LS_FAIL(LS_ERR_USAGE, "generate: the prompt is empty, and the tokenizer has no <|endoftext|> to begin with" LS_HINT "--prompt \"$(printf '\\n')x\", for example");
    if (status == LS_OK && tokens.count > g->context)
        status = LS_FAIL(LS_ERR_USAGE, "generate: the prompt has %lld tokens, more than the %lld that the model was trained to look at" LS_HINT
                         "a shorter prompt, or a model trained with a larger data.context", (long long)tokens.count, (long long)g->context);
    for (int64_t i = 0; status == LS_OK && i < tokens.count; i++) {
        if (tokens.id[i] >= g->vocabulary)
            status = LS_FAIL(LS_ERR_DATA, "generate: token %d of the prompt is outside the model's vocabulary of %d", tokens.id[i], g->vocabulary);
        if (status != LS_OK) break;
        append(g, tokens.id[i]);
        status = show(g, tokens.id[i]);
    }
    if (status == LS_OK && tokens.replaced && g->job->first)
        fprintf(stderr, "lockstep: %lld places of the prompt are not UTF-8 and became U+FFFD\n", (long long)tokens.replaced);
    ls_tokens_free(&tokens);
    return status;
}

static ls_status write_text(generator *g, const char *prompt, size_t bytes)
{
    double  began;
    int64_t made = 0;
    LS_TRY(build(g));
    LS_TRY(take_prompt(g, prompt, bytes));
    began = ls_now();
    for (; made < g->most; made++) {
        const float *logits = NULL;
        LS_TRY(read_window(g, &logits));
        int32_t token = ls_sample_token(&g->sampling, g->vocabulary, logits, made, g->room);
        LS_CHECK(token >= 0, LS_ERR_DATA, "generate: after %lld tokens the model gives logits that are not numbers" LS_HINT
                 "`lockstep ckpt inspect` shows which parameters are not finite", (long long)made);
        if (g->stop && token == g->end) break;
        g->hash = g->hash * 0x100000001b3ull ^ (uint64_t)(uint32_t)token;
        LS_TRY(show(g, token));
        append(g, token);
    }
    if (!g->job->first) return LS_OK;
    printf("\n");
    if (isatty(STDERR_FILENO)) fprintf(stderr, "%lld tokens, %.1f a second\n", (long long)made, (double)made / fmax(ls_now() - began, 1e-9));
    return LS_OK;
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

static ls_status real_option(const ls_args *args, const char *name, double low, double high, double fallback, double *value)
{
    const char *text = ls_args_option(args, name);
    char       *end;
    *value = fallback;
    if (!text) return LS_OK;
    *value = strtod(text, &end);
    LS_CHECK(*text && !*end && *value >= low && *value <= high, LS_ERR_USAGE, "generate: --%s: expected a number from %g to %g, found '%s'", name, low, high, text);
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

/* --prompt TEXT, or --prompt-file FILE. */
static ls_status read_prompt(const ls_args *args, ls_string *prompt)
{
    enum { MOST = 1 << 24 };
    const char *text = ls_args_option(args, "prompt"), *path = ls_args_option(args, "prompt-file");
    LS_CHECK(!text || !path, LS_ERR_USAGE, "generate: expected --prompt or --prompt-file, found both");
    if (!path) {
        *prompt = (ls_string){.data = strdup(text ? text : "\n"), .bytes = text ? strlen(text) : 1};
        LS_CHECK(prompt->data, LS_ERR_ENV, "no memory for the prompt");
        return LS_OK;
    }
    FILE *f = fopen(path, "re");
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

static ls_status generate(ls_job *j, const ls_args *args, generator *g, ls_string *prompt)
{
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from;
    LS_AGREE(j, take_options(g, args));
    LS_AGREE(j, read_prompt(args, prompt));
    LS_TRY(ls_job_run(j, args->positional[0], 0, NULL, folder, &step));
    LS_AGREE(j, ls_card_read(ls_arena_printf(j->memory, "%s/data.json", folder), &j->data, j->memory));
    LS_AGREE(j, j->data.kind == LS_DATA_TEXT ? LS_OK : LS_FAIL(LS_ERR_USAGE, "%s: expected the run of a model of language, found one of pictures" LS_HINT
                                                               "`lockstep predict` says what is on a picture", folder));
    LS_AGREE(j, ls_data_tokenizer(&g->tokenizer, &j->data));
    g->context = j->data.context;
    g->end     = ls_tokenizer_end(g->tokenizer);
    g->stop    = g->end >= 0 && !ls_args_option(args, "no-stop");
    LS_TRY(ls_job_graph(j));
    LS_TRY(ls_job_trainer(j));
    LS_TRY(ls_job_load(j, folder, step, &from));
    LS_AGREE(j, write_text(g, prompt->data, prompt->bytes));
    return compare_ranks(g);
}

static void free_shape(shape *s)
{
    ls_model_free(s->model);
    ls_graph_free(s->graph);
}

ls_status ls__generate_command(int argc, char **argv)
{
    ls_job    j;
    ls_args   args;
    generator g      = {.job = &j};
    ls_string prompt = {0};
    ls_status status = ls_job_start(&j, &args, argc, argv);
    if (status == LS_OK) status = generate(&j, &args, &g, &prompt);
    ls_string_free(&prompt);
    free_shape(&g.piece); /* its state is that of the other */
    free_shape(&g.one);
    ls_tokenizer_free(g.tokenizer);
    ls_job_free(&j);
    return status;
}

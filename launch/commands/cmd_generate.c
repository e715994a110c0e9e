/* SPDX-License-Identifier: Apache-2.0
 * `lockstep generate`: generates text from the language model of a run, or of a folder in Hugging Face's format. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "launch/commands/command_run.h"
#include "launch/generate/chat_template.h"
#include "launch/generate/stop_tokens.h"
#include "launch/run/open_model.h"
#include "launch/run/progress.h"

typedef struct output {
    bool    ids;    /* print tokens as numbers        */
    int64_t tokens; /* printed so far, prompt included */
} output;

static ls_status print_token(int32_t token, const char *text, size_t bytes, void *context)
{
    output *o = context;
    o->tokens++;
    if (o->ids)
        printf("%d ", token);
    else if (text)
        fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    LS_CHECK(!ferror(stdout), LS_ERR_ENV, "standard output: cannot write: %s", strerror(errno));
    return LS_OK;
}

static ls_status read_options(ls_generate_options *o, output *out, const ls_args *args)
{
    long long tokens, top_k, seed;
    LS_TRY(ls_args_int(args, "max-tokens", 1, 1 << 30, 200, &tokens));
    LS_TRY(ls_args_int(args, "top-k", 0, 1 << 30, 0, &top_k));
    LS_TRY(ls_args_int(args, "seed", 0, INT64_MAX, 1, &seed));
    LS_TRY(ls_args_real(args, "temperature", 0, 1e3, 1, &o->temperature));
    LS_TRY(ls_args_real(args, "top-p", 0, 1, 1, &o->top_p));
    LS_TRY(ls_args_real(args, "repetition-penalty", 0.1, 100, 1, &o->repetition_penalty));
    o->top_k      = o->top_p > 0 ? (int32_t)top_k : 1; /* --top-p 0: only the most probable token */
    o->max_tokens = tokens;
    o->seed       = (uint64_t)seed;
    o->no_stop    = ls_args_option(args, "no-stop") != NULL;
    o->no_cache   = ls_args_option(args, "no-cache") != NULL;
    out->ids      = ls_args_option(args, "ids") != NULL;
    return LS_OK;
}

/* Reads --prompt TEXT or --prompt-file FILE; prompt->data is NULL if neither was given. */
static ls_status read_prompt(const ls_args *args, ls_string *prompt)
{
    enum { MAX_BYTES = 1 << 24 };
    const char *text = ls_args_option(args, "prompt"), *path = ls_args_option(args, "prompt-file");
    LS_CHECK(!text || !path, LS_ERR_USAGE, "generate: expected --prompt or --prompt-file, found both");
    if (text) *prompt = (ls_string){.data = strdup(text), .bytes = strlen(text)};
    LS_CHECK(!text || prompt->data, LS_ERR_ENV, "generate: --prompt: no memory for %zu bytes", prompt->bytes);
    if (!path) return LS_OK;
    int   file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block on a pipe, which is refused below */
    FILE *f    = file < 0 ? NULL : fdopen(file, "r");
    LS_CHECK(f, LS_ERR_USAGE, "generate: --prompt-file: %s: cannot be read: %s", path, strerror(errno));
    struct stat s;
    bool        plain = fstat(fileno(f), &s) == 0 && S_ISREG(s.st_mode) && s.st_size <= MAX_BYTES;
    size_t      room  = plain ? (size_t)s.st_size : 0;
    prompt->data      = plain ? malloc(room + 1) : NULL;
    if (prompt->data) prompt->bytes = fread(prompt->data, 1, room, f);
    fclose(f);
    LS_CHECK(plain, LS_ERR_USAGE, "generate: --prompt-file: %s: expected a regular file of at most %d bytes", path,
             MAX_BYTES);
    LS_CHECK(prompt->data, LS_ERR_ENV, "generate: --prompt-file: no memory for %zu bytes", room);
    return LS_OK;
}

/* Puts the prompt into the template of a conversation: --chat takes the template of the folder, --template one by name.
 */
static ls_status apply_template(ls_run *run, const ls_args *args, ls_generate_options *o)
{
    char                    known[256];
    const ls_chat_template *t    = NULL;
    const char             *name = ls_args_option(args, "template"), *system = ls_args_option(args, "system");
    const bool              chat = name || ls_args_option(args, "chat");
    LS_CHECK(chat || !system, LS_ERR_USAGE, "generate: --system: expected --chat or --template as well");
    if (!chat) return LS_OK;
    LS_CHECK(o->prompt, LS_ERR_USAGE, "generate: --chat: expected a --prompt or --prompt-file, found neither");
    LS_CHECK(!memchr(o->prompt, 0, o->prompt_bytes), LS_ERR_USAGE, "generate: --chat: the prompt has a byte 0");
    if (name) {
        t = ls_chat_template_named(name, known);
        LS_CHECK(t, LS_ERR_USAGE, "generate: --template: expected one of %s, found '%s'", known, name);
    } else {
        LS_TRY(ls_chat_template_of(args->positional[0], &t));
    }
    o->prompt = ls_chat_prompt(t, system, o->prompt, run->memory);
    LS_CHECK(o->prompt, LS_ERR_USAGE, "generate: --system: the template %s has no system turn", t->name);
    o->prompt_bytes  = strlen(o->prompt);
    o->silent_prompt = true;
    return LS_OK;
}

static ls_status generate(ls_run *run, const ls_args *args, ls_string *prompt)
{
    output              out = {0};
    ls_stop_tokens      stop;
    ls_generate_options options = {.each = print_token, .context = &out};
    LS_TRY_COLLECTIVE(run, read_options(&options, &out, args));
    LS_TRY_COLLECTIVE(run, read_prompt(args, prompt));
    LS_TRY(ls_run_open_model(run, args->positional[0], ls_args_option(args, "precision")));
    /* An empty prompt (data, zero bytes) differs from no prompt (no data): the first starts from <|endoftext|>. */
    if (prompt->data) {
        prompt->data[prompt->bytes] = 0;
        options.prompt              = prompt->data;
        options.prompt_bytes        = prompt->bytes;
    }
    LS_TRY_COLLECTIVE(run, apply_template(run, args, &options));
    LS_TRY_COLLECTIVE(run, ls_stop_tokens_read(args->positional[0], &stop));
    options.stop  = stop.id;
    options.stops = stop.count;
    double began  = ls__clock_s();
    LS_TRY(ls_run_generate(run, &options));
    if (!run->is_root) return LS_OK;
    printf("\n");
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "%lld tokens, %.1f per second\n", (long long)out.tokens,
                (double)out.tokens / fmax(ls__clock_s() - began, 1e-9));
    return LS_OK;
}

static ls_status run_generate(int argc, char **argv)
{
    ls_run    run;
    ls_args   args;
    ls_string prompt = {0};
    ls_status status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = generate(&run, &args, &prompt);
    ls_string_free(&prompt);
    ls_command_finish(&run, status);
    return status;
}

const ls_command ls__command_generate = {
    .name      = "generate",
    .arguments = "RUN",
    .text      = "generate text from a language model",
    .help =
        "RUN is the run directory of a language model, or one of its checkpoints, or a folder in Hugging Face's format "
        "(GPT-2,\n"
        "Llama, SmolLM, Qwen, Mistral, Gemma), with config.json, model.safetensors and the files of a "
        "tokenizer.  Prints the\n"
        "text as it is generated.  The same seed gives the same text, on any number of ranks and threads, with "
        "and without the\n"
        "KV cache.\n"
        "\n"
        "--prompt '' starts from <|endoftext|>, the beginning of a text.  A tokenizer without that token "
        "starts from a new line.\n"
        "\n"
        "  lockstep generate runs/gpt-shakespeare-char --prompt 'ROMEO:' --max-tokens 500 --temperature 0.8\n"
        "  lockstep generate gpt2/ --prompt 'It was' --max-tokens 50 --top-k 40\n"
        "  lockstep generate SmolLM2-135M-Instruct/ --chat --prompt 'What is the capital of France?' "
        "--temperature 0",
    .options = LS_OPTIONS(
        {"prompt", "TEXT", "text to continue; default: a new line"},
        {"prompt-file", "FILE", "file with the text to continue"},
        {"max-tokens", "N", "most tokens to generate; default 200"},
        {"temperature", "T", "divisor of the logits; 0: always the most probable token; default 1"},
        {"top-k", "K", "sample among the K most probable tokens; 0: among all; default 0"},
        {"top-p", "P", "sample among the most probable tokens, up to a total probability of P; default 1"},
        {"repetition-penalty", "P", "divide the logits of tokens that are in the text by P; default 1"},
        {"chat", NULL, "put the prompt into the chat template of the folder, and print the answer alone"},
        {"template", "NAME",
         "the same with the template smollm2, qwen2.5, qwen3, llama3, llama3.1, gemma, gemma3 or phi3"},
        {"system", "TEXT", "with --chat: the text of the system turn; default: that of the template"},
        {"seed", "N", "seed of the sampling; default 1"},
        {"no-stop", NULL, "continue after the token that ends a text"},
        {"no-cache", NULL, "recompute the whole context for every token, without the KV cache: slower, same text"},
        {"ids", NULL, "print token ids instead of text"}, LS_PRECISION_OPTION),
    .run = run_generate,
};

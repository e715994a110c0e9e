/* SPDX-License-Identifier: Apache-2.0
 * Implements launch/generate/chat_template.h.
 *
 * Hugging Face stores a template as a program in the language Jinja.  This file has no interpreter of it: a template is
 * recognised by the hash of its text, and a text that is not known is refused, because a wrong template gives worse
 * answers without an error.  The rows render what the published programs render for a conversation without tools.
 */
#include "launch/generate/chat_template.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "core/io/paths.h"

#define CHATML .begin = "", .turn = "<|im_start|>%s\n", .end = "<|im_end|>\n", .user = "user", .assistant = "assistant"
#define LLAMA3                                                                                                         \
    .begin = "<|begin_of_text|>", .turn = "<|start_header_id|>%s<|end_header_id|>\n\n", .end = "<|eot_id|>",           \
    .system = "system", .user = "user", .assistant = "assistant", .trims = true
#define GEMMA                                                                                                          \
    .begin = "<bos>", .turn = "<start_of_turn>%s\n", .end = "<end_of_turn>\n", .user = "user", .assistant = "model",   \
    .trims = true

static const ls_chat_template templates[] = {
    {"smollm2",
     {"45ec583d4d25bc3a"},
     CHATML,
     .system         = "system",
     .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {"qwen2.5",
     {"e642ce246d7f2e3d"},
     CHATML,
     .system         = "system",
     .default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."},
    {"qwen3", {"959a4551391a6549", "3751fe8ea48448ab"}, CHATML, .system = "system"},
    {"llama3", {"0e60067a5537498e"}, LLAMA3},
    {"llama3.1",
     {"cc0368e1ffb6b958"},
     LLAMA3,
     .default_system = "",
     .preamble       = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"},
    {"gemma", {"5c10ee65212d93b3"}, GEMMA, .no_system = true},
    {"gemma3", {"d19b6ff3a49deea5"}, GEMMA},
    {"phi3",
     {"ecebdb26677c663d"},
     .begin     = "",
     .turn      = "<|%s|>\n",
     .end       = "<|end|>\n",
     .system    = "system",
     .user      = "user",
     .assistant = "assistant"},
};
enum { TEMPLATES = sizeof templates / sizeof *templates };

const ls_chat_template *ls_chat_template_named(const char *name, char known[256])
{
    size_t used = 0;
    known[0]    = 0;
    for (int i = 0; i < TEMPLATES; i++) {
        if (strcmp(templates[i].name, name) == 0) return &templates[i];
        used += (size_t)snprintf(known + used, 256 - used, "%s%s", used ? ", " : "", templates[i].name);
    }
    return NULL;
}

/* ---- recognition ------------------------------------------------------------------------------------------------- */

static size_t trimmed_length(const char *text)
{
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) n--;
    return n;
}

static void hash_text(const char *text, char hash[17])
{
    uint64_t     h = 0xcbf29ce484222325ull;
    const size_t n = trimmed_length(text);
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3ull;
    snprintf(hash, 17, "%016" PRIx64, h);
}

static ls_status find(const char *path, const char *text, const ls_chat_template **t)
{
    char hash[17], known[256];
    hash_text(text, hash);
    for (int i = 0; i < TEMPLATES; i++)
        for (const char *const *shipped = templates[i].shipped; *shipped; shipped++)
            if (strcmp(*shipped, hash) == 0) {
                *t = &templates[i];
                return LS_OK;
            }
    ls_chat_template_named("", known);
    return LS_FAIL(LS_ERR_DATA,
                   "%s: its chat template (hash %s) is none of those that are known: %s" LS_HINT
                   "give --template NAME if the model was trained with one of them",
                   path, hash, known);
}

/* Reads a file of the folder; *text is NULL if there is none.  The caller frees it. */
static ls_status read_file(const char *folder, const char *name, char path[LS_PATH_BYTES], char **text)
{
    enum { MOST_BYTES = 1 << 24 };
    size_t bytes;
    *text = NULL;
    LS_TRY(ls__path(path, "%s/%s", folder, name));
    return access(path, F_OK) == 0 ? ls__file_text(path, MOST_BYTES, text, &bytes) : LS_OK;
}

ls_status ls_chat_template_of(const char *folder, const ls_chat_template **t)
{
    char  path[LS_PATH_BYTES];
    char *text;
    LS_TRY(read_file(folder, "chat_template.jinja", path, &text));
    ls_status status = LS_OK;
    if (text) {
        status = find(path, text, t);
        free(text);
        return status;
    }
    LS_TRY(read_file(folder, "tokenizer_config.json", path, &text));
    json_error_t error;
    json_t      *config  = text ? json_loads(text, 0, &error) : NULL;
    const char *template = json_string_value(json_object_get(config, "chat_template"));
    if (text && !config)
        status = LS_FAIL(LS_ERR_DATA, "%s:%d:%d: expected JSON, found: %s", path, error.line, error.column, error.text);
    else if (!template)
        status =
            LS_FAIL(LS_ERR_DATA,
                    "%s: expected chat_template.jinja, or chat_template in tokenizer_config.json, found neither" LS_HINT
                    "is it a model that answers, or one that only continues texts?",
                    folder);
    else
        status = find(path, template, t);
    json_decref(config);
    free(text);
    return status;
}

/* ---- the prompt -------------------------------------------------------------------------------------------------- */

static const char *trimmed(const ls_chat_template *t, const char *text, ls_arena *memory)
{
    if (!t->trims) return text;
    while (isspace((unsigned char)*text)) text++;
    return ls_arena_printf(memory, "%.*s", (int)trimmed_length(text), text);
}

/* The beginning of a turn. */
static const char *turn_of(const ls_chat_template *t, const char *role, ls_arena *memory)
{
    const char *at = strstr(t->turn, "%s");
    return ls_arena_printf(memory, "%.*s%s%s", (int)(at - t->turn), t->turn, role, at + 2);
}

const char *ls_chat_prompt(const ls_chat_template *t, const char *system, const char *user, ls_arena *memory)
{
    const char *first = "", *before = "", *preamble = t->preamble ? t->preamble : "";
    if (!system) system = t->default_system;
    if (system && t->no_system) return NULL;
    if (system && t->system)
        first = ls_arena_printf(memory, "%s%s%s%s", turn_of(t, t->system, memory), preamble, trimmed(t, system, memory),
                                t->end);
    else if (system)
        before = ls_arena_printf(memory, "%s\n\n", system);
    return ls_arena_printf(memory, "%s%s%s%s%s%s%s", t->begin, first, turn_of(t, t->user, memory), before,
                           trimmed(t, user, memory), t->end, turn_of(t, t->assistant, memory));
}

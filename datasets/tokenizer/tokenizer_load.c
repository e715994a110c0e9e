/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads tokenizers: tokenizer.json of Hugging Face's `tokenizers`, or GPT-2's vocab.json and merges.txt.
 *
 * tokenizer_config.json, where it is beside tokenizer.json, gives roles to tokens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/tokenizer/tokenizer_make.h"
#include "datasets/tokenizer/tokenizer_parse.h"
#include "datasets/tokenizer/tokenizer_settings.h"

enum { MAX_PATH = 4096 };
#define MAX_FILE_BYTES ((int64_t)1 << 30)

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Reads a whole file, and puts a 0 behind it. */
static ls_status read_file(ls_arena *memory, const char *path, char **text, size_t *bytes)
{
    struct stat st;
    int         fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a pipe is refused below instead of blocking */
    LS_CHECK(fd >= 0, LS_ERR_DATA, "%s: %s" LS_HINT "expected a tokenizer file", path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > MAX_FILE_BYTES) {
        close(fd);
        return LS_FAIL(LS_ERR_DATA, "%s: expected a file of at most %lld bytes" LS_HINT "is this a tokenizer?", path,
                       (long long)MAX_FILE_BYTES);
    }
    size_t done = 0, size = (size_t)st.st_size;
    *text = ls_arena_alloc(memory, size + 1);
    for (ssize_t n; done < size; done += (size_t)n) {
        n = read(fd, *text + done, size - done);
        if (n < 0 && errno == EINTR)
            n = 0;
        else if (n <= 0)
            break;
    }
    close(fd);
    LS_CHECK(done == size, LS_ERR_DATA, "%s: expected %zu bytes, read %zu", path, size, done);
    (*text)[size] = 0;
    *bytes        = size;
    return LS_OK;
}

/* Reads a JSON object; its text in *file.  flags: of jansson. */
static ls_status read_json(ls_arena *memory, const char *path, size_t flags, json_t **json, ls_tokenizer_file *file)
{
    char        *text;
    json_error_t error;
    LS_TRY(read_file(memory, path, &text, &file->bytes));
    file->data = text;
    *json      = json_loadb(text, file->bytes, JSON_REJECT_DUPLICATES | flags, &error);
    LS_CHECK(*json, LS_ERR_DATA,
             "%s, line %d, column %d: expected JSON: %s" LS_HINT
             "the file is damaged or not complete: download it again",
             path, error.line, error.column, ls__vocab_show(error.text));
    if (json_is_object(*json)) return LS_OK;
    ls_status status =
        LS_FAIL(LS_ERR_DATA, "%s: expected an object, found %s" LS_HINT "is this a tokenizer.json or a vocab.json?",
                path, ls__json_kind(*json));
    json_decref(*json);
    *json = NULL;
    return status;
}

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

static ls_status load_tokenizer(ls_vocab_file *l, const json_t *root, const json_t *config, ls_tokenizer **t)
{
    const json_t *model = json_object_get(root, "model"), *type = json_object_get(model, "type"),
                 *merges = json_object_get(model, "merges");
    LS_CHECK(json_is_object(model), LS_ERR_DATA, "%s: model: expected an object, found %s", l->path,
             ls__json_kind(model));
    l->vocab = json_object_get(model, "vocab");
    l->added = json_object_get(root, "added_tokens");
    LS_CHECK(json_is_object(l->vocab), LS_ERR_DATA,
             "%s: model.vocab: expected an object, found %s" LS_HINT
             "only byte-level tokenizers, such as GPT-2's, are supported",
             l->path, ls__json_kind(l->vocab));
    LS_CHECK(!l->added || json_is_array(l->added) || json_is_null(l->added), LS_ERR_DATA,
             "%s: added_tokens: expected an array, found %s", l->path, ls__json_kind(l->added));
    LS_TRY(ls__settings_read(l, root));
    const char *want    = l->wordpiece            ? "WordPiece"
                          : l->chars || l->spaced ? "WordLevel"
                                                  : "BPE",
               *unknown = json_string_value(json_object_get(model, "unk_token"));
    LS_CHECK((json_is_string(type) && !strcmp(json_string_value(type), want)) || (!type && merges), LS_ERR_DATA,
             "%s: model.type: expected %s, found %s", l->path, want,
             json_is_string(type) ? ls__vocab_show(json_string_value(type)) : ls__json_kind(type));
    LS_CHECK(!l->chars || !unknown || !json_object_get(l->vocab, unknown), LS_ERR_DATA,
             "%s: model.unk_token: '%s' is in the vocabulary" LS_HINT
             "tokenizers with a token for unknown characters are not supported",
             l->path, ls__vocab_show(unknown));
    l->unknown = unknown;
    LS_TRY(ls__vocab_tokens(l));
    LS_TRY(ls__settings_template(l, root));
    if (config) LS_TRY(ls__settings_roles(l, config));
    if (!l->chars && !l->spaced && !l->wordpiece) LS_TRY(ls__vocab_json_merges(l, merges));
    LS_TRY(ls__vocab_make(l, t));
    return LS_OK;
}

/* ---- vocab.json and merges.txt ----------------------------------------------------------------------------------- */

static ls_status take_merges_file(ls_vocab_file *l)
{
    char  *text;
    size_t bytes, lines = 1;
    LS_TRY(read_file(l->memory, l->merges_path, &text, &bytes));
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    l->merge         = ls_arena_alloc(l->memory, lines * sizeof *l->merge);
    long long number = 1;
    for (char *at = text, *end = text + bytes, *next; at < end; at = next, number++) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        next  = stop + 1;
        *stop = 0;
        if (strncmp(at, "#version", 8) == 0 || (stop == at && next >= end)) continue;
        LS_TRY(ls__vocab_merge(l, at, (size_t)(stop - at), "line", number));
    }
    return LS_OK;
}

static ls_status load_pair(ls_vocab_file *l, json_t *root, ls_tokenizer **t)
{
    const json_t *end = json_object_get(root, LS_END_TEXT);
    l->vocab          = root;
    l->words          = true;
    LS_TRY(ls__vocab_tokens(l));
    if (end) {
        l->add[l->adds++]               = (ls_added){.id = (int32_t)json_integer_value(end), .special = true};
        l->raw[json_integer_value(end)] = true;
    }
    LS_TRY(take_merges_file(l));
    LS_TRY(ls__vocab_make(l, t));
    return LS_OK;
}

/* ---- choice of the files ----------------------------------------------------------------------------------------- */

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

/* Replaces the end of a path: "x/my-vocab.json" gives "x/my-merges.txt"; NULL: the path has another end. */
static const char *beside(ls_arena *memory, const char *path, const char *end, const char *other)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0 ? ls_arena_printf(memory, "%.*s%s", (int)(n - m), path, other)
                                                    : NULL;
}

static ls_status find_files(ls_vocab_file *l, const char *path)
{
    struct stat st;
    LS_CHECK(strlen(path) < MAX_PATH, LS_ERR_USAGE, "%.60s...: the path has %zu bytes; expected fewer than %d", path,
             strlen(path), MAX_PATH);
    LS_CHECK(stat(path, &st) == 0, LS_ERR_DATA,
             "%s: %s" LS_HINT "expected a folder with tokenizer.json, or with vocab.json and merges.txt; `lockstep "
             "data train-tokenizer` makes one",
             path, strerror(errno));
    l->path = ls_arena_strdup(l->memory, path);
    if (S_ISDIR(st.st_mode)) {
        l->path = ls_arena_printf(l->memory, "%s/tokenizer.json", path);
        if (!is_there(l->path)) l->path = ls_arena_printf(l->memory, "%s/vocab.json", path);
        LS_CHECK(is_there(l->path), LS_ERR_DATA,
                 "%s: expected tokenizer.json, or vocab.json and merges.txt, found neither" LS_HINT
                 "`lockstep data train-tokenizer` makes a tokenizer",
                 path);
    }
    const char *vocab = beside(l->memory, l->path, "merges.txt", "vocab.json");
    if (vocab) l->path = vocab;
    l->merges_path = beside(l->memory, l->path, "vocab.json", "merges.txt");
    l->config_path = beside(l->memory, l->path, "/tokenizer.json", "/tokenizer_config.json");
    if (l->config_path && !is_there(l->config_path)) l->config_path = NULL;
    LS_CHECK(!l->merges_path || is_there(l->merges_path), LS_ERR_DATA,
             "%s: is missing; %s needs it" LS_HINT "GPT-2's tokenizer has two files: download both, or tokenizer.json",
             l->merges_path, l->path);
    return LS_OK;
}

ls_status ls_tokenizer_load(ls_tokenizer **t, const char *path)
{
    ls_vocab_file     l        = {0};
    json_t           *json[2]  = {NULL, NULL};
    ls_tokenizer_file files[2] = {{.name = "tokenizer.json"}, {.name = "tokenizer_config.json"}};
    ls_status         status;
    LS_TRY(ls_arena_new(&l.memory, "tokenizer file"));
    LS_TRY_GOTO(status, find_files(&l, path), end);
    LS_TRY_GOTO(status, read_json(l.memory, l.path, 0, &json[0], &files[0]), end);
    if (l.merges_path) {
        status = load_pair(&l, json[0], t);
        goto end;
    }
    if (l.config_path) /* its model_max_length may be larger than any integer */
        LS_TRY_GOTO(status, read_json(l.memory, l.config_path, JSON_DECODE_INT_AS_REAL, &json[1], &files[1]), end);
    l.merges_path = l.path;
    LS_TRY_GOTO(status, load_tokenizer(&l, json[0], json[1], t), end);
    for (int i = 0; i < LS_TOKENIZER_FILES; i++)
        if (files[i].data) ls__tokenizer_keep(*t, i, &files[i]);
end:
    for (int i = 0; i < 2; i++) json_decref(json[i]);
    ls_arena_free(l.memory);
    return status;
}

ls_status ls__tokenizer_parse(ls_tokenizer **t, const char *name, const json_t *root)
{
    ls_vocab_file l = {.path = name, .merges_path = name};
    LS_TRY(ls_arena_new(&l.memory, "tokenizer file"));
    ls_status status = load_tokenizer(&l, root, NULL, t);
    char     *text   = status == LS_OK ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text)
        ls__tokenizer_keep(*t, 0, &(ls_tokenizer_file){.name = "tokenizer.json", .data = text, .bytes = strlen(text)});
    if (status == LS_OK && !text) {
        ls_tokenizer_free(*t);
        status = LS_FAIL(LS_ERR_ENV, "%s: out of memory for the tokenizer", name);
    }
    free(text);
    ls_arena_free(l.memory);
    return status;
}

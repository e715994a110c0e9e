/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads tokenizers: tokenizer.json of Hugging Face's `tokenizers`, or GPT-2's vocab.json and merges.txt.
 *
 * Supports byte-level tokenizers.  Any setting in the file that would change the tokens and is not supported is an
 * error, so that a tokenizer that loads gives the same tokens as Hugging Face's library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/tokenizer/tokenizer_vocab.h"

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

static ls_status read_json(ls_arena *memory, const char *path, json_t **json)
{
    char        *text;
    size_t       bytes;
    json_error_t error;
    LS_TRY(read_file(memory, path, &text, &bytes));
    *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
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

static bool type_is(const json_t *j, const char *type)
{
    const char *text = json_string_value(json_object_get(j, "type"));
    return text && strcmp(text, type) == 0;
}

static bool is_true(const json_t *j, const char *key, bool fallback)
{
    const json_t *value = json_object_get(j, key);
    return value ? json_is_true(value) : fallback;
}

/* Reads one step of the normalizer. */
static ls_status take_normalizer_step(ls_vocab_file *l, const json_t *step)
{
    const char *pattern = json_string_value(json_object_get(json_object_get(step, "pattern"), "String")),
               *content = json_string_value(json_object_get(step, "content"));
    const bool lower = type_is(step, "Lowercase"), lines = type_is(step, "Replace") && pattern &&
                                                           !strcmp(pattern, "\n") && content &&
                                                           !strcmp(content, " " LS_END_WORD " ");
    LS_CHECK(lower || lines, LS_ERR_DATA,
             "%s: normalizer: expected null, Lowercase, or Replace of newlines by ' %s ' for words" LS_HINT
             "this setting is not supported",
             l->path, LS_END_WORD);
    l->lowercase |= lower;
    l->line_ends |= lines;
    return LS_OK;
}

static ls_status take_normalizer(ls_vocab_file *l, const json_t *root)
{
    const json_t *how = json_object_get(root, "normalizer"), *steps = json_object_get(how, "normalizers"), *step;
    size_t        i;
    if (type_is(how, "Sequence"))
        json_array_foreach((json_t *)(uintptr_t)steps, i, step) LS_TRY(take_normalizer_step(l, step));
    else if (how && !json_is_null(how))
        LS_TRY(take_normalizer_step(l, how));
    LS_CHECK(
        l->line_ends == l->spaced, LS_ERR_DATA,
        "%s: normalizer: expected Replace of newlines by ' %s ' for words that WhitespaceSplit separates, and for no "
        "others",
        l->path, LS_END_WORD);
    LS_CHECK(!l->spaced || !json_array_size(l->added), LS_ERR_DATA,
             "%s: added_tokens: expected none for a tokenizer of words, found %zu", l->path, json_array_size(l->added));
    return LS_OK;
}

/* Reads how texts are split: ByteLevel (GPT-2's words), WhitespaceSplit (words), or the sequence that ls_tokenizer_save
 * writes for characters. */
static ls_status take_cutting(ls_vocab_file *l, const json_t *root)
{
    const json_t *how = json_object_get(root, "pre_tokenizer"), *steps = json_object_get(how, "pretokenizers");
    const json_t *split = json_array_get(steps, 0), *level = json_array_get(steps, 1);
    const char   *pattern  = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
    const char   *behavior = json_string_value(json_object_get(split, "behavior"));
    l->spaced              = type_is(how, "WhitespaceSplit");
    if (l->spaced) return LS_OK;
    if (type_is(how, "ByteLevel")) {
        l->words = is_true(how, "use_regex", true);
        level    = how;
    } else {
        l->chars = type_is(how, "Sequence") && json_array_size(steps) == 2 && type_is(split, "Split") && pattern &&
                   !strcmp(pattern, "[\\s\\S]") && behavior && !strcmp(behavior, "Isolated") &&
                   !is_true(split, "invert", false) && type_is(level, "ByteLevel") &&
                   !is_true(level, "use_regex", true);
    }
    LS_CHECK(l->chars || level == how, LS_ERR_DATA,
             "%s: pre_tokenizer: expected ByteLevel or WhitespaceSplit, found %s" LS_HINT
             "only byte-level tokenizers that split texts as GPT-2's does, and words, are supported",
             l->path,
             how && json_is_object(how) ? ls__vocab_show(json_string_value(json_object_get(how, "type"))
                                                             ? json_string_value(json_object_get(how, "type"))
                                                             : "another")
                                        : ls__json_kind(how));
    LS_CHECK(!is_true(level, "add_prefix_space", true), LS_ERR_DATA,
             "%s: pre_tokenizer: expected add_prefix_space false" LS_HINT
             "save the tokenizer with ByteLevel(add_prefix_space=False)",
             l->path);
    return LS_OK;
}

/* Checks settings that are not supported: each must be null, false, 0 or empty. */
static ls_status check_unused(const ls_vocab_file *l, const json_t *object, const char *prefix, const char *const *keys,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        bool          none  = !value || json_is_null(value) || json_is_false(value) ||
                    (json_is_number(value) && json_number_value(value) == 0) ||
                    (json_is_string(value) && json_string_length(value) == 0);
        LS_CHECK(none, LS_ERR_DATA, "%s: %s%s: expected null, found %s" LS_HINT "this setting is not supported",
                 l->path, prefix, keys[i],
                 json_is_string(value) ? ls__vocab_show(json_string_value(value)) : ls__json_kind(value));
    }
    return LS_OK;
}

/* True for a template that adds no tokens to the text, as transformers writes for GPT-2. */
static bool adds_nothing(const json_t *after)
{
    const json_t *single = json_object_get(after, "single");
    const char   *id = json_string_value(json_object_get(json_object_get(json_array_get(single, 0), "Sequence"), "id"));
    return type_is(after, "TemplateProcessing") && json_array_size(single) == 1 && id && strcmp(id, "A") == 0;
}

static ls_status check_settings(const ls_vocab_file *l, const json_t *root, const json_t *model)
{
    static const char *const outer[] = {"truncation", "padding"};
    static const char *const inner[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                                        "ignore_merges"};
    const json_t *after = json_object_get(root, "post_processor"), *decoder = json_object_get(root, "decoder");
    LS_TRY(check_unused(l, root, "", outer, sizeof outer / sizeof *outer));
    LS_TRY(check_unused(l, model, "model.", inner, sizeof inner / sizeof *inner));
    LS_CHECK(!after || json_is_null(after) || type_is(after, "ByteLevel") || adds_nothing(after), LS_ERR_DATA,
             "%s: post_processor: expected ByteLevel, null, or a template that adds no tokens" LS_HINT
             "set it to null; add tokens at the start or the end in your own code",
             l->path);
    LS_CHECK(!decoder || json_is_null(decoder) || type_is(decoder, "ByteLevel"), LS_ERR_DATA,
             "%s: decoder: expected ByteLevel or null" LS_HINT
             "only byte-level tokenizers, such as GPT-2's, are supported",
             l->path);
    return LS_OK;
}

static ls_status load_tokenizer(ls_vocab_file *l, const json_t *root, ls_tokenizer **t)
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
    LS_TRY(take_cutting(l, root));
    LS_TRY(take_normalizer(l, root));
    const char *want    = l->chars || l->spaced ? "WordLevel" : "BPE",
               *unknown = json_string_value(json_object_get(model, "unk_token"));
    LS_CHECK(type_is(model, want) || (!type && merges), LS_ERR_DATA, "%s: model.type: expected %s, found %s", l->path,
             want, json_is_string(type) ? ls__vocab_show(json_string_value(type)) : ls__json_kind(type));
    LS_CHECK(!l->chars || !unknown || !json_object_get(l->vocab, unknown), LS_ERR_DATA,
             "%s: model.unk_token: '%s' is in the vocabulary" LS_HINT
             "tokenizers with a token for unknown characters are not supported",
             l->path, ls__vocab_show(unknown));
    l->unknown = unknown;
    LS_TRY(check_settings(l, root, model));
    LS_TRY(ls__vocab_tokens(l));
    for (int i = 0; i < l->adds; i++)
        LS_CHECK(!l->lowercase || !l->add[i].late, LS_ERR_DATA,
                 "%s: the added token '%s' is normalized: expected 'normalized' false with the normalizer Lowercase",
                 l->path, ls__vocab_show(l->written[l->add[i].id]));
    if (!l->chars && !l->spaced) LS_TRY(ls__vocab_json_merges(l, merges));
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
    LS_CHECK(!l->merges_path || is_there(l->merges_path), LS_ERR_DATA,
             "%s: is missing; %s needs it" LS_HINT "GPT-2's tokenizer has two files: download both, or tokenizer.json",
             l->merges_path, l->path);
    return LS_OK;
}

ls_status ls_tokenizer_load(ls_tokenizer **t, const char *path)
{
    ls_vocab_file l    = {0};
    json_t       *root = NULL;
    ls_status     status;
    LS_TRY(ls_arena_new(&l.memory, "tokenizer file"));
    LS_TRY_GOTO(status, find_files(&l, path), end);
    LS_TRY_GOTO(status, read_json(l.memory, l.path, &root), end);
    if (l.merges_path) {
        status = load_pair(&l, root, t);
    } else {
        l.merges_path = l.path;
        status        = load_tokenizer(&l, root, t);
    }
end:
    json_decref(root);
    ls_arena_free(l.memory);
    return status;
}

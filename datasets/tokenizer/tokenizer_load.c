/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers from files: tokenizer.json of Hugging Face's `tokenizers`, or GPT-2's vocab.json and merges.txt.
 *
 * What is read is what byte-level tokenizers need; anything in the file that would change the tokens and is not known
 * here is an error, so that a tokenizer that loads gives the tokens that its author saw.  Tokens are written with a
 * printable character for each byte ("\u0120the" is " the").
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "core/base/format_text.h"
#include "datasets/tokenizer/tokenizer_internal.h"

enum { MAX_ADDED_BYTES = 4096, MAX_PATH = 4096 };
#define MAX_FILE_BYTES ((int64_t)1 << 30)

/* A file on its way to a tokenizer. */
typedef struct loading {
    ls_arena    *memory;
    const char  *path, *merges_path; /* for messages */
    bool         chars, words;       /* how texts are cut: into characters, into GPT-2's words; neither: not at all */
    json_t      *vocab;              /* token as written -> id */
    json_t      *added;              /* (optional) an array    */
    int64_t      size;
    const char **written; /* by id                                 */
    bool        *raw;     /* by id: written as it is, not by bytes */
    ls_merge    *merge;
    int64_t      merges;
    ls_added    *add;
    int          adds;
} loading;

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* The beginning of a text from a file, safe to print; in a ring of thread-local buffers. */
static const char *show(const char *text)
{
    char  *out = ls__text_buffer();
    size_t n   = strnlen(text, 48);
    bool   cut = text[n] != 0;
    while (cut && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    for (size_t i = 0; i < n; i++) out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7F ? '?' : text[i];
    snprintf(out + n, 4, "%s", cut ? "..." : "");
    return out;
}

/* "null", "an array", ...: what was found. */
static const char *kind_of(const json_t *j)
{
    static const char *const text[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a fraction",  [JSON_TRUE] = "true",      [JSON_FALSE] = "false",     [JSON_NULL] = "null"};
    return j ? text[json_typeof(j)] : "nothing";
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* All of a file, with a 0 behind it. */
static ls_status read_file(ls_arena *memory, const char *path, char **text, size_t *bytes)
{
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below, not waited for */
    LS_CHECK(fd >= 0, LS_ERR_DATA, "%s: %s" LS_HINT "expected a file of a tokenizer", path, strerror(errno));
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
    LS_CHECK(done == size, LS_ERR_DATA, "%s: expected %zu bytes, could read %zu", path, size, done);
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
             "%s, line %d, column %d: expected JSON: %s" LS_HINT "the file is damaged or not complete: get it again",
             path, error.line, error.column, show(error.text));
    if (json_is_object(*json)) return LS_OK;
    ls_status status =
        LS_FAIL(LS_ERR_DATA, "%s: expected an object, found %s" LS_HINT "is this a tokenizer.json or a vocab.json?",
                path, kind_of(*json));
    json_decref(*json);
    *json = NULL;
    return status;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static ls_status check_id(const loading *l, const char *written, const json_t *id, bool added)
{
    LS_CHECK(json_is_integer(id), LS_ERR_DATA, "%s: token '%s': expected a number as its id, found %s", l->path,
             show(written), kind_of(id));
    long long value = json_integer_value(id);
    LS_CHECK(value >= 0 && value < l->size, LS_ERR_DATA,
             "%s: token '%s' has the id %lld: expected 0 to %lld, one for each of %lld tokens" LS_HINT
             "ids must leave no gaps",
             l->path, show(written), value, (long long)l->size - 1, (long long)l->size);
    LS_CHECK(!l->written[value], LS_ERR_DATA,
             "%s: the %stokens '%s' and '%s' both have the id %lld" LS_HINT "each token needs an id of its own",
             l->path, added ? "added " : "", show(l->written[value]), show(written), value);
    return LS_OK;
}

static ls_status take_vocab(loading *l)
{
    const char *written;
    json_t     *id;
    json_object_foreach(l->vocab, written, id)
    {
        LS_TRY(check_id(l, written, id, false));
        LS_CHECK(*written, LS_ERR_DATA, "%s: token %lld is empty" LS_HINT "the file is damaged", l->path,
                 (long long)json_integer_value(id));
        l->written[json_integer_value(id)] = written;
    }
    return LS_OK;
}

static ls_status take_flag(const loading *l, const json_t *token, const char *key, bool fallback, bool *value)
{
    const json_t *flag = json_object_get(token, key);
    *value             = flag ? json_is_true(flag) : fallback;
    LS_CHECK(!flag || json_is_boolean(flag), LS_ERR_DATA, "%s: an added token's '%s': expected true or false, found %s",
             l->path, key, kind_of(flag));
    return LS_OK;
}

/* Does it mean one thing as it stands, and another when its characters stand for bytes? */
static bool ambiguous(const char *text)
{
    bool other = false;
    for (size_t at = 0, length = strlen(text); at < length;) {
        uint32_t code;
        at += ls__utf8_next((const uint8_t *)text + at, length - at, &code);
        if (ls__char_byte(code) < 0) return false;
        other |= code >= 0x80;
    }
    return other;
}

static ls_status take_added_token(loading *l, const json_t *token)
{
    static const char *const refused[] = {"single_word", "lstrip", "rstrip"};
    const json_t            *content = json_object_get(token, "content"), *id = json_object_get(token, "id"), *known;
    LS_CHECK(json_is_string(content) && json_string_length(content) > 0, LS_ERR_DATA,
             "%s: added_tokens: expected objects with a 'content', found %s", l->path,
             kind_of(content ? content : token));
    const char *text = json_string_value(content);
    LS_CHECK(strlen(text) <= MAX_ADDED_BYTES && !strstr(text, "\xEF\xBF\xBD"), LS_ERR_DATA,
             "%s: the added token '%s': expected at most %d bytes, without U+FFFD", l->path, show(text),
             MAX_ADDED_BYTES);
    ls_added add = {0};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        bool set;
        LS_TRY(take_flag(l, token, refused[i], false, &set));
        LS_CHECK(!set, LS_ERR_DATA,
                 "%s: the added token '%s' has %s: only plain tokens can be used" LS_HINT
                 "save the tokenizer with %s=False",
                 l->path, show(text), refused[i], refused[i]);
    }
    LS_TRY(take_flag(l, token, "special", false, &add.special));
    LS_TRY(take_flag(l, token, "normalized", !add.special, &add.late));
    if ((known = json_object_get(l->vocab, text))) {
        LS_CHECK(!ambiguous(text), LS_ERR_DATA,
                 "%s: '%s' is an added token as it stands, and also a token written by bytes" LS_HINT
                 "the file contradicts itself: get it again",
                 l->path, show(text));
        LS_CHECK(json_is_integer(id) && json_integer_value(id) == json_integer_value(known), LS_ERR_DATA,
                 "%s: the added token '%s' has the id %lld, and in the vocabulary it has %lld" LS_HINT
                 "the file contradicts itself: get it again",
                 l->path, show(text), (long long)json_integer_value(id), (long long)json_integer_value(known));
    } else {
        LS_TRY(check_id(l, text, id, true));
        l->written[json_integer_value(id)] = text;
    }
    add.id = (int32_t)json_integer_value(id);
    LS_CHECK(!l->raw[add.id], LS_ERR_DATA, "%s: the added token '%s' stands there twice", l->path, show(text));
    l->raw[add.id]    = true;
    l->add[l->adds++] = add;
    return LS_OK;
}

static ls_status take_tokens(loading *l)
{
    size_t  count = json_array_size(l->added), i;
    json_t *token;
    LS_CHECK(count <= LS_MAX_ADDED, LS_ERR_DATA, "%s: expected at most %d added tokens, found %zu", l->path,
             LS_MAX_ADDED, count);
    l->size = (int64_t)json_object_size(l->vocab);
    json_array_foreach(l->added, i, token)
    {
        const char *content = json_string_value(json_object_get(token, "content"));
        l->size += content && !json_object_get(l->vocab, content);
    }
    LS_CHECK(l->size >= 1 && l->size <= LS_MAX_VOCABULARY, LS_ERR_DATA, "%s: expected 1 to %d tokens, found %lld",
             l->path, LS_MAX_VOCABULARY, (long long)l->size);
    l->written = ls_arena_alloc(l->memory, (size_t)l->size * sizeof *l->written);
    l->raw     = ls_arena_alloc(l->memory, (size_t)l->size * sizeof *l->raw);
    l->add     = ls_arena_alloc(l->memory, (count + 1) * sizeof *l->add);
    LS_TRY(take_vocab(l));
    json_array_foreach(l->added, i, token) LS_TRY(take_added_token(l, token));
    for (int64_t id = 0; id < l->size; id++)
        LS_CHECK(l->written[id], LS_ERR_DATA, "%s: no token has the id %lld: expected ids 0 to %lld without gaps",
                 l->path, (long long)id, (long long)l->size - 1);
    return LS_OK;
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

/* A merge as it stands in a file. */
typedef struct written_merge {
    const char *left, *right;
    size_t      left_bytes, right_bytes;
    const char *unit; /* "line", "merge" */
    long long   number;
} written_merge;

static ls_status find_token(const loading *l, const written_merge *m, const char *part, int32_t *id)
{
    const json_t *found = json_object_get(l->vocab, part);
    LS_CHECK(found, LS_ERR_DATA,
             "%s, %s %lld: needs the token '%s', which is not in the vocabulary" LS_HINT
             "vocabulary and merges must come from the same tokenizer",
             l->merges_path, m->unit, m->number, show(part));
    *id = (int32_t)json_integer_value(found);
    return LS_OK;
}

static ls_status take_merge(loading *l, const written_merge *m)
{
    char *text = malloc(m->left_bytes + m->right_bytes + 1);
    LS_CHECK(text, LS_ERR_ENV, "%s, %s %lld: no memory for %zu bytes", l->merges_path, m->unit, m->number,
             m->left_bytes + m->right_bytes);
    ls_merge *merge = &l->merge[l->merges++];
    memcpy(text, m->left, m->left_bytes);
    text[m->left_bytes] = 0;
    ls_status status    = find_token(l, m, text, &merge->left);
    memcpy(text + m->left_bytes, m->right, m->right_bytes);
    text[m->left_bytes + m->right_bytes] = 0;
    if (status == LS_OK) status = find_token(l, m, text + m->left_bytes, &merge->right);
    if (status == LS_OK) status = find_token(l, m, text, &merge->result);
    free(text);
    return status;
}

/* "left right" */
static ls_status take_merge_text(loading *l, const char *text, size_t bytes, const char *unit, long long number)
{
    const char *space = memchr(text, ' ', bytes);
    LS_CHECK(space && !memchr(space + 1, ' ', bytes - (size_t)(space + 1 - text)) && !memchr(text, 0, bytes),
             LS_ERR_DATA, "%s, %s %lld: expected two tokens with one space between them, found '%s'", l->merges_path,
             unit, number, show(text));
    LS_TRY(take_merge(l, &(written_merge){text, space + 1, (size_t)(space - text), bytes - (size_t)(space + 1 - text),
                                          unit, number}));
    return LS_OK;
}

static ls_status take_json_merges(loading *l, const json_t *merges)
{
    size_t  i;
    json_t *m;
    LS_CHECK(json_is_array(merges), LS_ERR_DATA,
             "%s: model.merges: expected an array, found %s" LS_HINT "the file is not complete: get it again", l->path,
             kind_of(merges));
    l->merge = ls_arena_alloc(l->memory, (json_array_size(merges) + 1) * sizeof *l->merge);
    json_array_foreach(merges, i, m)
    {
        const json_t *left = json_array_get(m, 0), *right = json_array_get(m, 1);
        long long     number = (long long)i + 1;
        if (json_is_string(m)) {
            LS_TRY(take_merge_text(l, json_string_value(m), json_string_length(m), "merge", number));
            continue;
        }
        LS_CHECK(json_array_size(m) == 2 && json_is_string(left) && json_is_string(right), LS_ERR_DATA,
                 "%s, merge %lld: expected two tokens, found %s", l->path, number, kind_of(m));
        LS_TRY(take_merge(l, &(written_merge){json_string_value(left), json_string_value(right),
                                              json_string_length(left), json_string_length(right), "merge", number}));
    }
    return LS_OK;
}

static ls_status take_merges_file(loading *l)
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
        LS_TRY(take_merge_text(l, at, (size_t)(stop - at), "line", number));
    }
    return LS_OK;
}

static int by_pair(const void *x, const void *y)
{
    const ls_pair *p = x, *q = y;
    if (p->left != q->left) return p->left < q->left ? -1 : 1;
    if (p->right != q->right) return p->right < q->right ? -1 : 1;
    return p->rank < q->rank ? -1 : p->rank > q->rank;
}

static ls_status check_merges(const loading *l)
{
    ls_pair *pair = ls_arena_alloc(l->memory, (size_t)(l->merges + 1) * sizeof *pair);
    for (int64_t m = 0; m < l->merges; m++) pair[m] = (ls_pair){l->merge[m].left, l->merge[m].right, (int32_t)m, 0};
    qsort(pair, (size_t)l->merges, sizeof *pair, by_pair);
    for (int64_t m = 1; m < l->merges; m++)
        LS_CHECK(pair[m].left != pair[m - 1].left || pair[m].right != pair[m - 1].right, LS_ERR_DATA,
                 "%s: merges %d and %d are the same: '%s %s'" LS_HINT "the file is damaged: get it again",
                 l->merges_path, pair[m - 1].rank + 1, pair[m].rank + 1, show(l->written[pair[m].left]),
                 show(l->written[pair[m].right]));
    return LS_OK;
}

/* ---- from what is written to what it means ----------------------------------------------------------------------- */

/* Text of token `id` at `out`; *bytes: how many. */
static ls_status spell(const loading *l, int64_t id, uint8_t *out, size_t *bytes)
{
    const char *written = l->written[id];
    size_t      length = strlen(written), at = 0;
    *bytes = 0;
    if (l->raw[id]) {
        memcpy(out, written, length);
        *bytes = length;
        return LS_OK;
    }
    while (at < length) {
        uint32_t code;
        at += ls__utf8_next((const uint8_t *)written + at, length - at, &code);
        int byte = ls__char_byte(code);
        LS_CHECK(byte >= 0, LS_ERR_DATA,
                 "%s: the token '%s' has the character U+%04X, which stands for no byte" LS_HINT
                 "only byte-level tokenizers (as GPT-2's) can be used",
                 l->path, show(written), code);
        out[(*bytes)++] = (uint8_t)byte;
    }
    uint32_t code;
    LS_CHECK(!l->chars || (ls__utf8_next(out, *bytes, &code) == *bytes && code != LS_UTF8_INVALID), LS_ERR_DATA,
             "%s: the token '%s' is not one character" LS_HINT
             "of word-level tokenizers only those of single characters can be used",
             l->path, show(written));
    return LS_OK;
}

static ls_status find_bytes(const loading *l, int32_t byte[256])
{
    for (int b = 0; b < 256; b++) {
        char written[5] = {0};
        ls__utf8_put((uint8_t *)written, ls__byte_char(b));
        const json_t *id = json_object_get(l->vocab, written);
        LS_CHECK(id, LS_ERR_DATA,
                 "%s: the vocabulary has no token '%s' for the byte 0x%02x" LS_HINT
                 "byte-level tokenizers need all 256 bytes: train with initial_alphabet=ByteLevel.alphabet()",
                 l->path, written, b);
        byte[b] = (int32_t)json_integer_value(id);
    }
    return LS_OK;
}

static ls_status make(loading *l, ls_tokenizer **t)
{
    int32_t            byte[256];
    size_t             room  = 0;
    bool               plain = l->merges == 0 && l->size - l->adds == 256;
    ls_tokenizer_parts parts = {.kind   = LS_TOKENIZER_CHARS,
                                .size   = (int32_t)l->size,
                                .merges = l->merges,
                                .merge  = l->merge,
                                .byte   = byte,
                                .added  = l->adds,
                                .add    = l->add};
    for (int64_t id = 0; id < l->size; id++) room += strlen(l->written[id]);
    uint8_t  *text = ls_arena_alloc(l->memory, room);
    uint64_t *at   = ls_arena_alloc(l->memory, (size_t)(l->size + 1) * sizeof *at);
    for (int64_t id = 0; id < l->size; id++) {
        size_t bytes;
        LS_TRY(spell(l, id, text + at[id], &bytes));
        at[id + 1] = at[id] + bytes;
    }
    parts.text = text;
    parts.at   = at;
    if (!l->chars) {
        LS_TRY(find_bytes(l, byte));
        for (int b = 0; b < 256; b++) plain = plain && byte[b] == b;
        parts.kind = plain ? LS_TOKENIZER_BYTES : LS_TOKENIZER_BPE;
        LS_CHECK(plain || l->words, LS_ERR_DATA,
                 "%s: pre_tokenizer: expected ByteLevel with use_regex true" LS_HINT
                 "only GPT-2's way to cut texts into words can be used",
                 l->path);
        LS_TRY(check_merges(l));
    }
    LS_TRY(ls__tokenizer_make(t, &parts));
    return LS_OK;
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

/* ByteLevel: GPT-2's words.  Characters: what ls_tokenizer_save writes for them. */
static ls_status take_cutting(loading *l, const json_t *root)
{
    const json_t *how = json_object_get(root, "pre_tokenizer"), *steps = json_object_get(how, "pretokenizers");
    const json_t *split = json_array_get(steps, 0), *level = json_array_get(steps, 1);
    const char   *pattern  = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
    const char   *behavior = json_string_value(json_object_get(split, "behavior"));
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
             "%s: pre_tokenizer: expected ByteLevel, found %s" LS_HINT
             "only byte-level tokenizers that cut texts as GPT-2 does can be used",
             l->path,
             how && json_is_object(how) ? show(json_string_value(json_object_get(how, "type"))
                                                   ? json_string_value(json_object_get(how, "type"))
                                                   : "another")
                                        : kind_of(how));
    LS_CHECK(!is_true(level, "add_prefix_space", true), LS_ERR_DATA,
             "%s: pre_tokenizer: expected add_prefix_space false" LS_HINT
             "save the tokenizer with ByteLevel(add_prefix_space=False)",
             l->path);
    return LS_OK;
}

/* What must be null, false, 0 or empty because it would change the tokens. */
static ls_status check_unused(const loading *l, const json_t *object, const char *prefix, const char *const *keys,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        bool          none  = !value || json_is_null(value) || json_is_false(value) ||
                    (json_is_number(value) && json_number_value(value) == 0) ||
                    (json_is_string(value) && json_string_length(value) == 0);
        LS_CHECK(none, LS_ERR_DATA,
                 "%s: %s%s: expected null, found %s" LS_HINT "tokenizers with this setting cannot be used", l->path,
                 prefix, keys[i], json_is_string(value) ? show(json_string_value(value)) : kind_of(value));
    }
    return LS_OK;
}

/* A template of the text alone, as transformers writes for GPT-2. */
static bool adds_nothing(const json_t *after)
{
    const json_t *single = json_object_get(after, "single");
    const char   *id = json_string_value(json_object_get(json_object_get(json_array_get(single, 0), "Sequence"), "id"));
    return type_is(after, "TemplateProcessing") && json_array_size(single) == 1 && id && strcmp(id, "A") == 0;
}

static ls_status check_settings(const loading *l, const json_t *root, const json_t *model)
{
    static const char *const outer[] = {"truncation", "padding", "normalizer"};
    static const char *const inner[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                                        "ignore_merges"};
    const json_t *after = json_object_get(root, "post_processor"), *decoder = json_object_get(root, "decoder");
    LS_TRY(check_unused(l, root, "", outer, sizeof outer / sizeof *outer));
    LS_TRY(check_unused(l, model, "model.", inner, sizeof inner / sizeof *inner));
    LS_CHECK(!after || json_is_null(after) || type_is(after, "ByteLevel") || adds_nothing(after), LS_ERR_DATA,
             "%s: post_processor: expected ByteLevel, null, or a template that adds no tokens" LS_HINT
             "set it to null, and add tokens at the beginning or the end yourself",
             l->path);
    LS_CHECK(!decoder || json_is_null(decoder) || type_is(decoder, "ByteLevel"), LS_ERR_DATA,
             "%s: decoder: expected ByteLevel or null" LS_HINT "only byte-level tokenizers (as GPT-2's) can be used",
             l->path);
    return LS_OK;
}

static ls_status load_tokenizer(loading *l, const json_t *root, ls_tokenizer **t)
{
    const json_t *model = json_object_get(root, "model"), *type = json_object_get(model, "type"),
                 *merges = json_object_get(model, "merges");
    LS_CHECK(json_is_object(model), LS_ERR_DATA, "%s: model: expected an object, found %s", l->path, kind_of(model));
    l->vocab = json_object_get(model, "vocab");
    l->added = json_object_get(root, "added_tokens");
    LS_CHECK(json_is_object(l->vocab), LS_ERR_DATA,
             "%s: model.vocab: expected an object, found %s" LS_HINT
             "only byte-level tokenizers (as GPT-2's) can be used",
             l->path, kind_of(l->vocab));
    LS_CHECK(!l->added || json_is_array(l->added) || json_is_null(l->added), LS_ERR_DATA,
             "%s: added_tokens: expected an array, found %s", l->path, kind_of(l->added));
    LS_TRY(take_cutting(l, root));
    const char *want    = l->chars ? "WordLevel" : "BPE",
               *unknown = json_string_value(json_object_get(model, "unk_token"));
    LS_CHECK(type_is(model, want) || (!type && merges), LS_ERR_DATA, "%s: model.type: expected %s, found %s", l->path,
             want, json_is_string(type) ? show(json_string_value(type)) : kind_of(type));
    LS_CHECK(!l->chars || !unknown || !json_object_get(l->vocab, unknown), LS_ERR_DATA,
             "%s: model.unk_token: '%s' is in the vocabulary" LS_HINT
             "tokenizers with a token for unknown characters cannot be used",
             l->path, show(unknown));
    LS_TRY(check_settings(l, root, model));
    LS_TRY(take_tokens(l));
    if (!l->chars) LS_TRY(take_json_merges(l, merges));
    LS_TRY(make(l, t));
    return LS_OK;
}

/* ---- vocab.json and merges.txt ----------------------------------------------------------------------------------- */

static ls_status load_pair(loading *l, json_t *root, ls_tokenizer **t)
{
    const json_t *end = json_object_get(root, LS_END_TEXT);
    l->vocab          = root;
    l->words          = true;
    LS_TRY(take_tokens(l));
    if (end) {
        l->add[l->adds++]               = (ls_added){.id = (int32_t)json_integer_value(end), .special = true};
        l->raw[json_integer_value(end)] = true;
    }
    LS_TRY(take_merges_file(l));
    LS_TRY(make(l, t));
    return LS_OK;
}

/* ---- which files ------------------------------------------------------------------------------------------------- */

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

/* "x/my-vocab.json" -> "x/my-merges.txt" and back; NULL: the path ends otherwise. */
static const char *beside(ls_arena *memory, const char *path, const char *end, const char *other)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0 ? ls_arena_printf(memory, "%.*s%s", (int)(n - m), path, other)
                                                    : NULL;
}

static ls_status find_files(loading *l, const char *path)
{
    struct stat st;
    LS_CHECK(strlen(path) < MAX_PATH, LS_ERR_USAGE, "a path of %zu letters; that is too long", strlen(path));
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
             "%s: is missing, and %s is nothing without it" LS_HINT
             "GPT-2's tokenizer is two files: get both, or tokenizer.json",
             l->merges_path, l->path);
    return LS_OK;
}

ls_status ls_tokenizer_load(ls_tokenizer **t, const char *path)
{
    loading   l    = {0};
    json_t   *root = NULL;
    ls_status status;
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

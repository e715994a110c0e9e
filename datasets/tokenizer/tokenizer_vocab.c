/* SPDX-License-Identifier: Apache-2.0
 *
 * Vocabulary and merges of a tokenizer file: checks them, and makes a tokenizer from them.
 *
 * In a file, tokens are written with a printable character for each byte ("\u0120the" is " the"), added tokens as plain
 * text.
 */
#include "datasets/tokenizer/tokenizer_vocab.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/format_text.h"
#include "datasets/tokenizer/tokenizer_make.h"
#include "datasets/tokenizer/tokenizer_normalize.h"
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "datasets/tokenizer/unicode/unicode.h"

enum { MAX_ADDED_BYTES = 4096 };

/* ---- messages ---------------------------------------------------------------------------------------------------- */

const char *ls__vocab_show(const char *text)
{
    char  *out = ls__text_buffer();
    size_t n   = strnlen(text, 48);
    bool   cut = text[n] != 0;
    while (cut && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    for (size_t i = 0; i < n; i++) out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7F ? '?' : text[i];
    snprintf(out + n, 4, "%s", cut ? "..." : "");
    return out;
}

const char *ls__json_kind(const json_t *j)
{
    static const char *const text[] = {[JSON_OBJECT]  = "an object",
                                       [JSON_ARRAY]   = "an array",
                                       [JSON_STRING]  = "a string",
                                       [JSON_INTEGER] = "a number",
                                       [JSON_REAL]    = "a number with a fraction",
                                       [JSON_TRUE]    = "true",
                                       [JSON_FALSE]   = "false",
                                       [JSON_NULL]    = "null"};
    return j ? text[json_typeof(j)] : "nothing";
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static ls_status check_id(const ls_vocab_file *l, const char *written, const json_t *id, bool added)
{
    LS_CHECK(json_is_integer(id), LS_ERR_DATA, "%s: token '%s': id: expected a number, found %s", l->path,
             ls__vocab_show(written), ls__json_kind(id));
    long long value = json_integer_value(id);
    LS_CHECK(value >= 0 && value < l->size, LS_ERR_DATA,
             "%s: token '%s': id: expected 0 to %lld, because there are %lld tokens, found %lld" LS_HINT
             "ids must leave no gaps",
             l->path, ls__vocab_show(written), (long long)l->size - 1, (long long)l->size, value);
    LS_CHECK(!l->written[value], LS_ERR_DATA,
             "%s: the %stokens '%s' and '%s' both have the id %lld" LS_HINT "each token needs a different id", l->path,
             added ? "added " : "", ls__vocab_show(l->written[value]), ls__vocab_show(written), value);
    return LS_OK;
}

static ls_status take_vocab(ls_vocab_file *l)
{
    const char *written;
    json_t     *id;
    json_object_foreach(l->vocab, written, id)
    {
        LS_TRY(check_id(l, written, id, false));
        LS_CHECK(*written, LS_ERR_DATA, "%s: token %lld: expected text, found nothing" LS_HINT "the file is damaged",
                 l->path, (long long)json_integer_value(id));
        l->written[json_integer_value(id)] = written;
    }
    return LS_OK;
}

static ls_status take_flag(const ls_vocab_file *l, const json_t *token, const char *key, bool fallback, bool *value)
{
    const json_t *flag = json_object_get(token, key);
    *value             = flag ? json_is_true(flag) : fallback;
    LS_CHECK(!flag || json_is_boolean(flag), LS_ERR_DATA, "%s: an added token's '%s': expected true or false, found %s",
             l->path, key, ls__json_kind(flag));
    return LS_OK;
}

/* True if a text is also another token's text when its characters stand for bytes. */
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

static ls_status take_added_token(ls_vocab_file *l, const json_t *token)
{
    const json_t *content = json_object_get(token, "content"), *id = json_object_get(token, "id"), *known;
    LS_CHECK(json_is_string(content) && json_string_length(content) > 0, LS_ERR_DATA,
             "%s: added_tokens: expected objects with a 'content', found %s", l->path,
             ls__json_kind(content ? content : token));
    const char *text = json_string_value(content);
    LS_CHECK(strlen(text) <= MAX_ADDED_BYTES && !strstr(text, "\xEF\xBF\xBD"), LS_ERR_DATA,
             "%s: the added token '%s': expected at most %d bytes, without U+FFFD", l->path, ls__vocab_show(text),
             MAX_ADDED_BYTES);
    ls_added add = {0};
    LS_TRY(take_flag(l, token, "single_word", false, &add.single_word));
    LS_TRY(take_flag(l, token, "lstrip", false, &add.lstrip));
    LS_TRY(take_flag(l, token, "rstrip", false, &add.rstrip));
    LS_TRY(take_flag(l, token, "special", false, &add.special));
    LS_TRY(take_flag(l, token, "normalized", !add.special, &add.late));
    if ((known = json_object_get(l->vocab, text))) {
        LS_CHECK(l->wordpiece || l->spaces || !ambiguous(text), LS_ERR_DATA,
                 "%s: '%s' is both an added token and the bytes of another token" LS_HINT
                 "the file contradicts itself: download it again",
                 l->path, ls__vocab_show(text));
        LS_CHECK(json_is_integer(id) && json_integer_value(id) == json_integer_value(known), LS_ERR_DATA,
                 "%s: the added token '%s' has the id %lld in added_tokens, and %lld in the vocabulary" LS_HINT
                 "the file contradicts itself: download it again",
                 l->path, ls__vocab_show(text), (long long)json_integer_value(id),
                 (long long)json_integer_value(known));
    } else {
        const long long expected = (long long)json_object_size(l->vocab) + l->outside++;
        LS_TRY(check_id(l, text, id, true));
        LS_CHECK(json_integer_value(id) == expected, LS_ERR_DATA,
                 "%s: the added token '%s' has the id %lld, expected %lld" LS_HINT
                 "added tokens that are not in the vocabulary have the ids behind it, in their order",
                 l->path, ls__vocab_show(text), (long long)json_integer_value(id), expected);
        l->written[json_integer_value(id)] = text;
    }
    add.id    = (int32_t)json_integer_value(id);
    add.text  = (const uint8_t *)text;
    add.bytes = strlen(text);
    LS_CHECK(!l->raw[add.id], LS_ERR_DATA, "%s: the added token '%s' occurs twice", l->path, ls__vocab_show(text));
    l->raw[add.id]    = true;
    l->add[l->adds++] = add;
    return LS_OK;
}

ls_status ls__vocab_tokens(ls_vocab_file *l)
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

/* A merge in a file. */
typedef struct written_merge {
    const char *left, *right;
    size_t      left_bytes, right_bytes;
    const char *unit; /* unit of `number` in messages: "line" or "merge" */
    long long   number;
} written_merge;

static ls_status find_token(const ls_vocab_file *l, const written_merge *m, const char *part, int32_t *id)
{
    const json_t *found = json_object_get(l->vocab, part);
    LS_CHECK(found, LS_ERR_DATA,
             "%s, %s %lld: the token '%s' is not in the vocabulary" LS_HINT
             "take vocabulary and merges from the same tokenizer",
             l->merges_path, m->unit, m->number, ls__vocab_show(part));
    *id = (int32_t)json_integer_value(found);
    return LS_OK;
}

static ls_status take_merge(ls_vocab_file *l, const written_merge *m)
{
    char *text = malloc(m->left_bytes + m->right_bytes + 1);
    LS_CHECK(text, LS_ERR_ENV, "%s, %s %lld: out of memory for %zu bytes", l->merges_path, m->unit, m->number,
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

ls_status ls__vocab_merge(ls_vocab_file *l, const char *text, size_t bytes, const char *unit, long long number)
{
    const char *space = memchr(text, ' ', bytes);
    LS_CHECK(space && !memchr(space + 1, ' ', bytes - (size_t)(space + 1 - text)) && !memchr(text, 0, bytes),
             LS_ERR_DATA, "%s, %s %lld: expected two tokens with one space between them, found '%s'", l->merges_path,
             unit, number, ls__vocab_show(text));
    LS_TRY(take_merge(l, &(written_merge){text, space + 1, (size_t)(space - text), bytes - (size_t)(space + 1 - text),
                                          unit, number}));
    return LS_OK;
}

ls_status ls__vocab_json_merges(ls_vocab_file *l, const json_t *merges)
{
    size_t  i;
    json_t *m;
    LS_CHECK(json_is_array(merges), LS_ERR_DATA,
             "%s: model.merges: expected an array, found %s" LS_HINT "the file is not complete: download it again",
             l->path, ls__json_kind(merges));
    l->merge = ls_arena_alloc(l->memory, (json_array_size(merges) + 1) * sizeof *l->merge);
    json_array_foreach(merges, i, m)
    {
        const json_t *left = json_array_get(m, 0), *right = json_array_get(m, 1);
        long long     number = (long long)i + 1;
        if (json_is_string(m)) {
            LS_TRY(ls__vocab_merge(l, json_string_value(m), json_string_length(m), "merge", number));
            continue;
        }
        LS_CHECK(json_array_size(m) == 2 && json_is_string(left) && json_is_string(right), LS_ERR_DATA,
                 "%s, merge %lld: expected two tokens, found %s", l->path, number, ls__json_kind(m));
        LS_TRY(take_merge(l, &(written_merge){json_string_value(left), json_string_value(right),
                                              json_string_length(left), json_string_length(right), "merge", number}));
    }
    return LS_OK;
}

static int by_pair(const void *x, const void *y)
{
    const ls_merge_slot *p = x, *q = y;
    if (p->left != q->left) return p->left < q->left ? -1 : 1;
    if (p->right != q->right) return p->right < q->right ? -1 : 1;
    return p->rank < q->rank ? -1 : p->rank > q->rank;
}

static ls_status check_merges(const ls_vocab_file *l)
{
    ls_merge_slot *pair = ls_arena_alloc(l->memory, (size_t)(l->merges + 1) * sizeof *pair);
    for (int64_t m = 0; m < l->merges; m++)
        pair[m] = (ls_merge_slot){l->merge[m].left, l->merge[m].right, (int32_t)m, 0};
    qsort(pair, (size_t)l->merges, sizeof *pair, by_pair);
    for (int64_t m = 1; m < l->merges; m++)
        LS_CHECK(pair[m].left != pair[m - 1].left || pair[m].right != pair[m - 1].right, LS_ERR_DATA,
                 "%s: merges %d and %d are the same: '%s %s'" LS_HINT "the file is damaged: download it again",
                 l->merges_path, pair[m - 1].rank + 1, pair[m].rank + 1, ls__vocab_show(l->written[pair[m].left]),
                 ls__vocab_show(l->written[pair[m].right]));
    return LS_OK;
}

/* ---- the tokenizer ----------------------------------------------------------------------------------------------- */

/* Returns the byte that a token stands for, as "<0x0A>"; -1: none. */
static int byte_of(const char *written)
{
    unsigned byte;
    int      end = 0;
    return strlen(written) == 6 && sscanf(written, "<0x%2X>%n", &byte, &end) == 1 && end == 6 ? (int)byte : -1;
}

/* Writes the text of a token.  The file has marks in the place of spaces. */
static ls_status spell_spaced(const ls_vocab_file *l, const char *written, uint8_t *out, size_t *bytes)
{
    const int byte = byte_of(written);
    ls_string text = {0};
    *bytes         = 1;
    if (byte >= 0) {
        *out = (uint8_t)byte;
        return LS_OK;
    }
    ls_status status = ls__put_spaces((const uint8_t *)written, strlen(written), false, &text);
    if (status == LS_OK) memcpy(out, text.data, *bytes = text.bytes);
    ls_string_free(&text);
    (void)l;
    return status;
}

/* Writes the text of token `id` to `out`; *bytes: its length. */
static ls_status spell(const ls_vocab_file *l, int64_t id, uint8_t *out, size_t *bytes)
{
    const char *written = l->written[id];
    size_t      length = strlen(written), at = 0;
    *bytes = 0;
    if (l->spaced) {
        const bool end = !strcmp(written, LS_END_WORD);
        LS_CHECK(length <= LS_MAX_WORD, LS_ERR_DATA, "%s: the token '%s' has %zu bytes, expected at most %d", l->path,
                 ls__vocab_show(written), length, LS_MAX_WORD);
        if (!end) memcpy(out, written, length);
        *bytes          = end ? 1 : length + 1;
        out[*bytes - 1] = end ? '\n' : ' ';
        return LS_OK;
    }
    if (l->spaces) return spell_spaced(l, written, out, bytes);
    if (l->raw[id] || l->wordpiece) {
        const bool   continues = !strncmp(written, LS_CONTINUES, strlen(LS_CONTINUES));
        const size_t skip      = continues && !l->raw[id] ? strlen(LS_CONTINUES) : 0;
        const bool   space     = l->wordpiece && !l->raw[id] && !continues;
        if (space) *out++ = ' ';
        memcpy(out, written + skip, length - skip);
        *bytes = length - skip + space;
        return LS_OK;
    }
    while (at < length) {
        uint32_t code;
        at += ls__utf8_next((const uint8_t *)written + at, length - at, &code);
        int byte = ls__char_byte(code);
        LS_CHECK(byte >= 0, LS_ERR_DATA,
                 "%s: the token '%s' has the character U+%04X, which stands for no byte" LS_HINT
                 "only byte-level tokenizers, such as GPT-2's, are supported",
                 l->path, ls__vocab_show(written), code);
        out[(*bytes)++] = (uint8_t)byte;
    }
    uint32_t code;
    LS_CHECK(!l->chars || (ls__utf8_next(out, *bytes, &code) == *bytes && code != LS_UTF8_INVALID), LS_ERR_DATA,
             "%s: the token '%s' is not one character" LS_HINT
             "word-level tokenizers are supported only if their tokens are single characters",
             l->path, ls__vocab_show(written));
    return LS_OK;
}

/* Finds the tokens of the bytes; -1: the byte has none. */
static ls_status find_bytes(const ls_vocab_file *l, int32_t byte[256])
{
    for (int b = 0; b < 256; b++) {
        char written[8] = {0};
        if (l->spaces)
            snprintf(written, sizeof written, "<0x%02X>", b);
        else
            ls__utf8_put((uint8_t *)written, ls__byte_char(b));
        const json_t *id = json_object_get(l->vocab, written);
        byte[b]          = id ? (int32_t)json_integer_value(id) : -1;
        LS_CHECK(id || !l->spaces, LS_ERR_DATA,
                 "%s: the vocabulary has no token '%s', which model.byte_fallback needs" LS_HINT
                 "the file is damaged: download it again",
                 l->path, written);
        LS_CHECK(id || !l->unknown, LS_ERR_DATA,
                 "%s: the vocabulary has no token for the byte 0x%02x, and model.unk_token is '%s'" LS_HINT
                 "byte-level tokenizers need all 256 bytes, or no token for unknown ones",
                 l->path, b, ls__vocab_show(l->unknown));
    }
    return LS_OK;
}

/* Returns which tokens a word, or a part of it, can be. */
static const uint8_t *word_tokens(const ls_vocab_file *l)
{
    uint8_t *kind = ls_arena_alloc(l->memory, (size_t)l->size);
    for (int64_t id = 0; id < l->size; id++) {
        const char *written = l->written[id];
        bool        can     = json_object_get(l->vocab, written) != NULL;
        if (l->spaces) can = can && byte_of(written) < 0 && !strchr(written, ' ');
        for (const char *c = written; *c && !l->spaces && l->raw[id]; c++) can = can && *c > ' ' && *c < 0x7F;
        kind[id] = can ? LS_PIECE_STARTS : LS_PIECE_NONE;
    }
    return kind;
}

/* True if a merge has a space behind another character. */
static bool merges_cross_spaces(const ls_vocab_file *l)
{
    for (int64_t m = 0; m < l->merges; m++) {
        const char *text = l->written[l->merge[m].result], *mark = text;
        while (!strncmp(mark, LS_SPACE_MARK, strlen(LS_SPACE_MARK))) mark += strlen(LS_SPACE_MARK);
        if (strstr(mark, LS_SPACE_MARK)) return true;
    }
    return false;
}

/* Finds a token of kinds words and wordpiece. */
static ls_status find_word(const ls_vocab_file *l, const char *word, int32_t *id)
{
    const json_t *found = word ? json_object_get(l->vocab, word) : NULL;
    LS_CHECK(found, LS_ERR_DATA,
             "%s: the vocabulary has no token '%s'" LS_HINT "a tokenizer of words needs one for unknown words "
             "(model.unk_token)%s",
             l->path, word ? ls__vocab_show(word) : "", l->spaced ? ", and <eos> for ends of lines" : "");
    *id = (int32_t)json_integer_value(found);
    return LS_OK;
}

/* The ls_piece_kind of each token. */
static const uint8_t *piece_kinds(const ls_vocab_file *l)
{
    uint8_t *kind = ls_arena_alloc(l->memory, (size_t)l->size);
    for (int64_t id = 0; id < l->size; id++) {
        const bool continues = !strncmp(l->written[id], LS_CONTINUES, strlen(LS_CONTINUES));
        kind[id]             = continues ? LS_PIECE_CONTINUES : LS_PIECE_STARTS;
        if (l->raw[id]) kind[id] = continues ? LS_PIECE_RAW_CONTINUES : LS_PIECE_RAW;
        if (!json_object_get(l->vocab, l->written[id])) kind[id] = LS_PIECE_NONE;
    }
    return kind;
}

ls_status ls__vocab_make(ls_vocab_file *l, ls_tokenizer **t)
{
    int32_t            byte[256];
    size_t             room  = (size_t)l->size;
    bool               plain = l->merges == 0 && l->size - l->adds == 256;
    ls_tokenizer_parts parts = {.path      = l->path,
                                .kind      = LS_TOKENIZER_CHARS,
                                .size      = (int32_t)l->size,
                                .merges    = l->merges,
                                .merge     = l->merge,
                                .byte      = byte,
                                .added     = l->adds,
                                .add       = l->add,
                                .lowercase = l->lowercase,
                                .rules     = l->rules,
                                .single    = l->single.count ? &l->single : NULL,
                                .pair      = l->single.count ? &l->pair : NULL,
                                .role      = l->config_path ? l->role : NULL};
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
    if (l->spaced) {
        parts.kind = LS_TOKENIZER_WORDS;
        LS_TRY(find_word(l, l->unknown, &parts.unknown));
        LS_TRY(find_word(l, LS_END_WORD, &parts.end));
    } else if (l->wordpiece) {
        parts.kind     = LS_TOKENIZER_WORDPIECE;
        parts.piece    = piece_kinds(l);
        parts.max_word = l->max_word;
        LS_TRY(find_word(l, l->unknown, &parts.unknown));
    } else if (!l->chars) {
        LS_TRY(find_bytes(l, byte));
        for (int b = 0; b < 256; b++) plain = plain && byte[b] == b && !l->spaces;
        parts.kind = plain ? LS_TOKENIZER_BYTES : LS_TOKENIZER_BPE;
        LS_CHECK(!plain || !l->lowercase, LS_ERR_DATA, "%s: normalizer: expected null for a tokenizer of bytes",
                 l->path);
        if (l->rules.whole || l->spaces) parts.piece = word_tokens(l);
        if (l->spaces) parts.rules.free = !l->rules.whole && !merges_cross_spaces(l);
        LS_CHECK(plain || l->words || l->spaces, LS_ERR_DATA,
                 "%s: pre_tokenizer: expected ByteLevel with use_regex true" LS_HINT
                 "this way to split texts into words is not supported",
                 l->path);
        LS_TRY(check_merges(l));
    }
    LS_TRY(ls__tokenizer_make(t, &parts));
    return LS_OK;
}

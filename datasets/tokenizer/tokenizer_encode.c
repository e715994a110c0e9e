/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding: text to tokens.  Invalid UTF-8 is replaced, added tokens are found, and the text between them is encoded by
 * bytes, characters or words.  ls_tokenizer_cut finds where a text may be cut into pieces with the same tokens.
 */
#include "datasets/tokenizer/tokenizer_encode.h"

#include <string.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/tokenizer_bpe.h"
#include "datasets/tokenizer/tokenizer_make.h"
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "datasets/tokenizer/unicode/unicode.h"

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static size_t added_bytes(const ls_tokenizer *t, const ls_added *add) { return t->at[add->id + 1] - t->at[add->id]; }

/* Returns the longest added token of one pass (late or not) at the start of a text, or NULL. */
static const ls_added *added_at(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late)
{
    for (int i = t->add_first[text[0]]; i < t->add_first[text[0] + 1]; i++) {
        const ls_added *add = &t->add[i];
        size_t          n   = added_bytes(t, add);
        if (add->late == late && n <= bytes && memcmp(text, t->text + t->at[add->id], n) == 0) return add;
    }
    return NULL;
}

/* Returns the offset of the next added token, or `bytes` if there is none.  plain: skips special tokens, with all text
 * inside them. */
static size_t find_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                         const ls_added **found)
{
    uint8_t first = t->text[t->at[t->add[0].id]];
    bool alone = t->add_first[first + 1] - t->add_first[first] == t->added; /* all added tokens have one first byte */
    for (size_t i = 0; i < bytes;) {
        if (alone) {
            const uint8_t *next = memchr(text + i, first, bytes - i);
            if (!next) break;
            i = (size_t)(next - text);
        }
        *found = added_at(t, text + i, bytes - i, late);
        if (*found && !(plain && (*found)->special)) return i;
        i += *found ? added_bytes(t, *found) : 1;
    }
    *found = NULL;
    return bytes;
}

/* ---- text between added tokens ----------------------------------------------------------------------------------- */

static ls_status encode_bytes(const uint8_t *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(ls__tokens_reserve(list, (int64_t)bytes));
    for (size_t i = 0; i < bytes; i++) list->id[list->count++] = text[i];
    return LS_OK;
}

static ls_status encode_chars(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(ls__tokens_reserve(list, (int64_t)bytes));
    for (size_t i = 0; i < bytes;) {
        uint32_t code;
        i += ls__utf8_valid_next(text + i, &code);
        int32_t id = ls__char_token(t, code);
        if (id < 0) {
            uint8_t c[6] = " ";
            if (code >= 0xA0 || (code > ' ' && code < 0x7F)) ls__utf8_put(c + 1, code);
            return LS_FAIL(LS_ERR_DATA,
                           "text: the character U+%04X%s has no token" LS_HINT
                           "train the tokenizer on text with this character, or use a tokenizer of kind bytes or bpe",
                           code, c[1] ? (char *)c : "");
        }
        list->id[list->count++] = id;
    }
    return LS_OK;
}

static ls_status encode_words(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list)
{
    for (size_t i = 0, n; i < bytes; i += n) {
        n = ls__word(t->classes, text + i, bytes - i);
        LS_TRY(ls__bpe_word(t, text + i, n, list));
    }
    return LS_OK;
}

/* Each digit is a word; the text between digits is split as without them. */
static ls_status encode_digits(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list)
{
    for (size_t i = 0, start = 0, n; start < bytes; i += n) {
        uint32_t code  = 0;
        n              = i < bytes ? ls__utf8_valid_next(text + i, &code) : 0;
        const bool one = t->flags[code] & LS_FLAG_NUMERIC;
        if (i < bytes && !one) continue;
        LS_TRY(encode_words(t, text + start, i - start, list));
        if (one) LS_TRY(ls__bpe_word(t, text + i, n, list));
        start = i + n;
    }
    return LS_OK;
}

static ls_status encode_bpe(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list)
{
    return (t->rules.split == LS_SPLIT_DIGITS ? encode_digits : encode_words)(t, text, bytes, list);
}

static ls_status encode_between(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list)
{
    switch (t->kind) {
    case LS_TOKENIZER_BYTES:
        return encode_bytes(text, bytes, list);
    case LS_TOKENIZER_CHARS:
        return encode_chars(t, text, bytes, list);
    case LS_TOKENIZER_WORDS:
        return ls__spaced_encode(t, text, bytes, list);
    default:
        return encode_bpe(t, text, bytes, list);
    }
}

static ls_status each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                            ls_piece *take, void *context);

/* Passes on the text between two added tokens. */
static ls_status take_between(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                              ls_piece *take, void *context)
{
    if (t->late && !late) return each_piece(t, text, bytes, true, plain, take, context);
    if (!t->lowercase) return take(t, context, text, bytes, NULL);
    ls_string small  = {0};
    ls_status status = ls__utf8_lower(text, bytes, &small);
    if (status == LS_OK) status = take(t, context, (const uint8_t *)small.data, small.bytes, NULL);
    ls_string_free(&small);
    return status;
}

static ls_status each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                            ls_piece *take, void *context)
{
    while (bytes > 0) {
        const ls_added *found = NULL;
        size_t          n     = t->added ? find_added(t, text, bytes, late, plain, &found) : bytes;
        if (n > 0) LS_TRY(take_between(t, text, n, late, plain, take, context));
        if (!found) break;
        LS_TRY(take(t, context, text + n, added_bytes(t, found), found));
        n += added_bytes(t, found);
        text += n;
        bytes -= n;
    }
    return LS_OK;
}

/* Replaces invalid UTF-8 first, in a copy of the text; valid texts need no copy. */
ls_status ls__each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool plain, int64_t *replaced,
                         ls_piece *take, void *context)
{
    ls_string clean = {0};
    if (t->kind == LS_TOKENIZER_BYTES || ls__utf8_valid(text, bytes) == bytes)
        return each_piece(t, text, bytes, false, plain, take, context);
    ls_status status = ls__utf8_clean(text, bytes, &clean, replaced);
    if (status == LS_OK) status = each_piece(t, (const uint8_t *)clean.data, clean.bytes, false, plain, take, context);
    ls_string_free(&clean);
    return status;
}

static ls_status encode_piece(const ls_tokenizer *t, void *context, const uint8_t *text, size_t bytes,
                              const ls_added *added)
{
    ls_tokens *list = context;
    if (!added) return encode_between(t, text, bytes, list);
    LS_TRY(ls__tokens_reserve(list, 1));
    list->id[list->count++] = added->id;
    return LS_OK;
}

ls_status ls_tokenizer_encode(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(ls__each_piece(t, (const uint8_t *)text, bytes, false, &list->replaced, encode_piece, list));
    return LS_OK;
}

ls_status ls_tokenizer_encode_plain(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(ls__each_piece(t, (const uint8_t *)text, bytes, true, &list->replaced, encode_piece, list));
    return LS_OK;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

ls_text_line ls_text_line_trim(const char *line, size_t bytes)
{
    while (bytes && is_blank(line[bytes - 1])) bytes--;
    while (bytes && is_blank(*line)) {
        line++;
        bytes--;
    }
    return (ls_text_line){line, bytes};
}

ls_status ls_tokenizer_encode_line(const ls_tokenizer *t, const char *line, size_t bytes, ls_tokens *list)
{
    const ls_text_line text = ls_text_line_trim(line, bytes);
    return ls_tokenizer_encode_plain(t, text.data, text.bytes, list);
}

/* ---- cutting texts --------------------------------------------------------------------------------------------------
 *
 * A cut is allowed only before a byte that is not 10xxxxxx, because only such bytes begin a character or an ill-formed
 * sequence.  The characters on both sides must be complete.  Words of bpe end before white space and where letters,
 * digits and other characters meet, except after an apostrophe, which may form a contraction with the letters ('ll).
 * Kind words may be cut before and after white space. */

/* True if an added token starts before `at` and may end after it, in this text or with more text. */
static bool cuts_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t at)
{
    for (size_t i = at > t->add_longest ? at - t->add_longest : 0; i < at; i++)
        for (int k = t->add_first[text[i]]; k < t->add_first[text[i] + 1]; k++) {
            const uint8_t *token = t->text + t->at[t->add[k].id];
            size_t         n     = added_bytes(t, &t->add[k]);
            if (i + n > at && memcmp(text + i, token, n < bytes - i ? n : bytes - i) == 0) return true;
        }
    return false;
}

static bool begins(uint8_t byte) { return (byte & 0xC0) != 0x80; }

/* True if the character at `at` is complete, or invalid whatever follows. */
static bool is_complete(const uint8_t *text, size_t bytes, size_t at)
{
    uint32_t code;
    size_t   n = ls__utf8_next(text + at, bytes - at, &code);
    return code != LS_UTF8_INVALID || at + n < bytes;
}

/* Decodes the first character of a non-empty text; an invalid one as U+FFFD. */
static size_t first_of(const uint8_t *text, size_t bytes, uint32_t *code)
{
    size_t n = ls__utf8_next(text, bytes, code);
    if (*code == LS_UTF8_INVALID) *code = LS_UNICODE_REPLACEMENT;
    return n;
}

/* True if a word ends at `at`; the last character before it starts at `before`.  At the end of the text: whatever
 * follows. */
static bool ends_word(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t before, size_t at)
{
    uint32_t left, right;
    if (first_of(text + before, at - before, &left) < at - before) left = LS_UNICODE_REPLACEMENT;
    if (at == bytes) return t->kind == LS_TOKENIZER_WORDS && t->classes[left] == LS_UNICODE_SPACE;
    first_of(text + at, bytes - at, &right);
    unsigned x = t->classes[left], y = t->classes[right];
    if (t->kind == LS_TOKENIZER_WORDS) return x == LS_UNICODE_SPACE || y == LS_UNICODE_SPACE;
    if (t->lowercase && left == LS_DOTTED_I) return false; /* becomes two characters, and the second is no letter */
    return x != LS_UNICODE_SPACE && x != y && (left != '\'' || y != LS_UNICODE_LETTER);
}

size_t ls_tokenizer_cut(const ls_tokenizer *t, const char *given, size_t bytes)
{
    const uint8_t *text = (const uint8_t *)given;
    size_t         at   = bytes, before;
    for (; at > 0; at = before) {
        bool good = true;
        before    = at - 1;
        if (t->kind != LS_TOKENIZER_BYTES) {
            while (before > 0 && !begins(text[before])) before--;
            if (at == bytes && t->kind == LS_TOKENIZER_CHARS)
                good = is_complete(text, bytes, before);
            else if (t->kind != LS_TOKENIZER_CHARS)
                good = (at == bytes || is_complete(text, bytes, at)) && ends_word(t, text, bytes, before, at);
        }
        if (good && !cuts_added(t, text, bytes, at)) break;
    }
    return at;
}

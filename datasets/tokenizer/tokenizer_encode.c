/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding: text to tokens.  Invalid UTF-8 is replaced, added tokens are found, and the text between them is encoded by
 * bytes, characters or words.  ls_tokenizer_cut finds where a text may be cut into pieces with the same tokens.
 */
#include "datasets/tokenizer/tokenizer_encode.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/tokenizer_bpe.h"
#include "datasets/tokenizer/tokenizer_make.h"
#include "datasets/tokenizer/tokenizer_normalize.h"
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "datasets/tokenizer/tokenizer_wordpiece.h"
#include "datasets/tokenizer/unicode/unicode.h"

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

/* Returns the longest added token of one pass (late or not) at the start of a text, or NULL. */
static const ls_added *added_at(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late)
{
    for (int i = t->length_first[text[0]]; i < t->length_first[text[0] + 1]; i++) {
        const size_t n = t->add_length[i];
        if (n > bytes) continue;
        for (uint64_t at = XXH3_64bits_withSeed(text, n, late); t->add_slot[at & t->add_mask] >= 0; at++) {
            const ls_added *add = &t->add[t->add_slot[at & t->add_mask]];
            if (add->late == late && add->bytes == n && memcmp(text, add->text, n) == 0) return add;
        }
    }
    return NULL;
}

/* Returns the offset of the last character before `at`, which is not 0. */
static size_t before(const uint8_t *text, size_t at)
{
    do at--;
    while (at > 0 && (text[at] & 0xC0) == 0x80);
    return at;
}

static bool is_word(const ls_tokenizer *t, const uint8_t *text)
{
    uint32_t code;
    ls__utf8_valid_next(text, &code);
    return t->flags[code] & LS_FLAG_WORD;
}

/* Spaces that a normalizer has replaced by marks are no white space. */
static bool is_space(const ls_tokenizer *t, const uint8_t *text, bool late)
{
    uint32_t code;
    ls__utf8_valid_next(text, &code);
    return t->classes[code] == LS_UNICODE_SPACE && !(late && t->rules.marks && code == ' ');
}

/* An added token in a text: text[start .. stop) is cut out, and the search goes on at `next`. */
typedef struct added_match {
    const ls_added *add;
    size_t          start, stop, next;
} added_match;

/* Sets the range of an added token that begins at `at`; `done`: end of the token before it.  False: characters of a
 * word are beside a token that must be a single word. */
static bool set_match(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t at, size_t done, added_match *m)
{
    m->start = at;
    m->stop  = m->next;
    if (m->add->single_word &&
        ((at > 0 && is_word(t, text + before(text, at))) || (m->stop < bytes && is_word(t, text + m->stop))))
        return false;
    while (m->add->lstrip && m->start > done && is_space(t, text + before(text, m->start), m->add->late))
        m->start = before(text, m->start);
    while (m->add->rstrip && m->stop < bytes && is_space(t, text + m->stop, m->add->late))
        for (m->stop++; m->stop < bytes && (text[m->stop] & 0xC0) == 0x80;) m->stop++;
    return true;
}

/* Finds the next added token from m->next on; false: there is none.  plain: skips special tokens, with all text inside
 * them. */
static bool next_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain, size_t done,
                       added_match *m)
{
    const uint8_t first = t->add[0].text[0];
    const bool    alone = t->add_first[first + 1] == t->added; /* all added tokens have one first byte */
    for (size_t i = m->next; i < bytes; i = m->next) {
        if (alone && t->add_first[first] == 0) {
            const uint8_t *next = memchr(text + i, first, bytes - i);
            if (!next) break;
            i = (size_t)(next - text);
        }
        m->add  = added_at(t, text + i, bytes - i, late);
        m->next = i + (m->add ? m->add->bytes : 1);
        if (m->add && !(plain && m->add->special) && set_match(t, text, bytes, i, done, m)) return true;
    }
    return false;
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

/* Receives the tokens of a text. */
typedef struct sink {
    ls_tokens *list;
    ls_tokens *ends; /* (optional) receives the number of tokens up to the end of each word */
    bool       any;  /* a part of the text has been encoded                                  */
} sink;

static ls_status end_word(const sink *to)
{
    if (!to->ends) return LS_OK;
    LS_TRY(ls__tokens_reserve(to->ends, 1));
    to->ends->id[to->ends->count++] = (int32_t)to->list->count;
    return LS_OK;
}

static ls_status encode_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes, const sink *to)
{
    LS_TRY((t->kind == LS_TOKENIZER_WORDPIECE ? ls__wordpiece_word : ls__bpe_word)(t, word, bytes, to->list));
    return end_word(to);
}

static ls_status encode_words(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    for (size_t i = 0, n; i < bytes; i += n) {
        n = t->rules.split == LS_SPLIT_CL100K ? ls__word_cl100k(t->classes, t->rules.digits, text + i, bytes - i)
                                              : ls__word(t->classes, text + i, bytes - i);
        LS_TRY(encode_word(t, text + i, n, to));
    }
    return LS_OK;
}

/* Each digit is a word; the text between digits is split as without them. */
static ls_status encode_digits(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    for (size_t i = 0, start = 0, n; start < bytes; i += n) {
        uint32_t code  = 0;
        n              = i < bytes ? ls__utf8_valid_next(text + i, &code) : 0;
        const bool one = t->flags[code] & LS_FLAG_NUMERIC;
        if (i < bytes && !one) continue;
        LS_TRY(encode_words(t, text + start, i - start, to));
        if (one) LS_TRY(encode_word(t, text + i, n, to));
        start = i + n;
    }
    return LS_OK;
}

static ls_status encode_pieces(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    for (size_t i = 0, n, space; i < bytes; i += n + space) {
        n = ls__wordpiece_next(t, text + i, bytes - i, &space);
        if (n) LS_TRY(encode_word(t, text + i, n, to));
    }
    return LS_OK;
}

/* Words that may end before spaces. */
static ls_status encode_spaced_text(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    for (size_t start = 0, at = 1; start < bytes; at++) {
        const bool cut = at < bytes && text[at] == ' ' && (t->rules.each || (t->rules.free && text[at - 1] != ' '));
        if (at < bytes && !cut) continue;
        LS_TRY(encode_word(t, text + start, at - start, to));
        start = at;
    }
    return LS_OK;
}

/* Replaces marks and puts a space before the text, unless a normalizer has done this already. */
static ls_status encode_spaces(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    const bool prefixed = t->rules.prefix == LS_PREFIX_ALWAYS || (t->rules.prefix == LS_PREFIX_FIRST && !to->any);
    const bool spaced   = text[0] == ' ' || (bytes >= 3 && !memcmp(text, LS_SPACE_MARK, 3));
    ls_string  hold     = {0};
    ls_status  status   = LS_OK;
    if (t->rules.marks) return encode_spaced_text(t, text, bytes, to);
    status = ls__put_spaces(text, bytes, prefixed && !spaced, &hold);
    if (status == LS_OK) status = encode_spaced_text(t, (const uint8_t *)hold.data, hold.bytes, to);
    ls_string_free(&hold);
    return status;
}

static ls_status encode_bpe(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    if (t->rules.split == LS_SPLIT_SPACES) return encode_spaces(t, text, bytes, to);
    return (t->rules.split == LS_SPLIT_DIGITS ? encode_digits : encode_words)(t, text, bytes, to);
}

static ls_status encode_between(const ls_tokenizer *t, const uint8_t *text, size_t bytes, const sink *to)
{
    switch (t->kind) {
    case LS_TOKENIZER_BYTES:
        return encode_bytes(text, bytes, to->list);
    case LS_TOKENIZER_CHARS:
        return encode_chars(t, text, bytes, to->list);
    case LS_TOKENIZER_WORDS:
        return ls__spaced_encode(t, text, bytes, to->list);
    case LS_TOKENIZER_WORDPIECE:
        return encode_pieces(t, text, bytes, to);
    default:
        return encode_bpe(t, text, bytes, to);
    }
}

static ls_status each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                            ls_piece *take, void *context);

/* Passes on the text between two added tokens. */
static ls_status take_between(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                              ls_piece *take, void *context)
{
    ls_string hold[2] = {{0}};
    ls_status status  = late ? LS_OK : ls__normalize(t, &text, &bytes, hold);
    if (status == LS_OK && bytes > 0)
        status = t->late && !late ? each_piece(t, text, bytes, true, plain, take, context)
                                  : take(t, context, text, bytes, NULL);
    for (int i = 0; i < 2; i++) ls_string_free(&hold[i]);
    return status;
}

static ls_status each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain,
                            ls_piece *take, void *context)
{
    added_match m    = {0};
    size_t      done = 0;
    while (t->added && next_added(t, text, bytes, late, plain, done, &m)) {
        if (m.start > done) LS_TRY(take_between(t, text + done, m.start - done, late, plain, take, context));
        LS_TRY(take(t, context, text + m.start, m.stop - m.start, m.add));
        done = m.stop;
    }
    return done < bytes ? take_between(t, text + done, bytes - done, late, plain, take, context) : LS_OK;
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
    sink     *to     = context;
    ls_status status = added ? LS_OK : encode_between(t, text, bytes, to);
    to->any          = true;
    if (!added) return status;
    LS_TRY(ls__tokens_reserve(to->list, 1));
    to->list->id[to->list->count++] = added->id;
    return end_word(to);
}

static ls_status encode(const ls_tokenizer *t, const char *text, size_t bytes, bool plain, ls_tokens *list,
                        ls_tokens *ends)
{
    sink to = {list, ends, false};
    LS_TRY(ls__each_piece(t, (const uint8_t *)text, bytes, plain, &list->replaced, encode_piece, &to));
    return LS_OK;
}

ls_status ls_tokenizer_encode(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    return encode(t, text, bytes, false, list, NULL);
}

ls_status ls_tokenizer_encode_plain(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    return encode(t, text, bytes, true, list, NULL);
}

ls_status ls__encode_words(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list, ls_tokens *ends)
{
    return encode(t, text, bytes, false, list, ends);
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
 * Words of sentencepiece's form end before spaces, if no merge crosses them; there the rest of the text must get no
 * space before it that the whole text lacks.  Kinds words and wordpiece may be cut before and after white space. */

/* True if an added token starts before `at` and may end after it, in this text or with more text.  If the characters
 * beside an added token matter: also if a token may begin or end at `at`. */
static bool cuts_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t at)
{
    const size_t last = at + (t->beside && at < bytes);
    for (size_t i = at > t->add_longest ? at - t->add_longest : 0; i < last; i++)
        for (int k = t->add_first[text[i]]; k < t->add_first[text[i] + 1]; k++) {
            const ls_added *add = &t->add[k];
            const size_t    n   = add->bytes;
            if (i + n + t->beside > at && memcmp(text + i, add->text, n < bytes - i ? n : bytes - i) == 0) return true;
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

/* True for white space that separates words whatever is beside it. */
static bool separates(const ls_tokenizer *t, uint32_t code)
{
    return t->classes[code] == LS_UNICODE_SPACE && !(t->rules.clean && t->flags[code] & LS_FLAG_REMOVED);
}

static bool is_mark(uint32_t code) { return code == ' ' || code == LS_SPACE_CODE; }

/* True if a word of the form of cl100k ends between two characters, given with their classes. */
static bool ends_cl100k(uint32_t left, unsigned x, uint32_t right, unsigned y)
{
    const bool line = left == '\n' || left == '\r', next_line = right == '\n' || right == '\r';
    switch (x) {
    case LS_UNICODE_SPACE:
        return line && y != LS_UNICODE_SPACE;
    case LS_UNICODE_OTHER:
        return y == LS_UNICODE_NUMBER || (y == LS_UNICODE_SPACE && !next_line);
    default:
        return x != y;
    }
}

/* True if a word ends at `at`; the last character before it starts at `before`.  At the end of the text: whatever
 * follows. */
static bool ends_word(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t before, size_t at)
{
    const bool spaced = t->kind == LS_TOKENIZER_WORDS || t->kind == LS_TOKENIZER_WORDPIECE;
    uint32_t   left, right;
    if (first_of(text + before, at - before, &left) < at - before) left = LS_UNICODE_REPLACEMENT;
    if (at == bytes) return spaced && separates(t, left);
    first_of(text + at, bytes - at, &right);
    unsigned x = t->classes[left], y = t->classes[right];
    if (spaced) return separates(t, left) || separates(t, right);
    if (t->lowercase && left == LS_DOTTED_I) return false; /* becomes two characters, and the second is no letter */
    if (t->rules.nfc && (t->flags[left] | t->flags[right]) & (LS_FLAG_JOINS | LS_FLAG_CHANGES)) return false;
    if (t->rules.split == LS_SPLIT_SPACES)
        return (t->rules.each || t->rules.free) && !t->rules.prepend && is_mark(right) && !is_mark(left);
    if (t->rules.split == LS_SPLIT_CL100K) return ends_cl100k(left, x, right, y);
    return x != LS_UNICODE_SPACE && x != y && (left != '\'' || y != LS_UNICODE_LETTER);
}

/* True if a cut at `at` splits no added token, and changes nothing beside one. */
static bool keeps_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t before, size_t at)
{
    uint32_t left;
    if (t->late && ls__normalizes(t)) return false; /* added tokens are searched in another text */
    first_of(text + before, at - before, &left);
    return !(t->beside && t->classes[left] == LS_UNICODE_SPACE) && !cuts_added(t, text, bytes, at);
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
        if (good && keeps_added(t, text, bytes, before, at)) break;
    }
    return at;
}

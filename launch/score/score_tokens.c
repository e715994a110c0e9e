/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizers of BLEU.
 *
 *     13a    mteval-v13a.pl of NIST, for languages in Latin script
 *     intl   mteval-v14.pl of NIST with --international-tokenization: punctuation and symbols of Unicode
 *     none   words are separated by white space already
 *     char   a word per character
 *
 * 13a and intl are short lists of regular expressions that are applied one after the other.  Each matches one character
 * or two, so a rule is two predicates and a layout.  As in a regular expression, matches are found from left to right
 * and do not overlap: the second character of a match cannot begin another one.
 */
#include "launch/score/score_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/tokenizer/growable.h"
#include "launch/score/score_unicode.h"

const char *const ls__score_tokenizer_texts[] = LS_ENUM_TEXTS(LS_SCORE_TOKENIZER_LIST);

/* ---- predicates -------------------------------------------------------------------------------------------------- */

static bool has(int32_t c, int property) { return ls__char_properties()[c] & property; }

static bool is_any(int32_t c) { return c >= 0; }
static bool is_digit(int32_t c) { return c >= '0' && c <= '9'; }
static bool is_not_digit(int32_t c) { return !is_digit(c); }
static bool is_dash(int32_t c) { return c == '-'; }
static bool is_period_or_comma(int32_t c) { return c == '.' || c == ','; }
/* ASCII punctuation and symbols but ' , - . */
static bool is_13a_mark(int32_t c)
{
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
           (c >= ':' && c <= '@') || c == '/';
}
static bool is_number(int32_t c) { return has(c, LS_CHAR_NUMBER); }
static bool is_not_number(int32_t c) { return !is_number(c); }
static bool is_punctuation(int32_t c) { return has(c, LS_CHAR_PUNCTUATION); }
static bool is_symbol(int32_t c) { return has(c, LS_CHAR_SYMBOL); }
static bool is_space(int32_t c) { return has(c, LS_CHAR_SPACE); }

/* ---- rules ------------------------------------------------------------------------------------------------------- */

typedef struct rule {
    bool (*first)(int32_t c);
    bool (*second)(int32_t c); /* NULL: the rule matches one character */
    const char *layout;        /* replacement; 1, 2: the matched characters */
} rule;

static const rule rules_13a[] = {{is_13a_mark, NULL, " 1 "},
                                 {is_not_digit, is_period_or_comma, "1 2 "},
                                 {is_period_or_comma, is_not_digit, " 1 2"},
                                 {is_digit, is_dash, "1 2 "},
                                 {0}};

static const rule rules_intl[] = {
    {is_not_number, is_punctuation, "1 2 "}, {is_punctuation, is_not_number, " 1 2"}, {is_symbol, NULL, " 1 "}, {0}};

static const rule rules_char[] = {{is_any, NULL, "1 "}, {0}};

static void swap(ls_tokens *a, ls_tokens *b)
{
    ls_tokens other = *a;
    *a              = *b;
    *b              = other;
}

static ls_status apply(const rule *r, ls_tokens *text, ls_tokens *spare)
{
    spare->count = 0;
    LS_TRY(ls__tokens_reserve(spare, 3 * text->count)); /* at most " 1 " for one character */
    int32_t *out = spare->id;
    for (int64_t i = 0; i < text->count;) {
        const int32_t *c    = text->id + i;
        int64_t        most = text->count - i;
        if (!r->first(c[0]) || (r->second && (most < 2 || !r->second(c[1])))) {
            *out++ = *c;
            i++;
            continue;
        }
        for (const char *l = r->layout; *l; l++) *out++ = *l == '1' ? c[0] : *l == '2' ? c[1] : ' ';
        i += r->second ? 2 : 1;
    }
    spare->count = out - spare->id;
    swap(text, spare);
    return LS_OK;
}

/* Replaces each occurrence of `from`, from left to right, by the shorter text `to`. */
static void replace(ls_tokens *text, const char *from, const char *to)
{
    int64_t length = (int64_t)strlen(from), end = 0;
    for (int64_t i = 0; i < text->count;) {
        int64_t same = 0;
        while (same < length && i + same < text->count && text->id[i + same] == from[same]) same++;
        if (same < length)
            text->id[end++] = text->id[i++];
        else {
            for (const char *t = to; *t; t++) text->id[end++] = *t;
            i += length;
        }
    }
    text->count = end;
}

/* The steps before the rules of 13a.  They put a space on either side, so that a mark at an end is a mark between. */
static ls_status prepare_13a(ls_tokens *text)
{
    static const char *const replaced[][2] = {{"<skipped>", ""}, {"-\n", ""},   {"\n", " "},  {"&quot;", "\""},
                                              {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"}};
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) replace(text, replaced[i][0], replaced[i][1]);
    LS_TRY(ls__tokens_reserve(text, 2));
    if (text->count) memmove(text->id + 1, text->id, (size_t)text->count * sizeof *text->id);
    text->id[0] = text->id[text->count + 1] = ' ';
    text->count += 2;
    return LS_OK;
}

ls_status ls__score_tokenize(ls_tokens *text, ls_tokens *spare, ls_score_tokenizer tokenizer)
{
    static const rule *const rules[] = {
        [LS_SCORE_13A] = rules_13a, [LS_SCORE_INTL] = rules_intl, [LS_SCORE_NONE] = NULL, [LS_SCORE_CHAR] = rules_char};
    if (tokenizer == LS_SCORE_13A) LS_TRY(prepare_13a(text));
    for (const rule *r = rules[tokenizer]; r && r->first; r++) LS_TRY(apply(r, text, spare));
    return LS_OK;
}

/* ---- characters and words ---------------------------------------------------------------------------------------- */

ls_status ls__score_decode(ls_tokens *text, const char *utf8, size_t bytes)
{
    text->count = 0;
    LS_TRY(ls__tokens_reserve(text, (int64_t)bytes + 1));
    for (size_t i = 0; i < bytes;) {
        uint32_t code;
        i += ls__utf8_valid_next((const uint8_t *)utf8 + i, &code);
        text->id[text->count++] = (int32_t)code;
    }
    while (text->count && is_space(text->id[text->count - 1])) text->count--;
    return LS_OK;
}

void ls__score_squeeze(ls_tokens *text)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < text->count; i++)
        if (!is_space(text->id[i])) text->id[kept++] = text->id[i];
    text->count = kept;
}

static ls_status append(ls_score_words *w, const int32_t *at, int64_t length)
{
    if (w->count == w->room) {
        int64_t        room = w->room ? 2 * w->room : 64;
        ls_score_word *word = realloc(w->word, (size_t)room * sizeof *word);
        LS_CHECK(word, LS_ERR_ENV, "sentence: out of memory for %lld words", (long long)room);
        w->word = word;
        w->room = room;
    }
    w->word[w->count++] = (ls_score_word){at, length};
    return LS_OK;
}

/* ASCII punctuation: Python's string.punctuation. */
static bool is_ascii_mark(int32_t c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static ls_status append_split(ls_score_words *w, const int32_t *at, int64_t length)
{
    if (length > 1 && is_ascii_mark(at[length - 1])) {
        LS_TRY(append(w, at, length - 1));
        return append(w, at + length - 1, 1);
    }
    if (length > 1 && is_ascii_mark(at[0])) {
        LS_TRY(append(w, at, 1));
        return append(w, at + 1, length - 1);
    }
    return append(w, at, length);
}

ls_status ls__score_split(ls_score_words *words, const int32_t *text, int64_t count, bool split_marks)
{
    for (int64_t i = 0, start; i < count;) {
        while (i < count && is_space(text[i])) i++;
        for (start = i; i < count && !is_space(text[i]);) i++;
        if (i > start) LS_TRY((split_marks ? append_split : append)(words, text + start, i - start));
    }
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Kind words: tokens are separated by white space (Unicode's property White_Space).  A word without a token becomes
 * <unk>.  A newline character becomes <eos>, as in PyTorch's example of a word language model.
 *
 * The text of a token ends with a space, so that the texts of a sequence of tokens, put together, are a text; the text
 * of <eos> is a newline.
 */
#include "datasets/tokenizer/tokenizer_spaced.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode/unicode.h"

enum { UNKNOWN, END, FIRST_WORD }; /* ids of a learned vocabulary */

const char *ls__spaced_word(const ls_tokenizer *t, int32_t id, size_t *bytes)
{
    const char *text = ls_tokenizer_token(t, id, bytes);
    if (id == t->end) {
        *bytes = strlen(LS_END_WORD);
        return LS_END_WORD;
    }
    *bytes -= 1; /* the space */
    return text;
}

/* Returns the slot of a word; empty (-1) if it has no token. */
static const int32_t *find(const ls_tokenizer *t, const void *word, size_t bytes)
{
    for (uint64_t i = XXH3_64bits(word, bytes);; i++) {
        const int32_t *slot = &t->word[i & t->word_mask];
        size_t         n;
        if (*slot < 0) return slot;
        const char *there = ls__spaced_word(t, *slot, &n);
        if (n == bytes && memcmp(there, word, bytes) == 0) return slot;
    }
}

void ls__spaced_table(ls_tokenizer *t)
{
    uint64_t slots = 64;
    while (slots < 2 * (uint64_t)t->size) slots *= 2;
    int32_t *word = ls_arena_alloc(t->arena, slots * sizeof *word);
    for (uint64_t i = 0; i < slots; i++) word[i] = -1;
    t->word      = word;
    t->word_mask = slots - 1;
    for (int32_t id = 0; id < t->size; id++) {
        size_t      bytes;
        const char *text                  = ls__spaced_word(t, id, &bytes);
        word[find(t, text, bytes) - word] = id;
    }
}

/* Finds the next word of a text from *at on, or the next newline character, for which *word is NULL.  False at the end
 * of the text. */
static bool next_word(const uint8_t *classes, const uint8_t *text, size_t bytes, size_t *at, const uint8_t **word,
                      size_t *length)
{
    size_t start = *at;
    while (*at < bytes) {
        uint32_t     code;
        const size_t n = ls__utf8_valid_next(text + *at, &code);
        if (classes[code] == LS_UNICODE_SPACE) {
            if (*at > start) break;
            start = *at += n;
            if (code != '\n') continue;
            *word = NULL;
            return true;
        }
        *at += n;
    }
    *word   = text + start;
    *length = *at - start;
    return *length > 0;
}

ls_status ls__spaced_encode(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list)
{
    const uint8_t *word;
    size_t         length;
    for (size_t at = 0; next_word(t->classes, text, bytes, &at, &word, &length);) {
        const int32_t id = word ? *find(t, word, length) : t->end;
        LS_TRY(ls__tokens_reserve(list, 1));
        list->id[list->count++] = id < 0 ? t->unknown : id;
    }
    return LS_OK;
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

/* Words that are too long or contain a zero byte, which a file cannot express, remain unknown; <unk> and <eos> are
 * tokens already. */
static bool can_be_learned(const uint8_t *word, size_t bytes)
{
    return bytes <= LS_MAX_WORD && !memchr(word, 0, bytes) &&
           !(bytes == strlen(LS_UNKNOWN_WORD) && !memcmp(word, LS_UNKNOWN_WORD, bytes)) &&
           !(bytes == strlen(LS_END_WORD) && !memcmp(word, LS_END_WORD, bytes));
}

ls_status ls__spaced_count(ls_words *words, const uint8_t *classes, const uint8_t *text, size_t bytes)
{
    const uint8_t *word;
    size_t         length;
    for (size_t at = 0; next_word(classes, text, bytes, &at, &word, &length);)
        if (word && can_be_learned(word, length)) LS_TRY(ls__words_count(words, word, length));
    return LS_OK;
}

static int by_count(const void *x, const void *y, void *text)
{
    const ls_word_count *p = x, *q = y;
    if (p->count != q->count) return p->count > q->count ? -1 : 1;
    const int order =
        memcmp((const char *)text + p->at, (const char *)text + q->at, p->bytes < q->bytes ? p->bytes : q->bytes);
    return order ? order : p->bytes < q->bytes ? -1 : p->bytes > q->bytes;
}

static void add(ls_learned *learned, const void *text, size_t bytes, char end)
{
    uint64_t at = learned->at[learned->size];
    memcpy(learned->text + at, text, bytes);
    learned->text[at + bytes]    = (uint8_t)end;
    learned->at[++learned->size] = at + bytes + 1;
}

void ls__spaced_learn(const ls_words *words, int32_t size, int64_t min_count, ls_arena *memory, ls_learned *learned)
{
    int64_t n = 0, limit = size ? size - FIRST_WORD : words->words;
    if (words->words) qsort_r(words->word, (size_t)words->words, sizeof *words->word, by_count, words->text);
    while (n < words->words && n < limit && words->word[n].count >= min_count) n++;
    *learned = (ls_learned){.text = ls_arena_alloc(memory, words->bytes + (uint64_t)n + 16),
                            .at   = ls_arena_alloc(memory, (size_t)(n + FIRST_WORD + 1) * sizeof *learned->at)};
    add(learned, LS_UNKNOWN_WORD, strlen(LS_UNKNOWN_WORD), ' ');
    add(learned, "", 0, '\n');
    for (int64_t i = 0; i < n; i++) add(learned, words->text + words->word[i].at, words->word[i].bytes, ' ');
}

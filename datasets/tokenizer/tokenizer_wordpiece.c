/* SPDX-License-Identifier: Apache-2.0
 *
 * Kind wordpiece (Schuster and Nakajima 2012, as in BERT): a word is split into the longest piece of the vocabulary
 * that it begins with, then the longest one that continues it ("##ing" in the file), and so on.  A word that cannot be
 * split, or has too many characters, is one unknown token.
 *
 * Words are separated by white space; a punctuation character is a word.  The text of a token that begins a word starts
 * with a space, so that the texts of a sequence of tokens, put together, are a text.
 */
#include "datasets/tokenizer/tokenizer_wordpiece.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode/unicode.h"

/* Bytes of a token's text before its piece, and whether the piece continues a word. */
static const struct {
    uint8_t skip;
    bool    continues;
} form[] = {[LS_PIECE_STARTS]        = {1, false},
            [LS_PIECE_CONTINUES]     = {0, true},
            [LS_PIECE_RAW]           = {0, false},
            [LS_PIECE_RAW_CONTINUES] = {sizeof LS_CONTINUES - 1, true}};

static const uint8_t *piece_of(const ls_tokenizer *t, int32_t id, size_t *bytes)
{
    const uint8_t skip = form[t->piece[id]].skip;
    *bytes             = (size_t)(t->at[id + 1] - t->at[id]) - skip;
    return t->text + t->at[id] + skip;
}

/* Returns the slot of a piece; empty (-1) if it has no token. */
static const int32_t *find(const ls_tokenizer *t, const uint8_t *piece, size_t bytes, bool continues)
{
    for (uint64_t i = XXH3_64bits_withSeed(piece, bytes, continues);; i++) {
        const int32_t *slot = &t->word[i & t->word_mask];
        size_t         n;
        if (*slot < 0) return slot;
        const uint8_t *there = piece_of(t, *slot, &n);
        if (n == bytes && form[t->piece[*slot]].continues == continues && memcmp(there, piece, bytes) == 0) return slot;
    }
}

void ls__wordpiece_table(ls_tokenizer *t)
{
    uint64_t slots = 64;
    while (slots < 2 * (uint64_t)t->size) slots *= 2;
    int32_t *word = ls_arena_alloc(t->arena, slots * sizeof *word);
    for (uint64_t i = 0; i < slots; i++) word[i] = -1;
    t->word      = word;
    t->word_mask = slots - 1;
    for (int32_t id = 0; id < t->size; id++) {
        size_t bytes;
        if (t->piece[id] == LS_PIECE_NONE) continue;
        const uint8_t *text                                             = piece_of(t, id, &bytes);
        word[find(t, text, bytes, form[t->piece[id]].continues) - word] = id;
        if (bytes > t->longest_piece) t->longest_piece = bytes;
    }
}

size_t ls__wordpiece_next(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t *space)
{
    *space = 0;
    for (size_t at = 0, n; at < bytes; at += n) {
        uint32_t code;
        n                = ls__utf8_valid_next(text + at, &code);
        const bool blank = t->classes[code] == LS_UNICODE_SPACE, sign = t->flags[code] & LS_FLAG_PUNCTUATION;
        if (at == 0 && blank) *space = n;
        if (blank || (sign && at > 0)) return at;
        if (sign) return n;
    }
    return bytes;
}

static size_t count_characters(const uint8_t *text, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += (text[i] & 0xC0) != 0x80;
    return n;
}

ls_status ls__wordpiece_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes, ls_tokens *list)
{
    const int64_t first = list->count;
    bool          whole = count_characters(word, bytes) <= t->max_word;
    LS_TRY(ls__tokens_reserve(list, whole ? (int64_t)bytes + 1 : 1));
    for (size_t start = 0, end; start < bytes && whole; start = end) {
        int32_t id = -1;
        end        = bytes - start > t->longest_piece ? start + t->longest_piece : bytes;
        while (end < bytes && end > start && (word[end] & 0xC0) == 0x80) end--;
        while (end > start && (id = *find(t, word + start, end - start, start > 0)) < 0)
            for (end--; end > start && (word[end] & 0xC0) == 0x80;) end--;
        whole                   = id >= 0;
        list->id[list->count++] = id;
    }
    if (whole) return LS_OK;
    list->count             = first;
    list->id[list->count++] = t->unknown;
    return LS_OK;
}

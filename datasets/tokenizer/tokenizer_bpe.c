/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-pair encoding of one word (Sennrich et al. 2016; on bytes: Radford et al. 2019).
 *
 * A word starts as one token per byte; a byte without a token is left out, as in Hugging Face's library.  With the
 * words of LS_SPLIT_SPACES it starts as one token per character, or its bytes if the character has none.  Among all
 * neighbours with a merge, the pair of lowest rank is merged, the leftmost first, until no neighbours have a merge.
 * Three implementations give this result:
 *
 *   lookup        a hash table of the tokens that are the result of merging their own text: most words of natural text
 *   short words   an array with the rank of each pair, searched for the smallest: O(n^2), within a few cache lines
 *   long words    a heap of pairs, ordered by rank and position: O(n log n).  An entry is stale, and is skipped, if the
 *                 neighbours at its position do not give its result
 */
#include "datasets/tokenizer/tokenizer_bpe.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode/unicode.h"

enum { NONE = INT32_MAX, SHORT = 64 };

/* ---- the table of characters ------------------------------------------------------------------------------------- */

static uint64_t char_slot(uint32_t code) { return (code * UINT64_C(0x9E3779B97F4A7C15)) >> 32; }

int32_t ls__char_token(const ls_tokenizer *t, uint32_t code)
{
    for (uint64_t i = char_slot(code);; i++) {
        const ls_char *c = &t->chars[i & t->char_mask];
        if (c->id < 0 || c->code == code) return c->id;
    }
}

void ls__char_table(ls_tokenizer *t)
{
    uint64_t room = 64;
    while (room < 2 * (uint64_t)t->size) room *= 2;
    ls_char *chars = ls_arena_alloc(t->arena, room * sizeof *chars);
    for (uint64_t i = 0; i < room; i++) chars[i].id = -1;
    t->chars     = chars;
    t->char_mask = room - 1;
    for (int32_t id = 0; id < t->size; id++) {
        uint32_t code;
        size_t   bytes = t->at[id + 1] - t->at[id];
        if (t->piece && t->piece[id] == LS_PIECE_NONE) continue;
        if (ls__utf8_next(t->text + t->at[id], bytes, &code) != bytes || ls__char_token(t, code) >= 0)
            continue; /* an added token of several characters */
        uint64_t i = char_slot(code);
        while (chars[i & t->char_mask].id >= 0) i++;
        chars[i & t->char_mask] = (ls_char){code, id};
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static inline uint64_t pair_slot(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 32;
}

static inline const ls_merge_slot *find_pair(const ls_tokenizer *t, int32_t left, int32_t right)
{
    for (uint64_t i = pair_slot(left, right);; i++) {
        const ls_merge_slot *p = &t->pair[i & t->pair_mask];
        if (p->left == left && p->right == right) return p;
        if (p->left < 0) return NULL;
    }
}

static inline int32_t rank_of(const ls_tokenizer *t, int32_t left, int32_t right)
{
    const ls_merge_slot *p = find_pair(t, left, right);
    return p ? p->rank : NONE;
}

static int32_t find_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes)
{
    for (uint64_t i = XXH3_64bits(word, bytes);; i++) {
        int32_t id = t->word[i & t->word_mask];
        if (id < 0) return -1;
        if (t->at[id + 1] - t->at[id] == bytes && memcmp(t->text + t->at[id], word, bytes) == 0) return id;
    }
}

static uint64_t power_above(uint64_t n)
{
    uint64_t power = 16;
    while (power < n) power *= 2;
    return power;
}

/* ---- short words ------------------------------------------------------------------------------------------------- */

/* Writes the tokens that the character or byte at the start of a word begins as, at most 4, to id; *n: their number.
 * Returns its length in bytes. */
static size_t first_tokens(const ls_tokenizer *t, const uint8_t *word, int32_t id[4], int *n)
{
    uint32_t code;
    size_t   bytes = 1;
    *n             = 0;
    if (t->rules.split == LS_SPLIT_SPACES) {
        bytes = ls__utf8_valid_next(word, &code);
        id[0] = ls__char_token(t, code);
        *n    = id[0] >= 0;
    }
    for (size_t i = 0; *n == 0 && i < bytes; i++) id[i] = t->byte[word[i]];
    if (*n == 0) *n = bytes == 1 ? id[0] >= 0 : (int)bytes;
    return bytes;
}

static int merge_short(const ls_tokenizer *t, const uint8_t *word, int n, int32_t *id)
{
    int32_t   rank[SHORT];
    const int bytes = n;
    n               = 0;
    for (int i = 0; i < bytes;) {
        int32_t first[4];
        int     count;
        i += (int)first_tokens(t, word + i, first, &count);
        for (int k = 0; k < count; k++) id[n++] = first[k];
    }
    for (int i = 0; i + 1 < n; i++) rank[i] = rank_of(t, id[i], id[i + 1]);
    while (n > 1) {
        int best = 0;
        for (int i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NONE) break;
        id[best] = t->merge[rank[best]].result;
        n--;
        memmove(id + best + 1, id + best + 2, (size_t)(n - best - 1) * sizeof *id);
        memmove(rank + best, rank + best + 1, (size_t)(n - best - 1) * sizeof *rank);
        if (best > 0) rank[best - 1] = rank_of(t, id[best - 1], id[best]);
        if (best + 1 < n) rank[best] = rank_of(t, id[best], id[best + 1]);
    }
    return n;
}

/* ---- long words -------------------------------------------------------------------------------------------------- */

typedef struct symbol {
    int32_t id;           /* -1: merged into the symbol before */
    int32_t before, next; /* indices of the neighbours; -1: none */
} symbol;

typedef struct candidate {
    int32_t rank, result, at;
} candidate;

typedef struct heap {
    candidate *item;
    size_t     count;
} heap;

static bool before(const candidate *x, const candidate *y)
{
    return x->rank != y->rank ? x->rank < y->rank : x->at < y->at;
}

static void push(heap *h, candidate c)
{
    size_t i = h->count++;
    for (; i > 0 && before(&c, &h->item[(i - 1) / 2]); i = (i - 1) / 2) h->item[i] = h->item[(i - 1) / 2];
    h->item[i] = c;
}

static candidate pop(heap *h)
{
    candidate top = h->item[0], last = h->item[--h->count];
    size_t    i = 0;
    for (size_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && before(&h->item[child + 1], &h->item[child])) child++;
        if (!before(&h->item[child], &last)) break;
        h->item[i] = h->item[child];
    }
    h->item[i] = last;
    return top;
}

static void push_pair(const ls_tokenizer *t, heap *h, const symbol *s, int32_t at)
{
    const ls_merge_slot *p = at >= 0 && s[at].next >= 0 ? find_pair(t, s[at].id, s[s[at].next].id) : NULL;
    if (p) push(h, (candidate){p->rank, p->result, at});
}

static ls_status merge_long(const ls_tokenizer *t, const uint8_t *word, size_t n, ls_tokens *list)
{
    /* The heap starts with n - 1 pairs; each of at most n - 1 merges removes one and adds at most two. */
    symbol *s = n < INT32_MAX ? malloc(n * sizeof *s) : NULL;
    heap    h = {s ? malloc(2 * n * sizeof *h.item) : NULL, 0};
    if (!s || !h.item) {
        free(s);
        return LS_FAIL(LS_ERR_ENV,
                       "bpe: out of memory for a word of %zu bytes" LS_HINT
                       "put white space into the text, so that it has shorter words",
                       n);
    }
    int32_t last = -1;
    for (size_t i = 0; i < n;) {
        int32_t first[4];
        int     count;
        i += first_tokens(t, word + i, first, &count);
        for (int k = 0; k < count; k++) {
            last++;
            s[last] = (symbol){first[k], last - 1, last + 1};
        }
    }
    if (last >= 0) s[last].next = -1;
    for (int32_t i = 0; i < last; i++) push_pair(t, &h, s, i);
    while (h.count) {
        candidate            c    = pop(&h);
        int32_t              next = s[c.at].next;
        const ls_merge_slot *p    = s[c.at].id >= 0 && next >= 0 ? find_pair(t, s[c.at].id, s[next].id) : NULL;
        if (!p || p->result != c.result) continue;
        s[c.at].id   = c.result;
        s[c.at].next = s[next].next;
        s[next].id   = -1;
        if (s[next].next >= 0) s[s[next].next].before = c.at;
        push_pair(t, &h, s, s[c.at].before);
        push_pair(t, &h, s, c.at);
    }
    for (int32_t i = last >= 0 ? 0 : -1; i >= 0; i = s[i].next) list->id[list->count++] = s[i].id;
    free(s);
    free(h.item);
    return LS_OK;
}

/* ---- words of any length ----------------------------------------------------------------------------------------- */

ls_status ls__bpe_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes, ls_tokens *list)
{
    int32_t id[SHORT];
    LS_TRY(ls__tokens_reserve(list, (int64_t)bytes));
    int32_t known = bytes <= SHORT || t->rules.whole ? find_word(t, word, bytes) : -1;
    if (known >= 0) {
        list->id[list->count++] = known;
        return LS_OK;
    }
    if (bytes > SHORT) return merge_long(t, word, bytes, list);
    int n = merge_short(t, word, (int)bytes, id);
    memcpy(list->id + list->count, id, (size_t)n * sizeof *id);
    list->count += n;
    return LS_OK;
}

/* True if a word with the text of this token is the token: merging gives it, or the vocabulary has it and that is
 * enough.  <|endoftext|> is a token, but not the encoding of its text. */
static bool is_whole(const ls_tokenizer *t, int32_t id)
{
    int32_t        tokens[SHORT];
    const uint8_t *text  = t->text + t->at[id];
    const size_t   bytes = t->at[id + 1] - t->at[id];
    if (t->piece && t->piece[id] == LS_PIECE_NONE) return false;
    return t->rules.whole || (bytes <= SHORT && merge_short(t, text, (int)bytes, tokens) == 1 && tokens[0] == id);
}

static void fill_words(ls_tokenizer *t, int32_t *table)
{
    for (int32_t id = 0; id < t->size; id++) {
        const uint8_t *text  = t->text + t->at[id];
        const size_t   bytes = t->at[id + 1] - t->at[id];
        if (!is_whole(t, id)) continue;
        uint64_t i = XXH3_64bits(text, bytes);
        while (table[i & t->word_mask] >= 0) i++;
        table[i & t->word_mask] = id;
    }
}

void ls__bpe_tables(ls_tokenizer *t, const int32_t byte[256])
{
    uint64_t       pairs = power_above(2 * (uint64_t)t->merges + 2), words = power_above(2 * (uint64_t)t->size + 2);
    ls_merge_slot *pair = ls_arena_alloc(t->arena, pairs * sizeof *pair);
    int32_t       *word = ls_arena_alloc(t->arena, words * sizeof *word);
    memcpy(t->byte, byte, sizeof t->byte);
    for (uint64_t i = 0; i < pairs; i++) pair[i].left = -1;
    for (uint64_t i = 0; i < words; i++) word[i] = -1;
    t->pair      = pair;
    t->pair_mask = pairs - 1;
    t->word      = word;
    t->word_mask = words - 1;
    for (int64_t m = 0; m < t->merges; m++) {
        uint64_t i = pair_slot(t->merge[m].left, t->merge[m].right);
        while (pair[i & t->pair_mask].left >= 0) i++;
        pair[i & t->pair_mask] = (ls_merge_slot){t->merge[m].left, t->merge[m].right, (int32_t)m, t->merge[m].result};
    }
    fill_words(t, word);
}

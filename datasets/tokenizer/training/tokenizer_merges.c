/* SPDX-License-Identifier: Apache-2.0
 *
 * Learns merges (Sennrich et al. 2016, algorithm 1) with the results of Hugging Face's BpeTrainer: the most frequent
 * pair of neighbours in the words becomes one token, and this repeats.  Of equally frequent pairs, the one with the
 * smaller token ids goes first.
 *
 * The counts of pairs are updated incrementally.  Each pair has a list of the words that contain it, or contained it
 * earlier, and a merge visits only these words.  A priority queue (a heap) has an entry for each increase of a pair's
 * count.  Counts also decrease, so an entry is compared with the current count of its pair when it is popped, and is
 * pushed again with that count if they differ.
 */
#include "datasets/tokenizer/training/tokenizer_merges.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

typedef struct pair {
    int32_t   left, right;
    int64_t   count;
    uint32_t *word; /* indices of the words that may contain the pair */
    uint32_t  words, room, last;
    bool      grew, merged;
} pair;

typedef struct entry {
    int64_t  count;
    uint32_t pair;
} entry;

typedef struct learner {
    const ls_words *words;
    int32_t        *symbol; /* tokens of all words; word i starts at the offset of its text */
    uint32_t       *length; /* length of each word, in tokens                      */
    pair           *pairs;
    uint32_t       *slot; /* hash table: index of a pair + 1; 0: empty           */
    int64_t         count, room, slots;
    entry          *heap;
    int64_t         heaped, heap_room;
    uint32_t       *grown; /* pairs whose count the current merge increased       */
    int64_t         grew, grown_room;
    ls_learned     *out;
    int32_t        *token; /* hash table of tokens by their text; -1: empty       */
    uint64_t        token_mask, text_room;
    bool            failed; /* out of memory                                       */
} learner;

/* Makes room for one more element; false if out of memory. */
static bool grow(void **array, int64_t count, int64_t *room, size_t size)
{
    if (count < *room) return true;
    int64_t more = *room ? 2 * *room : 256;
    void   *data = realloc(*array, (size_t)more * size);
    if (!data) return false;
    *array = data;
    *room  = more;
    return true;
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static uint64_t hash_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 32;
}

static bool rehash(learner *l)
{
    int64_t   slots = l->slots ? 2 * l->slots : 1024;
    uint32_t *slot  = calloc((size_t)slots, sizeof *slot);
    if (!slot) return false;
    for (int64_t i = 0; i < l->count; i++) {
        uint64_t h = hash_pair(l->pairs[i].left, l->pairs[i].right);
        while (slot[h & (uint64_t)(slots - 1)]) h++;
        slot[h & (uint64_t)(slots - 1)] = (uint32_t)i + 1;
    }
    free(l->slot);
    l->slot  = slot;
    l->slots = slots;
    return true;
}

/* Finds or adds a pair; NULL if out of memory. */
static pair *get_pair(learner *l, int32_t left, int32_t right)
{
    if (2 * (l->count + 1) > l->slots && !rehash(l)) return NULL;
    for (uint64_t h = hash_pair(left, right);; h++) {
        uint32_t *slot = &l->slot[h & (uint64_t)(l->slots - 1)];
        if (*slot && l->pairs[*slot - 1].left == left && l->pairs[*slot - 1].right == right)
            return &l->pairs[*slot - 1];
        if (*slot) continue;
        if (l->count == UINT32_MAX - 1 || !grow((void **)&l->pairs, l->count, &l->room, sizeof *l->pairs)) return NULL;
        l->pairs[l->count] = (pair){.left = left, .right = right, .last = UINT32_MAX};
        *slot              = (uint32_t)++l->count;
        return &l->pairs[l->count - 1];
    }
}

static bool before(const learner *l, entry x, entry y)
{
    const pair *p = &l->pairs[x.pair], *q = &l->pairs[y.pair];
    if (x.count != y.count) return x.count > y.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void push(learner *l, uint32_t p)
{
    entry   e = {l->pairs[p].count, p};
    int64_t i = l->heaped;
    if (!grow((void **)&l->heap, i, &l->heap_room, sizeof *l->heap)) {
        l->failed = true;
        return;
    }
    l->heaped++;
    for (; i > 0 && before(l, e, l->heap[(i - 1) / 2]); i = (i - 1) / 2) l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = e;
}

static entry pop(learner *l)
{
    entry   top = l->heap[0], last = l->heap[--l->heaped];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < l->heaped; i = child) {
        if (child + 1 < l->heaped && before(l, l->heap[child + 1], l->heap[child])) child++;
        if (!before(l, l->heap[child], last)) break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = last;
    return top;
}

/* Adds `times`, which may be negative, to the count of a pair, for its occurrence in a word. */
static void change(learner *l, int32_t left, int32_t right, uint32_t word, int64_t times)
{
    pair *p = get_pair(l, left, right);
    if (!p) {
        l->failed = true;
        return;
    }
    p->count += times;
    if (times < 0) return;
    if (!p->grew) {
        if (!grow((void **)&l->grown, l->grew, &l->grown_room, sizeof *l->grown)) {
            l->failed = true;
            return;
        }
        l->grown[l->grew++] = (uint32_t)(p - l->pairs);
        p->grew             = true;
    }
    if (p->last == word) return;
    p->last = word;
    if (p->words == p->room) {
        uint32_t  room = p->room ? p->room + p->room / 2 + 1 : 2;
        uint32_t *more = realloc(p->word, room * sizeof *more);
        if (!more) {
            l->failed = true;
            return;
        }
        p->word = more;
        p->room = room;
    }
    p->word[p->words++] = word;
}

static void push_grown(learner *l)
{
    for (int64_t i = 0; i < l->grew; i++) {
        pair *p = &l->pairs[l->grown[i]];
        p->grew = false;
        p->last = UINT32_MAX;
        if (p->count > 0) push(l, l->grown[i]);
    }
    l->grew = 0;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* Finds or adds the token with the text of two tokens; -1 if out of memory. */
static int32_t get_token(learner *l, int32_t left, int32_t right)
{
    ls_learned *out = l->out;
    uint64_t n = out->at[left + 1] - out->at[left], m = out->at[right + 1] - out->at[right], end = out->at[out->size];
    if (end + n + m > l->text_room) {
        uint64_t room = 2 * (end + n + m);
        uint8_t *text = realloc(out->text, room);
        if (!text) return -1;
        out->text    = text;
        l->text_room = room;
    }
    memcpy(out->text + end, out->text + out->at[left], n);
    memcpy(out->text + end + n, out->text + out->at[right], m);
    for (uint64_t h = XXH3_64bits(out->text + end, n + m);; h++) {
        int32_t *id = &l->token[h & l->token_mask];
        if (*id < 0) {
            *id                  = out->size;
            out->at[++out->size] = end + n + m;
            return *id;
        }
        if (out->at[*id + 1] - out->at[*id] == n + m && memcmp(out->text + out->at[*id], out->text + end, n + m) == 0)
            return *id;
    }
}

static bool start_tokens(learner *l, int32_t size, const uint8_t byte_of[256])
{
    uint64_t slots = 1024;
    while (slots < 2 * (uint64_t)size) slots *= 2;
    l->token      = malloc(slots * sizeof *l->token);
    l->out->text  = malloc(256);
    l->text_room  = 256;
    l->token_mask = slots - 1;
    if (!l->token || !l->out->text) return false;
    memset(l->token, -1, slots * sizeof *l->token);
    for (int b = 0; b < 256; b++) {
        uint64_t h = XXH3_64bits(&byte_of[b], 1);
        while (l->token[h & l->token_mask] >= 0) h++;
        l->token[h & l->token_mask] = b;
        l->out->text[b]             = byte_of[b];
        l->out->at[b + 1]           = (uint64_t)b + 1;
    }
    l->out->size = 256;
    return true;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static bool start_words(learner *l, const uint8_t byte_of[256])
{
    const ls_words *w = l->words;
    int32_t         id_of[256];
    l->symbol = malloc(w->bytes * sizeof *l->symbol + 1);
    l->length = malloc((size_t)w->words * sizeof *l->length + 1);
    if (!l->symbol || !l->length) return false;
    for (int i = 0; i < 256; i++) id_of[byte_of[i]] = i;
    for (uint64_t i = 0; i < w->bytes; i++) l->symbol[i] = id_of[w->text[i]];
    for (int64_t i = 0; i < w->words; i++) {
        const int32_t *s = l->symbol + w->word[i].at;
        l->length[i]     = w->word[i].bytes;
        for (uint32_t k = 0; k + 1 < l->length[i] && !l->failed; k++)
            change(l, s[k], s[k + 1], (uint32_t)i, w->word[i].count);
    }
    push_grown(l);
    return !l->failed;
}

/* Merges all occurrences in one word, from the left, and updates the counts of the pairs around them. */
static void merge_word(learner *l, uint32_t word, ls_merge m)
{
    int32_t *s     = l->symbol + l->words->word[word].at;
    int64_t  times = l->words->word[word].count;
    uint32_t n = l->length[word], out = 0;
    for (uint32_t i = 0; i < n; i++, out++) {
        if (s[i] != m.left || i + 1 == n || s[i + 1] != m.right) {
            s[out] = s[i];
            continue;
        }
        if (out > 0) {
            change(l, s[out - 1], m.left, word, -times);
            change(l, s[out - 1], m.result, word, times);
        }
        s[out] = m.result;
        i++;
        if (i + 1 < n) {
            change(l, m.right, s[i + 1], word, -times);
            change(l, m.result, s[i + 1], word, times);
        }
    }
    l->length[word] = out;
}

static bool merge_pair(learner *l, uint32_t which)
{
    pair     p = l->pairs[which]; /* a copy, because get_pair may move the array */
    ls_merge m = {p.left, p.right, get_token(l, p.left, p.right)};
    if (m.result < 0) return false;
    l->pairs[which] = (pair){.left = p.left, .right = p.right, .last = UINT32_MAX, .merged = true};
    if (!p.merged) l->out->merge[l->out->merges++] = m;
    for (uint32_t i = 0; i < p.words && !l->failed; i++) merge_word(l, p.word[i], m);
    free(p.word);
    l->pairs[which].count = 0; /* overlapping occurrences ("aaa") were counted too often */
    push_grown(l);
    return !l->failed;
}

static bool learn(learner *l, int32_t size, int64_t min_count)
{
    while (l->out->size < size && l->out->merges < 2 * (int64_t)size && l->heaped > 0) {
        entry top   = pop(l);
        pair *p     = &l->pairs[top.pair];
        bool  stale = top.count != p->count;
        if (stale && p->count > 0) push(l, top.pair);
        if (l->failed) return false;
        if (stale) continue;
        if (top.count < min_count) break;
        if (!merge_pair(l, top.pair)) return false;
    }
    return true;
}

ls_status ls__learn_merges(ls_words *w, int32_t size, int64_t min_count, const uint8_t byte_of[256], ls_arena *memory,
                           ls_learned *out)
{
    learner l = {.words = w, .out = out};
    *out      = (ls_learned){.at    = ls_arena_alloc(memory, ((size_t)size + 2) * sizeof *out->at),
                             .merge = ls_arena_alloc(memory, (2 * (size_t)size + 1) * sizeof *out->merge)};
    free(w->slot); /* counting is over; free its memory */
    w->slot   = NULL;
    w->slots  = 0;
    bool done = start_tokens(&l, size, byte_of) && start_words(&l, byte_of) && learn(&l, size, min_count);
    if (done) {
        uint8_t *text = ls_arena_alloc(memory, out->at[out->size]);
        memcpy(text, out->text, out->at[out->size]);
        free(out->text);
        out->text = text;
    } else {
        free(out->text);
    }
    for (int64_t i = 0; i < l.count; i++) free(l.pairs[i].word);
    free(l.pairs);
    free(l.slot);
    free(l.heap);
    free(l.grown);
    free(l.symbol);
    free(l.length);
    free(l.token);
    LS_CHECK(done, LS_ERR_ENV,
             "tokenizer training: out of memory for the pairs of %lld words" LS_HINT
             "set a smaller max_words (--words)",
             (long long)w->words);
    return LS_OK;
}

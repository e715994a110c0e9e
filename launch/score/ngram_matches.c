/* SPDX-License-Identifier: Apache-2.0
 *
 * N-grams of a hypothesis and its references, counted exactly by sorting.
 *
 * An n-gram at position i is numbered by the pair (number of the (n-1)-gram at i, symbol at i + n - 1).  Sorting the
 * pairs of all texts puts equal n-grams side by side: one pass counts each of them per text, and numbers them for the
 * next n.  Numbers are exact, so no two n-grams are confused, which hashing alone could not promise.
 */
#include "launch/score/ngram_matches.h"

#include <stdlib.h>
#include <string.h>

typedef struct gram {
    uint64_t pair;
    int32_t  at, text;
} gram;

static ls_status reserve(ls_ngram_work *work, size_t bytes)
{
    if (work->bytes >= bytes) return LS_OK;
    void *data = realloc(work->data, 2 * bytes);
    LS_CHECK(data, LS_ERR_ENV, "sentence: out of memory for %zu bytes", 2 * bytes);
    work->data  = data;
    work->bytes = 2 * bytes;
    return LS_OK;
}

/* ---- symbols of words -------------------------------------------------------------------------------------------- */

typedef struct numbered_word {
    ls_score_word word;
    int64_t       at;
} numbered_word;

static int by_characters(const void *a, const void *b)
{
    const ls_score_word *x = a, *y = b; /* the first member of numbered_word */
    int64_t              shorter = x->length < y->length ? x->length : y->length;
    int                  order   = memcmp(x->at, y->at, (size_t)shorter * sizeof *x->at);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

ls_status ls__ngram_symbols(ls_ngram_work *work, const ls_score_words *words, int32_t *symbol)
{
    LS_TRY(reserve(work, (size_t)words->count * sizeof(numbered_word)));
    numbered_word *w = work->data;
    for (int64_t i = 0; i < words->count; i++) w[i] = (numbered_word){words->word[i], i};
    if (words->count) qsort(w, (size_t)words->count, sizeof *w, by_characters);
    int32_t number = 0;
    for (int64_t i = 0; i < words->count; i++) {
        if (i && by_characters(&w[i - 1], &w[i])) number++;
        symbol[w[i].at] = number;
    }
    return LS_OK;
}

/* ---- matches ----------------------------------------------------------------------------------------------------- */

static int by_pair(const void *a, const void *b)
{
    const gram *x = a, *y = b;
    return (x->pair > y->pair) - (x->pair < y->pair);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Adds the matches of one n-gram, which occurs count[t] times in text t. */
static void add_matches(int texts, const int64_t *count, int n, int64_t (*single)[LS_MAX_NGRAM], int64_t *all)
{
    int64_t most = 0;
    for (int t = 1; t < texts; t++) {
        single[t][n - 1] += least(count[0], count[t]);
        if (count[t] > most) most = count[t];
    }
    all[n - 1] += least(count[0], most);
}

ls_status ls__ngram_matches(ls_ngram_work *work, const ls_ngram_texts *x, int orders, int64_t (*single)[LS_MAX_NGRAM],
                            int64_t all[LS_MAX_NGRAM])
{
    size_t symbols = (size_t)x->end[x->texts - 1], texts = (size_t)x->texts;
    LS_TRY(reserve(work, symbols * (sizeof(gram) + sizeof(int32_t)) + texts * sizeof(int64_t)));
    gram    *g      = work->data;
    int64_t *count  = (int64_t *)(g + symbols); /* occurrences in each text */
    int32_t *prefix = (int32_t *)(count + texts);
    memset(single, 0, texts * sizeof *single);
    memset(all, 0, LS_MAX_NGRAM * sizeof *all);
    memset(prefix, 0, symbols * sizeof *prefix); /* one number for all 0-grams */
    for (int n = 1; n <= orders; n++) {
        int64_t grams = 0;
        for (int t = 0; t < x->texts; t++)
            for (int64_t i = t ? x->end[t - 1] : 0; i + n <= x->end[t]; i++)
                g[grams++] = (gram){(uint64_t)prefix[i] << 32 | (uint32_t)x->symbol[i + n - 1], (int32_t)i, t};
        if (grams) qsort(g, (size_t)grams, sizeof *g, by_pair);
        for (int64_t i = 0, number = 0; i < grams; number++) {
            uint64_t pair = g[i].pair;
            memset(count, 0, texts * sizeof *count);
            for (; i < grams && g[i].pair == pair; i++) {
                count[g[i].text]++;
                prefix[g[i].at] = (int32_t)number;
            }
            add_matches(x->texts, count, n, single, all);
        }
    }
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Counts the n-grams that a hypothesis shares with its references.  Internal. */
#ifndef LS_LAUNCH_SCORE_NGRAM_MATCHES_H
#define LS_LAUNCH_SCORE_NGRAM_MATCHES_H

#include "datasets/tokenizer/tokenizer.h"
#include "launch/score/score_tokens.h"

enum { LS_MAX_NGRAM = 6 };

/* Texts as symbols, one after the other: the hypothesis is text 0, the references follow.  Symbols are equal where the
 * words or characters are. */
typedef struct ls_ngram_texts {
    int      texts;
    int64_t *end;    /* end of each text in the symbols: text t is [end[t - 1], end[t]) */
    int32_t *symbol; /* symbols of all texts; not negative                              */
} ls_ngram_texts;

/* Workspace; starts as {0}. */
typedef struct ls_ngram_work {
    void  *data;
    size_t bytes;
} ls_ngram_work;

/* Numbers words so that equal words have equal symbols. */
ls_status ls__ngram_symbols(ls_ngram_work *work, const ls_score_words *words, int32_t *symbol);

/* For n = 1 .. orders, with h(g) and r(g) the number of occurrences of the n-gram g:
 *     single[t][n - 1] = sum over g of min(h(g), r_t(g))           for reference t = 1 .. texts - 1; single[0]: not set
 *     all[n - 1]       = sum over g of min(h(g), max over t of r_t(g))                                              */
ls_status ls__ngram_matches(ls_ngram_work *work, const ls_ngram_texts *x, int orders, int64_t (*single)[LS_MAX_NGRAM],
                            int64_t all[LS_MAX_NGRAM]);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Beam search over any model that gives log-probabilities of the next token.
 *
 * A hypothesis is a sequence of tokens y that begins a translation, with the sum log P of its log-probabilities.  At
 * each position every live hypothesis of a sentence is continued by every token.  Of the continuations, ranked by
 * log P, the `beam` best live on; those among them that end become finished translations.  A finished translation is
 * ranked by log P / lp(|y|), where |y| counts the end token:
 *
 *     LS_PENALTY_POWER    lp = |y|^alpha
 *     LS_PENALTY_GNMT     lp = ((5 + |y|) / 6)^alpha                      (Wu 2016)
 *
 * With a coverage penalty b (Wu 2016), b sum over j of log min(1, sum over i of a_ij) is added.  a_ij is the weight of
 * attention of token i, end token included, to token j of the source, end token excluded.  Translations that leave
 * parts of the source out rank lower.
 *
 * The `beam` best finished translations are kept.  The search of a sentence ends when none of its live hypotheses can
 * be ranked above the worst of them: log P falls with each token, and coverage adds at most 0, so
 * log P / lp(most tokens) is a bound.  With a beam of 1 the search is greedy and ends with the first finished
 * translation.
 *
 * Equal log P are ranked by the position of the hypothesis, then by the token.  A sentence is thus translated alike
 * whatever the other sentences are.
 *
 *     ls_search s;
 *     LS_TRY(ls_search_new(&s, &options, sentences));
 *     while (ls_search_rows(&s, &rows) > 0) LS_TRY(ls_search_take(&s, log-probabilities of the rows));
 *     ls_search_result(&s, sentence, i) ...
 *     ls_search_free(&s);
 */
#ifndef LS_LAUNCH_TRANSLATE_BEAM_SEARCH_H
#define LS_LAUNCH_TRANSLATE_BEAM_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/enum_text.h"
#include "core/base/status.h"

enum { LS_MAX_BEAM = 64 };

#define LS_PENALTY_LIST(X) X(LS_PENALTY_POWER, "power") X(LS_PENALTY_GNMT, "gnmt")
typedef enum ls_penalty { LS_ENUMERATORS(LS_PENALTY_LIST) } ls_penalty;

typedef struct ls_search_options {
    int        beam;
    ls_penalty penalty;
    double     alpha;      /* 0: no length penalty */
    double     coverage;   /* factor of the coverage penalty; 0: none */
    int64_t    min_length; /* least tokens of a translation, without the end token */
    int32_t    vocabulary, end;
} ls_search_options;

/* One hypothesis to compute: `token` follows the row `parent` of the position before.  At position 0 the token is the
 * end token, and parent -1. */
typedef struct ls_search_row {
    int64_t sentence, parent;
    int32_t token;
} ls_search_row;

/* A finished translation. */
typedef struct ls_translation {
    double   score, log_p;
    int64_t  length;  /* tokens, without the end token */
    int32_t *token;   /* `length` tokens */
    double  *token_p; /* log-probability of each token, and of the end token */
    float   *weights; /* of attention for each token and the end token, (length + 1) x width; NULL: none */
} ls_translation;

typedef struct ls_hypothesis ls_hypothesis;
typedef struct ls_candidate  ls_candidate;

typedef struct ls_search {
    ls_search_options     options;
    ls_arena             *memory; /* of the whole search */
    int64_t               sentences, position, rows;
    const int64_t        *most;   /* of each sentence: most tokens, the end token included */
    const int32_t *const *prefix; /* of each sentence: tokens with which a translation begins, then -1; NULL: none */
    ls_search_row        *row;
    ls_hypothesis        *live; /* by row */
    ls_candidate         *candidate;
    ls_translation      **best; /* of each sentence: up to `beam`, best first */
    int                  *count;
    ls_hypothesis        *next;
    ls_search_row        *next_row;
    const float   *weights; /* of attention at the position, rows x width, set before ls_search_take; NULL: none */
    int64_t        width;
    const int64_t *covered; /* with options.coverage, of each sentence: tokens of the source, without end token */
} ls_search;

ls_status ls_search_new(ls_search *s, const ls_search_options *options, int64_t sentences, const int64_t *most,
                        const int32_t *const *prefix);
void      ls_search_free(ls_search *s);

/* Sets *row to the hypotheses to compute at s->position and returns their number; 0: the search has ended. */
int64_t ls_search_rows(const ls_search *s, const ls_search_row **row);

/* Takes the log-probabilities of the next token after each row, rows x vocabulary, with s->weights, and computes the
 * next rows.
 * LS_ERR_DATA: one is not a number. */
ls_status ls_search_take(ls_search *s, const float *log_p);

/* Number of finished translations of a sentence, and the i-th best. */
int                   ls_search_results(const ls_search *s, int64_t sentence);
const ls_translation *ls_search_result(const ls_search *s, int64_t sentence, int i);

/* lp(length), where length counts the end token. */
double ls_length_penalty(const ls_search_options *o, int64_t length);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * BLEU and chrF of translations, with the results of sacreBLEU to the last printed digit.  Internal.
 *
 * A corpus score is a function of integer counts that are sums over sentences, so ranks may share the sentences:
 *
 *     ls_score_metric metric = {.kind = LS_SCORE_BLEU, .lowercase = true};
 *     ls_scorer      *scorer;
 *     int64_t         counts[LS_SCORE_COUNTS] = {0};
 *     LS_TRY(ls__scorer_new(&scorer, &metric));
 *     for each sentence of this rank:
 *         LS_TRY(ls__scorer_add(scorer, &hypothesis, references, reference, counts));
 *     ls__scorer_free(scorer);
 *     ... all-reduce of counts: a sum of LS_SCORE_COUNTS integers ...
 *     ls_score score = ls__score_finish(&metric, counts);
 */
#ifndef LS_LAUNCH_SCORE_TEXT_SCORE_H
#define LS_LAUNCH_SCORE_TEXT_SCORE_H

#include "launch/score/score_tokens.h"

/* Smoothing of precisions without a match (Chen and Cherry 2014): method 3, none, method 1, method 2. */
#define LS_SCORE_SMOOTHING_LIST(X)                                                                                     \
    X(LS_SMOOTH_EXP, "exp") X(LS_SMOOTH_NONE, "none") X(LS_SMOOTH_FLOOR, "floor") X(LS_SMOOTH_ADD_K, "add-k")
typedef enum ls_score_smoothing { LS_ENUMERATORS(LS_SCORE_SMOOTHING_LIST) } ls_score_smoothing;

extern const char *const ls__score_smoothing_texts[];

typedef enum ls_score_kind { LS_SCORE_BLEU, LS_SCORE_CHRF } ls_score_kind;

/* A metric and its settings; {0}: BLEU with sacreBLEU's defaults. */
typedef struct ls_score_metric {
    ls_score_kind      kind;
    bool               lowercase;
    ls_score_tokenizer tokenizer;    /* BLEU                                        */
    ls_score_smoothing smoothing;    /* BLEU                                        */
    double             smooth_value; /* LS_SMOOTH_FLOOR and LS_SMOOTH_ADD_K         */
    int                word_order;   /* chrF: longest n-gram of words, 0 to 2       */
} ls_score_metric;

/* Default of smooth_value; 0: the method has no value. */
double ls__score_smooth_default(ls_score_smoothing smoothing);

/* ---- counts ------------------------------------------------------------------------------------------------------ */

/* Upper limits: counts of a metric, n-gram orders of BLEU and of chrF. */
enum { LS_SCORE_COUNTS = 24, LS_BLEU_ORDERS = 4, LS_CHRF_CHARACTERS = 6, LS_CHRF_WORDS = 2 };

/* Number of counts of a metric.  BLEU: length of the hypothesis, length of the closest reference, 4 numbers of matches,
 * 4 numbers of n-grams.  chrF: for each order, n-grams of the hypothesis, n-grams of the reference, matches. */
int ls__score_counts(const ls_score_metric *metric);

/* A sentence of valid UTF-8.  White space at its end has no effect. */
typedef ls_text_line ls_score_text;

typedef struct ls_scorer ls_scorer; /* a metric and its workspace; for one thread */

ls_status ls__scorer_new(ls_scorer **scorer, const ls_score_metric *metric);
void      ls__scorer_free(ls_scorer *scorer);

/* Adds the counts of one sentence, given one or more references. */
ls_status ls__scorer_add(ls_scorer *scorer, const ls_score_text *hypothesis, int references,
                         const ls_score_text *reference, int64_t *counts);

/* ---- scores ------------------------------------------------------------------------------------------------------ */

typedef struct ls_score {
    double  value;                     /* 0 to 100                                                            */
    double  precision[LS_BLEU_ORDERS]; /* BLEU: smoothed, percent                                             */
    double  brevity;                   /* BLEU: brevity penalty                                               */
    int64_t length, reference_length;  /* BLEU: words of the hypotheses; of the closest references            */
} ls_score;

/* The score of a corpus, from the sums of the counts of its sentences. */
ls_score ls__score_finish(const ls_score_metric *metric, const int64_t *counts);

enum { LS_SCORE_TEXT = 256 };

/* Name of a metric as sacreBLEU prints it: "BLEU", "chrF2", "chrF2++". */
const char *ls__score_name(const ls_score_metric *metric);

/* Signature in the format of sacreBLEU 2.6; the version is "lockstep-" and that of this library.  resamples = 0: the
 * score has no interval. */
void ls__score_signature(char out[LS_SCORE_TEXT], const ls_score_metric *metric, int references, int resamples,
                         uint64_t seed);

/* Text behind the number: of BLEU "69.2/50.0/... (BP = 1.000 ratio = ...)", of chrF "". */
void ls__score_details(char out[LS_SCORE_TEXT], const ls_score_metric *metric, const ls_score *score);

#endif

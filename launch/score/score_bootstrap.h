/* SPDX-License-Identifier: Apache-2.0
 * Confidence intervals of scores, and the paired test of two systems.  Internal. */
#ifndef LS_LAUNCH_SCORE_SCORE_BOOTSTRAP_H
#define LS_LAUNCH_SCORE_SCORE_BOOTSTRAP_H

#include "launch/score/text_score.h"

typedef struct ls_score_interval {
    double mean, half_width; /* of the middle 95 % of the resampled scores                                       */
    double p;                /* probability of a difference from system 0 as large as the observed one by chance */
} ls_score_interval;

/* Resamples the sentences of a test set.  counts[s]: counts of each sentence of system s, ls__score_counts(metric)
 * per sentence.  Writes one interval per system; p of system 0 is 1. */
ls_status ls__score_bootstrap(const ls_score_metric *metric, int systems, int64_t sentences,
                              const int64_t *const *counts, int resamples, uint64_t seed, ls_score_interval *interval);

#endif

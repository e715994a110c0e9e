/* SPDX-License-Identifier: Apache-2.0
 * Translation of lines, and of a split for BLEU, on all ranks of a run. */
#ifndef LS_LAUNCH_TRANSLATE_TRANSLATE_H
#define LS_LAUNCH_TRANSLATE_TRANSLATE_H

#include "launch/run/run_setup.h"

/* Scores of translations. */
typedef struct ls_translation_scores {
    double bleu, lowercase_bleu; /* 0 to 100                                    */
    double exact;                /* share of translations equal to their target */
} ls_translation_scores;

/* Translates the first `count` sources of a split with the beam of eval.beam, and scores them by the lines of the
 * target.  Collective; equal on all ranks. */
ls_status ls_translate_split(ls_run *run, ls_dataset *split, int64_t count, ls_translation_scores *scores);

/* Translates options->lines sources of a split, pair index[i] as line i; index NULL: the first ones.  Takes the
 * present parameters, not their average.  Collective. */
ls_status ls_translate_pairs(ls_run *run, ls_dataset *split, const int64_t *index, const ls_translate_options *options);

#endif

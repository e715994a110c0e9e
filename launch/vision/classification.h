/* SPDX-License-Identifier: Apache-2.0
 * Results of an image classifier on a split: the prediction for each sample, the confusion matrix, calibration, and
 * the samples with the largest loss. */
#ifndef LS_LAUNCH_VISION_CLASSIFICATION_H
#define LS_LAUNCH_VISION_CLASSIFICATION_H

#include <stdio.h>

#include "launch/run/run_setup.h"
#include "launch/vision/verdict.h"

/* Samples whose confidence lies in [i / LS_BINS, (i + 1) / LS_BINS). */
enum { LS_BINS = 15 };
typedef struct ls_confidence_bin {
    int64_t samples, correct;
    double  confidence; /* sum */
} ls_confidence_bin;

typedef struct ls_classification {
    int                classes;
    const char *const *name;    /* of the classes                                         */
    int64_t            samples; /* evaluated                                              */
    int64_t            split;   /* samples of the split                                   */
    int64_t            correct;
    ls_verdict        *verdict;   /* by sample                                             */
    int64_t           *count;     /* classes x classes: samples of class (row) that are predicted as class (column) */
    int64_t           *labelled;  /* by class: samples with this label                     */
    int64_t           *predicted; /* by class: samples that are predicted as it            */
    ls_confidence_bin  bin[LS_BINS];
    double             confidence;        /* mean                                          */
    double             calibration_error; /* expected calibration error (Guo 2017): sum over the bins of
                                             samples / all x |accuracy - mean confidence|  */
    int64_t           *mistake;           /* wrong samples, by descending loss             */
    int64_t            mistakes;
} ls_classification;

/* Evaluates the run's model on a split, or on its first eval.samples samples.  The results lie in the memory of the
 * run, and are the same on all ranks and for any number of them.  Collective. */
ls_status ls_classify_split(ls_run *run, ls_dataset *split, ls_classification *c);

/* Two classes: samples of `label` that are predicted as `predicted`. */
typedef struct ls_confused_pair {
    int     label, predicted;
    int64_t samples;
} ls_confused_pair;
/* Writes the pairs with the most samples to `pair`, at most `most` of them.  Returns their number. */
int ls_most_confused(const ls_classification *c, ls_confused_pair *pair, int most);

/* Writes the figures of a classification as part of report.html: the confusion matrix, the most confused pairs, the
 * accuracy of each class, the reliability diagram. */
void ls_classification_html(FILE *f, const ls_classification *c);

#endif

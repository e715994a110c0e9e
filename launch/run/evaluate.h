/* SPDX-License-Identifier: Apache-2.0
 * Evaluation: loss and metrics of the run's model on a split, and the model's outputs for its samples. */
#ifndef LS_LAUNCH_RUN_EVALUATE_H
#define LS_LAUNCH_RUN_EVALUATE_H

#include "launch/run/run_setup.h"

/* Evaluates on a split, or on its first eval.samples samples.  Collective; the scores do not depend on the number of
 * ranks. */
ls_status ls_run_evaluate_split(ls_run *run, ls_dataset *split, ls_scores *scores);

/* A pass over a split in the order of its samples. */
typedef struct ls_sample_pass {
    ls_tensor *output;  /* value of the run's graph                                         */
    bool       views;   /* output is the logits, averaged over the views of eval.augment    */
    int64_t    samples; /* number of samples, rounded up to whole batches; 0: the whole split */
    size_t     bytes;   /* size of the record of a sample                                   */
    /* Writes the record of sample `row` of a batch, on the rank that has the sample.  values: the output for it. */
    void (*record)(void *context, const ls_batch *batch, int64_t row, const float *values, void *record);
    /* Takes the records of all samples in order, on every rank. */
    void (*take)(void *context, int64_t sample, const void *record);
    void *context;
} ls_sample_pass;

/* Computes `output` for each sample of a split once, on the ranks' parts of each batch, and passes the records to every
 * rank.  Collective. */
ls_status ls_run_pass(ls_run *run, ls_dataset *split, const ls_sample_pass *pass);

/* Returns the array of a batch's input by name; NULL: none. */
const void *ls_batch_array(const ls_batch *batch, const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Evaluation: loss and metrics of the run's model on a split. */
#ifndef LS_LAUNCH_RUN_EVALUATE_H
#define LS_LAUNCH_RUN_EVALUATE_H

#include "launch/run/run_setup.h"

/* Evaluates on a split, or on its first eval.samples samples.  Collective; the scores do not depend on the number of
 * ranks. */
ls_status ls_run_evaluate_split(ls_run *run, ls_dataset *split, ls_scores *scores);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The inputs of a model's last layer for all samples of a split: the features of a linear probe. */
#ifndef LS_LAUNCH_TRANSFER_FEATURES_H
#define LS_LAUNCH_TRANSFER_FEATURES_H

#include "core/graph/graph.h"
#include "launch/run/run_setup.h"
#include "launch/transfer/logistic.h"

/* Finds the linear layer that computes the run's logits.  LS_ERR_USAGE: the model ends with something else. */
ls_status ls_features_head(const ls_run *run, const ls_node **head);

/* Computes the features of a split on all ranks, or reads them from a file that an earlier call has written into
 * `folder`.  The name of the file has a hash of everything that decides the features: the parameters below the head,
 * the samples, their size and normalisation, and the instruction-set level.  *cached is true if a file was read.
 * Memory is that of the run.  Collective. */
ls_status ls_features_of(ls_run *run, ls_dataset *split, const char *folder, ls_labelled *features, bool *cached);

#endif

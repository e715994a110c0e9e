/* SPDX-License-Identifier: Apache-2.0
 * Prediction with a trained run: each task predicts its own kind of file. */
#ifndef LS_LAUNCH_RUN_PREDICT_H
#define LS_LAUNCH_RUN_PREDICT_H

#include "launch/run/lockstep_run.h"
#include "launch/run/run_setup.h"

/* Opens the model of a run directory, or of one of its checkpoints, without its dataset: recipe, dataset card, graph,
 * parameters.  Collective. */
ls_status ls_run_open_model(ls_run *run, const char *path);

#endif

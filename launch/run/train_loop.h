/* SPDX-License-Identifier: Apache-2.0
 * The training loop: epochs of steps with evaluations, checkpoints and metrics.  The public function is ls_run_train
 * (launch/lockstep.h). */
#ifndef LS_LAUNCH_RUN_TRAIN_LOOP_H
#define LS_LAUNCH_RUN_TRAIN_LOOP_H

#include "launch/lockstep.h"
#include "launch/run/run_setup.h"

/* Opens the data, builds the model and creates the trainer, as phases of the watchdog.  Collective. */
ls_status ls_run_setup(ls_run *run);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Prediction of the samples in an HDF5 file of arrays. */
#ifndef LS_LAUNCH_TASKS_ARRAY_PREDICT_H
#define LS_LAUNCH_TASKS_ARRAY_PREDICT_H

#include "launch/run/run_setup.h"

/* Predicts options->file[0] and writes the predictions to options->out.  Collective. */
ls_status ls__array_predict(ls_run *run, const ls_predict_options *options);

/* Elements of one sample. */
int64_t ls__array_elements(const ls_column *c);

#endif

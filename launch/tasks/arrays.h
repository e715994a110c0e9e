/* SPDX-License-Identifier: Apache-2.0
 * Functions that tasks on arrays share: the rows of struct ls_task that depend on the arrays alone, and prediction. */
#ifndef LS_LAUNCH_TASKS_ARRAYS_H
#define LS_LAUNCH_TASKS_ARRAYS_H

#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"

/* Elements of one sample. */
int64_t ls__array_elements(const ls_column *c);

/* Adds the columns of a role to the graph and joins them to one tensor.  A single input keeps its shape; else every
 * column is flattened. */
ls_tensor *ls__array_join(ls_graph *g, const ls_dataset_info *d, ls_column_role role);

/* Functions of struct ls_task. */
ls_status ls__array_normalise(ls_run *run);
void      ls__array_sample_text(const ls_dataset_info *d, char *text, size_t bytes);
ls_status ls__array_check_splits(const ls_dataset_info *a, const ls_dataset_info *b);
ls_status ls__array_write_card(json_t *json, const ls_dataset_card *card);
bool      ls__array_read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory);
void      ls__array_report_data(ls_report *report, const ls_run *run);

/* Predicts options->file[0] and writes the predictions to options->out.  Collective. */
ls_status ls__array_predict(ls_run *run, const ls_predict_options *options);

#endif

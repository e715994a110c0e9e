/* SPDX-License-Identifier: Apache-2.0
 * A folder as Hugging Face's transformers writes it, used like a run: config.json says what the model is. */
#ifndef LS_LAUNCH_DATA_PRETRAINED_H
#define LS_LAUNCH_DATA_PRETRAINED_H

#include "launch/run/run_setup.h"

/* Sets the job's recipe and data (vocabulary, context) as config.json has them, and loads the parameters; *graph holds
 * them, and both are the caller's to free.  Not collective. */
ls_status ls_pretrained_open(ls_run *run, const char *folder, ls_graph **graph, ls_params **params);

/* The tokenizer in the folder; LS_ERR_DATA when there is none, or when it is not of this vocabulary; a model may have
 * an eighth more, which is never written. */
ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary);

/* The tokenizer in the folder, if there is one, is that of the data; LS_ERR_DATA when not: tokens would mean something
 * else. */
ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Uses a folder that Hugging Face's transformers wrote like the folder of a run: its recipe, weights and tokenizer.
 */
#ifndef LS_LAUNCH_DATA_PRETRAINED_H
#define LS_LAUNCH_DATA_PRETRAINED_H

#include "launch/run/run_setup.h"

/* Sets the recipe and the data (vocabulary, context) of `run` from config.json, builds the model, and loads its weights.
 * The caller frees *graph and *params.  Not collective. */
ls_status ls_pretrained_open(ls_run *run, const char *folder, ls_graph **graph, ls_params **params);

/* Loads the tokenizer of the folder.  LS_ERR_DATA when there is none, or when it does not fit the vocabulary of the
 * model, which may be larger by one eighth: the additional tokens are never generated. */
ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary);

/* Returns LS_ERR_DATA when the folder has a tokenizer other than that of the data: token ids would have other
 * meanings. */
ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Writes a language model as a folder of transformers, and copies the files that such a folder has besides weights. */
#ifndef LS_LAUNCH_TRANSFER_EXPORT_TEXT_MODEL_H
#define LS_LAUNCH_TRANSFER_EXPORT_TEXT_MODEL_H

#include "launch/run/run_setup.h"

/* Writes the parameters of a model that ls_run_open_model has opened from `from`, and all other files of the folder of
 * transformers from which it comes, unchanged, into a new folder.  type: "float32", "bfloat16" or "float16"; NULL: the
 * type that each tensor has in that folder.  config.json states another type than that of the folder.  Collective. */
ls_status ls_export_text_model(ls_run *run, const char *from, const char *folder, const char *type);

/* Copies the files that generation reads and that `to` lacks, from the folder of transformers with which a language
 * model began: the chat template, the tokens that end a text, the roles of tokens. */
ls_status ls_copy_generation_files(const ls_run *run, const char *to);

#endif

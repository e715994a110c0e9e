/* SPDX-License-Identifier: Apache-2.0
 * Functions that the files of `lockstep data` share. */
#ifndef LS_LAUNCH_COMMANDS_CMD_DATA_INTERNAL_H
#define LS_LAUNCH_COMMANDS_CMD_DATA_INTERNAL_H

#include "launch/commands/command_table.h"
#include "launch/data/dataset_known.h"

/* Runs `lockstep data train-tokenizer`: learns a tokenizer from text files and writes it into a folder. */
ls_status ls__data_train_tokenizer(const ls_args *args);

/* Prints shapes, classes and counts of a dataset, and draws its first samples into the file `png`; NULL: beside the
 * dataset. */
ls_status ls__data_inspect(const char *path, const char *png);
/* Prints vocabulary, documents and the first tokens of a text split. */
ls_status ls__data_inspect_text(ls_dataset *d);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Functions that the files of `lockstep data` share. */
#ifndef LS_LAUNCH_COMMANDS_DATA_CMD_DATA_INTERNAL_H
#define LS_LAUNCH_COMMANDS_DATA_CMD_DATA_INTERNAL_H

#include "launch/commands/command_table.h"
#include "launch/data/dataset_source.h"

/* Upper limit of --shards, files. */
enum { LS_IMPORT_MAX_SHARDS = 99999 };

/* Draws the progress of an import, in bytes, on the ls_bar `bar`. */
void ls__import_progress(void *bar, int64_t bytes, int64_t of);

/* Reads --valid: the fraction of the samples that an importer holds out; default 0.1. */
ls_status ls__import_valid(const ls_args *args, double *fraction);

/* Prints shapes, classes and counts of a dataset, and draws its first samples into the file `png`; NULL: next to the
 * dataset. */
ls_status ls__data_inspect(const char *name, const char *png);

/* Prints vocabulary, documents and the first tokens of a text split. */
ls_status ls__data_inspect_text(ls_dataset *d);
/* Prints vocabularies, lengths and the first pairs of a split of pairs. */
ls_status ls__data_inspect_pairs(ls_dataset *d);

/* Prints classes, lengths and the first samples of a split of labelled texts. */
ls_status ls__data_inspect_labelled(ls_dataset *d);

/* Prints text with control characters, which could steer the terminal, as escapes. */
void ls__print_escaped(const char *text, size_t bytes);

#endif

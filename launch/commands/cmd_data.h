/* SPDX-License-Identifier: Apache-2.0
 * Where a recipe's data come from. */
#ifndef LS_LAUNCH_COMMANDS_CMD_DATA_H
#define LS_LAUNCH_COMMANDS_CMD_DATA_H

#include "datasets/datasets.h"
#include "launch/recipe/recipe.h"

/* The split to train on, or the one held out (test, or valid where there is no test), of the data set that data.path
 * names: "digits", a known name ("mnist"), a file or a folder.  Text comes in windows of the recipe's length.
 * LS_ERR_DATA says where was looked, and how to get the data. */
ls_status ls_data_open(ls_dataset **d, const ls_recipe *recipe, bool held_out);

/* How a known text is made into tokens. */
typedef struct ls_text_choice {
    const char *tokenizer; /* NULL: "chars" */
    int64_t     vocab;
} ls_text_choice;

/* The file or folder that data.path means; a known name becomes a folder of the cache.  Any number of ranks may ask at
 * once. */
ls_status ls_data_resolve(const char *data_path, const ls_text_choice *choice, char *path, size_t bytes);

/* The tokenizer beside the files of a data set of text; *t is NULL when there is none.  LS_ERR_DATA when it is another
 * one than the files tell of. */
ls_status ls_data_tokenizer(ls_tokenizer **t, const ls_dataset_info *info);

#endif

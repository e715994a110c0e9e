/* SPDX-License-Identifier: Apache-2.0
 * Finds and opens the dataset that a recipe's key data.path names. */
#ifndef LS_LAUNCH_DATA_DATASET_SOURCE_H
#define LS_LAUNCH_DATA_DATASET_SOURCE_H

#include "datasets/datasets.h"
#include "launch/data/dataset_cache.h"
#include "launch/recipe/recipe.h"

/* Opens the training split of the dataset that data.path names, or with held_out the split `test` (`valid` where the
 * folder has no `test`).  data.path is "digits" (synthetic digits), a known name ("mnist"), a file or a folder.  Text
 * is opened as samples of the recipe's context length.  The message of LS_ERR_DATA lists the places searched and how to
 * get the data. */
ls_status ls_data_open(ls_dataset **d, const ls_recipe *recipe, bool held_out);

/* Resolves data.path to a file or folder.  A known name resolves to its folder in the cache, which is imported first
 * where necessary.  Any number of processes may call this at the same time: one imports, the others wait. */
ls_status ls_data_resolve(const char *data_path, const ls_text_choice *choice, char *path, size_t bytes);

/* Loads tokenizer.json from the folder of a text dataset; *t is NULL when there is none.  LS_ERR_DATA when its hash or
 * size differs from the one that the dataset's files record. */
ls_status ls_data_tokenizer(ls_tokenizer **t, const ls_dataset_info *info);

/* Loads source/tokenizer.json and target/tokenizer.json from the folder of a dataset of pairs, and checks them
 * likewise. */
ls_status ls_data_pair_tokenizers(ls_tokenizer **source, ls_tokenizer **target, const ls_dataset_info *info);

#endif

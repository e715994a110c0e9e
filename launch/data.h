/* SPDX-License-Identifier: Apache-2.0
 * Where a recipe's data come from. */
#ifndef LS_LAUNCH_DATA_H
#define LS_LAUNCH_DATA_H

#include "datasets/datasets.h"
#include "launch/recipe.h"

/* One split ("train", "test") of the data set that data.path names: "digits", a known name ("mnist"), a file or a folder.
 * LS_ERR_DATA says where was looked, and how to get the data. */
ls_status ls_data_open(ls_dataset **d, const ls_recipe *recipe, const char *split);

/* The file or folder that data.path means; a known name becomes a folder of the cache.  Any number of ranks may ask at once. */
ls_status ls_data_resolve(const char *data_path, char *path, size_t bytes);

#endif

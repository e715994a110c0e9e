/* SPDX-License-Identifier: Apache-2.0
 * The cache folder, which holds downloaded and imported datasets: $XDG_CACHE_HOME/lockstep, or ~/.cache/lockstep. */
#ifndef LS_LAUNCH_DATA_DATASET_CACHE_H
#define LS_LAUNCH_DATA_DATASET_CACHE_H

#include "launch/data/dataset_known.h"

/* Capacity of a dataset's path, bytes. */
enum { LS_DATA_PATH = 4096 };

/* Writes the path of the entry `name` of the cache, and creates the cache folder. */
ls_status ls__data_cache(const char *name, char path[LS_DATA_PATH]);

/* Returns whether a folder holds the splits train and test, or train and valid. */
bool ls__data_there(const char *folder);

/* Imports a known dataset as the folder `out` under a file lock, so that one of several processes imports and the
 * others wait.  `out` appears only when it is complete. */
ls_status ls__data_import_once(const ls_known *known, const char *source, const ls_text_choice *choice,
                               const char *out);

/* Removes a folder and the files directly in it. */
void ls__data_remove(const char *folder);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the files of `lockstep data` share. */
#ifndef LS_LAUNCH_DATA_INTERNAL_H
#define LS_LAUNCH_DATA_INTERNAL_H

#include "launch/commands.h"
#include "launch/data.h"

enum { LS_DATA_PATH = 4096 };

/* $XDG_CACHE_HOME/lockstep/NAME, or ~/.cache/lockstep/NAME; the folder above NAME is made. */
ls_status ls__data_cache(const char *name, char path[LS_DATA_PATH]);

/* Does the folder hold the splits train and test? */
bool ls__data_there(const char *folder);

/* Imports the idx files of `source` as the folder `out`, which comes into being all at once; when another process was faster,
 * its result is kept. */
ls_status ls__data_import_once(const char *source, const char *out);

/* Removes a folder and the files in it. */
void ls__data_remove(const char *folder);

/* Downloads MNIST's files (or takes those of LOCKSTEP_DATA), checks them and imports them into `out`; NULL: the cache. */
ls_status ls__data_fetch(const char *name, const char *out);

/* Learns a tokenizer from text files and writes it into a folder. */
ls_status ls__data_train_tokenizer(const ls_args *args);

/* Prints what a data set holds, and draws its first samples (png: NULL: beside it). */
ls_status ls__data_inspect(const char *path, const char *png);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The run directory: recipe.yaml, data.json, metrics.jsonl, report.html, checkpoints/, model.safetensors and, for text,
 * tokenizer.json.  Only rank 0 uses these functions. */
#ifndef LS_LAUNCH_RUN_RUN_DIRECTORY_H
#define LS_LAUNCH_RUN_RUN_DIRECTORY_H

#include <limits.h>

#include "launch/recipe/recipe.h"

enum { LS_NAME = 96 }; /* room for a file's name after the directory's path, bytes */

typedef struct ls_run_directory {
    char path[PATH_MAX];
    int  lock; /* file descriptor that holds the lock; -1: not locked             */
    int  made; /* components of the path that ls_run_directory_open has created   */
} ls_run_directory;

/* Creates the directory where it is missing and locks it against other runs until ls_run_directory_close.  fresh:
 * removes the files of the run in it.  LS_ERR_USAGE lists the keys that differ when the directory holds checkpoints of
 * another recipe. */
ls_status ls_run_directory_open(ls_run_directory *f, const ls_recipe *recipe, bool fresh);
/* Locks the existing directory f->path. */
ls_status ls_run_directory_lock(ls_run_directory *f);
/* Removes the components that ls_run_directory_open created: the run failed before its first step. */
void ls_run_directory_abandon(ls_run_directory *f);
void ls_run_directory_close(ls_run_directory *f);
/* Returns path/name in a thread-local ring of 8 buffers. */
const char *ls_run_directory_file(const ls_run_directory *f, const char *name);
/* Sets f->path to the directory of the recipe's run without creating it. */
void ls_run_directory_name(ls_run_directory *f, const ls_recipe *recipe);

#endif

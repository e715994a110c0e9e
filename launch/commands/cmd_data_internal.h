/* SPDX-License-Identifier: Apache-2.0
 * What the files of `lockstep data` share. */
#ifndef LS_LAUNCH_COMMANDS_CMD_DATA_INTERNAL_H
#define LS_LAUNCH_COMMANDS_CMD_DATA_INTERNAL_H

#include "launch/commands/command_table.h"
#include "launch/commands/cmd_data.h"

enum { LS_DATA_PATH = 4096 };

/* $XDG_CACHE_HOME/lockstep/NAME, or ~/.cache/lockstep/NAME; the folder above NAME is made. */
ls_status ls__data_cache(const char *name, char path[LS_DATA_PATH]);

/* Does the folder hold the splits train and test, or train and valid? */
bool ls__data_there(const char *folder);

/* A data set that the program knows by name. */
enum { LS_KNOWN_FILES = 4 };
typedef struct ls_known {
    const char  *name;
    ls_data_kind kind;
    struct {
        const char *name, *sum;
    } file[LS_KNOWN_FILES]; /* ended by one without a name; SHA-256 of the unpacked file */
    const char *packed;     /* what is downloaded: ".gz", or ""                          */
    const char *home[2];    /* places to download from, where `file` and `packed` follow */
    const char *recipe;     /* that trains on it                                         */
} ls_known;
extern const ls_known ls__known[];                      /* ended by one without a name */
const ls_known       *ls__known_find(const char *name); /* NULL: there is none */
/* "mnist, shakespeare" */
const char *ls__known_names(void);

/* Imports a known data set from its files in the folder `source` as the folder `out`, which comes into being all at
 * once; when another process was faster, its result is kept. */
ls_status ls__data_import_once(const ls_known *known, const char *source, const ls_text_choice *choice,
                               const char *out);

/* Removes a folder and the files in it. */
void ls__data_remove(const char *folder);

/* Downloads a known data set's files (or takes those of LOCKSTEP_DATA), checks them and imports them into `out`; NULL:
 * the cache. Of a text the file itself is kept there: how it is imported depends on the tokenizer that a recipe wants.
 */
ls_status ls__data_fetch(const char *name, const char *out);

/* Learns a tokenizer from text files and writes it into a folder. */
ls_status ls__data_train_tokenizer(const ls_args *args);

/* Prints what a data set holds, and draws its first samples (png: NULL: beside it). */
ls_status ls__data_inspect(const char *path, const char *png);
/* The same of a split of text. */
ls_status ls__data_inspect_text(ls_dataset *d);

#endif

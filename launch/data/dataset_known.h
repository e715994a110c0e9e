/* SPDX-License-Identifier: Apache-2.0
 * Public datasets known by name, their download, and the cache folder that holds them. */
#ifndef LS_LAUNCH_DATA_DATASET_KNOWN_H
#define LS_LAUNCH_DATA_DATASET_KNOWN_H

#include "launch/data/dataset_source.h"

/* Writes the path $XDG_CACHE_HOME/lockstep/NAME, or ~/.cache/lockstep/NAME; creates the folder above NAME. */
ls_status ls__data_cache(const char *name, char path[LS_DATA_PATH]);

/* Returns whether the folder holds the splits train and test, or train and valid. */
bool ls__data_there(const char *folder);

/* One dataset of the table. */
enum { LS_KNOWN_FILES = 4 };
typedef struct ls_known ls_known;
struct ls_known {
    const char *name;
    struct {
        const char *name, *sum;
    } file[LS_KNOWN_FILES]; /* source files and the SHA-256 of each, uncompressed; ended by an empty entry */
    const char *packed;     /* suffix of the downloaded files: ".gz", or ""                               */
    const char *home[2];    /* download URLs without the file's name                                      */
    const char *recipe;     /* name of the built-in recipe that trains on it                              */
    bool        tokenized;  /* one text file, which the cache keeps and imports once per tokenizer        */
    /* Imports the source files in the folder `source` as the dataset folder `out`. */
    ls_status (*import)(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out);
};
extern const ls_known ls__known[];                      /* ended by an entry without a name     */
const ls_known       *ls__known_find(const char *name); /* NULL when no dataset has that name   */
const char           *ls__known_names(void);            /* "mnist, shakespeare", for messages   */

/* Imports a known dataset as the folder `out`, under a lock: of several processes one imports.  `out` appears only when
 * it is complete. */
ls_status ls__data_import_once(const ls_known *known, const char *source, const ls_text_choice *choice,
                               const char *out);

/* Removes a folder and the files directly in it. */
void ls__data_remove(const char *folder);

/* Downloads the files of a known dataset (or takes those in LOCKSTEP_DATA), compares their checksums and imports them
 * into `out`; NULL: into the cache.  Of a tokenised dataset the cache keeps the text file itself. */
ls_status ls__data_fetch(const char *name, const char *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Public datasets that recipes name, such as "mnist": their files, download and import. */
#ifndef LS_LAUNCH_DATA_DATASET_KNOWN_H
#define LS_LAUNCH_DATA_DATASET_KNOWN_H

#include "core/io/paths.h"
#include "datasets/datasets.h"

/* Tokenizer with which a known text is imported. */
typedef struct ls_text_choice {
    const char *tokenizer; /* "chars", "bytes", "bpe", "words" or the path of a tokenizer; NULL: that of ls_known */
    int64_t     vocab;     /* vocabulary size that "bpe" learns, limit of "words"; 0: default   */
    int64_t     min_count; /* "words": smallest count of a word; 0: 1                           */
    bool        lowercase; /* the tokenizer lower-cases texts                                   */
} ls_text_choice;

/* One dataset of the table. */
enum { LS_KNOWN_FILES = 6 };
typedef struct ls_known ls_known;
struct ls_known {
    const char *name;
    struct {
        const char *name, *sum;
    } file[LS_KNOWN_FILES]; /* source files and the SHA-256 of each, uncompressed; ended by an empty entry */
    const char *packed;     /* suffix of the downloaded files: ".gz", or ""                               */
    const char *home[2];    /* download URLs without the file's name; none: only LOCKSTEP_DATA has it     */
    const char *recipe;     /* name of the built-in recipe that trains on it                              */
    const char *tokenizer;  /* default for text files, which the cache keeps and imports once per tokenizer;
                               NULL: the files are no text                                                */
    /* Imports the source files in the folder `source` as the dataset folder `out`. */
    ls_status (*import)(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out);
};
/* Writes the path of source file k in a folder: NAME, or NAME.gz where only this exists. */
ls_status ls__known_file(const ls_known *known, int k, const char *folder, char path[LS_PATH_BYTES]);

extern const ls_known ls__known[];                      /* ended by an entry without a name     */
const ls_known       *ls__known_find(const char *name); /* NULL when no dataset has that name   */
const char           *ls__known_names(void);            /* "mnist, shakespeare, multi30k, ..."  */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The interface between datasets.h and the kinds of dataset (images, text, arrays, pairs, labelled texts).  Internal.
 *
 * A kind puts its own struct behind an `ls_dataset` (its first member) and fills in the functions.  Its `ls_kind`
 * describes the columns of a batch and writes one sample into one row of each column.
 */
#ifndef LS_DATASETS_FILES_DATASET_H
#define LS_DATASETS_FILES_DATASET_H

#include "core/base/arena.h"
#include "datasets/datasets.h"

/* Upper limits: pixels a side, bytes of one sample in a batch, number of classes. */
enum { LS_MAX_SIDE = 16384, LS_MAX_SAMPLE_BYTES = 1 << 28, LS_MAX_CLASSES = 1 << 20 };

struct ls_dataset {
    ls_dataset_info info;  /* without the columns, which ls_kind.columns describes */
    ls_arena       *arena; /* names and paths; freed after `close` */
    ls_status (*read)(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label);     /* images only */
    ls_status (*tokens)(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens);    /* text only   */
    ls_status (*documents)(ls_dataset *d, int64_t first, int64_t n, int64_t *starts); /* text only   */
    /* (optional) Makes `read` decode image files at another size.  No effect on a dataset that holds pixels. */
    void (*decode_at)(ls_dataset *d, int side, ls_interpolation interpolation);
    ls_status (*verify)(ls_dataset *d, int *files, int *checked); /* (optional) default: reads all images */
    void (*close)(ls_dataset *d);                                 /* frees the kind's struct, d included  */
};

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

/* Order of the samples in an epoch. */
typedef struct ls_order {
    uint64_t seed;
    bool     in_order; /* file order, for evaluation; false: shuffled by seed and epoch */
    int64_t  batch;    /* samples of the global batch                                   */
    int      shards;   /* virtual shards of the global batch                            */
} ls_order;

/* Place of a row in the run. */
typedef struct ls_place {
    int64_t        epoch, at;               /* position of the sample in its epoch                                */
    int64_t        batch_first, batch_rows; /* global batch: position of its first sample in the epoch, samples   */
    int64_t        sample;                  /* index of the sample, if ls_kind.plan has chosen it                 */
    const int64_t *dim0;                    /* first dims of the columns in this batch; 0: those of ls_kind.columns   */
} ls_place;

/* How the samples of a kind become rows of a batch. */
typedef struct ls_kind {
    const char *name;
    /* Describes the columns of a batch; returns their number. */
    int (*columns)(const ls_dataset_info *info, ls_column column[LS_MAX_INPUTS]);
    /* Bytes of the workspace that each loader allocates for `row`. */
    size_t (*workspace_bytes)(const ls_dataset_info *info);
    /* (optional) Fills the workspace once, before the first row. */
    void (*prepare)(void *workspace, const ls_dataset_info *info, const ls_order *o);
    /* (optional) Chooses the samples of a global batch with first row `first`: sample[r] is the sample of row r.
     * Sets dim0[c] to the first dim of column c in the batch; 0: that of the column.  A function of the global batch
     * alone; `state` (plan_bytes bytes, zero at first) keeps what consecutive batches share. */
    void (*plan)(ls_dataset *d, void *state, const ls_order *o, const ls_place *first, int64_t *sample,
                 int64_t dim0[LS_MAX_INPUTS]);
    size_t (*plan_bytes)(const ls_dataset_info *info, const ls_order *o);
    /* Writes the sample at place `p` into row[c] for each column c.  Calls that share a workspace come from one
     * thread. */
    ls_status (*row)(ls_dataset *d, void *workspace, const ls_order *o, const ls_place *p, void *const *row);
} ls_kind;
extern const ls_kind ls__kind_images, ls__kind_text, ls__kind_masked, ls__kind_arrays, ls__kind_pairs,
    ls__kind_labelled;
const ls_kind *ls__kind_of(const ls_dataset *d);

/* Sets *bytes to the size of one sample in a column of a batch; LS_ERR_DATA above LS_MAX_SAMPLE_BYTES. */
ls_status ls__column_row_bytes(const ls_dataset *d, const ls_column *column, size_t *bytes);

/* Return the number of text windows in an epoch, and the token offset of the first window of an epoch. */
int64_t ls__text_windows(const ls_dataset_info *info, bool in_order);
int64_t ls__text_window_offset(const ls_dataset_info *info, const ls_order *o, int64_t epoch);

/* Whether a dataset of arrays has a single target of one integer per sample, which a classification can use. */
bool ls__array_target_is_class(ls_dataset *d);

/* Makes default class names: "0", "1", ... */
const char *const *ls__class_names(ls_arena *arena, int classes);

static inline int64_t ls__sample_bytes(const ls_dataset_info *info)
{
    return (int64_t)info->channels * info->height * info->width;
}

/* Prints the name of a dataset file: "train-00000-of-00004.h5", or "train.h5" for shards = 0. */
enum { LS_SHARD_NAME = LS_SPLIT_NAME + 32, LS_MAX_SHARDS = 99999 };
void ls__shard_name(char name[LS_SHARD_NAME], const char *split, int shard, int shards);
/* Parses such a name; false if `name` has another form. */
bool ls__shard_name_parse(const char *name, char split[LS_SPLIT_NAME], int *shard, int *shards);

/* Sets *shards to the number of files of a split in a folder.  0: one file "train.h5"; -1: no such split.  Fails when
 * the folder holds the split in two different numbers of files. */
ls_status ls__shard_count(const char *folder, const char *split, int *shards);

#endif

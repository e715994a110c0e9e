/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kinds of data set share.  Not public.  A kind fills in the functions and keeps its own struct behind this
 * one (pictures in HDF5: shard.c; drawn digits: digits.c; text in HDF5: tokens.c), and says with an ls_kind how its
 * samples become rows of a batch.
 */
#ifndef LS_DATASETS_FILES_DATASET_H
#define LS_DATASETS_FILES_DATASET_H

#include "core/base/arena.h"
#include "datasets/datasets.h"

/* Largest pictures: as a side, and as bytes of one sample. */
enum { LS_MAX_SIDE = 16384, LS_MAX_SAMPLE_BYTES = 1 << 28, LS_MAX_CLASSES = 1 << 20 };

struct ls_dataset {
    ls_dataset_info info;
    ls_arena       *arena; /* names and paths; freed after `close` */
    ls_status (*read)(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label);     /* pictures */
    ls_status (*tokens)(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens);    /* text     */
    ls_status (*documents)(ls_dataset *d, int64_t first, int64_t n, int64_t *starts); /* text     */
    ls_status (*verify)(ls_dataset *d, int *files, int *checked); /* (optional: reads all samples, no checksum) */
    void (*close)(ls_dataset *d);                                 /* releases what it has, and d itself */
};

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

enum { LS_COLUMNS = 2 };

/* Which samples, in which order: what a batch is a pure function of, besides its place. */
typedef struct ls_order {
    uint64_t seed;
    bool     in_order; /* samples as they lie, for evaluation */
} ls_order;

/* How the samples of a kind become rows of a batch: an array for each input of the graph. */
typedef struct ls_kind {
    const char *name;
    const char *column[LS_COLUMNS];                               /* names of the inputs                        */
    size_t (*row_bytes)(const ls_dataset_info *info, int column); /* of a sample                                */
    size_t (*own_bytes)(const ls_dataset_info *info);             /* what a loader keeps for the kind           */
    void (*prepare)(void *own, const ls_dataset_info *info);      /* (optional) fills it                        */
    /* Sample `at` of the epoch into its row of each column.  own: the loader's; called by one thread at a time for
     * each. */
    ls_status (*row)(ls_dataset *d, void *own, const ls_order *o, int64_t epoch, int64_t at, void *const *row);
} ls_kind;
extern const ls_kind ls__kind_images, ls__kind_text;
const ls_kind       *ls__kind_of(const ls_dataset *d);

/* Windows of an epoch, and where in the text the first of them begins. */
int64_t ls__text_windows(const ls_dataset_info *info, bool in_order);
int64_t ls__text_window_offset(const ls_dataset_info *info, const ls_order *o, int64_t epoch);

/* "0", "1", ... for `classes` classes. */
const char *const *ls__class_names(ls_arena *arena, int classes);

static inline int64_t ls__sample_bytes(const ls_dataset_info *info)
{
    return (int64_t)info->channels * info->height * info->width;
}

/* Name of a file of a split: "train-00000-of-00004.h5", or "train.h5" for shards = 0. */
enum { LS_SHARD_NAME = LS_SPLIT_NAME + 32, LS_MAX_SHARDS = 99999 };
void ls__shard_name(char name[LS_SHARD_NAME], const char *split, int shard, int shards);
/* The reverse: false when `name` is no such name. */
bool ls__shard_name_parse(const char *name, char split[LS_SPLIT_NAME], int *shard, int *shards);

/* Into how many files the split of a folder is cut: 0: "train.h5", -1: there is no such split.  An error when the
 * folder holds files of two cuts. */
ls_status ls__shard_count(const char *folder, const char *split, int *shards);

#endif

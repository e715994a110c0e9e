/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kinds of data set share.  Not public.  A kind fills in the functions and keeps its own struct behind this one
 * (HDF5 shards: shard.c; drawn digits: digits.c).
 */
#ifndef LS_DATASETS_DATASET_H
#define LS_DATASETS_DATASET_H

#include "core/base/arena.h"
#include "datasets/datasets.h"

/* Largest pictures: as a side, and as bytes of one sample. */
enum { LS_MAX_SIDE = 16384, LS_MAX_SAMPLE_BYTES = 1 << 28, LS_MAX_CLASSES = 1 << 20 };

struct ls_dataset {
    ls_dataset_info info;
    ls_arena       *arena; /* names and paths; freed after `close` */
    ls_status (*read)(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label);
    ls_status (*verify)(ls_dataset *d, int *files, int *checked); /* (optional: reads all samples, no checksum) */
    void (*close)(ls_dataset *d);                                 /* releases what it has, and d itself */
};

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

/* Into how many files the split of a folder is cut: 0: "train.h5", -1: there is no such split.  An error when the folder
 * holds files of two cuts. */
ls_status ls__shard_count(const char *folder, const char *split, int *shards);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Implements the functions of datasets.h that all kinds of dataset share, and the names of dataset files. */
#include "datasets/files/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ls_dataset_free(ls_dataset *d)
{
    if (!d) return;
    ls_arena *arena = d->arena;
    d->close(d);
    ls_arena_free(arena);
}

static const ls_kind *kind_of(const ls_dataset_info *info)
{
    switch (info->kind) {
    case LS_DATA_TEXT:
        return info->masking.part > 0 ? &ls__kind_masked : &ls__kind_text;
    case LS_DATA_ARRAYS:
        return &ls__kind_arrays;
    case LS_DATA_PAIRS:
        return &ls__kind_pairs;
    case LS_DATA_LABELLED:
        return &ls__kind_labelled;
    default:
        return &ls__kind_images;
    }
}

const ls_kind *ls__kind_of(const ls_dataset *d) { return kind_of(&d->info); }

void ls__dataset_info(const ls_dataset *d, ls_dataset_info *info, size_t bytes)
{
    ls_dataset_info full = d->info;
    full.columns         = kind_of(&full)->columns(&full, full.column);
    memset(info, 0, bytes);
    memcpy(info, &full, bytes < sizeof full ? bytes : sizeof full);
}

ls_status ls__column_row_bytes(const ls_dataset *d, const ls_column *column, size_t *bytes)
{
    *bytes = column->type == LS_U8 ? 1 : 4;
    for (int i = 0; i < column->rank; i++) {
        bool fits = column->dim[i] >= 1 && !__builtin_mul_overflow(*bytes, (size_t)column->dim[i], bytes) &&
                    *bytes <= LS_MAX_SAMPLE_BYTES;
        LS_CHECK(fits, LS_ERR_DATA, "%s: %s: a sample has more than %d MiB; expected less", d->info.path, column->name,
                 LS_MAX_SAMPLE_BYTES >> 20);
    }
    return LS_OK;
}

int64_t ls_dataset_epoch(const ls_dataset *d, bool in_order, int64_t batch)
{
    if (d->info.streams) return d->info.count / batch * batch;
    return d->info.kind == LS_DATA_TEXT ? ls__text_windows(&d->info, in_order) : d->info.count;
}

ls_status ls_dataset_read(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    LS_CHECK(d->read, LS_ERR_USAGE,
             "%s: expected a dataset of images" LS_HINT
             "ls_dataset_tokens reads text, ls_dataset_values arrays, ls_dataset_pair pairs",
             d->info.path);
    LS_CHECK(i >= 0 && i < d->info.count, LS_ERR_USAGE, "%s: sample: expected 0 to %lld, found %lld", d->info.path,
             (long long)d->info.count - 1, (long long)i);
    return d->read(d, i, pixels, label);
}

ls_status ls_dataset_verify(ls_dataset *d, int *files, int *checked)
{
    if (d->verify) return d->verify(d, files, checked);
    *files = *checked = 0;
    uint8_t  *pixels  = malloc((size_t)ls__sample_bytes(&d->info));
    ls_status status  = pixels ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a sample", d->info.path);
    for (int64_t i = 0; i < d->info.count && status == LS_OK; i++) {
        int32_t label;
        status = d->read(d, i, pixels, &label);
    }
    free(pixels);
    return status;
}

const char *const *ls__class_names(ls_arena *arena, int classes)
{
    const char **names = ls_arena_alloc(arena, sizeof *names * (size_t)classes);
    for (int i = 0; i < classes; i++) names[i] = ls_arena_printf(arena, "%d", i);
    return names;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

void ls__shard_name(char name[LS_SHARD_NAME], const char *split, int shard, int shards)
{
    if (!shards)
        snprintf(name, LS_SHARD_NAME, "%.*s.h5", LS_SPLIT_NAME - 1, split);
    else
        snprintf(name, LS_SHARD_NAME, "%.*s-%05d-of-%05d.h5", LS_SPLIT_NAME - 1, split, shard, shards);
}

bool ls__shard_name_parse(const char *name, char split[LS_SPLIT_NAME], int *shard, int *shards)
{
    size_t length = strlen(name), stem;
    if (name[0] == '.' || length < 4 || strcmp(name + length - 3, ".h5")) return false;
    stem   = length - 3;
    *shard = *shards = 0;

    static const char form[] = "-00000-of-00000";
    size_t            tail = sizeof form - 1, digits = 0;
    if (stem > tail) {
        const char *at = name + stem - tail;
        for (size_t i = 0; i < tail; i++) digits += form[i] == '0' ? at[i] >= '0' && at[i] <= '9' : at[i] == form[i];
        if (digits == tail) {
            *shard  = atoi(at + 1);
            *shards = atoi(at + 10);
            stem -= tail;
            if (*shards < 1 || *shard >= *shards) return false;
        }
    }
    if (stem >= LS_SPLIT_NAME) return false;
    memcpy(split, name, stem);
    split[stem] = 0;
    return true;
}

static ls_status open_folder(DIR **dir, const char *folder)
{
    *dir = opendir(folder);
    LS_CHECK(*dir, LS_ERR_DATA,
             "%s: %s" LS_HINT "a data set is a folder with train.h5 and test.h5; make one with `lockstep data import`",
             folder, strerror(errno));
    return LS_OK;
}

ls_status ls__shard_count(const char *folder, const char *split, int *shards)
{
    DIR *dir;
    int  cut = -1, other = -1;
    LS_TRY(open_folder(&dir, folder));
    for (struct dirent *entry; (entry = readdir(dir));) {
        char name[LS_SPLIT_NAME];
        int  shard, of;
        if (!ls__shard_name_parse(entry->d_name, name, &shard, &of) || strcmp(name, split)) continue;
        if (cut >= 0 && of != cut) other = of;
        cut = of;
    }
    closedir(dir);
    if (other >= 0) {
        char one[LS_SHARD_NAME], two[LS_SHARD_NAME];
        ls__shard_name(one, split, 0, cut < other ? cut : other);
        ls__shard_name(two, split, 0, cut < other ? other : cut);
        return LS_FAIL(LS_ERR_DATA,
                       "%s: has the split '%s' twice: as %s and as %s" LS_HINT "remove the files of one of them",
                       folder, split, one, two);
    }
    *shards = cut;
    return LS_OK;
}

static int by_name(const void *p, const void *q) { return strcmp(p, q); }

ls_status ls_dataset_splits(const char *folder, char (*splits)[LS_SPLIT_NAME], int *count)
{
    DIR *dir;
    LS_TRY(open_folder(&dir, folder));
    *count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) && *count < LS_MAX_SPLITS;) {
        char split[LS_SPLIT_NAME];
        int  shard, shards, known = 0;
        if (!ls__shard_name_parse(entry->d_name, split, &shard, &shards)) continue;
        while (known < *count && strcmp(splits[known], split)) known++;
        if (known == *count) memcpy(splits[(*count)++], split, sizeof split);
    }
    closedir(dir);
    qsort(splits, (size_t)*count, sizeof *splits, by_name);
    return LS_OK;
}

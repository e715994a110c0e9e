/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels of a classification: reads the class of each sample when the dataset is opened, and finds the number of
 * classes in all splits.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/array/array.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_heap.h"

enum { LABELS_PER_READ = 4096 };

static ls_status check_labels(const char *path, const char *name, int64_t first, int64_t n, const int64_t *wide,
                              int32_t *labels)
{
    for (int64_t i = 0; i < n; i++) {
        LS_CHECK(wide[i] >= 0 && wide[i] < LS_MAX_CLASSES, LS_ERR_DATA,
                 "%s: /%s: sample %lld has class %lld; expected 0 to %d" LS_HINT "number the classes from 0", path,
                 name, (long long)(first + i), (long long)wide[i], LS_MAX_CLASSES - 1);
        labels[i] = (int32_t)wide[i];
    }
    return LS_OK;
}

/* Reads all labels of an open file. */
static ls_status read_labels(const char *path, const char *name, hid_t set, int64_t count, int32_t *labels)
{
    int64_t   wide[LABELS_PER_READ];
    ls_status status = LS_OK;
    hid_t     space  = H5Dget_space(set);
    int       rank   = space >= 0 ? H5Sget_simple_extent_ndims(space) : 0;
    LS_CHECK(rank == 1 || rank == 2, LS_ERR_DATA, "%s: /%s cannot be read: %s", path, name, ls__h5_reason());
    for (int64_t i = 0; i < count && status == LS_OK; i += LABELS_PER_READ) {
        int64_t n        = count - i < LABELS_PER_READ ? count - i : LABELS_PER_READ;
        hsize_t start[2] = {(hsize_t)i, 0}, size[2] = {(hsize_t)n, 1};
        hid_t   memory = H5Screate_simple(1, size, NULL);
        bool    ok     = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
                  H5Dread(set, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, wide) >= 0;
        H5Sclose(memory);
        status = ok ? check_labels(path, name, i, n, wide, labels + i)
                    : LS_FAIL(LS_ERR_DATA, "%s: /%s cannot be read: %s", path, name, ls__h5_reason());
    }
    H5Sclose(space);
    return status;
}

ls_status ls__array_append_labels(ls_array_set *d, const ls_array_file *f)
{
    int64_t  before = f->first;
    int32_t *labels = realloc(d->labels, (size_t)(before + f->count) * sizeof *labels);
    LS_CHECK(labels, LS_ERR_ENV, "%s: out of memory for %lld labels", f->path, (long long)(before + f->count));
    d->labels = labels;
    return read_labels(f->path, d->column[d->label_column].dataset, f->part[d->label_column].set, f->count,
                       labels + before);
}

static int largest(const int32_t *labels, int64_t n)
{
    int most = -1;
    for (int64_t i = 0; i < n; i++)
        if (labels[i] > most) most = labels[i];
    return most;
}

/* Raises *classes to the number of classes in one file of another split; ignores a file without labels. */
static ls_status scan_file(const ls_array_set *d, const char *path, int *classes)
{
    ls_array_set  other = {.label_column = 0, .columns = 1, .column = {d->column[d->label_column]}};
    ls_array_file f     = {.path = path, .fd = -1, .file = -1, .part = {{.set = -1, .offset = -1, .stored = -1}}};
    int64_t       bytes;
    other.file       = &f;
    ls_status status = ls__split_open(path, &f.fd, &f.file, &bytes);
    if (status == LS_OK && H5Lexists(f.file, d->column[d->label_column].dataset, H5P_DEFAULT) > 0) {
        status = ls__array_open_part(&other, &f, 0, bytes);
        if (status == LS_OK) status = ls__array_append_labels(&other, &f);
        if (status == LS_OK) {
            int most = largest(other.labels, f.count);
            if (most >= *classes) *classes = most + 1;
        }
    }
    free(other.labels);
    if (f.part[0].set >= 0) H5Dclose(f.part[0].set);
    if (f.file >= 0) H5Fclose(f.file);
    if (f.fd >= 0) close(f.fd);
    return status;
}

/* Raises *classes to the number of classes in the other splits of a folder, so that all splits have equal numbers. */
static ls_status scan_other_splits(const ls_array_set *d, const char *folder, int *classes)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int  count, files;
    LS_TRY(ls_dataset_splits(folder, splits, &count));
    for (int k = 0; k < count; k++) {
        const char **paths;
        if (!strcmp(splits[k], d->base.info.split)) continue;
        LS_TRY(ls__split_find(d->base.arena, folder, splits[k], &files, &paths));
        for (int i = 0; i < files; i++) LS_TRY(scan_file(d, paths[i], classes));
    }
    return LS_OK;
}

/* Checks that each class of the held-out rows [cut, rows) also occurs before them. */
static ls_status check_cut(const ls_array_set *d, int64_t rows, int64_t cut, int classes)
{
    bool     *trained = calloc((size_t)classes, sizeof *trained);
    ls_status status  = trained ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory", d->base.info.path);
    for (int64_t i = 0; i < rows && status == LS_OK; i++) {
        if (i < cut)
            trained[d->labels[i]] = true;
        else if (!trained[d->labels[i]])
            status = LS_FAIL(LS_ERR_DATA,
                             "%s: /%s: class %d occurs only in the last tenth, which is held out" LS_HINT
                             "the samples seem to be sorted by class: shuffle them, or write train.h5 and test.h5",
                             d->base.info.path, d->column[d->label_column].dataset, d->labels[i]);
    }
    free(trained);
    return status;
}

ls_status ls__array_count_classes(ls_array_set *d, bool folder, int64_t rows, int64_t cut, int named)
{
    ls_dataset_info *info    = &d->base.info;
    int              classes = largest(d->labels, rows) + 1;
    if (folder) LS_TRY(scan_other_splits(d, info->path, &classes));
    LS_CHECK(!named || classes <= named, LS_ERR_DATA, "%s: /class_names: has %d names, but /%s has class %d",
             info->path, named, d->column[d->label_column].dataset, classes - 1);
    info->classes = named ? named : classes;
    if (!named) info->class_names = ls__class_names(d->base.arena, classes);
    return cut < rows ? check_cut(d, rows, cut, classes) : LS_OK;
}

ls_status ls__array_class_names(ls_array_set *d, const ls_array_file *f, int64_t file_bytes, int *named)
{
    hid_t       set;
    ls_h5_shape s;
    int         classes = 0;
    if (H5Lexists(f->file, "class_names", H5P_DEFAULT) <= 0) return LS_OK;
    LS_TRY(ls__array_check_links(f->path, f->file, "class_names"));
    LS_TRY(ls__h5_dataset(f->path, f->file, "class_names", true, &set, &s));
    H5Dclose(set);
    /* Variable-length strings need a scan of the file, which skips the first array, usually the largest. */
    const ls_array_part *p = &f->part[0];
    int64_t skip           = p->offset >= 0 ? f->count * d->column[0].elements * ls__array_stored_bytes(p->stored) : 0;
    if (s.variable) LS_TRY(ls__h5_check_heaps(f->path, f->fd, file_bytes, skip ? p->offset : file_bytes, skip));
    LS_TRY(ls__class_names_read(f->path, f->file, file_bytes, d->base.arena, &d->base.info.class_names, &classes));
    *named = classes;
    return LS_OK;
}

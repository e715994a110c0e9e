/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports the binary version of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html).  A file holds
 * records without a header:
 *
 *     CIFAR-10     label, then 3072 pixels: the planes R, G, B of 32 x 32
 *                  data_batch_1.bin to data_batch_5.bin, test_batch.bin
 *     CIFAR-100    coarse label, fine label, then the pixels
 *                  train.bin, test.bin
 *
 * Names of the classes: batches.meta.txt, fine_label_names.txt or coarse_label_names.txt, one a line, if they exist.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "datasets/files/dataset.h"

enum { SIDE = 32, CHANNELS = 3, PLANE = SIDE * SIDE, PIXELS = CHANNELS * PLANE, MAX_FILES = 5, MAX_CLASSES = 100 };
enum { MAX_FILE_BYTES = 1 << 30, MAX_NAMES_BYTES = 1 << 16, TRAIN = 0, TEST = 1, SPLITS = 2 };

typedef struct cifar {
    const char *name;
    const char *probe;                       /* file by which the dataset is recognised */
    const char *file[SPLITS][MAX_FILES + 1]; /* ended by NULL                            */
    const char *names[2];                    /* of the classes; [1]: coarse              */
    int         classes[2], labels;          /* labels: bytes before the pixels          */
} cifar;

static const cifar datasets[] = {
    {.name    = "CIFAR-10",
     .probe   = "data_batch_1.bin",
     .file    = {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
                 {"test_batch.bin"}},
     .names   = {"batches.meta.txt"},
     .classes = {10},
     .labels  = 1},
    {.name    = "CIFAR-100",
     .probe   = "train.bin",
     .file    = {{"train.bin"}, {"test.bin"}},
     .names   = {"fine_label_names.txt", "coarse_label_names.txt"},
     .classes = {100, 20},
     .labels  = 2},
};

typedef struct cifar_import {
    const char  *folder;
    const cifar *c;
    bool         coarse;
    ls_arena    *arena;
    int          classes;
    const char **class_name;
    int64_t      count[SPLITS];
    uint64_t     sum[CHANNELS], square[CHANNELS]; /* of the pixels of train */
} cifar_import;

static ls_status find(cifar_import *m)
{
    char path[LS_PATH_BYTES];
    for (size_t k = 0; k < sizeof datasets / sizeof *datasets; k++) {
        LS_TRY(ls__path(path, "%s/%s", m->folder, datasets[k].probe));
        if (access(path, F_OK)) continue;
        m->c = &datasets[k];
        LS_CHECK(!m->coarse || m->c->classes[1], LS_ERR_USAGE, "%s: is %s, which has no coarse labels", m->folder,
                 m->c->name);
        m->classes = m->c->classes[m->coarse];
        return LS_OK;
    }
    return LS_FAIL(LS_ERR_DATA,
                   "%s: has neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)" LS_HINT
                   "extract the binary version, cifar-10-binary.tar.gz, and name the folder with the .bin files",
                   m->folder);
}

/* Reads the names of the classes; without the file they are numbers. */
static ls_status read_names(cifar_import *m)
{
    char   path[LS_PATH_BYTES], *text, *rest = NULL;
    size_t bytes;
    int    n = 0;
    LS_TRY(ls__path(path, "%s/%s", m->folder, m->c->names[m->coarse]));
    if (access(path, F_OK)) return LS_OK;
    LS_TRY(ls__file_text(path, MAX_NAMES_BYTES, &text, &bytes));
    m->class_name = ls_arena_alloc(m->arena, sizeof *m->class_name * MAX_CLASSES);
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest), n++)
        if (n < m->classes) m->class_name[n] = ls_arena_strdup(m->arena, line);
    free(text);
    LS_CHECK(n == m->classes, LS_ERR_DATA, "%s: has %d names; expected %d, one a line", path, n, m->classes);
    return LS_OK;
}

static void add_sums(cifar_import *m, const uint8_t *pixels)
{
    for (int c = 0; c < CHANNELS; c++, pixels += PLANE) {
        uint32_t sum = 0, square = 0;
        for (int i = 0; i < PLANE; i++) {
            sum += pixels[i];
            square += (uint32_t)pixels[i] * pixels[i];
        }
        m->sum[c] += sum;
        m->square[c] += square;
    }
}

/* Reads a file: counts its samples and adds up their pixels, or with a writer adds them to it. */
static ls_status read_file(cifar_import *m, int split, const char *name, ls_writer *w)
{
    char   path[LS_PATH_BYTES], *text;
    size_t bytes, record = (size_t)m->c->labels + PIXELS;
    LS_TRY(ls__path(path, "%s/%s", m->folder, name));
    LS_CHECK(access(path, R_OK) == 0, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    LS_TRY(ls__file_text(path, MAX_FILE_BYTES, &text, &bytes));
    ls_status status = LS_OK;
    if (!bytes || bytes % record)
        status = LS_FAIL(LS_ERR_DATA,
                         "%s: has %zu bytes; expected a multiple of %zu, the bytes of a sample of %s" LS_HINT
                         "the file is truncated, or no file of this dataset",
                         path, bytes, record, m->c->name);
    for (size_t i = 0; i < bytes / record && status == LS_OK; i++) {
        const uint8_t *sample = (const uint8_t *)text + i * record;
        int            label  = sample[m->c->labels == 2 && !m->coarse ? 1 : 0];
        if (label >= m->classes)
            status =
                LS_FAIL(LS_ERR_DATA, "%s: sample %zu has label %d; expected 0 to %d", path, i, label, m->classes - 1);
        else if (w)
            status = ls_writer_add(w, sample + m->c->labels, label);
        else if (split == TRAIN)
            add_sums(m, sample + m->c->labels);
    }
    if (!w) m->count[split] += (int64_t)(bytes / record);
    free(text);
    return status;
}

static ls_status read_split(cifar_import *m, int split, ls_writer *w)
{
    for (const char *const *name = m->c->file[split]; *name; name++) LS_TRY(read_file(m, split, *name, w));
    return LS_OK;
}

static ls_dataset_info describe(const cifar_import *m, int split)
{
    ls_dataset_info info = {.split       = split == TRAIN ? "train" : "test",
                            .count       = m->count[split],
                            .channels    = CHANNELS,
                            .height      = SIDE,
                            .width       = SIDE,
                            .classes     = m->classes,
                            .class_names = m->class_name};
    for (int c = 0; c < CHANNELS; c++) {
        double n = (double)m->count[TRAIN] * PLANE, mean = (double)m->sum[c] / n,
               variance = (double)m->square[c] / n - mean * mean;
        info.mean[c]    = (float)(mean / 255);
        info.std[c]     = variance > 0 ? (float)(sqrt(variance) / 255) : 1.0f; /* all pixels are equal */
    }
    return info;
}

static ls_status import(cifar_import *m, const char *out, int shards)
{
    ls_writer *w[SPLITS] = {NULL};
    ls_status  status    = LS_OK;
    LS_TRY(find(m));
    LS_TRY(read_names(m));
    for (int s = 0; s < SPLITS; s++) LS_TRY(read_split(m, s, NULL));
    for (int s = 0; s < SPLITS; s++) {
        ls_dataset_info info = describe(m, s);
        LS_TRY_GOTO(status, ls_writer_new(&w[s], out, &info, shards < info.count ? shards : (int)info.count), end);
        LS_TRY_GOTO(status, read_split(m, s, w[s]), end);
    }
    for (int s = 0; s < SPLITS; s++) LS_TRY_GOTO(status, ls_writer_close(w[s]), end);
end:
    for (int s = SPLITS - 1; s >= 0; s--) ls_writer_free(w[s]); /* the first writer made the folder: free it last */
    return status;
}

ls_status ls_import_cifar(const char *folder, const char *out, bool coarse, int shards)
{
    cifar_import m = {.folder = folder, .coarse = coarse};
    LS_TRY(ls_arena_new(&m.arena, "cifar"));
    ls_status status = import(&m, out, shards);
    ls_arena_free(m.arena);
    return status;
}

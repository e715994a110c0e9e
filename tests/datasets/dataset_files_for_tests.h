/* SPDX-License-Identifier: Apache-2.0
 * For tests of file formats: a temporary folder, small files, tiny datasets. */
#ifndef TESTS_DATASETS_FILES_H
#define TESTS_DATASETS_FILES_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/datasets.h"

enum { FILES_PATH = 512 };

/* Makes an empty folder, in memory (/dev/shm) if possible. */
static inline void folder_make(char folder[FILES_PATH])
{
    snprintf(folder, FILES_PATH, "%s/lockstep-test-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
}

static inline int file_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

/* Removes a folder and everything in it. */
static inline void folder_remove(const char *folder) { nftw(folder, file_remove, 16, FTW_DEPTH | FTW_PHYS); }

/* Counts the files and folders in a folder, hidden ones included; -1: no such folder. */
static inline int folder_count(const char *folder)
{
    DIR *dir = opendir(folder);
    int  n   = -2;
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return dir ? n : -1;
}

static inline void file_write(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    if (!f || (bytes && fwrite(data, 1, bytes, f) != bytes) || fclose(f)) abort();
}

static inline size_t file_read(const char *path, void *data, size_t bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    size_t n = fread(data, 1, bytes, f);
    fclose(f);
    return n;
}

static inline int64_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (int64_t)st.st_size;
}

/* A small dataset: 2 x 3 x 4 pixels that are functions of the index, labels 0 1 2 0 1 2 ... */
static inline void tiny_sample(int64_t i, uint8_t pixels[24], int32_t *label)
{
    for (int p = 0; p < 24; p++) pixels[p] = (uint8_t)(i * 37 + p * 5);
    *label = (int32_t)(i % 3);
}

static inline ls_dataset_info tiny_info(int64_t count)
{
    static const char *const names[3] = {"cat", "dog", "f\xc3\xb6hn"};
    return (ls_dataset_info){.split       = "train",
                             .count       = count,
                             .channels    = 2,
                             .height      = 3,
                             .width       = 4,
                             .classes     = 3,
                             .mean        = {0.25f, 0.5f},
                             .std         = {0.5f, 0.125f},
                             .class_names = names};
}

static inline ls_status tiny_write(const char *folder, int64_t count, int shards)
{
    ls_writer      *w;
    ls_dataset_info info   = tiny_info(count);
    ls_status       status = ls_writer_new(&w, folder, &info, shards);
    for (int64_t i = 0; i < count && status == LS_OK; i++) {
        uint8_t pixels[24];
        int32_t label;
        tiny_sample(i, pixels, &label);
        status = ls_writer_add(w, pixels, label);
    }
    if (status == LS_OK) status = ls_writer_close(w);
    ls_writer_free(w);
    return status;
}

#endif

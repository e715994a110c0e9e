/* SPDX-License-Identifier: Apache-2.0
 * Paths in the cache of datasets, and imports into it: see launch/data/dataset_cache.h. */
#include "launch/data/dataset_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/io/paths.h"
#include "launch/data/child_process.h"

ls_status ls__data_cache(const char *name, char path[LS_DATA_PATH])
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool        own = base && *base;
    LS_CHECK(own || (home && *home), LS_ERR_ENV,
             "cache of datasets: neither XDG_CACHE_HOME nor HOME is set" LS_HINT "set XDG_CACHE_HOME=DIR");
    int length = snprintf(path, LS_DATA_PATH, "%s%s/lockstep", own ? base : home, own ? "" : "/.cache");
    LS_CHECK(length + strlen(name) + 2 < LS_DATA_PATH, LS_ERR_ENV,
             "cache of datasets: the path of the folder is too long: %d bytes", length);
    LS_TRY(ls__make_folders(path, NULL));
    snprintf(path + length, LS_DATA_PATH - (size_t)length, "/%s", name);
    return LS_OK;
}

bool ls__data_there(const char *folder)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int  count, found = 0;
    if (access(folder, F_OK) || ls_dataset_splits(folder, splits, &count) != LS_OK) return false;
    for (int i = 0; i < count; i++)
        found |= !strcmp(splits[i], "train") ? 1 : !strcmp(splits[i], "test") || !strcmp(splits[i], "valid") ? 2 : 0;
    return found == 3;
}

void ls__data_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

static ls_status import_now(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    char temporary[LS_DATA_PATH + 32];
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld", out, (long)getpid());
    LS_TRY(known->import(known, source, choice, temporary));
    ls_status status = ls__rename(temporary, out);
    if (status == LS_OK) return LS_OK;
    ls__tree_remove(temporary);
    return ls__data_there(out) ? LS_OK : status; /* another process has created it meanwhile */
}

ls_status ls__data_import_once(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    char path[LS_DATA_PATH + 8];
    snprintf(path, sizeof path, "%s.lock", out);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    LS_CHECK(lock >= 0, LS_ERR_ENV,
             "%s: cannot be written: %s" LS_HINT "XDG_CACHE_HOME=DIR chooses another folder for the cache", path,
             strerror(errno));
    /* Where the file system has no locks, two processes may both import; the rename decides. */
    while (flock(lock, LOCK_EX) != 0 && errno == EINTR) continue;
    ls_status status = ls__data_there(out) ? LS_OK : import_now(known, source, choice, out);
    close(lock);
    return status;
}

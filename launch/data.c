/* SPDX-License-Identifier: Apache-2.0
 *
 * Where data come from, and `lockstep data`.
 *
 * data.path is "digits" (drawn), a known name, a file or a folder.  The known name `mnist` means, in this order:
 *
 *   LOCKSTEP_DATA=DIR is set   the idx files in DIR/mnist, imported once into the cache, under a name made of their path, sizes
 *                              and times; ranks that start together wait for the first
 *   otherwise                  what `lockstep data fetch mnist` left in the cache
 */
#include "launch/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "launch/commands.h"
#include "launch/data_internal.h"

static const char DRAWN[] = "digits", KNOWN[] = "mnist";

/* ---- the cache ----------------------------------------------------------------------------------------------------- */

static ls_status make_folders(const char *path)
{
    char part[LS_DATA_PATH];
    for (size_t n = 1, length = strlen(path); n <= length; n++) {
        if (path[n] != '/' && path[n] != 0) continue;
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        LS_CHECK(mkdir(part, 0777) == 0 || errno == EEXIST, LS_ERR_ENV, "%s: cannot make the folder: %s" LS_HINT
                 "XDG_CACHE_HOME=DIR puts the cache somewhere else", part, strerror(errno));
    }
    return LS_OK;
}

ls_status ls__data_cache(const char *name, char path[LS_DATA_PATH])
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool        own  = base && *base;
    LS_CHECK(own || (home && *home), LS_ERR_ENV, "no folder for the cache: neither XDG_CACHE_HOME nor HOME is set" LS_HINT "set XDG_CACHE_HOME=DIR");
    int length = snprintf(path, LS_DATA_PATH, "%s%s/lockstep", own ? base : home, own ? "" : "/.cache");
    LS_CHECK(length + strlen(name) + 2 < LS_DATA_PATH, LS_ERR_ENV, "the name of the cache's folder has %d letters; that is too long", length);
    LS_TRY(make_folders(path));
    snprintf(path + length, LS_DATA_PATH - (size_t)length, "/%s", name);
    return LS_OK;
}

bool ls__data_there(const char *folder)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int  count, found = 0;
    if (access(folder, F_OK) || ls_dataset_splits(folder, splits, &count) != LS_OK) return false;
    for (int i = 0; i < count; i++) found += !strcmp(splits[i], "train") || !strcmp(splits[i], "test");
    return found == 2;
}

void ls__data_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

static ls_status import_now(const char *source, const char *out)
{
    char temporary[LS_DATA_PATH + 32];
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld", out, (long)getpid());
    LS_TRY(ls_import_idx(source, temporary, 1));
    if (rename(temporary, out) == 0) return LS_OK;
    int error = errno;
    ls__data_remove(temporary);
    LS_CHECK(ls__data_there(out), LS_ERR_ENV, "%s: cannot be written: %s", out, strerror(error));
    return LS_OK;
}

ls_status ls__data_import_once(const char *source, const char *out)
{
    char path[LS_DATA_PATH + 8];
    snprintf(path, sizeof path, "%s.lock", out);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    LS_CHECK(lock >= 0, LS_ERR_ENV, "%s: cannot be written: %s" LS_HINT "XDG_CACHE_HOME=DIR puts the cache somewhere else", path, strerror(errno));
    /* A file system without locks costs no more than importing twice. */
    while (flock(lock, LOCK_EX) != 0 && errno == EINTR) continue;
    ls_status status = ls__data_there(out) ? LS_OK : import_now(source, out);
    close(lock);
    return status;
}

/* ---- resolving data.path ------------------------------------------------------------------------------------------- */

/* DIR/mnist -> "mnist-0123456789abcdef": another name when the files are others. */
static ls_status name_of_copy(const char *source, char name[64])
{
    struct entry { char name[64]; int64_t size, seconds, nanoseconds; } entry;
    DIR *dir = opendir(source);
    LS_CHECK(dir, LS_ERR_DATA, "%s: %s" LS_HINT "LOCKSTEP_DATA=DIR means that DIR/%s has the data's files", source, strerror(errno), KNOWN);
    uint64_t sum = XXH3_64bits(source, strlen(source));
    for (struct dirent *found; (found = readdir(dir));) {
        struct stat st;
        if (!strstr(found->d_name, "ubyte") || fstatat(dirfd(dir), found->d_name, &st, 0)) continue;
        memset(&entry, 0, sizeof entry);
        snprintf(entry.name, sizeof entry.name, "%.63s", found->d_name);
        entry.size        = st.st_size;
        entry.seconds     = st.st_mtim.tv_sec;
        entry.nanoseconds = st.st_mtim.tv_nsec;
        sum += XXH3_64bits(&entry, sizeof entry); /* a sum: the order in a folder means nothing */
    }
    closedir(dir);
    snprintf(name, 64, "%s-%016llx", KNOWN, (unsigned long long)sum);
    return LS_OK;
}

ls_status ls_data_resolve(const char *data_path, char *path, size_t bytes)
{
    char        found[LS_DATA_PATH], source[LS_DATA_PATH], name[64];
    const char *copies = getenv("LOCKSTEP_DATA");
    if (strcmp(data_path, KNOWN)) {
        snprintf(found, sizeof found, "%s", data_path);
    } else if (copies && *copies) {
        char *real = realpath(copies, NULL);
        LS_CHECK(real, LS_ERR_DATA, "LOCKSTEP_DATA=%s: %s" LS_HINT "expected a folder that has %s/ with the data's files", copies, strerror(errno), KNOWN);
        int length = snprintf(source, sizeof source, "%s/%s", real, KNOWN);
        free(real);
        LS_CHECK(length < (int)sizeof source, LS_ERR_DATA, "LOCKSTEP_DATA: a name of %d letters; that is too long", length);
        LS_TRY(name_of_copy(source, name));
        LS_TRY(ls__data_cache(name, found));
        if (!ls__data_there(found)) LS_TRY(ls__data_import_once(source, found));
    } else {
        LS_TRY(ls__data_cache(KNOWN, found));
        LS_CHECK(ls__data_there(found), LS_ERR_DATA, "data.path: %s was not fetched yet: %s is missing" LS_HINT
                 "`lockstep data fetch %s` downloads it; LOCKSTEP_DATA=DIR takes local copies from DIR/%s", KNOWN, found, KNOWN, KNOWN);
    }
    LS_CHECK(strlen(found) < bytes, LS_ERR_USAGE, "data.path: a name of %zu letters; that is too long", strlen(found));
    snprintf(path, bytes, "%s", found);
    return LS_OK;
}

ls_status ls_data_open(ls_dataset **d, const ls_recipe *recipe, const char *split)
{
    char path[LS_DATA_PATH];
    if (!strcmp(recipe->data.path, DRAWN)) {
        bool train = !strcmp(split, "train");
        return ls_dataset_digits(d, split, train ? recipe->data.train_count : recipe->data.test_count, (uint64_t)recipe->data.seed);
    }
    LS_TRY(ls_data_resolve(recipe->data.path, path, sizeof path));
    LS_TRY(ls_dataset_open(d, path, split));
    return LS_OK;
}

/* ---- the command --------------------------------------------------------------------------------------------------- */

static ls_status import(const ls_args *args)
{
    long long   shards;
    const char *what = args->positional[0], *out = args->positional[2];
    LS_CHECK(!strcmp(what, KNOWN), LS_ERR_USAGE, "data import: expected %s, found '%s'" LS_HINT "`lockstep data import %s DIR OUT`", KNOWN, what, KNOWN);
    LS_TRY(ls_args_int(args, "shards", 1, 99999, 1, &shards));
    LS_TRY(ls_import_idx(args->positional[1], out, (int)shards));
    printf("%s: imported from %s\n", out, args->positional[1]);
    return LS_OK;
}

static ls_status verify_split(const char *path, const char *split)
{
    ls_dataset *d;
    int         files, checked;
    LS_TRY(ls_dataset_open(&d, path, split));
    ls_dataset_info info   = ls_dataset_info_of(d);
    ls_status       status = ls_dataset_verify(d, &files, &checked);
    if (status == LS_OK)
        printf("%s: %s: %lld samples in %d file%s: ok%s\n", path, info.split, (long long)info.count, files, files == 1 ? "" : "s",
               checked == files ? ", checksums match" : checked ? ", some files have no checksum" : ", no checksum to compare with");
    ls_dataset_free(d);
    return status;
}

static ls_status verify(const ls_args *args)
{
    char        path[LS_DATA_PATH], splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int         count;
    struct stat st;
    LS_TRY(ls_data_resolve(args->positional[0], path, sizeof path));
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) return verify_split(path, NULL);
    LS_TRY(ls_dataset_splits(path, splits, &count));
    LS_CHECK(count, LS_ERR_DATA, "%s: has no .h5 files" LS_HINT "make a data set with `lockstep data import`", path);
    for (int i = 0; i < count; i++) LS_TRY(verify_split(path, splits[i]));
    return LS_OK;
}

static ls_status inspect(const ls_args *args) { return ls__data_inspect(args->positional[0], ls_args_option(args, "png")); }

static ls_status fetch(const ls_args *args) { return ls__data_fetch(args->positional[0], args->positionals > 1 ? args->positional[1] : NULL); }

ls_status ls__data_command(int argc, char **argv)
{
    static const struct { const char *name; ls_status (*run)(const ls_args *args); } commands[] = {
        {"data import", import}, {"data verify", verify}, {"data inspect", inspect}, {"data fetch", fetch}, {"data train-tokenizer", ls__data_train_tokenizer}};
    ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(args.command->name, commands[i].name)) return commands[i].run(&args);
    return LS_FAIL(LS_ERR_USAGE, "%s: unknown", args.command->name);
}

/* SPDX-License-Identifier: Apache-2.0
 * Creates, locks, clears and checks run directories: see launch/run/run_directory.h. */
#include "launch/run/run_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/paths.h"
#include "launch/recipe/recipe_internal.h"

static const char *const own_files[] = {
    "recipe.yaml",     "data.json",       "tokenizer.json",    "tokenizer_config.json",
    "metrics.jsonl",   "report.html",     "attention.png",     "positions.png",
    "scores.png",      "maps.png",        "alignment.png",     "valley.png",
    "dot-product.png", "class-token.png", "model.safetensors", "config.json"};

void ls_run_directory_name(ls_run_directory *f, const ls_recipe *recipe)
{
    *f = (ls_run_directory){.lock = -1};
    if (recipe->run.dir)
        snprintf(f->path, sizeof f->path, "%s", recipe->run.dir);
    else
        snprintf(f->path, sizeof f->path, "runs/%s", recipe->run.name ? recipe->run.name : recipe->name);
}

const char *ls_run_directory_file(const ls_run_directory *f, const char *name)
{
    static _Thread_local char ring[8][PATH_MAX + LS_NAME];
    static _Thread_local int  next;
    char                     *path = ring[next++ % 8];
    snprintf(path, sizeof ring[0], "%s/%s", f->path, name);
    return path;
}

/* ---- creating and locking ---------------------------------------------------------------------------------------- */

ls_status ls_run_directory_lock(ls_run_directory *f)
{
    f->lock = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    LS_CHECK(f->lock >= 0, LS_ERR_ENV,
             "%s: expected the folder of a run: %s" LS_HINT "run.dir=DIR puts the run somewhere else", f->path,
             strerror(errno));
    /* Some network file systems cannot lock a folder; there the run is not protected. */
    LS_CHECK(flock(f->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, LS_ERR_ENV,
             "%s: another run is using this folder" LS_HINT "wait for its end, or choose another folder: run.dir=DIR",
             f->path);
    LS_CHECK(access(f->path, W_OK) == 0, LS_ERR_ENV,
             "%s: cannot write: %s" LS_HINT "run.dir=DIR puts the run somewhere else", f->path, strerror(errno));
    return LS_OK;
}

void ls_run_directory_close(ls_run_directory *f)
{
    if (f->lock >= 0) close(f->lock);
    f->lock = -1;
}

void ls_run_directory_abandon(ls_run_directory *f)
{
    char  path[PATH_MAX];
    char *slash = path;
    if (f->made)
        for (size_t i = 0; i < sizeof own_files / sizeof *own_files; i++)
            unlink(ls_run_directory_file(f, own_files[i]));
    snprintf(path, sizeof path, "%s", f->path);
    for (int i = 0; i < f->made && slash; i++) {
        rmdir(path);
        slash = strrchr(path, '/');
        if (slash) *slash = 0;
    }
    ls_run_directory_close(f);
}

/* ---- existing checkpoints ---------------------------------------------------------------------------------------- */

/* Removes checkpoints/step-*, the links to them, and temporary files of an interrupted writer, and no other file. */
static void remove_checkpoints(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[PATH_MAX + 2 * NAME_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        bool link = strncmp(entry->d_name, ".link-", 6) == 0 || strncmp(entry->d_name, ".seen-", 6) == 0 ||
                    !strcmp(entry->d_name, "latest") || !strcmp(entry->d_name, "best");
        if (link) unlink(path);
        if (link || !strstr(entry->d_name, "step-")) continue;
        DIR *inner = opendir(path);
        for (struct dirent *file; inner && (file = readdir(inner));) {
            char inside[sizeof path + NAME_MAX + 1];
            snprintf(inside, sizeof inside, "%s/%s", path, file->d_name);
            if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0) unlink(inside);
        }
        if (inner) closedir(inner);
        rmdir(path);
    }
    closedir(dir);
    rmdir(folder);
}

/* Removes the crash reports of the watchdog. */
static void remove_crash_files(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (!strncmp(entry->d_name, "crash-rank", 10)) unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

static bool has_checkpoints(const char *folder)
{
    bool found = false;
    DIR *dir   = opendir(folder);
    if (!dir) return false;
    for (struct dirent *entry; !found && (entry = readdir(dir));) found = !strncmp(entry->d_name, "step-", 5);
    closedir(dir);
    return found;
}

/* ---- comparison of recipes --------------------------------------------------------------------------------------- */

static void key_text(char *out, size_t room, const ls_recipe *r, const ls_key *k)
{
    char  *text = NULL;
    size_t size = 0;
    FILE  *f    = open_memstream(&text, &size);
    snprintf(out, room, "none");
    if (!f) return;
    bool some = ls__key_print(r, k, f);
    fclose(f);
    if (some && text) snprintf(out, room, "%s", text);
    free(text);
}

static ls_status other_recipe(const ls_run_directory *f, const ls_recipe *there, const ls_recipe *here)
{
    char   text[1024] = "";
    size_t used       = 0;
    for (const ls_key *k = ls__keys; k->path; k++) {
        char a[120], b[120];
        if (!k->bits) continue;
        key_text(a, sizeof a, there, k);
        key_text(b, sizeof b, here, k);
        if (strcmp(a, b) == 0 || used > sizeof text - 300) continue;
        bool list = strchr(a, '\n') || strchr(b, '\n');
        used += (size_t)snprintf(text + used, sizeof text - used, "\n  %-24s %s there, %s here", k->path,
                                 list ? "one" : a, list ? "another" : b);
    }
    return LS_FAIL(
        LS_ERR_USAGE,
        "%s: holds a run of another recipe:%s" LS_HINT
        "--fresh removes that run and starts over; run.dir=DIR chooses another folder",
        f->path, used ? text : "\n  the values are equal, but this version of the program interprets them differently");
}

static ls_status check_recipe(const ls_run_directory *f, const ls_recipe *recipe)
{
    ls_recipe *there = NULL;
    if (!has_checkpoints(ls_run_directory_file(f, "checkpoints"))) return LS_OK;
    /* A damaged recipe.yaml is not an error here, because the checkpoint holds the hash as well. */
    if (ls_recipe_load(&there, ls_run_directory_file(f, "recipe.yaml"), 0, NULL) != LS_OK) return LS_OK;
    ls_status status = strcmp(there->hash, recipe->hash) == 0 ? LS_OK : other_recipe(f, there, recipe);
    ls_recipe_free(there);
    return status;
}

ls_status ls_run_directory_open(ls_run_directory *f, const ls_recipe *recipe, bool fresh)
{
    ls_run_directory_name(f, recipe);
    ls_status status = ls__make_folders(f->path, &f->made);
    if (status != LS_OK)
        return LS_FAIL(status, "%.*s" LS_HINT "run.dir=DIR puts the run somewhere else",
                       (int)strcspn(ls_error_message(), "\n"), ls_error_message());
    LS_TRY(ls_run_directory_lock(f));
    if (fresh) {
        remove_checkpoints(ls_run_directory_file(f, "checkpoints"));
        remove_crash_files(ls_run_directory_file(f, "logs"));
        for (size_t i = 0; i < sizeof own_files / sizeof *own_files; i++)
            unlink(ls_run_directory_file(f, own_files[i]));
    }
    return check_recipe(f, recipe);
}

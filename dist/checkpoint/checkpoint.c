/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: folders that are there whole or not at all.
 *
 *     checkpoints/step-00000128/part-0000.h5       one of each rank that writes: see dist/checkpoint/checkpoint_hdf5.c
 *     checkpoints/step-00000128/manifest.xxh64     their checksums: see dist/checkpoint/checkpoint_index.c
 *     checkpoints/latest, best                     links to such folders, for people and scripts
 *
 * The files are written into .tmp-step-00000128 and synced; then the manifest; then the folder is renamed, and the one
 * above it synced. A power cut leaves the old ones, or the old ones and the new one.  Only then are older ones removed:
 * renamed first, so that what has the name of a checkpoint is one.  What a killed run left under other names goes when
 * the next one begins.
 */
#include "dist/checkpoint/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_PREFIX "step-"
#define TEMPORARY_PREFIX ".tmp-step-"
#define REPLACED_PREFIX ".old-step-"
#define LINK_PREFIX ".link-"

/* ---- folders ----------------------------------------------------------------------------------------------------- */

ls_status ls__checkpoint_path(char path[LS_PATH_BYTES], const char *folder, int64_t step)
{
    LS_TRY(ls__path(path, "%s/" STEP_PREFIX "%08" PRId64, folder, step));
    return LS_OK;
}

ls_status ls__checkpoint_temporary(char path[LS_PATH_BYTES], const char *folder, int64_t step)
{
    LS_TRY(ls__path(path, "%s/" TEMPORARY_PREFIX "%08" PRId64, folder, step));
    return LS_OK;
}

/* The step of a folder's name; -1: it is not a checkpoint's. */
static int64_t step_of(const char *name)
{
    size_t prefix = strlen(STEP_PREFIX), digits = strlen(name) > prefix ? strspn(name + prefix, "0123456789") : 0;
    if (strncmp(name, STEP_PREFIX, prefix) != 0 || digits < 8 || digits > 18 || name[prefix + digits]) return -1;
    return strtoll(name + prefix, NULL, 10);
}

static int by_value(const void *x, const void *y)
{
    int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;
    return (p > q) - (p < q);
}

ls_status ls__checkpoint_steps(const char *folder, int64_t **steps, int *count)
{
    int room = 0;
    *steps   = NULL;
    *count   = 0;
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT) return LS_OK;
    if (!dir) return LS_FAIL_ERRNO("cannot read the folder %s", folder);
    for (struct dirent *e; (e = readdir(dir));) {
        int64_t step = step_of(e->d_name);
        if (step < 0) continue;
        if (*count == room) {
            room          = room ? 2 * room : 16;
            int64_t *more = realloc(*steps, sizeof **steps * (size_t)room);
            if (!more) {
                closedir(dir);
                free(*steps);
                *steps = NULL;
                return LS_FAIL(LS_ERR_ENV, "no memory for the names of %d checkpoints", *count);
            }
            *steps = more;
        }
        (*steps)[(*count)++] = step;
    }
    closedir(dir);
    if (*count) qsort(*steps, (size_t)*count, sizeof **steps, by_value);
    return LS_OK;
}

/* What an interrupted save left behind. */
static ls_status remove_stale(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return LS_FAIL_ERRNO("cannot read the folder %s", folder);
    ls_status status = LS_OK;
    char      path[LS_PATH_BYTES];
    for (struct dirent *e; status == LS_OK && (e = readdir(dir));) {
        bool file = strncmp(e->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0 || strstr(e->d_name, LS_PROBE_PREFIX);
        if (file) unlinkat(dirfd(dir), e->d_name, 0);
        if (strncmp(e->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) != 0 &&
            strncmp(e->d_name, REPLACED_PREFIX, strlen(REPLACED_PREFIX)) != 0)
            continue;
        status = ls__path(path, "%s/%s", folder, e->d_name);
        if (status == LS_OK) status = ls__remove_folder(path);
    }
    closedir(dir);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls__checkpoint_prepare(const char *folder)
{
    LS_TRY(ls__make_folders(folder, NULL));
    return remove_stale(folder);
}

ls_status ls__checkpoint_give_up(const char *folder, int64_t step, ls_status status)
{
    char message[4096], trace[4096], temporary[LS_PATH_BYTES];
    snprintf(message, sizeof message, "%s", ls_error_message());
    snprintf(trace, sizeof trace, "%s", ls_error_trace());
    if (ls__checkpoint_temporary(temporary, folder, step) == LS_OK) ls__remove_folder(temporary);
    return ls_error_set(status, message, trace);
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

/* Under this name nobody takes it for a checkpoint, wherever the removal is interrupted. */
static ls_status discard(const char *folder, int64_t step)
{
    char path[LS_PATH_BYTES], replaced[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_path(path, folder, step));
    LS_TRY(ls__path(replaced, "%s/" REPLACED_PREFIX "%08" PRId64, folder, step));
    LS_TRY(ls__remove_folder(replaced));
    if (rename(path, replaced) != 0) return LS_FAIL_ERRNO("cannot rename %s", path);
    return ls__remove_folder(replaced);
}

/* temporary becomes final.  A checkpoint of the same step that is there already changes places with it, in one go where
 * the file system can. */
static ls_status rename_into_place(const char *folder, const char *temporary, const char *final, int64_t step)
{
    char replaced[LS_PATH_BYTES];
    if (rename(temporary, final) != 0) {
        if (errno != EEXIST && errno != ENOTEMPTY) return LS_FAIL_ERRNO("cannot rename %s to %s", temporary, final);
        if (renameat2(AT_FDCWD, temporary, AT_FDCWD, final, RENAME_EXCHANGE) == 0) {
            LS_TRY(ls__remove_folder(temporary));
        } else {
            LS_TRY(ls__path(replaced, "%s/" REPLACED_PREFIX "%08" PRId64, folder, step));
            if (rename(final, replaced) != 0 || rename(temporary, final) != 0)
                return LS_FAIL_ERRNO("cannot rename %s to %s", temporary, final);
            LS_TRY(ls__remove_folder(replaced));
        }
    }
    return ls__sync(folder);
}

ls_status ls__checkpoint_publish(const char *folder, const ls_progress *progress, int parts, const uint64_t *sums)
{
    char        temporary[LS_PATH_BYTES], final[LS_PATH_BYTES], path[LS_PATH_BYTES], name[LS_PART_NAME];
    struct stat info;
    LS_TRY(ls__checkpoint_path(final, folder, progress->step));
    LS_TRY(ls__checkpoint_temporary(temporary, folder, progress->step));
    for (int i = 0; i < parts; i++) {
        ls__part_name(name, i);
        LS_TRY(ls__path(path, "%s/%s", temporary, name));
        if (stat(path, &info) != 0) return LS_FAIL_ERRNO("%s, which another rank wrote, is not to be seen here", path);
    }
    LS_TRY(ls__manifest_write(temporary, parts, sums)); /* syncs the folder, too */
    return rename_into_place(folder, temporary, final, progress->step);
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

int64_t ls__checkpoint_linked(const char *folder, const char *name)
{
    char    path[LS_PATH_BYTES], target[64];
    ssize_t length;
    if (ls__path(path, "%s/%s", folder, name) != LS_OK || (length = readlink(path, target, sizeof target - 1)) < 0)
        return -1;
    target[length] = 0;
    return step_of(target);
}

/* Where there is something else of that name, it stays. */
static ls_status link_to(const char *folder, const char *name, int64_t step)
{
    char        path[LS_PATH_BYTES], temporary[LS_PATH_BYTES], target[64];
    struct stat info;
    LS_TRY(ls__path(path, "%s/%s", folder, name));
    LS_TRY(ls__path(temporary, "%s/" LINK_PREFIX "%s", folder, name));
    if (lstat(path, &info) == 0 && !S_ISLNK(info.st_mode))
        return LS_FAIL(LS_ERR_ENV, "%s is no link: it is not touched" LS_HINT "move it away", path);
    snprintf(target, sizeof target, STEP_PREFIX "%08" PRId64, step);
    unlink(temporary);
    if (symlink(target, temporary) != 0 || rename(temporary, path) != 0)
        return LS_FAIL_ERRNO("cannot make the link %s", path);
    return LS_OK;
}

static double loss_of(const char *folder, int64_t step)
{
    char     path[LS_PATH_BYTES];
    ls_index x    = {.fd = -1};
    double   loss = NAN;
    if (ls__checkpoint_path(path, folder, step) == LS_OK && ls__path(x.path, "%s", path) == LS_OK &&
        ls__index_progress(&x) == LS_OK)
        loss = x.progress.loss;
    ls__index_close(&x);
    return loss;
}

static ls_status link_best(const char *folder, const ls_progress *progress)
{
    int64_t best = ls__checkpoint_linked(folder, "best");
    if (isnan(progress->loss) || best == progress->step) return LS_OK;
    double least = best < 0 || best > progress->step ? NAN : loss_of(folder, best);
    if (least <= progress->loss) return LS_OK;
    return link_to(folder, "best", progress->step);
}

/* ---- pruning ----------------------------------------------------------------------------------------------------- */

/* Calls `each` for those that need not be kept beside `step`, newest first: later ones, and what no rule keeps. */
static ls_status each_surplus(const char *folder, int64_t step, const ls_checkpoint_retention *keep,
                              ls_status (*each)(const char *folder, int64_t step, void *data), void *data)
{
    int64_t *steps, best = keep->best ? ls__checkpoint_linked(folder, "best") : -1;
    int      count, left = 0;
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    for (int i = count - 1; i >= 0 && status == LS_OK; i--) {
        bool newest = steps[i] <= step && (keep->last == 0 || left++ < keep->last);
        bool kept   = steps[i] == step || steps[i] == best || (keep->every && steps[i] % keep->every == 0);
        if (newest || (steps[i] < step && kept) || steps[i] == step) continue;
        status = each(folder, steps[i], data);
    }
    free(steps);
    LS_TRY(status);
    return LS_OK;
}

static ls_status discard_surplus(const char *folder, int64_t step, void *data)
{
    (void)data;
    return discard(folder, step);
}

ls_status ls__checkpoint_prune(const char *folder, const ls_progress *progress, const ls_checkpoint_retention *keep)
{
    LS_TRY(link_to(folder, "latest", progress->step));
    if (keep->best) LS_TRY(link_best(folder, progress));
    LS_TRY(ls__sync(folder));
    return each_surplus(folder, progress->step, keep, discard_surplus, NULL);
}

typedef struct prune_call {
    bool dry;
    void (*each)(const char *path, void *data);
    void *data;
} prune_call;

static ls_status prune_one(const char *folder, int64_t step, void *data)
{
    const prune_call *call = data;
    char              path[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_path(path, folder, step));
    if (call->each) call->each(path, call->data);
    return call->dry ? LS_OK : discard(folder, step);
}

static bool is_sound(const char *folder, int64_t step)
{
    char    path[LS_PATH_BYTES];
    int     parts;
    int64_t bytes;
    return ls__checkpoint_path(path, folder, step) == LS_OK &&
           ls__manifest_verify(path, NULL, NULL, &parts, &bytes) == LS_OK;
}

/* Counted from the newest sound one; what is newer, and damaged, goes too. */
ls_status ls_checkpoint_prune(const char *folder, const ls_checkpoint_retention *keep, bool dry,
                              void (*each)(const char *path, void *data), void *data)
{
    int64_t *steps;
    int      count;
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    int64_t newest = -1;
    for (int i = count - 1; i >= 0 && newest < 0; i--) newest = is_sound(folder, steps[i]) ? steps[i] : -1;
    free(steps);
    LS_CHECK(newest >= 0 || count == 0, LS_ERR_DATA,
             "%s: none of the %d checkpoints is sound, so none is removed" LS_HINT
             "`lockstep ckpt verify` says what is wrong",
             folder, count);
    return each_surplus(folder, newest, keep, prune_one, &(prune_call){dry, each, data});
}

/* ---- finding the newest ------------------------------------------------------------------------------------------ */

static ls_status open_one(ls_index *x, const ls_state *s, const char *folder, int64_t step)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_path(path, folder, step));
    LS_TRY(ls__index_open(x, path));
    LS_CHECK(x->progress.step == step, LS_ERR_DATA, "%s: the folder says step %" PRId64 ", the files step %" PRId64,
             path, step, x->progress.step);
    return ls__index_fits(x, s);
}

/* One of another model is an error, as older ones would be of that model too. */
ls_status ls__checkpoint_newest(ls_index *x, const ls_state *state, const char *folder, bool *found)
{
    int64_t *steps;
    int      count;
    char     newest[1024] = "";
    *found                = false;
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    for (int i = count - 1; i >= 0 && !*found; i--) {
        status = open_one(x, state, folder, steps[i]);
        *found = status == LS_OK;
        if (*found || status == LS_ERR_USAGE) break;
        ls__index_close(x);
        fprintf(stderr, "lockstep: warning: damaged checkpoint passed over: %s\n", ls_error_message());
        if (!newest[0]) snprintf(newest, sizeof newest, "%s", ls_error_message());
    }
    free(steps);
    if (status == LS_ERR_USAGE) return ls__trace(status, __FILE__, __LINE__, __func__);
    LS_CHECK(*found || count == 0, LS_ERR_DATA,
             "none of the %d checkpoints below %s can be read; the newest: %s" LS_HINT
             "start over with --fresh, or bring back a copy of the folder",
             count, folder, newest);
    return LS_OK;
}

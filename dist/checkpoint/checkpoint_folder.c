/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/checkpoint/checkpoint_folder.h: names, links, pruning, and the newest intact checkpoint.
 *
 * The remains of a killed run have other names, and are removed when the next run begins.
 */
#include "dist/checkpoint/checkpoint_folder.h"

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

#include "dist/checkpoint/checkpoint_manifest.h"

#define STEP_PREFIX "step-"
#define TEMPORARY_PREFIX ".tmp-step-"
#define LINK_PREFIX ".link-"

/* ---- folders ----------------------------------------------------------------------------------------------------- */

ls_status ls__checkpoint_path(char path[LS_PATH_BYTES], const char *folder, int64_t step)
{
    return ls__path(path, "%s/" STEP_PREFIX "%08" PRId64, folder, step);
}

ls_status ls__checkpoint_temporary(char path[LS_PATH_BYTES], const char *folder, int64_t step)
{
    return ls__path(path, "%s/" TEMPORARY_PREFIX "%08" PRId64, folder, step);
}

/* Returns the step of a checkpoint's folder name, or -1 for any other name. */
static int64_t step_of(const char *name)
{
    size_t prefix = strlen(STEP_PREFIX), digits = strlen(name) > prefix ? strspn(name + prefix, "0123456789") : 0;
    if (strncmp(name, STEP_PREFIX, prefix) != 0 || digits < 8 || digits > 18 || name[prefix + digits]) return -1;
    return strtoll(name + prefix, NULL, 10);
}

static bool has_prefix(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

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
    if (!dir) return LS_FAIL_ERRNO("%s: cannot read the folder", folder);
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
                return LS_FAIL(LS_ERR_ENV, "%s: no memory for the names of %d checkpoints", folder, *count);
            }
            *steps = more;
        }
        (*steps)[(*count)++] = step;
    }
    closedir(dir);
    if (*count) qsort(*steps, (size_t)*count, sizeof **steps, by_value);
    return LS_OK;
}

/* Removes the remains of an interrupted save. */
static ls_status remove_stale(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return LS_FAIL_ERRNO("%s: cannot read the folder", folder);
    ls_status status = LS_OK;
    char      path[LS_PATH_BYTES];
    for (struct dirent *e; status == LS_OK && (e = readdir(dir));) {
        bool file = has_prefix(e->d_name, LINK_PREFIX) || strstr(e->d_name, LS_PROBE_PREFIX);
        if (file) unlinkat(dirfd(dir), e->d_name, 0);
        if (!has_prefix(e->d_name, TEMPORARY_PREFIX) && !has_prefix(e->d_name, LS_REPLACED_PREFIX)) continue;
        status = ls__path(path, "%s/%s", folder, e->d_name);
        if (status == LS_OK) status = ls__remove_folder(path);
    }
    closedir(dir);
    return status;
}

ls_status ls__checkpoint_prepare(const char *folder)
{
    LS_TRY(ls__make_folders(folder, NULL));
    return remove_stale(folder);
}

ls_status ls__checkpoint_abandon(const char *folder, int64_t step, ls_status status)
{
    char           temporary[LS_PATH_BYTES];
    const ls_error error = ls_error_save(status);
    if (ls__checkpoint_temporary(temporary, folder, step) == LS_OK) (void)ls__remove_folder(temporary);
    return ls_error_restore(&error);
}

/* ---- removing -------------------------------------------------------------------------------------------------- */

/* Renames a checkpoint first, so that a partly removed one never has the name of a checkpoint. */
static ls_status discard(const char *folder, int64_t step)
{
    char path[LS_PATH_BYTES], replaced[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_path(path, folder, step));
    LS_TRY(ls__path(replaced, "%s/" LS_REPLACED_PREFIX "%08" PRId64, folder, step));
    LS_TRY(ls__remove_folder(replaced));
    if (rename(path, replaced) != 0) return LS_FAIL_ERRNO("%s: cannot rename the checkpoint", path);
    return ls__remove_folder(replaced);
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

int64_t ls__checkpoint_linked(const char *folder, const char *name)
{
    char path[LS_PATH_BYTES], target[64];
    if (ls__path(path, "%s/%s", folder, name) != LS_OK) return -1;
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = 0;
    return step_of(target);
}

/* Sets a link.  A file or folder of that name stays, and is an error. */
static ls_status link_to(const char *folder, const char *name, int64_t step)
{
    char        path[LS_PATH_BYTES], temporary[LS_PATH_BYTES], target[64];
    struct stat info;
    LS_TRY(ls__path(path, "%s/%s", folder, name));
    LS_TRY(ls__path(temporary, "%s/" LINK_PREFIX "%s", folder, name));
    LS_CHECK(lstat(path, &info) != 0 || S_ISLNK(info.st_mode), LS_ERR_ENV,
             "%s: expected a symbolic link, found something else" LS_HINT "move it away", path);
    snprintf(target, sizeof target, STEP_PREFIX "%08" PRId64, step);
    unlink(temporary);
    if (symlink(target, temporary) != 0 || rename(temporary, path) != 0)
        return LS_FAIL_ERRNO("%s: cannot make the link", path);
    return LS_OK;
}

/* Returns the held-out loss of a checkpoint, NaN when it cannot be read. */
static double loss_of(const char *folder, int64_t step)
{
    char        path[LS_PATH_BYTES], file[LS_PATH_BYTES], name[LS_CHECKPOINT_FILE_NAME];
    ls_progress progress;
    ls__checkpoint_file_name(name, 0);
    bool read = ls__checkpoint_path(path, folder, step) == LS_OK && ls__path(file, "%s/%s", path, name) == LS_OK &&
                ls__checkpoint_file_progress(file, &progress) == LS_OK;
    return read ? progress.loss : NAN;
}

/* Sets `best` to the new checkpoint if its loss is less than that of the present one. */
static ls_status link_best(const char *folder, const ls_progress *progress)
{
    int64_t best = ls__checkpoint_linked(folder, "best");
    if (isnan(progress->loss) || best == progress->step) return LS_OK;
    double least = best < 0 || best > progress->step ? NAN : loss_of(folder, best);
    if (least <= progress->loss) return LS_OK;
    return link_to(folder, "best", progress->step);
}

/* ---- pruning ----------------------------------------------------------------------------------------------------- */

/* Calls `each` for the checkpoints that need not be kept beside the one of `step`, newest first: all later ones, and
 * earlier ones that no rule of `keep` covers. */
static ls_status each_surplus(const char *folder, int64_t step, const ls_checkpoint_retention *keep,
                              ls_status (*each)(const char *folder, int64_t step, void *data), void *data)
{
    int64_t *steps, best   = keep->best ? ls__checkpoint_linked(folder, "best") : -1;
    int      count, newest = 0;
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    for (int i = count - 1; i >= 0 && status == LS_OK; i--) {
        bool recent = steps[i] <= step && (keep->last == 0 || newest++ < keep->last);
        bool chosen = steps[i] == best || (keep->every && steps[i] % keep->every == 0);
        if (steps[i] == step || recent || (steps[i] < step && chosen)) continue;
        status = each(folder, steps[i], data);
    }
    free(steps);
    return status;
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

static bool is_intact(const char *folder, int64_t step)
{
    char    path[LS_PATH_BYTES];
    int     files;
    int64_t bytes;
    return ls__checkpoint_path(path, folder, step) == LS_OK &&
           ls__manifest_verify(path, NULL, NULL, &files, &bytes) == LS_OK;
}

/* Counts from the newest intact checkpoint; later ones are damaged, and are removed. */
ls_status ls_checkpoint_prune(const char *folder, const ls_checkpoint_retention *keep, bool dry,
                              void (*each)(const char *path, void *data), void *data)
{
    int64_t *steps;
    int      count;
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    int64_t newest = -1;
    for (int i = count - 1; i >= 0 && newest < 0; i--) newest = is_intact(folder, steps[i]) ? steps[i] : -1;
    free(steps);
    LS_CHECK(newest >= 0 || count == 0, LS_ERR_DATA,
             "%s: all %d checkpoints are damaged, and none is removed" LS_HINT
             "`lockstep ckpt verify` lists the damage",
             folder, count);
    return each_surplus(folder, newest, keep, prune_one, &(prune_call){dry, each, data});
}

/* ---- finding the newest ------------------------------------------------------------------------------------------ */

static ls_status open_step(ls_index *x, const ls_state *s, const char *folder, int64_t step)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_path(path, folder, step));
    LS_TRY(ls__index_open(x, path));
    LS_CHECK(x->table.progress.step == step, LS_ERR_DATA,
             "%s: its files are of step %" PRId64 ", expected step %" PRId64, path, x->table.progress.step, step);
    return ls__index_match(x, s);
}

ls_status ls__checkpoint_newest(ls_index *x, const ls_state *state, const char *folder, bool *found)
{
    int64_t *steps;
    int      count;
    char     newest[1024] = "";
    *found                = false;
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    for (int i = count - 1; i >= 0 && !*found; i--) {
        status = open_step(x, state, folder, steps[i]);
        *found = status == LS_OK;
        if (*found || status == LS_ERR_USAGE) break;
        ls__index_close(x);
        fprintf(stderr, "lockstep: warning: skipping a damaged checkpoint: %s\n", ls_error_message());
        if (!newest[0]) snprintf(newest, sizeof newest, "%s", ls_error_message());
    }
    free(steps);
    if (status == LS_ERR_USAGE) return ls__trace(status, __FILE__, __LINE__, __func__);
    LS_CHECK(*found || count == 0, LS_ERR_DATA,
             "%s: none of the %d checkpoints can be read; the newest: %s" LS_HINT
             "start over with --fresh, or restore a copy of the folder",
             folder, count, newest);
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: folders that are there whole or not at all.
 *
 *     checkpoints/step-00000128/state.h5        see dist/checkpoint_state.c
 *     checkpoints/step-00000128/state.xxh64     its checksum, as xxh64sum prints it
 *
 * A checkpoint is written as .tmp-step-00000128, synced, and renamed; a power cut leaves the old ones, or the old ones
 * and the new one.  Only rank 0 touches files; what it finds, good or bad, all ranks learn of in ls_comm_agree, and what it reads it
 * broadcasts.  The arrays are those of parameters, not of ranks: any number of ranks reads them.
 */
#include "dist/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define STEP_PREFIX "step-"
#define TEMPORARY_PREFIX ".tmp-step-"
#define REPLACED_PREFIX ".old-step-"
enum { SUM_DIGITS = 16 };

/* ---- folders ------------------------------------------------------------------------------------------------------- */

ls_status ls__checkpoint_path(char path[LS_PATH_BYTES], const char *folder, int64_t step)
{
    LS_TRY(ls__path(path, "%s/" STEP_PREFIX "%08" PRId64, folder, step));
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

/* Removes a half-made checkpoint and keeps the message of what went wrong with it. */
static ls_status give_up(const char *temporary, ls_status status)
{
    char message[4096], trace[4096];
    snprintf(message, sizeof message, "%s", ls_error_message());
    snprintf(trace, sizeof trace, "%s", ls_error_trace());
    ls__remove_folder(temporary);
    return ls_error_set(status, message, trace);
}

/* ---- saving, on rank 0 --------------------------------------------------------------------------------------------- */

/* Asked beforehand, as a full disk is best noticed before it is. */
static ls_status check_space(const char *folder, const ls_state *s)
{
    struct statvfs info;
    uint64_t       need = 1 << 14;
    for (int i = 0; i < s->arrays; i++) need += (uint64_t)s->array[i].count * sizeof(float) + 1024;
    if (statvfs(folder, &info) != 0) return LS_OK;
    uint64_t have = (uint64_t)info.f_bavail * info.f_frsize;
    LS_CHECK(have >= need, LS_ERR_ENV, "%s: a checkpoint needs %.2f MB, and the file system has %.2f MB left: %s%s", folder,
             (double)need / 1e6, (double)have / 1e6, strerror(ENOSPC), ls__errno_hint(ENOSPC));
    return LS_OK;
}

static ls_status write_sum(const char *temporary, const char *state_path)
{
    uint64_t sum;
    int64_t  bytes;
    char     path[LS_PATH_BYTES], text[64];
    ls_file  f;
    LS_TRY(ls__file_checksum(state_path, &sum, &bytes));
    LS_TRY(ls__path(path, "%s/" LS_SUM_FILE, temporary));
    int length = snprintf(text, sizeof text, "%016" PRIx64 "  " LS_STATE_FILE "\n", sum);
    LS_TRY(ls__file_create(&f, path));
    LS_TRY(ls__file_finish(&f, ls__file_write(&f, text, (size_t)length)));
    return LS_OK;
}

static ls_status fill_folder(const char *temporary, const ls_state *s, const ls_progress *progress)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__path(path, "%s/" LS_STATE_FILE, temporary));
    LS_TRY(ls__state_write(path, s, progress));
    LS_TRY(ls__sync(path));
    LS_TRY(write_sum(temporary, path)); /* syncs the folder, too */
    return LS_OK;
}

/* temporary becomes final.  A checkpoint of the same step that is there already changes places with it, in one go where the file
 * system can. */
static ls_status publish(const char *folder, const char *temporary, const char *final, int64_t step)
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
    LS_TRY(ls__sync(folder));
    return LS_OK;
}

/* Removes those of later steps, and all but the newest `keep`. */
static ls_status prune(const char *folder, int64_t step, int keep)
{
    int64_t *steps;
    int      count, left = 0;
    char     path[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    for (int i = count - 1; i >= 0 && status == LS_OK; i--) {
        if (steps[i] <= step && (keep == 0 || left++ < keep)) continue;
        status = ls__checkpoint_path(path, folder, steps[i]);
        if (status == LS_OK) status = ls__remove_folder(path);
    }
    free(steps);
    LS_TRY(status);
    return LS_OK;
}

static ls_status save(const ls_state *s, const char *folder, const ls_progress *progress, int keep)
{
    char temporary[LS_PATH_BYTES], final[LS_PATH_BYTES];
    LS_CHECK(progress->step >= 0 && keep >= 0, LS_ERR_USAGE, "expected a step and a number to keep, found %" PRId64 " and %d",
             progress->step, keep);
    LS_TRY(ls__checkpoint_path(final, folder, progress->step));
    LS_TRY(ls__path(temporary, "%s/" TEMPORARY_PREFIX "%08" PRId64, folder, progress->step));
    LS_TRY(ls__make_folders(folder));
    LS_TRY(remove_stale(folder));
    LS_TRY(check_space(folder, s));
    if (mkdir(temporary, 0777) != 0) return LS_FAIL_ERRNO("cannot make the folder %s", temporary);
    ls_status status = fill_folder(temporary, s, progress);
    if (status == LS_OK) status = publish(folder, temporary, final, progress->step);
    if (status != LS_OK) return give_up(temporary, status);
    LS_TRY(prune(folder, progress->step, keep));
    return LS_OK;
}

static ls_status agree(ls_comm *comm, ls_status mine) { return comm ? ls_comm_agree(comm, mine) : mine; }

ls_status ls__checkpoint_save(ls_comm *comm, const ls_state *state, const char *folder, const ls_progress *progress, int keep)
{
    bool root = !comm || ls_comm_rank(comm) == 0;
    LS_TRY(agree(comm, root ? save(state, folder, progress, keep) : LS_OK));
    return LS_OK;
}

/* ---- loading ------------------------------------------------------------------------------------------------------- */

ls_status ls__checkpoint_verify_sum(const char *path)
{
    static const char rest[] = "  " LS_STATE_FILE "\n";
    char              state[LS_PATH_BYTES], sum[LS_PATH_BYTES], text[64] = "", *end;
    uint64_t          found;
    int64_t           bytes;
    LS_TRY(ls__path(state, "%s/" LS_STATE_FILE, path));
    LS_TRY(ls__path(sum, "%s/" LS_SUM_FILE, path));
    FILE *f = fopen(sum, "rb");
    if (!f) return LS_FAIL_ERRNO("cannot read %s", sum);
    size_t length = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    LS_CHECK(length == SUM_DIGITS + sizeof rest - 1 && strspn(text, "0123456789abcdef") == SUM_DIGITS &&
                 strcmp(text + SUM_DIGITS, rest) == 0,
             LS_ERR_DATA, "%s: expected 16 hexadecimal digits and '" LS_STATE_FILE "'", sum);
    uint64_t expected = strtoull(text, &end, 16);
    LS_TRY(ls__file_checksum(state, &found, &bytes));
    LS_CHECK(found == expected, LS_ERR_DATA, "%s: its %" PRId64 " bytes have the checksum %016" PRIx64 ", expected %016" PRIx64, state,
             bytes, found, expected);
    return LS_OK;
}

static ls_status read_one(const ls_state *s, const char *path, ls_progress *progress)
{
    char state[LS_PATH_BYTES];
    LS_TRY(ls__path(state, "%s/" LS_STATE_FILE, path));
    LS_TRY(ls__checkpoint_verify_sum(path));
    LS_TRY(ls__state_read(state, s, progress));
    return LS_OK;
}

static ls_status load_one(const ls_state *s, const char *folder, int64_t step, ls_progress *progress)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__checkpoint_path(path, folder, step));
    LS_TRY(read_one(s, path, progress));
    LS_CHECK(progress->step == step, LS_ERR_DATA, "%s: the folder says step %" PRId64 ", the file step %" PRId64, path, step,
             progress->step);
    return LS_OK;
}

/* The newest that is sound.  One of another model is an error, as older ones would be of that model too. */
static ls_status load_newest(const ls_state *s, const char *folder, ls_progress *progress, bool *found)
{
    int64_t *steps;
    int      count;
    char     newest[1024] = "";
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    *found           = false;
    for (int i = count - 1; i >= 0 && !*found; i--) {
        status = load_one(s, folder, steps[i], progress);
        *found = status == LS_OK;
        if (*found || status == LS_ERR_USAGE) break;
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

/* What rank 0 found and read goes to all. */
static ls_status share(ls_comm *comm, const ls_state *s, ls_status mine, ls_progress *progress, bool *found)
{
    struct {
        ls_progress progress;
        bool        found;
    } result = {*progress, *found};
    LS_TRY(agree(comm, mine));
    if (comm) LS_TRY(ls_comm_bcast(comm, &result, sizeof result, 0));
    *found    = result.found;
    *progress = result.progress;
    for (int i = 0; comm && result.found && i < s->arrays; i++)
        LS_TRY(ls_comm_bcast(comm, s->array[i].data, (size_t)s->array[i].count * sizeof(float), 0));
    return LS_OK;
}

ls_status ls__checkpoint_load(ls_comm *comm, const ls_state *state, const char *folder, ls_progress *progress, bool *found)
{
    bool root = !comm || ls_comm_rank(comm) == 0;
    *found    = false;
    *progress = (ls_progress){0};
    LS_TRY(share(comm, state, root ? load_newest(state, folder, progress, found) : LS_OK, progress, found));
    return LS_OK;
}

ls_status ls__checkpoint_read(ls_comm *comm, const ls_state *state, const char *checkpoint, ls_progress *progress)
{
    bool root = !comm || ls_comm_rank(comm) == 0, found = true;
    *progress = (ls_progress){0};
    LS_TRY(share(comm, state, root ? read_one(state, checkpoint, progress) : LS_OK, progress, &found));
    return LS_OK;
}

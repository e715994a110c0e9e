/* SPDX-License-Identifier: Apache-2.0
 * What `lockstep ckpt ls` and `inspect` show of checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dist/checkpoint.h"

static int64_t size_of(const char *folder, const char *file)
{
    char        path[LS_PATH_BYTES];
    struct stat info;
    return ls__path(path, "%s/%s", folder, file) == LS_OK && stat(path, &info) == 0 ? info.st_size : 0;
}

/* Everything about the checkpoint at info->path. */
static ls_status look(ls_checkpoint_info *info, bool verify)
{
    char state[LS_PATH_BYTES];
    info->bytes = size_of(info->path, LS_STATE_FILE) + size_of(info->path, LS_SUM_FILE);
    LS_TRY(ls__path(state, "%s/" LS_STATE_FILE, info->path));
    LS_TRY(ls__checkpoint_verify_sum(info->path));
    LS_TRY(ls__state_progress(state, info));
    if (verify) LS_TRY(ls__state_visit(state, NULL, NULL));
    return LS_OK;
}

ls_status ls_checkpoint_list(const char *folder, bool verify, void (*each)(const ls_checkpoint_info *info, void *data), void *data)
{
    int64_t    *steps;
    int         count;
    char        path[LS_PATH_BYTES], problem[4096];
    struct stat exists;
    if (stat(folder, &exists) != 0) return LS_FAIL_ERRNO("no checkpoints at %s", folder);
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    ls_status status = LS_OK;
    for (int i = 0; i < count; i++) {
        status = ls__checkpoint_path(path, folder, steps[i]);
        if (status != LS_OK) break;
        ls_checkpoint_info info = {.path = path};
        if (look(&info, verify) != LS_OK) {
            snprintf(problem, sizeof problem, "%s", ls_error_message());
            info.problem = problem;
        }
        each(&info, data);
    }
    free(steps);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls_checkpoint_inspect(const char *checkpoint, ls_progress *progress, void (*each)(const ls_checkpoint_array *array, void *data),
                                void *data)
{
    char               state[LS_PATH_BYTES];
    struct stat        exists;
    ls_checkpoint_info info = {.path = checkpoint};
    LS_TRY(ls__path(state, "%s/" LS_STATE_FILE, checkpoint));
    if (stat(state, &exists) != 0) return LS_FAIL_ERRNO("%s: expected a checkpoint (a folder step-... with " LS_STATE_FILE ")", checkpoint);
    LS_TRY(look(&info, !each));
    *progress = info.progress;
    if (each) LS_TRY(ls__state_visit(state, each, data));
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * What `lockstep ckpt` shows of checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dist/checkpoint/checkpoint.h"

typedef void array_each(const ls_checkpoint_array *array, void *data);

/* Calls `each` (NULL: only reads) with the whole array that begins with piece i. */
static ls_status show(ls_index *x, int i, array_each *each, void *data)
{
    const ls_piece     *p = &x->piece[i];
    ls_checkpoint_array a = {
        .param = p->name, .what = *p->state ? p->state : "value", .rank = p->rank, .count = p->count};
    float *values = malloc((size_t)p->count * sizeof *values + 1);
    LS_CHECK(values, LS_ERR_ENV, "%s: no memory for the array '%s' of %" PRId64 " numbers", x->path, p->name, p->count);
    memcpy(a.dim, p->dim, sizeof a.dim);
    ls_status status = ls__index_read(x, i, values);
    a.values         = values;
    if (status == LS_OK && each) each(&a, data);
    free(values);
    LS_TRY(status);
    return LS_OK;
}

static ls_status show_all(ls_index *x, array_each *each, void *data)
{
    for (int i = 0; i < x->pieces; i = ls__index_next(x, i)) LS_TRY(show(x, i, each, data));
    return LS_OK;
}

/* Everything about the checkpoint at info->path. */
static ls_status look(ls_checkpoint_info *info, bool verify)
{
    ls_index  x;
    ls_status status = ls__index_open(&x, info->path);
    if (status == LS_OK && verify) status = show_all(&x, NULL, NULL);
    if (status == LS_OK) {
        info->progress = x.progress;
        info->parts    = x.parts;
        info->states   = x.states;
        info->bytes    = x.bytes;
        for (int i = 0; i < x.pieces; i = ls__index_next(&x, i)) info->params += x.piece[i].state_no < 0;
    }
    ls__index_close(&x);
    return status;
}

ls_status ls_checkpoint_list(const char *folder, bool verify, void (*each)(const ls_checkpoint_info *info, void *data),
                             void *data)
{
    int64_t    *steps;
    int         count;
    char        path[LS_PATH_BYTES], problem[4096];
    struct stat exists;
    if (stat(folder, &exists) != 0) return LS_FAIL_ERRNO("no checkpoints at %s", folder);
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    int64_t   latest = ls__checkpoint_linked(folder, "latest"), best = ls__checkpoint_linked(folder, "best");
    ls_status status = LS_OK;
    for (int i = 0; i < count; i++) {
        status = ls__checkpoint_path(path, folder, steps[i]);
        if (status != LS_OK) break;
        ls_checkpoint_info info = {.path = path, .latest = steps[i] == latest, .best = steps[i] == best};
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

static ls_status open_checkpoint(ls_index *x, const char *path)
{
    char        manifest[LS_PATH_BYTES], before[LS_PATH_BYTES]; /* what checkpoints of format 1 have */
    struct stat exists;
    *x = (ls_index){.fd = -1};
    LS_TRY(ls__path(manifest, "%s/" LS_MANIFEST, path));
    LS_TRY(ls__path(before, "%s/state.h5", path));
    if (stat(manifest, &exists) != 0 && stat(before, &exists) != 0)
        return LS_FAIL_ERRNO("%s: expected a checkpoint (a folder step-... with a " LS_MANIFEST ")", path);
    return ls__index_open(x, path);
}

ls_status ls_checkpoint_inspect(const char *checkpoint, ls_progress *progress, array_each *each, void *data)
{
    ls_index  x;
    ls_status status = open_checkpoint(&x, checkpoint);
    if (status == LS_OK && each) status = show_all(&x, each, data);
    *progress = x.progress;
    ls__index_close(&x);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls_checkpoint_verify(const char *checkpoint, void (*each)(const char *file, const char *problem, void *data),
                               void       *data)
{
    int     parts;
    int64_t bytes;
    LS_TRY(ls__manifest_verify(checkpoint, each, data, &parts, &bytes));
    ls_checkpoint_info info = {.path = checkpoint};
    return look(&info, true);
}

/* ---- two of them ------------------------------------------------------------------------------------------------- */

typedef void pair_each(const ls_checkpoint_array *a, const ls_checkpoint_array *b, void *data);

typedef struct pairing {
    ls_index                  *other;
    pair_each                 *each;
    void                      *data;
    bool                       swapped; /* only what the other lacks is wanted */
    const ls_checkpoint_array *first;
    ls_status                  status;
} pairing;

static void give_pair(const ls_checkpoint_array *b, void *data)
{
    pairing *p = data;
    p->each(p->first, b, p->data);
}

static void find_pair(const ls_checkpoint_array *a, void *data)
{
    pairing *p = data;
    int      i = ls__index_find(p->other, a->param, strcmp(a->what, "value") ? a->what : NULL);
    p->first   = a;
    if (p->status != LS_OK) return;
    if (i >= 0 && !p->swapped) p->status = show(p->other, i, give_pair, p);
    if (i >= 0) return;
    if (p->swapped)
        p->each(NULL, a, p->data);
    else
        p->each(a, NULL, p->data);
}

ls_status ls_checkpoint_pairs(const char *checkpoint_a, const char *checkpoint_b, ls_progress progress[2],
                              pair_each *each, void *data)
{
    ls_index  a, b = {.fd = -1};
    ls_status status = open_checkpoint(&a, checkpoint_a);
    if (status == LS_OK) status = open_checkpoint(&b, checkpoint_b);
    for (int swapped = 0; swapped < 2 && status == LS_OK; swapped++) {
        pairing p = {.other = swapped ? &a : &b, .each = each, .data = data, .swapped = swapped};
        status    = show_all(swapped ? &b : &a, find_pair, &p);
        if (status == LS_OK) status = p.status;
    }
    progress[0] = a.progress;
    progress[1] = b.progress;
    ls__index_close(&a);
    ls__index_close(&b);
    LS_TRY(status);
    return LS_OK;
}

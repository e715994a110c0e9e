/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists, inspects, verifies and compares checkpoints without a trainer, for `lockstep ckpt` and C programs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dist/checkpoint/checkpoint_folder.h"
#include "dist/checkpoint/checkpoint_manifest.h"

typedef void array_visitor(const ls_checkpoint_array *array, void *data);

/* Reads the whole array whose first range is i, and calls `each` (NULL allowed) with it. */
static ls_status visit_array(ls_index *x, int i, array_visitor *each, void *data)
{
    const ls_stored_range *r = &x->table.range[i];
    ls_checkpoint_array    a = {
           .param = r->name, .what = *r->state ? r->state : "value", .rank = r->rank, .count = r->count};
    float *values = malloc((size_t)r->count * sizeof *values + 1);
    LS_CHECK(values, LS_ERR_ENV, "%s: no memory for the array '%s' of %" PRId64 " elements", x->path, r->name,
             r->count);
    memcpy(a.dim, r->dim, sizeof a.dim);
    ls_status status = ls__index_read(x, i, values);
    a.values         = values;
    if (status == LS_OK && each) each(&a, data);
    free(values);
    return status;
}

static ls_status visit_arrays(ls_index *x, array_visitor *each, void *data)
{
    for (int i = 0; i < x->table.ranges; i = ls__index_next(x, i)) LS_TRY(visit_array(x, i, each, data));
    return LS_OK;
}

/* Sets the fields of `info` from the checkpoint at info->path; `verify`: after reading all values. */
static ls_status fill_info(ls_checkpoint_info *info, bool verify)
{
    ls_index  x;
    ls_status status = ls__index_open(&x, info->path);
    if (status == LS_OK && verify) status = visit_arrays(&x, NULL, NULL);
    if (status == LS_OK) {
        info->progress = x.table.progress;
        info->parts    = x.files;
        info->states   = x.table.states;
        info->bytes    = x.bytes;
        for (int i = 0; i < x.table.ranges; i = ls__index_next(&x, i)) info->params += x.table.range[i].state_index < 0;
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
    if (stat(folder, &exists) != 0) return LS_FAIL_ERRNO("%s: expected a folder of checkpoints", folder);
    LS_TRY(ls__checkpoint_steps(folder, &steps, &count));
    int64_t   latest = ls__checkpoint_linked(folder, "latest"), best = ls__checkpoint_linked(folder, "best");
    ls_status status = LS_OK;
    for (int i = 0; i < count; i++) {
        status = ls__checkpoint_path(path, folder, steps[i]);
        if (status != LS_OK) break;
        ls_checkpoint_info info = {.path = path, .latest = steps[i] == latest, .best = steps[i] == best};
        if (fill_info(&info, verify) != LS_OK) {
            snprintf(problem, sizeof problem, "%s", ls_error_message());
            info.problem = problem;
        }
        each(&info, data);
    }
    free(steps);
    return status;
}

static ls_status open_checkpoint(ls_index *x, const char *path)
{
    char        manifest[LS_PATH_BYTES], format1[LS_PATH_BYTES];
    struct stat exists;
    *x = (ls_index){.fd = -1};
    LS_TRY(ls__path(manifest, "%s/" LS_MANIFEST, path));
    LS_TRY(ls__path(format1, "%s/state.h5", path)); /* name of the only file of a checkpoint of format 1 */
    if (stat(manifest, &exists) != 0 && stat(format1, &exists) != 0)
        return LS_FAIL_ERRNO("%s: expected a checkpoint (a folder step-... with a " LS_MANIFEST ")", path);
    return ls__index_open(x, path);
}

ls_status ls_checkpoint_inspect(const char *checkpoint, ls_progress *progress, array_visitor *each, void *data)
{
    ls_index  x;
    ls_status status = open_checkpoint(&x, checkpoint);
    if (status == LS_OK && each) status = visit_arrays(&x, each, data);
    *progress = x.table.progress;
    ls__index_close(&x);
    return status;
}

ls_status ls_checkpoint_verify(const char *checkpoint, void (*each)(const char *file, const char *problem, void *data),
                               void       *data)
{
    int     files;
    int64_t bytes;
    LS_TRY(ls__manifest_verify(checkpoint, each, data, &files, &bytes));
    ls_checkpoint_info info = {.path = checkpoint};
    return fill_info(&info, true);
}

/* ---- comparison of two checkpoints ------------------------------------------------------------------------------- */

typedef void pair_visitor(const ls_checkpoint_array *a, const ls_checkpoint_array *b, void *data);

typedef struct pairing {
    ls_index                  *other;
    pair_visitor              *each;
    void                      *data;
    bool                       second; /* second pass: only arrays that the first checkpoint lacks */
    const ls_checkpoint_array *first;
    ls_status                  status;
} pairing;

static void visit_pair(const ls_checkpoint_array *b, void *data)
{
    pairing *p = data;
    p->each(p->first, b, p->data);
}

/* Finds the array of the other checkpoint that has the same name. */
static void find_pair(const ls_checkpoint_array *a, void *data)
{
    pairing *p = data;
    if (p->status != LS_OK) return;
    int i    = ls__index_find(p->other, a->param, strcmp(a->what, "value") ? a->what : NULL);
    p->first = a;
    if (i >= 0 && !p->second) p->status = visit_array(p->other, i, visit_pair, p);
    if (i < 0) p->each(p->second ? NULL : a, p->second ? a : NULL, p->data);
}

ls_status ls_checkpoint_pairs(const char *checkpoint_a, const char *checkpoint_b, ls_progress progress[2],
                              pair_visitor *each, void *data)
{
    ls_index  a, b = {.fd = -1};
    ls_status status = open_checkpoint(&a, checkpoint_a);
    if (status == LS_OK) status = open_checkpoint(&b, checkpoint_b);
    for (int pass = 0; pass < 2 && status == LS_OK; pass++) {
        pairing p = {.other = pass ? &a : &b, .each = each, .data = data, .second = pass == 1};
        status    = visit_arrays(pass ? &b : &a, find_pair, &p);
        if (status == LS_OK) status = p.status;
    }
    progress[0] = a.table.progress;
    progress[1] = b.table.progress;
    ls__index_close(&a);
    ls__index_close(&b);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/checkpoint/checkpoint_index.h: reads a checkpoint of several files.
 *
 * HDF5 reads only files that were compared with their checksums before, because the library trusts its input.
 */
#include "dist/checkpoint/checkpoint_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "dist/checkpoint/checkpoint_manifest.h"

/* ---- the ranges of an array -------------------------------------------------------------------------------------- */

/* Sorts by optimizer state, name and offset. */
static int by_array(const void *x, const void *y)
{
    const ls_stored_range *p = x, *q = y;
    int                    names = strcmp(p->name, q->name);
    if (p->state_index != q->state_index) return p->state_index - q->state_index;
    if (names) return names;
    if (p->range.offset != q->range.offset) return p->range.offset > q->range.offset ? 1 : -1;
    return p->file - q->file;
}

/* Sorts by optimizer state, the order of the arrays in the files, and offset. */
static int by_order(const void *x, const void *y)
{
    const ls_stored_range *p = x, *q = y;
    if (p->state_index != q->state_index) return p->state_index - q->state_index;
    if (p->order != q->order) return p->order - q->order;
    return (p->range.offset > q->range.offset) - (p->range.offset < q->range.offset);
}

static bool is_same_array(const ls_stored_range *p, const ls_stored_range *q)
{
    return p->state_index == q->state_index && strcmp(p->name, q->name) == 0;
}

int ls__index_next(const ls_index *x, int i)
{
    int next = i + 1;
    while (next < x->table.ranges && is_same_array(&x->table.range[i], &x->table.range[next])) next++;
    return next;
}

/* Checks that ranges [begin, end) are one whole array, without gap or overlap. */
static ls_status check_coverage(const ls_index *x, int begin, int end)
{
    const ls_stored_range *first   = &x->table.range[begin];
    int64_t                covered = 0;
    for (int i = begin; i < end; i++) {
        const ls_stored_range *r = &x->table.range[i];
        LS_CHECK(r->rank == first->rank && memcmp(r->dim, first->dim, sizeof r->dim) == 0, LS_ERR_DATA,
                 "%s: the array '%s' has different shapes in different files", x->path, r->name);
        LS_CHECK(r->range.offset == covered, LS_ERR_DATA,
                 "%s: the array '%s': after %" PRId64 " of %" PRId64 " elements comes a range at element %" PRId64,
                 x->path, r->name, covered, r->count, r->range.offset);
        covered = ls__range_end(r->range);
    }
    LS_CHECK(covered == first->count, LS_ERR_DATA,
             "%s: the array '%s': expected %" PRId64 " elements, found %" PRId64 " in the files", x->path, first->name,
             first->count, covered);
    return LS_OK;
}

/* Groups the ranges by array, and the arrays in the order of the files. */
static ls_status sort_ranges(ls_index *x)
{
    ls_stored_table *t = &x->table;
    for (int i = 0; i < t->ranges; i++) t->range[i].order = i;
    if (t->ranges) qsort(t->range, (size_t)t->ranges, sizeof *t->range, by_array);
    for (int i = 0, next; i < t->ranges; i = next) {
        int order = t->range[i].order;
        next      = ls__index_next(x, i);
        LS_TRY(check_coverage(x, i, next));
        for (int k = i; k < next; k++) order = t->range[k].order < order ? t->range[k].order : order;
        for (int k = i; k < next; k++) t->range[k].order = order;
    }
    if (t->ranges) qsort(t->range, (size_t)t->ranges, sizeof *t->range, by_order);
    return LS_OK;
}

ls_status ls__index_open(ls_index *x, const char *path)
{
    char name[LS_CHECKPOINT_FILE_NAME], file[LS_PATH_BYTES];
    *x = (ls_index){.fd = -1};
    LS_TRY(ls__path(x->path, "%s", path));
    LS_TRY(ls__manifest_verify(path, NULL, NULL, &x->files, &x->bytes));
    for (int i = 0; i < x->files; i++) {
        ls__checkpoint_file_name(name, i);
        LS_TRY(ls__path(file, "%s/%s", path, name));
        LS_TRY(ls__checkpoint_file_read(&x->table, file, i, x->files));
    }
    return sort_ranges(x);
}

void ls__index_close(ls_index *x)
{
    if (x->fd >= 0) close(x->fd);
    free(x->table.range);
    free(x->table.state);
    *x = (ls_index){.fd = -1};
}

int ls__index_find(const ls_index *x, const char *name, const char *state)
{
    if (!state) state = "";
    for (int i = 0; i < x->table.ranges; i++)
        if (strcmp(x->table.range[i].name, name) == 0 && strcmp(x->table.range[i].state, state) == 0) return i;
    return -1;
}

/* ---- comparison with the model ----------------------------------------------------------------------------------- */

#define HINT_OTHER                                                                                                     \
    LS_HINT "the checkpoint belongs to another model or optimizer: use its recipe, another run.dir, or --fresh to "    \
            "start over"

static void print_shape(char text[256], int rank, const int64_t *dims)
{
    size_t used = (size_t)snprintf(text, 256, rank ? "" : "a scalar");
    for (int i = 0; i < rank && used < 230; i++)
        used += (size_t)snprintf(text + used, 256 - used, "%s%" PRId64, i ? " x " : "", dims[i]);
}

/* Compares one array of the state with the checkpoint; `guess` is the range where it is if both have the same order. */
static ls_status match_array(const ls_index *x, const ls_state_array *a, int guess)
{
    const ls_stored_range *r = guess < x->table.ranges ? &x->table.range[guess] : NULL;
    char                   found[256], expected[256];
    if (!r || strcmp(r->name, a->name) != 0 || strcmp(r->state, a->state ? a->state : "") != 0) {
        int i = ls__index_find(x, a->name, a->state);
        r     = i < 0 ? NULL : &x->table.range[i];
    }
    LS_CHECK(r, LS_ERR_USAGE, "%s: the model's parameter '%s' is not in the checkpoint%s%s" HINT_OTHER, x->path,
             a->name, a->state ? " with the optimizer's " : "", a->state ? a->state : "");
    bool equal = r->rank == a->rank;
    for (int d = 0; d < a->rank && equal; d++) equal = r->dim[d] == a->dims[d];
    print_shape(found, r->rank, r->dim);
    print_shape(expected, a->rank, a->dims);
    LS_CHECK(equal && r->count == a->count, LS_ERR_USAGE,
             "%s: the parameter '%s' is %s in the checkpoint and %s in the model" HINT_OTHER, x->path, a->name, found,
             expected);
    return LS_OK;
}

/* Counts the arrays of an optimizer state (NULL: of values) in the checkpoint, and in the state. */
static int count_stored(const ls_index *x, const char *state)
{
    int n = 0;
    if (!state) state = "";
    for (int i = 0; i < x->table.ranges; i = ls__index_next(x, i)) n += strcmp(x->table.range[i].state, state) == 0;
    return n;
}

static int count_expected(const ls_state *s, const char *state)
{
    int n = 0;
    for (int i = 0; i < s->arrays; i++) {
        const char *found = s->array[i].state;
        n += state ? found && strcmp(found, state) == 0 : !found;
    }
    return n;
}

static bool has_state(const ls_index *x, const char *name)
{
    for (int i = 0; i < x->table.states; i++)
        if (strcmp(x->table.state[i], name) == 0) return true;
    return false;
}

ls_status ls__index_match(const ls_index *x, const ls_state *s)
{
    int guess = 0;
    for (int k = 0; k < s->states; k++)
        LS_CHECK(has_state(x, s->state_name[k]), LS_ERR_USAGE,
                 "%s: the optimizer's '%s' is not in the checkpoint" HINT_OTHER, x->path, s->state_name[k]);
    for (int i = 0; i < s->arrays; i++) {
        LS_TRY(match_array(x, &s->array[i], guess));
        if (guess < x->table.ranges) guess = ls__index_next(x, guess);
    }
    for (int k = -1; k < s->states; k++) {
        const char *state  = k < 0 ? NULL : s->state_name[k];
        int         stored = count_stored(x, state), expected = count_expected(s, state);
        LS_CHECK(stored == expected, LS_ERR_USAGE,
                 "%s: %d parameters in the checkpoint%s%s, %d in the model" HINT_OTHER, x->path, stored,
                 state ? " with the optimizer's " : "", state ? state : "", expected);
    }
    LS_CHECK(x->table.states == s->states, LS_ERR_USAGE,
             "%s: %d states of the optimizer in the checkpoint, this optimizer has %d" HINT_OTHER, x->path,
             x->table.states, s->states);
    return LS_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Opens file `file` unless it is open already, and prints its path. */
static ls_status open_file(ls_index *x, int file, char path[LS_PATH_BYTES])
{
    char name[LS_CHECKPOINT_FILE_NAME];
    ls__checkpoint_file_name(name, file);
    LS_TRY(ls__path(path, "%s/%s", x->path, name));
    if (x->fd >= 0 && x->fd_file == file) return LS_OK;
    if (x->fd >= 0) close(x->fd);
    x->fd_file = file;
    return ls__file_open(path, &x->fd);
}

static ls_status read_range(ls_index *x, const ls_stored_range *r, float *values)
{
    char path[LS_PATH_BYTES];
    LS_TRY(open_file(x, r->file, path));
    LS_TRY(ls__file_read_at(path, x->fd, r->at, values, (size_t)r->range.count * sizeof *values));
    uint64_t found = ls__values_checksum(r->state, r->name, r->range.count, values);
    LS_CHECK(found == r->checksum, LS_ERR_DATA,
             "%s: the array '%s' has the checksum %016" PRIx64 ", expected %016" PRIx64, path, r->name, found,
             r->checksum);
    return LS_OK;
}

ls_status ls__index_read(ls_index *x, int i, float *values)
{
    for (int end = ls__index_next(x, i); i < end; i++)
        LS_TRY(read_range(x, &x->table.range[i], values + x->table.range[i].range.offset));
    return LS_OK;
}

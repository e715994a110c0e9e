/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint of several files: the manifest that vouches for them, and what lies where.
 *
 *     manifest.xxh64            a line for each file, as xxh64sum prints it:  "0123456789abcdef  part-0000.h5"
 *
 * HDF5 sees no file that was not compared with its checksum before: the library trusts what it reads. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dist/checkpoint/checkpoint.h"

enum { SUM_DIGITS = 16, LINE = SUM_DIGITS + 2 + LS_PART_NAME + 2 };

/* ---- the manifest ------------------------------------------------------------------------------------------------ */

ls_status ls__manifest_write(const char *path, int parts, const uint64_t *sums)
{
    char    file[LS_PATH_BYTES], name[LS_PART_NAME], line[LINE];
    ls_file f;
    LS_TRY(ls__path(file, "%s/" LS_MANIFEST, path));
    LS_TRY(ls__file_create(&f, file));
    ls_status status = LS_OK;
    for (int i = 0; i < parts && status == LS_OK; i++) {
        ls__part_name(name, i);
        int length = snprintf(line, sizeof line, "%016" PRIx64 "  %s\n", sums[i], name);
        status     = ls__file_write(&f, line, (size_t)length);
    }
    LS_TRY(ls__file_finish(&f, status));
    return LS_OK;
}

static bool exists(const char *folder, const char *name)
{
    char        path[LS_PATH_BYTES];
    struct stat info;
    return ls__path(path, "%s/%s", folder, name) == LS_OK && stat(path, &info) == 0;
}

static ls_status open_manifest(const char *path, FILE **f)
{
    char file[LS_PATH_BYTES];
    int  fd;
    LS_TRY(ls__path(file, "%s/" LS_MANIFEST, path));
    LS_CHECK(exists(path, LS_MANIFEST) || !exists(path, "state.h5"), LS_ERR_USAGE,
             "%s: expected format version %d, found 1" LS_HINT
             "it was written by an earlier version of the program: use that one, or --fresh to start over",
             path, LS_CHECKPOINT_FORMAT);
    LS_TRY(ls__file_open(file, &fd));
    *f = fdopen(fd, "rb");
    if (*f) return LS_OK;
    ls_status status = LS_FAIL_ERRNO("cannot read %s", file);
    close(fd);
    return status;
}

/* The checksum of file `part` in its line; *end: there is no such line. */
static ls_status next_line(FILE *f, const char *path, int part, uint64_t *sum, bool *end)
{
    char line[LINE + 1] = "", name[LS_PART_NAME], expected[LINE];
    *end                = !fgets(line, sizeof line, f);
    LS_CHECK(!ferror(f), LS_ERR_ENV, "%s/" LS_MANIFEST ": cannot be read", path);
    LS_CHECK(!*end || part > 0, LS_ERR_DATA, "%s/" LS_MANIFEST ": it is empty", path);
    if (*end) return LS_OK;
    ls__part_name(name, part);
    snprintf(expected, sizeof expected, "  %s\n", name);
    LS_CHECK(part < LS_MAX_PARTS && strspn(line, "0123456789abcdef") == SUM_DIGITS &&
                 strcmp(line + SUM_DIGITS, expected) == 0,
             LS_ERR_DATA, "%s/" LS_MANIFEST ":%d: expected 16 hexadecimal digits and '%s'", path, part + 1, name);
    *sum = strtoull(line, NULL, 16);
    return LS_OK;
}

static ls_status verify_part(const char *path, const char *name, uint64_t expected, int64_t *bytes)
{
    char     file[LS_PATH_BYTES];
    uint64_t found;
    int64_t  size = 0;
    LS_TRY(ls__path(file, "%s/%s", path, name));
    LS_TRY(ls__file_checksum(file, &found, &size));
    LS_CHECK(found == expected, LS_ERR_DATA,
             "%s: its %" PRId64 " bytes have the checksum %016" PRIx64 ", expected %016" PRIx64, file, size, found,
             expected);
    *bytes += size;
    return LS_OK;
}

ls_status ls__manifest_verify(const char *path, void (*each)(const char *file, const char *problem, void *data),
                              void *data, int *parts, int64_t *bytes)
{
    FILE     *f;
    bool      end    = false;
    ls_status status = LS_OK, first             = LS_OK;
    char      name[LS_PART_NAME], message[4096] = "", trace[4096] = "";
    *parts = 0;
    *bytes = 0;
    LS_TRY(open_manifest(path, &f));
    while (status == LS_OK) {
        uint64_t sum = 0;
        status       = next_line(f, path, *parts, &sum, &end);
        if (status != LS_OK || end) break;
        ls__part_name(name, *parts);
        ls_status its = verify_part(path, name, sum, bytes);
        if (each) each(name, its == LS_OK ? NULL : ls_error_message(), data);
        if (its != LS_OK && first == LS_OK) {
            first = its;
            snprintf(message, sizeof message, "%s", ls_error_message());
            snprintf(trace, sizeof trace, "%s", ls_error_trace());
            if (!each) break;
        }
        ++*parts;
    }
    fclose(f);
    if (status == LS_OK && first != LS_OK) status = ls_error_set(first, message, trace);
    LS_TRY(status);
    return LS_OK;
}

/* ---- what lies where --------------------------------------------------------------------------------------------- */

static int by_array(const void *x, const void *y)
{
    const ls_piece *p = x, *q = y;
    int             names = strcmp(p->name, q->name);
    if (p->state_no != q->state_no) return p->state_no - q->state_no;
    if (names) return names;
    return p->first != q->first ? (p->first > q->first) - (p->first < q->first) : p->part - q->part;
}

static int by_order(const void *x, const void *y)
{
    const ls_piece *p = x, *q = y;
    if (p->state_no != q->state_no) return p->state_no - q->state_no;
    if (p->order != q->order) return p->order - q->order;
    return (p->first > q->first) - (p->first < q->first);
}

static bool same_array(const ls_piece *p, const ls_piece *q)
{
    return p->state_no == q->state_no && strcmp(p->name, q->name) == 0;
}

int ls__index_next(const ls_index *x, int i)
{
    int next = i + 1;
    while (next < x->pieces && same_array(&x->piece[i], &x->piece[next])) next++;
    return next;
}

/* The pieces from `from` to `to` are one array, all of it, without overlap. */
static ls_status check_tiles(const ls_index *x, int from, int to)
{
    const ls_piece *one = &x->piece[from];
    int64_t         end = 0;
    for (int i = from; i < to; i++) {
        const ls_piece *p = &x->piece[i];
        LS_CHECK(p->rank == one->rank && memcmp(p->dim, one->dim, sizeof p->dim) == 0, LS_ERR_DATA,
                 "%s: the array '%s' has other shapes in other files", x->path, p->name);
        LS_CHECK(p->first == end, LS_ERR_DATA,
                 "%s: the array '%s': after %" PRId64 " of %" PRId64 " elements comes a piece that begins at %" PRId64,
                 x->path, p->name, end, p->count, p->first);
        end += p->held;
    }
    LS_CHECK(end == one->count, LS_ERR_DATA, "%s: the array '%s' has %" PRId64 " elements, and the files %" PRId64,
             x->path, one->name, one->count, end);
    return LS_OK;
}

static ls_status put_in_order(ls_index *x)
{
    for (int i = 0; i < x->pieces; i++) x->piece[i].order = i;
    if (x->pieces) qsort(x->piece, (size_t)x->pieces, sizeof *x->piece, by_array);
    for (int i = 0, next; i < x->pieces; i = next) {
        int first = x->piece[i].order;
        next      = ls__index_next(x, i);
        LS_TRY(check_tiles(x, i, next));
        for (int k = i; k < next; k++) first = x->piece[k].order < first ? x->piece[k].order : first;
        for (int k = i; k < next; k++) x->piece[k].order = first;
    }
    if (x->pieces) qsort(x->piece, (size_t)x->pieces, sizeof *x->piece, by_order);
    return LS_OK;
}

ls_status ls__index_open(ls_index *x, const char *path)
{
    *x = (ls_index){.fd = -1};
    LS_TRY(ls__path(x->path, "%s", path));
    LS_TRY(ls__manifest_verify(path, NULL, NULL, &x->parts, &x->bytes));
    for (int part = 0; part < x->parts; part++) LS_TRY(ls__part_index(x, part));
    LS_TRY(put_in_order(x));
    return LS_OK;
}

ls_status ls__index_progress(ls_index *x)
{
    x->parts = 0;
    return ls__part_index(x, 0);
}

void ls__index_close(ls_index *x)
{
    if (x->fd >= 0) close(x->fd);
    free(x->piece);
    free(x->state);
    *x = (ls_index){.fd = -1};
}

int ls__index_find(const ls_index *x, const char *name, const char *state)
{
    for (int i = 0; i < x->pieces; i++)
        if (strcmp(x->piece[i].name, name) == 0 && strcmp(x->piece[i].state, state ? state : "") == 0) return i;
    return -1;
}

/* ---- is it of this model ----------------------------------------------------------------------------------------- */

#define HINT_OTHER                                                                                                     \
    LS_HINT "it is of another model or optimizer: use the recipe it was made with, another run.dir, or --fresh to "    \
            "start over"

static void print_shape(char text[256], int rank, const int64_t *dims)
{
    size_t used = (size_t)snprintf(text, 256, rank ? "" : "a scalar");
    for (int i = 0; i < rank && used < 230; i++)
        used += (size_t)snprintf(text + used, 256 - used, "%s%" PRId64, i ? " x " : "", dims[i]);
}

static ls_status fits_array(const ls_index *x, const ls_state_array *a, int at)
{
    const ls_piece *p = at < x->pieces ? &x->piece[at] : NULL;
    char            its[256], ours[256];
    if (!p || strcmp(p->name, a->name) != 0 || strcmp(p->state, a->state ? a->state : "") != 0) {
        int i = ls__index_find(x, a->name, a->state);
        p     = i < 0 ? NULL : &x->piece[i];
    }
    LS_CHECK(p, LS_ERR_USAGE, "%s: the model's parameter '%s' is not in the checkpoint%s%s" HINT_OTHER, x->path,
             a->name, a->state ? " with the optimizer's " : "", a->state ? a->state : "");
    bool equal = p->rank == a->rank;
    for (int d = 0; d < a->rank && equal; d++) equal = p->dim[d] == a->dims[d];
    print_shape(its, p->rank, p->dim);
    print_shape(ours, a->rank, a->dims);
    LS_CHECK(equal && p->count == a->count, LS_ERR_USAGE,
             "%s: the parameter '%s' is %s in the checkpoint and %s in the model" HINT_OTHER, x->path, a->name, its,
             ours);
    return LS_OK;
}

/* How many arrays there are of a state; NULL: values. */
static int count_arrays(const ls_index *x, const char *state)
{
    int n = 0;
    for (int i = 0; i < x->pieces; i = ls__index_next(x, i)) n += strcmp(x->piece[i].state, state ? state : "") == 0;
    return n;
}

static int expected_arrays(const ls_state *s, const char *state)
{
    int n = 0;
    for (int i = 0; i < s->arrays; i++) {
        const char *its = s->array[i].state;
        n += state ? its && strcmp(its, state) == 0 : !its;
    }
    return n;
}

ls_status ls__index_fits(const ls_index *x, const ls_state *s)
{
    int at = 0;
    for (int k = 0; k < s->states; k++) {
        bool there = false;
        for (int i = 0; i < x->states; i++) there |= strcmp(x->state[i], s->state_name[k]) == 0;
        LS_CHECK(there, LS_ERR_USAGE, "%s: the optimizer's '%s' is not in the checkpoint" HINT_OTHER, x->path,
                 s->state_name[k]);
    }
    for (int i = 0; i < s->arrays; i++) {
        LS_TRY(fits_array(x, &s->array[i], at));
        if (at < x->pieces) at = ls__index_next(x, at);
    }
    for (int k = -1; k < s->states; k++) {
        const char *state = k < 0 ? NULL : s->state_name[k];
        int         its = count_arrays(x, state), ours = expected_arrays(s, state);
        LS_CHECK(its == ours, LS_ERR_USAGE, "%s: %d parameters in the checkpoint%s%s, %d in the model" HINT_OTHER,
                 x->path, its, state ? " with the optimizer's " : "", state ? state : "", ours);
    }
    LS_CHECK(x->states == s->states, LS_ERR_USAGE,
             "%s: %d states of the optimizer in the checkpoint, this optimizer has %d" HINT_OTHER, x->path, x->states,
             s->states);
    return LS_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static ls_status open_part(ls_index *x, int part, char path[LS_PATH_BYTES])
{
    char name[LS_PART_NAME];
    ls__part_name(name, part);
    LS_TRY(ls__path(path, "%s/%s", x->path, name));
    if (x->fd >= 0 && x->fd_part == part) return LS_OK;
    if (x->fd >= 0) close(x->fd);
    x->fd_part = part;
    return ls__file_open(path, &x->fd);
}

static ls_status read_piece(ls_index *x, const ls_piece *p, float *values)
{
    char    path[LS_PATH_BYTES];
    char   *to    = (char *)values;
    size_t  bytes = (size_t)p->held * sizeof *values;
    int64_t at    = p->at;
    LS_TRY(open_part(x, p->part, path));
    while (bytes) {
        ssize_t n = pread(x->fd, to, bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return LS_FAIL_ERRNO("cannot read %s", path);
        LS_CHECK(n > 0, LS_ERR_DATA, "%s: the array '%s' is not all there", path, p->name);
        to += n;
        at += n;
        bytes -= (size_t)n;
    }
    uint64_t found = ls__piece_sum(p->state, p->name, p->held, values);
    LS_CHECK(found == p->sum, LS_ERR_DATA, "%s: the array '%s' has the checksum %016" PRIx64 ", expected %016" PRIx64,
             path, p->name, found, p->sum);
    return LS_OK;
}

ls_status ls__index_read(ls_index *x, int i, float *values)
{
    for (int end = ls__index_next(x, i); i < end; i++) LS_TRY(read_piece(x, &x->piece[i], values + x->piece[i].first));
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Writes and reads the log of a run: see launch/run/metrics.h. */
#include "launch/run/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/atomic_file.h"

struct ls_events {
    int    fd;
    int    error;   /* errno of the last failed write, while lines wait */
    char  *waiting; /* lines that could not be written                  */
    size_t waits, room;
    char   path[PATH_MAX];
};

enum {
    PRECISION    = 9,
    MOST_WAITING = 16 << 20
}; /* significant digits that distinguish any two floats; largest size of the waiting lines, bytes */

/* Formats an event as a line with its newline; the caller frees it. */
static ls_status make_line(char **text, size_t *bytes, const char *path, const json_t *event)
{
    *text = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(PRECISION));
    LS_CHECK(*text, LS_ERR_FAILED, "%s: an event could not be written as JSON", path);
    *bytes              = strlen(*text) + 1;
    (*text)[*bytes - 1] = '\n'; /* replaces the terminating 0 */
    return LS_OK;
}

/* Writes as many bytes as possible; returns their number.  *why: errno of the failure, 0: none. */
static size_t write_bytes(int fd, const char *text, size_t bytes, int *why)
{
    size_t done = 0;
    *why        = 0;
    while (done < bytes && !*why) {
        ssize_t n = write(fd, text + done, bytes - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            *why = n == 0 ? ENOSPC : errno;
    }
    return done;
}

static ls_status cannot_write(const char *path, int why)
{
    return LS_FAIL(LS_ERR_ENV, "%s: cannot write: %s" LS_HINT "is there space left on the disk? (df -h)", path,
                   strerror(why));
}

/* ---- continuing a file ------------------------------------------------------------------------------------------- */

typedef struct keeper {
    ls_file   file;
    int64_t   keep_step;
    ls_status status;
} keeper;

static void keep_line(const json_t *event, void *data)
{
    keeper *k = data;
    if (k->status != LS_OK || ls_events_is(event, "end") ||
        ls_events_real(event, "step", INFINITY) > (double)k->keep_step)
        return;
    char  *text;
    size_t bytes = 0;
    k->status    = make_line(&text, &bytes, k->file.path, event);
    if (k->status != LS_OK) return;
    k->status = ls__file_write(&k->file, text, bytes);
    free(text);
}

/* Rewrites the file without the events after step `keep_step`.  The old file stays until the new one is complete. */
static ls_status shorten(const char *path, int64_t keep_step)
{
    keeper k = {.keep_step = keep_step, .status = LS_OK};
    LS_TRY(ls__file_create(&k.file, path));
    ls_status status = ls_events_read(path, keep_line, &k);
    return ls__file_finish(&k.file, status == LS_OK ? k.status : status);
}

ls_status ls_events_open(ls_events **e, const char *path, int64_t keep_step)
{
    *e = NULL;
    if (keep_step >= 0) LS_TRY(shorten(path, keep_step));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (keep_step < 0 ? O_TRUNC : 0), 0666);
    LS_CHECK(fd >= 0, LS_ERR_ENV, "%s: cannot write: %s" LS_HINT "run.dir=DIR puts the run somewhere else", path,
             strerror(errno));
    ls_events *new = calloc(1, sizeof *new);
    if (!new) {
        close(fd);
        return LS_FAIL(LS_ERR_ENV, "%s: no memory for the log", path);
    }
    new->fd = fd;
    snprintf(new->path, sizeof new->path, "%s", path);
    *e = new;
    return LS_OK;
}

void ls_events_close(ls_events *e)
{
    if (!e) return;
    (void)ls_events_flush(e);
    close(e->fd);
    free(e->waiting);
    free(e);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

ls_status ls_events_flush(ls_events *e)
{
    if (!e->waits) return LS_OK;
    size_t done = write_bytes(e->fd, e->waiting, e->waits, &e->error);
    memmove(e->waiting, e->waiting + done, e->waits - done);
    e->waits -= done;
    return e->waits ? cannot_write(e->path, e->error) : LS_OK;
}

const char *ls_events_problem(const ls_events *e) { return e->waits ? strerror(e->error) : NULL; }

static ls_status append(ls_events *e, const char *text, size_t bytes)
{
    if (e->waits + bytes > e->room) {
        size_t room = 2 * e->room + bytes;
        char  *more = room <= MOST_WAITING ? realloc(e->waiting, room) : NULL;
        if (!more)
            return e->waits ? cannot_write(e->path, e->error)
                            : LS_FAIL(LS_ERR_ENV, "%s: no memory for the log", e->path);
        e->waiting = more;
        e->room    = room;
    }
    memcpy(e->waiting + e->waits, text, bytes);
    e->waits += bytes;
    return LS_OK;
}

ls_status ls_events_put(ls_events *e, json_t *event)
{
    char  *text;
    size_t bytes = 0;
    LS_CHECK(event, LS_ERR_FAILED, "%s: no memory for an event", e->path);
    ls_status status = make_line(&text, &bytes, e->path, event);
    json_decref(event);
    LS_TRY(status);
    status = append(e, text, bytes);
    free(text);
    LS_TRY(status);
    (void)ls_events_flush(e);
    return LS_OK;
}

ls_status ls_events_write(ls_events *e, const char *format, ...)
{
    va_list      args;
    json_error_t error;
    va_start(args, format);
    json_t *event = json_vpack_ex(&error, 0, format, args);
    va_end(args);
    LS_CHECK(event, LS_ERR_FAILED, "%s: an event could not be made: %s", e->path, error.text);
    return ls_events_put(e, event);
}

json_t *ls_events_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

ls_status ls_events_read(const char *path, void (*each)(const json_t *event, void *data), void *data)
{
    FILE *f = fopen(path, "re");
    if (!f && errno == ENOENT) return LS_OK;
    LS_CHECK(f, LS_ERR_ENV, "%s: cannot read: %s", path, strerror(errno));
    char  *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, f) > 0) {
        json_t *event = json_loads(line, 0, NULL);
        if (json_is_object(event) && json_is_string(json_object_get(event, "event"))) each(event, data);
        json_decref(event);
    }
    free(line);
    fclose(f);
    return LS_OK;
}

double ls_events_real(const json_t *event, const char *key, double none)
{
    const json_t *value = json_object_get(event, key);
    return json_is_number(value) ? json_number_value(value) : none;
}

bool ls_events_is(const json_t *event, const char *kind)
{
    const char *text = json_string_value(json_object_get(event, "event"));
    return text && strcmp(text, kind) == 0;
}

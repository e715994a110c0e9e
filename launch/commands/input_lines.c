/* SPDX-License-Identifier: Apache-2.0
 * Implements launch/commands/input_lines.h.  Rank 0 reads the text, because only it has the standard input, and sends
 * it to all ranks. */
#include "launch/commands/input_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a whole file, "-" for standard input, of at most 1 GiB. */
static ls_status read_all(const char *path, char **text, size_t *bytes)
{
    enum { MAX_BYTES = 1 << 30, PIECE = 1 << 16 };
    const bool  standard = !strcmp(path, "-");
    const char *name     = standard ? "standard input" : path;
    FILE       *f        = standard ? stdin : fopen(path, "r");
    size_t      room = 0, got = 1;
    bool        memory = true;
    LS_CHECK(f, LS_ERR_USAGE, "%s: %s", path, strerror(errno));
    for (*bytes = 0; got && memory && *bytes <= MAX_BYTES; *bytes += got) {
        if (*bytes + PIECE + 1 > room) {
            char *more = realloc(*text, room = 2 * room + PIECE + 1);
            memory     = more != NULL;
            if (more) *text = more;
        }
        got = memory ? fread(*text + *bytes, 1, PIECE, f) : 0;
    }
    const bool failed = ferror(f);
    if (!standard) fclose(f);
    LS_CHECK(!failed, LS_ERR_DATA, "%s: cannot be read: %s", name, strerror(errno));
    LS_CHECK(memory && *bytes <= MAX_BYTES, LS_ERR_DATA, "%s: expected at most %d bytes", name, MAX_BYTES);
    return LS_OK;
}

/* Cuts the text into lines.  A carriage return at the end of a line does not belong to it. */
static ls_status cut(ls_input_lines *l, const char *path, size_t bytes)
{
    size_t room = 1;
    for (size_t i = 0; i < bytes; i++) room += l->text[i] == '\n';
    l->line = calloc(room, sizeof *l->line);
    LS_CHECK(l->line, LS_ERR_ENV, "%s: no memory for %zu lines", path, room);
    for (size_t at = 0; at < bytes;) {
        char  *from = l->text + at, *end = memchr(from, '\n', bytes - at);
        size_t n = end ? (size_t)(end - from) : bytes - at;
        at += n + 1;
        if (n && from[n - 1] == '\r') n--;
        from[n] = 0;
        LS_CHECK(strlen(from) == n, LS_ERR_DATA, "%s: line %lld: expected text, found a zero byte", path,
                 (long long)l->count + 1);
        l->line[l->count++] = from;
    }
    return LS_OK;
}

ls_status ls_input_lines_read(ls_run *run, const char *path, ls_input_lines *l)
{
    size_t bytes = 0;
    LS_TRY_COLLECTIVE(run, run->is_root ? read_all(path, &l->text, &bytes) : LS_OK);
    LS_TRY(ls_comm_bcast(run->comm, &bytes, sizeof bytes, 0));
    if (!run->is_root) l->text = malloc(bytes + 1);
    LS_TRY_COLLECTIVE(run, l->text ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: no memory for %zu bytes", path, bytes));
    LS_TRY(ls_comm_bcast(run->comm, l->text, bytes, 0));
    LS_TRY_COLLECTIVE(run, cut(l, path, bytes));
    return LS_OK;
}

void ls_input_lines_free(ls_input_lines *l)
{
    free(l->text);
    free(l->line);
}

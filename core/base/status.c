/* SPDX-License-Identifier: Apache-2.0
 * The last error of each thread: its message and its trace. */
#include "core/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[LS_ERROR_BYTES];
static _Thread_local char trace[LS_ERROR_BYTES];

/* The path of a source file from the root of the project.  __FILE__ is the path as the compiler was given it, so the
 * root is a prefix of this file's own path, or both are relative to build folders. */
static const char *short_path(const char *file)
{
    static const char this_file[] = __FILE__;
    const size_t      root        = sizeof this_file - sizeof "core/base/status.c";
    if (strncmp(file, this_file, root) == 0) file += root;
    while (strncmp(file, "../", 3) == 0) file += 3;
    return file;
}

ls_status ls__trace(ls_status status, const char *file, int line, const char *func)
{
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "  at %s (%s:%d)\n", func, short_path(file), line);
    return status;
}

/* Replaces control characters: messages quote names and texts from files, which must not control the terminal. */
static void replace_controls(char *text)
{
    for (; *text; text++)
        if ((*text > 0 && *text < ' ' && *text != '\n' && *text != '\t') || *text == 0x7f) *text = '?';
}

ls_status ls__fail(ls_status status, const char *file, int line, const char *func, const char *format, ...)
{
    char    text[sizeof message]; /* arguments may point into the old message */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    replace_controls(text);
    memcpy(message, text, sizeof message);
    trace[0] = 0;
    return ls__trace(status, file, line, func);
}

ls_status ls_error_set(ls_status status, const char *new_message, const char *new_trace)
{
    if (new_message != message) snprintf(message, sizeof message, "%s", new_message);
    if (new_trace != trace) snprintf(trace, sizeof trace, "%s", new_trace);
    return status;
}

ls_error ls_error_save(ls_status status)
{
    ls_error error = {.status = status};
    memcpy(error.message, message, sizeof message);
    memcpy(error.trace, trace, sizeof trace);
    return error;
}

ls_status ls_error_restore(const ls_error *error) { return ls_error_set(error->status, error->message, error->trace); }

const char *ls_error_message(void) { return message; }

const char *ls_error_trace(void) { return trace; }

const char *ls_status_text(ls_status status)
{
    switch (status) {
#define X(name, code, text)                                                                                            \
    case LS_##name:                                                                                                    \
        return text;
        LS_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

/* SPDX-License-Identifier: Apache-2.0
 * The text of the last error of each thread, and the trace of the calls it came through. */
#include "core/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[4096];
static _Thread_local char trace[4096];

/* The path from the project's root: __FILE__ is whatever the compiler was given, for this file too. */
static const char *short_path(const char *file)
{
    static const char here[] = __FILE__;
    const size_t      root   = sizeof here - sizeof "core/base/status.c";
    return strncmp(file, here, root) == 0 ? file + root : file;
}

ls_status ls__trace(ls_status status, const char *file, int line, const char *func)
{
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "  at %s (%s:%d)\n", func, short_path(file), line);
    return status;
}

/* Names and texts from files get into messages: nothing in them may steer a terminal. */
static void defuse(char *text)
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
    defuse(text);
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

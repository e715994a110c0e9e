/* SPDX-License-Identifier: Apache-2.0
 * Short texts in a ring of thread-local buffers, and the texts of enums. */
#include "core/base/format_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/enum_text.h"

char *ls__text_buffer(void)
{
    enum { BUFFERS = 16 };
    static _Thread_local char     ring[BUFFERS][LS_TEXT_BYTES];
    static _Thread_local unsigned next;
    char                         *text = ring[next++ % BUFFERS];
    text[0]                            = 0;
    return text;
}

const char *ls__text(const char *format, ...)
{
    char    text[LS_TEXT_BYTES]; /* an argument may lie in the buffer that is reused */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return memcpy(ls__text_buffer(), text, sizeof text);
}

const char *ls__bytes_text(double bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int                      u      = 0;
    for (; bytes >= 1024 && u < 4; u++) bytes /= 1024;
    return ls__text(u ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

int ls__enum_find(const char *const *texts, const char *text)
{
    for (int i = 0; texts[i]; i++)
        if (strcmp(texts[i], text) == 0) return i;
    return -1;
}

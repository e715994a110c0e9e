/* SPDX-License-Identifier: Apache-2.0
 * Copies public option structs, which start with their size.  Internal. */
#ifndef LS_DATASETS_FILES_OPTIONS_H
#define LS_DATASETS_FILES_OPTIONS_H

#include <string.h>

#include "core/base/status.h"

/* Copies `from`, a struct whose first member is its size_t size, into `to`, a struct of `bytes` bytes.  A caller that
 * was compiled with an older, smaller struct gets defaults (0) for the members that it does not have. */
static inline ls_status ls__options_copy(void *to, size_t bytes, const void *from, const char *name)
{
    size_t size;
    memcpy(&size, from, sizeof size);
    LS_CHECK(size >= sizeof size && size <= bytes, LS_ERR_USAGE,
             "%s: size: expected at most %zu bytes, found %zu" LS_HINT "set .size = sizeof(%s)", name, bytes, size,
             name);
    memset(to, 0, bytes);
    memcpy(to, from, size);
    return LS_OK;
}

#endif

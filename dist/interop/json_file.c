/* SPDX-License-Identifier: Apache-2.0
 * Implements dist/interop/json_file.h. */
#include "dist/interop/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/atomic_file.h"

ls_status ls__json_write(const char *path, json_t *json, bool sorted)
{
    const size_t order = sorted ? JSON_SORT_KEYS : JSON_PRESERVE_ORDER;
    ls_file      f;
    char        *text = json ? json_dumps(json, JSON_INDENT(2) | order | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory to write it", path);
    ls_status status = ls__file_create(&f, path);
    if (status == LS_OK) {
        status = ls__file_write(&f, text, strlen(text));
        if (status == LS_OK) status = ls__file_write(&f, "\n", 1);
        status = ls__file_finish(&f, status);
    }
    free(text);
    return status;
}

double ls__shortest(float value)
{
    char   text[32];
    double number = (double)value;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        number = strtod(text, NULL);
        if ((float)number == value) break;
    }
    return number;
}

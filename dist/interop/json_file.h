/* SPDX-License-Identifier: Apache-2.0
 * Writes JSON files: config.json and others beside a model. */
#ifndef LS_DIST_INTEROP_JSON_FILE_H
#define LS_DIST_INTEROP_JSON_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "core/core.h"

/* Writes `json`, and releases it.  NULL is an error: there was no memory to make it.  sorted: the keys of objects are
 * in bytewise order; else in the order in which they were set. */
ls_status ls__json_write(const char *path, json_t *json, bool sorted);

/* Returns the number with the fewest digits that is this float: 1e-12 instead of 9.99999996e-13. */
double ls__shortest(float value);

#endif

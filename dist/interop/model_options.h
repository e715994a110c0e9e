/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of a named model (core/models/model_table.h), as config.json states them.  Not public.  Options that
 * files do not state do not count: the vocabulary, dropout and textbook attention.
 */
#ifndef LS_DIST_INTEROP_MODEL_OPTIONS_H
#define LS_DIST_INTEROP_MODEL_OPTIONS_H

#include "core/core.h"

/* Prints the options that differ from the model's defaults, as JSON without braces: "layers: 12, heads: 12". */
void ls__model_options_print(const char *model, const void *args, char *text, size_t room);

/* Whether two arguments have equal options; floating-point values may differ by 1e-6. */
bool ls__model_options_equal(const char *model, const void *args, const void *other);

/* Returns LS_ERR_DATA if the arguments of the file differ from those of the model, with all differences in one message.
 */
ls_status ls__model_options_compare(const char *path, const char *model, const void *file, const void *args);

#endif

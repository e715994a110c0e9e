/* SPDX-License-Identifier: Apache-2.0
 * Implements launch/generate/stop_tokens.h. */
#include "launch/generate/stop_tokens.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "core/io/paths.h"

static ls_status add(const char *path, const json_t *id, ls_stop_tokens *stop)
{
    const bool good = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) <= INT32_MAX;
    LS_CHECK(good && stop->count < LS_MAX_STOP_TOKENS, LS_ERR_DATA,
             "%s: eos_token_id: expected a token, or a list of at most %d", path, LS_MAX_STOP_TOKENS);
    stop->id[stop->count++] = (int32_t)json_integer_value(id);
    return LS_OK;
}

static ls_status read_ids(const char *path, const char *text, ls_stop_tokens *stop)
{
    json_error_t error;
    json_t      *config = json_loads(text, 0, &error);
    LS_CHECK(config, LS_ERR_DATA, "%s:%d:%d: expected JSON, found: %s", path, error.line, error.column, error.text);
    const json_t *ids    = json_object_get(config, "eos_token_id");
    ls_status     status = LS_OK;
    if (!json_is_array(ids)) {
        if (ids && !json_is_null(ids)) status = add(path, ids, stop);
    } else {
        for (size_t i = 0; i < json_array_size(ids) && status == LS_OK; i++)
            status = add(path, json_array_get(ids, i), stop);
    }
    json_decref(config);
    return status;
}

ls_status ls_stop_tokens_read(const char *folder, ls_stop_tokens *stop)
{
    static const char *const files[] = {"generation_config.json", "config.json"};
    enum { MOST_BYTES = 1 << 20 };
    *stop = (ls_stop_tokens){0};
    for (int i = 0; i < 2 && !stop->count; i++) {
        char   path[LS_PATH_BYTES];
        char  *text;
        size_t bytes;
        LS_TRY(ls__path(path, "%s/%s", folder, files[i]));
        if (access(path, F_OK) != 0) continue;
        LS_TRY(ls__file_text(path, MOST_BYTES, &text, &bytes));
        ls_status status = read_ids(path, text, stop);
        free(text);
        LS_TRY(status);
    }
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Token lists and strings that grow by doubling. */
#include "datasets/tokenizer/growable.h"

#include <stdlib.h>
#include <string.h>

ls_status ls__tokens_reserve(ls_tokens *list, int64_t n)
{
    if (list->room - list->count >= n) return LS_OK;
    int64_t  room = list->count + n > 2 * list->room ? list->count + n : 2 * list->room;
    int32_t *id   = room < (int64_t)(SIZE_MAX / sizeof *id) ? realloc(list->id, (size_t)room * sizeof *id) : NULL;
    LS_CHECK(id, LS_ERR_ENV, "tokens: out of memory for %lld tokens" LS_HINT "encode the text in smaller pieces",
             (long long)room);
    list->id   = id;
    list->room = room;
    return LS_OK;
}

void ls_tokens_free(ls_tokens *list)
{
    free(list->id);
    *list = (ls_tokens){0};
}

ls_status ls__string_reserve(ls_string *s, size_t bytes)
{
    if (s->room - s->bytes > bytes) return LS_OK; /* keep one byte for the final 0 */
    size_t room = s->bytes + bytes + 1 > 2 * s->room ? s->bytes + bytes + 1 : 2 * s->room;
    char  *text = bytes < SIZE_MAX / 4 ? realloc(s->data, room) : NULL;
    LS_CHECK(text, LS_ERR_ENV, "text: out of memory for %zu bytes", room);
    s->data = text;
    s->room = room;
    return LS_OK;
}

ls_status ls__string_append(ls_string *s, const void *data, size_t bytes)
{
    LS_TRY(ls__string_reserve(s, bytes));
    if (bytes) memcpy(s->data + s->bytes, data, bytes);
    s->bytes += bytes;
    s->data[s->bytes] = 0;
    return LS_OK;
}

void ls_string_free(ls_string *s)
{
    free(s->data);
    *s = (ls_string){0};
}

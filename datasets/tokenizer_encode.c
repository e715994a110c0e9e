/* SPDX-License-Identifier: Apache-2.0
 * Text to tokens: what is looked for in the text first, and where a text may be cut. */
#include <string.h>

#include "datasets/tokenizer_internal.h"

/* ---- special tokens ------------------------------------------------------------------------------------------------ */

/* The longest token of one pass that begins here, or NULL. */
static const ls_added *added_at(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain)
{
    for (int i = t->add_first[text[0]]; i < t->add_first[text[0] + 1]; i++) {
        const ls_added *add = &t->add[i];
        size_t          n   = t->at[add->id + 1] - t->at[add->id];
        if (add->late == late && !(plain && add->special) && n <= bytes && memcmp(text, t->text + t->at[add->id], n) == 0) return add;
    }
    return NULL;
}

/* Where the next one begins, `bytes` when there is none. */
static size_t find_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain, const ls_added **found)
{
    bool one = t->add_first[256] && t->add_first[t->text[t->at[t->add[0].id]] + 1] - t->add_first[t->text[t->at[t->add[0].id]]] == t->added;
    for (size_t i = 0; i < bytes; i++) {
        if (one) { /* all begin with the same byte, as <|endoftext|> alone does */
            const uint8_t *next = memchr(text + i, t->text[t->at[t->add[0].id]], bytes - i);
            if (!next) break;
            i = (size_t)(next - text);
        }
        if ((*found = added_at(t, text + i, bytes - i, late, plain))) return i;
    }
    *found = NULL;
    return bytes;
}

static ls_status encode_between(const uint8_t *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(ls__tokens_reserve(list, (int64_t)bytes));
    for (size_t i = 0; i < bytes; i++) list->id[list->count++] = text[i];
    return LS_OK;
}

static ls_status encode(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool late, bool plain, ls_tokens *list)
{
    while (bytes > 0) {
        const ls_added *found = NULL;
        size_t          n     = t->added ? find_added(t, text, bytes, late, plain, &found) : bytes;
        if (n > 0) LS_TRY(t->late && !late ? encode(t, text, n, true, plain, list) : encode_between(text, n, list));
        if (!found) break;
        LS_TRY(ls__tokens_reserve(list, 1));
        list->id[list->count++] = found->id;
        n += t->at[found->id + 1] - t->at[found->id];
        text += n;
        bytes -= n;
    }
    return LS_OK;
}

ls_status ls_tokenizer_encode(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(encode(t, (const uint8_t *)text, bytes, false, false, list));
    return LS_OK;
}

ls_status ls_tokenizer_encode_plain(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    LS_TRY(encode(t, (const uint8_t *)text, bytes, false, true, list));
    return LS_OK;
}

/* ---- where a text may be cut --------------------------------------------------------------------------------------- */

/* Might a special token begin before `at` and end behind it, now or with more text? */
static bool cuts_added(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t at)
{
    for (size_t i = at > t->add_longest ? at - t->add_longest : 0; i < at; i++)
        for (int k = t->add_first[text[i]]; k < t->add_first[text[i] + 1]; k++) {
            const uint8_t *token = t->text + t->at[t->add[k].id];
            size_t         n     = t->at[t->add[k].id + 1] - t->at[t->add[k].id];
            if (i + n > at && memcmp(text + i, token, n < bytes - i ? n : bytes - i) == 0) return true;
        }
    return false;
}

size_t ls_tokenizer_cut(const ls_tokenizer *t, const char *text, size_t bytes)
{
    size_t at = bytes;
    while (at > 0 && cuts_added(t, (const uint8_t *)text, bytes, at)) at--;
    return at;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Encodes a text or a pair of texts with the tokens around them, as a model of BERT's kind reads them.  A pair that is
 * too long is truncated as Hugging Face's `longest_first` does: the longer text first, then both to one length.
 */
#include <stdlib.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/tokenizer_encode.h"

void ls_text_tokens_free(ls_text_tokens *e)
{
    free(e->id);
    free(e->type);
    free(e->word);
    *e = (ls_text_tokens){0};
}

static ls_status reserve(ls_text_tokens *e, int64_t n)
{
    if (n <= e->room) return LS_OK;
    int32_t    **list[] = {&e->id, &e->type, &e->word};
    const size_t bytes  = (size_t)n * sizeof **list[0];
    for (int i = 0; i < 3; i++) {
        int32_t *larger = realloc(*list[i], bytes);
        LS_CHECK(larger, LS_ERR_ENV, "tokens: out of memory for %lld tokens", (long long)n);
        *list[i] = larger;
    }
    e->room = n;
    return LS_OK;
}

/* Sets the tokens that are kept of two texts with n[0] and n[1] tokens.  `room` tokens fit. */
static void truncate_longest(int64_t n[2], int64_t room)
{
    const int longer = n[0] > n[1] ? 0 : 1;
    int64_t   small  = n[!longer];
    if (n[0] + n[1] <= room) return;
    int64_t large = small > room ? small : room - small > small ? room - small : small;
    if (small + large > room) {
        small = room / 2;
        large = small + room % 2;
    }
    n[longer]  = large;
    n[!longer] = small;
}

static void put(ls_text_tokens *e, int32_t id, int32_t type, int32_t word)
{
    e->id[e->count]     = id;
    e->type[e->count]   = type;
    e->word[e->count++] = word;
}

/* Appends the first n tokens of a text.  ends: number of tokens up to the end of each word. */
static void put_text(ls_text_tokens *e, const ls_tokens *list, const ls_tokens *ends, int64_t n, int32_t type)
{
    int64_t word = 0;
    for (int64_t i = 0; i < n; i++) {
        while (word < ends->count && ends->id[word] <= i) word++;
        put(e, list->id[i], type, (int32_t)word);
    }
}

static ls_status put_all(const ls_template *form, const ls_tokens list[2], const ls_tokens ends[2], int texts,
                         int64_t max, ls_text_tokens *e)
{
    int64_t       n[2]   = {list[0].count, list[1].count};
    const int64_t around = form->count - texts;
    LS_CHECK(max <= 0 || max >= around, LS_ERR_USAGE,
             "tokens: expected a limit of at least %lld, found %lld" LS_HINT
             "the tokenizer puts %lld tokens around the text",
             (long long)around, (long long)max, (long long)around);
    if (max > 0) truncate_longest(n, max - around);
    LS_TRY(reserve(e, n[0] + n[1] + around));
    e->count = 0;
    for (int i = 0; i < form->count; i++) {
        const ls_template_item item = form->item[i];
        const int              k    = item.id == LS_TEMPLATE_B;
        if (item.id >= 0)
            put(e, item.id, item.type, -1);
        else
            put_text(e, &list[k], &ends[k], n[k], item.type);
    }
    e->replaced += list[0].replaced + list[1].replaced;
    return LS_OK;
}

ls_status ls_tokenizer_encode_texts(const ls_tokenizer *t, const ls_text_line *first, const ls_text_line *second,
                                    int64_t max, ls_text_tokens *e)
{
    const ls_text_line *text[2] = {first, second};
    ls_tokens           list[2] = {{0}}, ends[2] = {{0}};
    const ls_template  *form   = second ? &t->text_pair : &t->single_text;
    ls_status           status = LS_OK;
    LS_CHECK(form->count, LS_ERR_DATA, "tokenizer: expected post_processor.pair for a pair of texts, found none");
    for (int k = 0; k < 2 && text[k] && status == LS_OK; k++)
        status = ls__encode_words(t, text[k]->data, text[k]->bytes, &list[k], &ends[k]);
    if (status == LS_OK) status = put_all(form, list, ends, second ? 2 : 1, max, e);
    for (int k = 0; k < 2; k++) {
        ls_tokens_free(&list[k]);
        ls_tokens_free(&ends[k]);
    }
    return status;
}

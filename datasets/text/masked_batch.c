/* SPDX-License-Identifier: Apache-2.0
 *
 * Text as rows of a batch for BERT's pretraining (Devlin 2019): masked language modelling, and next sentence.
 *
 *     tokens          T   [CLS] A [SEP] B [SEP], then 0; without pairs [CLS] A [SEP].  Some are masked
 *     type            T   0, and 1 for B [SEP]
 *     length              number of tokens
 *     target          T   at masked positions the token of the text, elsewhere -1
 *     next                0: B follows A in the text; 1: B is from a random place of the split
 *     scale               samples of the global batch / masked positions of the global batch
 *
 * The sample of a window of T tokens (text_batch.c) has n of them: T - 3, or T - 2 without pairs, and in one of ten
 * samples a random smaller number.  A is the first part of the window, cut at a random place, B the rest or n - |A|
 * tokens from elsewhere, each with probability 1/2.
 *
 * max(1, round(part n)) positions of A and B are masked: in 80 % of them stands [MASK], in 10 % a random token of the
 * vocabulary, in 10 % the token itself.  With whole words, the positions are those of random words, of which the last
 * may be masked in part.
 *
 * All this is a function of (seed, epoch, window), so a sample has other masks in each epoch, and the same ones on any
 * number of ranks.  In file order the epoch does not count.  `scale` times the sum of the masked losses of a sample,
 * added over the global batch and divided by its samples, is the mean over the masked positions.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/philox.h"
#include "datasets/files/dataset.h"

enum { TOKENS, TYPE, LENGTH, MASKED, NEXT, SCALE, COLUMNS };
enum { SHORT_ONE_OF = 10 }; /* of so many samples one is shorter */

/* ---- random numbers of a sample ---------------------------------------------------------------------------------- */

typedef struct draws {
    uint64_t   key, epoch, block;
    ls_philox4 value;
    int        left;
} draws;

static draws start_draws(const ls_order *o, int64_t epoch, int64_t window)
{
    return (draws){.key   = ls_key(o->in_order ? 0 : o->seed, "masks"),
                   .epoch = o->in_order ? 0 : (uint64_t)epoch,
                   .block = (uint64_t)window << 24}; /* a sample has at most 2^24 tokens, and a block four numbers */
}

/* A random number of 0 to n - 1. */
static int64_t draw(draws *r, int64_t n)
{
    if (!r->left) {
        r->value = ls_philox(r->key, r->epoch, r->block++);
        r->left  = 4;
    }
    return (int64_t)((uint64_t)r->value.v[--r->left] * (uint64_t)n >> 32);
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static int64_t around(const ls_dataset_info *info) { return info->masking.pairs ? 3 : 2; }

/* Tokens of the text in a sample. */
static int64_t draw_size(const ls_dataset_info *info, draws *r)
{
    const int64_t most = info->context - around(info);
    return draw(r, SHORT_ONE_OF) || most <= 2 ? most : 2 + draw(r, most - 1);
}

static int64_t masked_of(const ls_dataset_info *info, int64_t size)
{
    const int64_t n = lround((double)info->masking.part * (double)size);
    return n < 1 ? 1 : n;
}

static int64_t window_at(const ls_dataset_info *info, const ls_order *o, int64_t epoch, int64_t at)
{
    return o->in_order ? at : ls_sample_at(o->seed, epoch, ls__text_windows(info, false), at);
}

/* Masked positions of the global batch. */
static int64_t masked_of_batch(const ls_dataset_info *info, const ls_order *o, const ls_place *p)
{
    int64_t sum = 0;
    for (int64_t k = 0; k < p->batch_rows; k++) {
        draws r = start_draws(o, p->epoch, window_at(info, o, p->epoch, p->batch_first + k));
        sum += masked_of(info, draw_size(info, &r));
    }
    return sum;
}

ls_status ls_dataset_mask(ls_dataset *d, const ls_masking *m)
{
    ls_dataset_info *info = &d->info;
    LS_CHECK(info->kind == LS_DATA_TEXT && info->context && !info->streams, LS_ERR_USAGE,
             "%s: masking: expected a dataset of text with windows" LS_HINT "call ls_dataset_window first", info->path);
    LS_CHECK(m->part > 0 && m->part < 1, LS_ERR_USAGE, "masking: part: expected more than 0 and less than 1, found %g",
             (double)m->part);
    LS_CHECK(info->context >= 8, LS_ERR_USAGE, "masking: context: expected at least 8 tokens, found %lld",
             (long long)info->context);
    LS_CHECK(m->cls >= 0 && m->sep >= 0 && m->mask >= 0 && m->cls < info->classes && m->sep < info->classes &&
                 m->mask < info->classes,
             LS_ERR_USAGE, "masking: cls, sep, mask: expected tokens, 0 to %d, found %d, %d and %d", info->classes - 1,
             m->cls, m->sep, m->mask);
    info->masking = *m;
    if (m->continues) {
        bool *copy = ls_arena_alloc(d->arena, (size_t)info->classes * sizeof *copy);
        memcpy(copy, m->continues, (size_t)info->classes * sizeof *copy);
        info->masking.continues = copy;
    }
    return LS_OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int columns(const ls_dataset_info *info, ls_column *column)
{
    static const char *const name[] = {"tokens", "type", "length", "target", "next", "scale"};
    for (int c = 0; c < COLUMNS; c++) {
        const bool wide = c == TOKENS || c == TYPE || c == MASKED;
        column[c]       = (ls_column){.type = LS_I32, .rank = wide, .dim = {wide ? info->context : 0}};
        snprintf(column[c].name, sizeof column[c].name, "%s", name[c]);
    }
    column[SCALE].type  = LS_F32;
    column[MASKED].role = LS_COLUMN_TARGET;
    return COLUMNS;
}

/* Room for the tokens of the text, their places in the row, and their words. */
static size_t workspace_bytes(const ls_dataset_info *info) { return 3 * (size_t)info->context * sizeof(int32_t); }

/* The tokens of A and B of a sample, one after the other; *first: those of A. */
static ls_status read_parts(ls_dataset *d, draws *r, int64_t at, int64_t size, int32_t *text, int64_t *first,
                            int32_t *next)
{
    const int64_t left = d->info.tokens - size; /* places of a run of `size` tokens, less one */
    *next              = 0;
    *first             = size;
    LS_TRY(d->tokens(d, at, size, text));
    if (!d->info.masking.pairs) return LS_OK;
    *first = 1 + draw(r, size - 1);
    *next  = (int32_t)draw(r, 2);
    if (!*next) return LS_OK;
    /* A number of 32 bits chooses the place well enough in a text of up to 2^32 tokens. */
    return d->tokens(d, left > 0 ? draw(r, left) : 0, size - *first, text + *first);
}

/* Masks `count` of the `size` tokens: changes them in the row, and sets their targets.  place[k]: column of token k. */
static void mask(const ls_dataset_info *info, draws *r, const int32_t *text, const int32_t *place, int64_t size,
                 int64_t first, int64_t count, int32_t *word, int32_t *tokens, int32_t *target)
{
    const ls_masking *m     = &info->masking;
    int64_t           words = 0;
    for (int64_t k = 0; k < size; k++)
        if (!m->continues || !k || k == first || !m->continues[text[k]]) word[words++] = (int32_t)k;
    for (int64_t i = 0; i < words && count; i++) {
        const int64_t j = i + draw(r, words - i);
        const int32_t w = word[j];
        word[j]         = word[i];
        for (int64_t k = w; k < size && count; k++) {
            if (k > w && (k == first || !m->continues || !m->continues[text[k]])) break;
            const int64_t kind = draw(r, 10);
            target[place[k]]   = text[k];
            tokens[place[k]]   = kind < 8 ? m->mask : kind < 9 ? (int32_t)draw(r, info->classes) : text[k];
            count--;
        }
    }
}

static ls_status row(ls_dataset *d, void *workspace, const ls_order *o, const ls_place *p, void *const *row)
{
    const ls_dataset_info *info   = &d->info;
    const ls_masking      *m      = &info->masking;
    const int64_t          window = window_at(info, o, p->epoch, p->at), width = info->context,
                  at   = ls__text_window_offset(info, o, p->epoch) + window * width;
    draws         r    = start_draws(o, p->epoch, window);
    const int64_t size = draw_size(info, &r);
    int32_t      *text = workspace, *place = text + width, *word = place + width;
    int32_t      *tokens = row[TOKENS], *type = row[TYPE], *target = row[MASKED];
    int64_t       first, n = 0;
    LS_TRY(read_parts(d, &r, at, size, text, &first, row[NEXT]));
    for (int64_t t = 0; t < width; t++) {
        tokens[t] = type[t] = 0;
        target[t]           = -1;
    }
    tokens[n++] = m->cls;
    for (int64_t k = 0; k < size; k++) {
        if (m->pairs && k == first) tokens[n++] = m->sep;
        place[k]    = (int32_t)n;
        type[n]     = k >= first;
        tokens[n++] = text[k];
    }
    type[n]                 = m->pairs;
    tokens[n++]             = m->sep;
    *(int32_t *)row[LENGTH] = (int32_t)n;
    *(float *)row[SCALE]    = (float)p->batch_rows / (float)masked_of_batch(info, o, p);
    mask(info, &r, text, place, size, first, masked_of(info, size), word, tokens, target);
    return LS_OK;
}

const ls_kind ls__kind_masked = {
    .name            = "masked text",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .row             = row,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs of sentences as rows of a batch, for a model that translates the source x1 .. xm into the target y1 .. yn:
 *
 *     source          S   x1 .. xm <end>, then 0
 *     source_length       m + 1
 *     previous        T   <end> y1 .. yn, then 0      the decoder's input, shifted by one (fairseq's convention)
 *     target          T   y1 .. yn <end>, then -1     -1 has no loss (ignore_index of cross_entropy)
 *     target_length       n + 1
 *
 * S and T are the greatest lengths of the global batch, rounded up to a multiple of 4, so that there are few shapes.
 * length_batches.c chooses the samples.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/integer.h"
#include "datasets/files/length_batches.h"
#include "datasets/pairs/pairs.h"
#include "datasets/tokenizer/growable.h"

enum { SOURCE, SOURCE_LENGTH, PREVIOUS, TARGET, TARGET_LENGTH, COLUMNS };

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int columns(const ls_dataset_info *info, ls_column *column)
{
    static const char *const name[] = {"source", "source_length", "previous", "target", "target_length"};
    for (int c = 0; c < COLUMNS; c++) {
        const int64_t width = c == SOURCE                    ? info->source_length
                              : c == PREVIOUS || c == TARGET ? info->target_length
                                                             : 0;
        column[c]           = (ls_column){.type = LS_I32, .rank = width > 0, .dim = {width}};
        snprintf(column[c].name, sizeof column[c].name, "%s", name[c]);
    }
    column[TARGET].role = LS_COLUMN_TARGET;
    return COLUMNS;
}

static size_t plan_bytes(const ls_dataset_info *info, const ls_order *o)
{
    return ls__length_pool_bytes(info->count, o);
}

static void lengths_of(const ls_dataset *d, ls_length_item *item)
{
    const ls_pairs *p = (const ls_pairs *)d;
    item->first       = (int32_t)ls__pair_length(p, LS_TARGET, item->index);
    item->second      = (int32_t)ls__pair_length(p, LS_SOURCE, item->index);
}

static void plan(ls_dataset *d, void *state, const ls_order *o, const ls_place *first, int64_t *sample, int64_t *dim0)
{
    const ls_pairs *p                 = (const ls_pairs *)d;
    int64_t         longest[LS_SIDES] = {0};
    ls__length_batch(d, lengths_of, state, o, first, sample);
    for (int side = 0; side < LS_SIDES; side++)
        for (int64_t r = 0; r < first->batch_rows; r++)
            longest[side] = ls__max(longest[side], ls__pair_length(p, side, sample[r]));
    dim0[SOURCE]   = ls__round_up(longest[LS_SOURCE], LS_WIDTH_STEP);
    dim0[PREVIOUS] = dim0[TARGET] = ls__round_up(longest[LS_TARGET], LS_WIDTH_STEP);
}

/* Room for the tokens of a pair. */
static size_t workspace_bytes(const ls_dataset_info *info)
{
    return (size_t)(info->source_length + info->target_length) * sizeof(int32_t);
}

/* Writes n values, one more before or after them, and fills the row of `width` values. */
static void put(int32_t *row, int32_t before, const int32_t *value, int64_t n, int32_t after, int64_t width,
                int32_t fill)
{
    int64_t at = 0;
    if (before >= 0) row[at++] = before;
    memcpy(row + at, value, (size_t)n * sizeof *row);
    at += n;
    if (after >= 0) row[at++] = after;
    while (at < width) row[at++] = fill;
}

static ls_status row(ls_dataset *d, void *workspace, const ls_order *o, const ls_place *p, void *const *row)
{
    enum { NONE = -1, IGNORED = -1 };
    const ls_pairs        *pairs = (const ls_pairs *)d;
    const ls_dataset_info *info  = &d->info;
    const int64_t          i = p->sample, m = ls__pair_length(pairs, LS_SOURCE, i) - 1,
                  n       = ls__pair_length(pairs, LS_TARGET, i) - 1;
    const int32_t *source = workspace, *target = source + m;
    (void)o;
    LS_TRY(ls__pair_tokens(pairs, i, workspace));
    put(row[SOURCE], NONE, source, m, info->source_end, p->dim0[SOURCE], 0);
    put(row[PREVIOUS], info->end, target, n, NONE, p->dim0[PREVIOUS], 0);
    put(row[TARGET], NONE, target, n, info->end, p->dim0[TARGET], IGNORED);
    *(int32_t *)row[SOURCE_LENGTH] = (int32_t)m + 1;
    *(int32_t *)row[TARGET_LENGTH] = (int32_t)n + 1;
    return LS_OK;
}

const ls_kind ls__kind_pairs = {
    .name            = "pairs",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .plan            = plan,
    .plan_bytes      = plan_bytes,
    .row             = row,
};

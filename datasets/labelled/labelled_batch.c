/* SPDX-License-Identifier: Apache-2.0
 *
 * Labelled texts as rows of a batch, for a model that classifies texts or pairs of texts:
 *
 *     tokens          T   the tokens of the sample, then 0
 *     type            T   0, and 1 from the first token of the second text on
 *     length              number of tokens
 *     label               the class, int32, or the value of a regression, float32
 *
 * T is the greatest length of the global batch, rounded up to a multiple of 4, so that there are few shapes.
 * datasets/files/length_batches.c chooses the samples.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/integer.h"
#include "datasets/files/length_batches.h"
#include "datasets/labelled/labelled.h"

enum { TOKENS, TYPE, LENGTH, LABEL, COLUMNS };

static int columns(const ls_dataset_info *info, ls_column *column)
{
    static const char *const name[] = {"tokens", "type", "length", "label"};
    for (int c = 0; c < COLUMNS; c++) {
        const int64_t width = c == TOKENS || c == TYPE ? info->context : 0;
        column[c]           = (ls_column){.type = LS_I32, .rank = width > 0, .dim = {width}};
        snprintf(column[c].name, sizeof column[c].name, "%s", name[c]);
    }
    column[LABEL].role = LS_COLUMN_TARGET;
    if (!info->classes) column[LABEL].type = LS_F32;
    return COLUMNS;
}

static size_t plan_bytes(const ls_dataset_info *info, const ls_order *o)
{
    return ls__length_pool_bytes(info->count, o);
}

static void length_of(const ls_dataset *d, ls_length_item *item)
{
    item->first  = (int32_t)ls__labelled_length((const ls_labelled *)d, item->index);
    item->second = 0;
}

static void plan(ls_dataset *d, void *state, const ls_order *o, const ls_place *first, int64_t *sample, int64_t *dim0)
{
    int64_t longest = 0;
    ls__length_batch(d, length_of, state, o, first, sample);
    for (int64_t r = 0; r < first->batch_rows; r++)
        longest = ls__max(longest, ls__labelled_length((const ls_labelled *)d, sample[r]));
    dim0[TOKENS] = dim0[TYPE] = ls__round_up(longest, LS_WIDTH_STEP);
}

static size_t workspace_bytes(const ls_dataset_info *info)
{
    (void)info;
    return 0;
}

static ls_status row(ls_dataset *d, void *workspace, const ls_order *o, const ls_place *p, void *const *row)
{
    const ls_labelled *l = (const ls_labelled *)d;
    const int64_t      i = p->sample, n = ls__labelled_length(l, i), width = p->dim0[TOKENS];
    int32_t           *tokens = row[TOKENS], *type = row[TYPE];
    (void)workspace;
    (void)o;
    LS_TRY(ls__labelled_tokens(l, i, tokens));
    memset(tokens + n, 0, (size_t)(width - n) * sizeof *tokens);
    for (int64_t t = 0; t < width; t++) type[t] = t >= l->second[i] && t < n;
    *(int32_t *)row[LENGTH] = (int32_t)n;
    memcpy(row[LABEL], (const char *)l->label + 4 * i, 4);
    return LS_OK;
}

const ls_kind ls__kind_labelled = {
    .name            = "labelled texts",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .plan            = plan,
    .plan_bytes      = plan_bytes,
    .row             = row,
};

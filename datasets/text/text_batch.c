/* SPDX-License-Identifier: Apache-2.0
 *
 * Text as rows of a batch: the columns "tokens", a window of T tokens, and "target", the window one token further on.
 *
 * A split has N tokens.  Window i of an epoch has the tokens [o + i T, o + i T + T), and its targets end before
 * o + i T + T + 1 <= N.  Windows do not overlap, and each token is a target at most once.
 *
 *     file order   o = 0, (N - 1) / T windows
 *     shuffled     o is random in [0, T), one value per epoch, so that windows begin elsewhere in each epoch.
 *                  N / T - 1 windows fit for any o.  A text of at most 2 T tokens has one window
 *
 * o is a function of (seed, epoch), and the sampler gives the order of the windows.  So a batch is a function of (seed,
 * epoch, position), and nothing is stored.
 *
 * With streams, the windows in file order are cut into B streams of n windows, B the samples of a batch.  Sample b of
 * batch i of an epoch is window b n + i, and the column "start" has i T.  The windows after B n are not read.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/base/philox.h"
#include "datasets/files/dataset.h"

enum { TOKENS, TARGET, START, COLUMNS };

int64_t ls__text_windows(const ls_dataset_info *info, bool in_order)
{
    int64_t n = info->tokens, t = info->context;
    if (!t || n <= t) return 0;
    return in_order || n <= 2 * t ? (n - 1) / t : n / t - 1;
}

int64_t ls__text_window_offset(const ls_dataset_info *info, const ls_order *o, int64_t epoch)
{
    int64_t left    = info->tokens - ls__text_windows(info, false) * info->context,
            choices = left < info->context ? left : info->context;
    if (o->in_order || choices < 2) return 0;
    ls_philox4 r = ls_philox(ls_key(o->seed, "windows"), (uint64_t)epoch, 0);
    return (int64_t)(((uint64_t)r.v[1] << 32 | r.v[0]) % (uint64_t)choices);
}

ls_status ls_dataset_window(ls_dataset *d, int64_t context)
{
    ls_dataset_info *info = &d->info;
    LS_CHECK(info->kind == LS_DATA_TEXT, LS_ERR_USAGE, "%s: expected a dataset of text", info->path);
    LS_CHECK(context >= 1 && context <= LS_MAX_CONTEXT, LS_ERR_USAGE,
             "%s: context: expected 1 to %d tokens, found %lld", info->path, LS_MAX_CONTEXT, (long long)context);
    LS_CHECK(info->tokens > context, LS_ERR_DATA,
             "%s: the split '%s' has %lld tokens, but a window of %lld tokens and its target need %lld" LS_HINT
             "use a shorter context, or more text",
             info->path, info->split, (long long)info->tokens, (long long)context, (long long)context + 1);
    info->context = context;
    info->count   = ls__text_windows(info, true);
    return LS_OK;
}

ls_status ls_dataset_streams(ls_dataset *d)
{
    LS_CHECK(d->info.context, LS_ERR_USAGE,
             "%s: streams: expected a dataset of text with windows" LS_HINT "call ls_dataset_window first",
             d->info.path);
    d->info.streams = true;
    return LS_OK;
}

ls_status ls_dataset_tokens(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens)
{
    LS_CHECK(d->tokens, LS_ERR_USAGE, "%s: expected a dataset of text", d->info.path);
    LS_CHECK(first >= 0 && n >= 0 && n <= d->info.tokens && first <= d->info.tokens - n, LS_ERR_USAGE,
             "%s: tokens: expected a range within 0 to %lld, found %lld to %lld", d->info.path,
             (long long)d->info.tokens, (long long)first, (long long)(first + n));
    return n ? d->tokens(d, first, n, tokens) : LS_OK;
}

ls_status ls_dataset_documents(ls_dataset *d, int64_t first, int64_t n, int64_t *starts)
{
    LS_CHECK(d->documents, LS_ERR_USAGE, "%s: expected a dataset of text", d->info.path);
    LS_CHECK(first >= 0 && n >= 0 && n <= d->info.documents && first <= d->info.documents - n, LS_ERR_USAGE,
             "%s: documents: expected a range within 0 to %lld, found %lld to %lld", d->info.path,
             (long long)d->info.documents, (long long)first, (long long)(first + n));
    return n ? d->documents(d, first, n, starts) : LS_OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int columns(const ls_dataset_info *info, ls_column *column)
{
    ls_column window = {.type = LS_I32, .rank = 1, .dim = {info->context}};
    column[TOKENS] = column[TARGET] = window;
    snprintf(column[TOKENS].name, sizeof window.name, "tokens");
    snprintf(column[TARGET].name, sizeof window.name, "target");
    column[TARGET].role = LS_COLUMN_TARGET;
    column[START]       = (ls_column){.name = "start", .type = LS_I32};
    return info->streams ? COLUMNS : START;
}

/* Room for a window and the token after it. */
static size_t workspace_bytes(const ls_dataset_info *info) { return ((size_t)info->context + 1) * sizeof(int32_t); }

static ls_status row(ls_dataset *d, void *workspace, const ls_order *o, const ls_place *p, void *const *row)
{
    const ls_dataset_info *info    = &d->info;
    int32_t               *both    = workspace;
    size_t                 bytes   = (size_t)info->context * sizeof(int32_t);
    const int64_t          streams = p->batch_rows, length = info->count / streams, turn = p->at / streams;
    int64_t                i, first = 0;
    if (info->streams) {
        i = p->at % streams * length + turn;
    } else {
        i     = o->in_order ? p->at : ls_sample_at(o->seed, p->epoch, ls__text_windows(info, false), p->at);
        first = ls__text_window_offset(info, o, p->epoch);
    }
    LS_TRY(d->tokens(d, first + i * info->context, info->context + 1, both));
    memcpy(row[TOKENS], both, bytes);
    memcpy(row[TARGET], both + 1, bytes);
    if (info->streams) *(int32_t *)row[START] = (int32_t)ls__min(turn * info->context, INT32_MAX);
    return LS_OK;
}

const ls_kind ls__kind_text = {
    .name            = "text",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .row             = row,
};

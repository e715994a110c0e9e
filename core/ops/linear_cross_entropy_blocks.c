/* SPDX-License-Identifier: Apache-2.0
 *
 * Block sizes and memory of linear_cross_entropy; the header has the diagram.
 */
#include "core/ops/linear_cross_entropy_blocks.h"

#include "core/base/integer.h"
#include "core/cpu/gemm/gemm_kernel.h"

enum {
    BLOCK_BYTES     = 1 << 26, /* logits of a block: 64 MiB  */
    BLOCK_POSITIONS = 4096,    /* positions of a block       */
    LINE            = 16       /* floats of a cache line     */
};

static size_t whole_lines(int64_t floats) { return (size_t)(floats + LINE - 1) / LINE * LINE; }

/* A multiple of LS_KC where one fits, so that matrix products sum over whole runs. */
int64_t ls__lce_block_positions(const ls_lce_shape *s)
{
    const int64_t size = s->narrow ? sizeof(uint16_t) : sizeof(float);
    const int64_t n    = ls__min(BLOCK_BYTES / size / s->vocabulary, BLOCK_POSITIONS);
    return n >= LS_KC ? n / LS_KC * LS_KC : ls__max(n, 8);
}

bool ls__lce_one_run(const ls_lce_shape *s, int64_t positions)
{
    return positions <= ls__min(ls__lce_block_positions(s), s->narrow ? LS_KC_PAIRS : LS_KC);
}

/* Positions whose logits exist at once in a leaf. */
static int64_t leaf_positions(const ls_lce_shape *s, int leaf_shards)
{
    if (leaf_shards > 1) return leaf_shards * s->shard_positions;
    return ls__min(s->shard_positions, ls__lce_block_positions(s));
}

/* Number of partial sums, the stack entries besides the gradient.  The stack of n leaves has up to log2(n) + 1 entries,
 * one less where the product of the last leaf is added to the entry below. */
static int partial_sums(const ls_lce_shape *s, int group_shards, int leaf_shards)
{
    int log2_leaves = 0;
    while (2 * leaf_shards << log2_leaves <= group_shards) log2_leaves++;
    const bool product_adds = leaf_shards > 1 || ls__lce_one_run(s, s->shard_positions);
    return product_adds ? (int)ls__max(log2_leaves - 1, 0) : log2_leaves;
}

/* Doubles the leaf while it fits a logits block, and further while the larger logits block takes less memory than the
 * partial sums that it saves. */
int ls__lce_leaf_shards(const ls_lce_shape *s, int group_shards)
{
    int leaf = 1;
    for (; 2 * leaf <= group_shards; leaf *= 2) {
        const int64_t more_logits   = leaf_positions(s, 2 * leaf) - leaf_positions(s, leaf);
        const int     less_partials = partial_sums(s, group_shards, leaf) - partial_sums(s, group_shards, 2 * leaf);
        const bool    fits          = 2 * leaf * s->shard_positions <= ls__lce_block_positions(s);
        if (!fits && more_logits >= less_partials * s->channels) break;
    }
    return leaf;
}

ls_lce_memory ls__lce_memory(const ls_lce_shape *s, bool backward, int threads, size_t gradient_floats)
{
    ls_lce_memory m                = {.bound = whole_lines(s->positions)};
    int64_t       logits_positions = ls__min(ls__lce_block_positions(s), s->positions);
    /* the groups of a call have any power of two of shards: the largest need of all of them */
    for (int group = 1; backward && group <= s->shards; group *= 2) {
        const int leaf   = ls__lce_leaf_shards(s, group);
        logits_positions = ls__max(logits_positions, leaf_positions(s, leaf));
        m.partials       = (int)ls__max(m.partials, partial_sums(s, group, leaf));
    }
    const size_t logits =
        whole_lines(s->narrow ? (logits_positions * s->vocabulary + 1) / 2 : logits_positions * s->vocabulary);
    size_t gradients      = 0; /* floats of gradient memory in use */
    m.workspace           = m.bound + whole_lines(2 * (s->shards + 1));
    m.logits_in_gradients = logits <= gradient_floats;
    if (m.logits_in_gradients) {
        gradients = logits;
    } else {
        m.logits = m.workspace;
        m.workspace += logits;
    }
    for (int i = 0; i < m.partials; i++) {
        const int64_t room = (int64_t)((gradient_floats - gradients) / LINE * LINE);
        const int64_t rows = ls__min(s->vocabulary, room / s->channels);

        m.partial[i].rows_in_gradients = rows;
        m.partial[i].in_gradients      = gradients;
        m.partial[i].in_workspace      = m.workspace;
        gradients += whole_lines(rows * s->channels);
        m.workspace += whole_lines((s->vocabulary - rows) * s->channels);
    }
    m.rows = m.workspace;
    if (s->narrow || s->capped) m.workspace += (size_t)threads * whole_lines(s->vocabulary);
    m.counted  = m.workspace;
    m.gathered = m.counted + (s->ignores ? whole_lines(logits_positions) : 0);
    m.workspace =
        m.gathered + (s->ignores ? whole_lines(ls__ceil_div(logits_positions * s->channels, s->narrow ? 2 : 1)) : 0);
    m.bias_sums = m.workspace;
    if (s->biased && backward) m.workspace += whole_lines(s->shards * s->vocabulary);
    return m;
}

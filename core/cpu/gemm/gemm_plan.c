/* SPDX-License-Identifier: Apache-2.0
 * Plans the packed ranges of a matrix product and its division among threads; gemm_plan.h defines the terms. */
#include "core/cpu/gemm/gemm_plan.h"

#include "core/base/integer.h"

/* ---- ranges of K ------------------------------------------------------------------------------------------------- */

void ls__gemm_plan(ls_plan *plan, const ls_gemm_format *format, int64_t k, int splits, const int64_t *bound, bool add)
{
    const bool cut = splits > 1;
    *plan          = (ls_plan){.format = format, .whole = {0, k}, .parts = cut ? splits : 1, .add = add};
    plan->bound    = cut ? bound : plan->whole;
}

static int64_t part_len(const ls_plan *plan, int part) { return plan->bound[part + 1] - plan->bound[part]; }

/* Adds the waiting sums of the subtrees to the left of subtree `index` of level `level`, and sets the buffer that
 * receives the total: that of the next level, or y for the whole tree. */
static void carry(const ls_plan *plan, ls_packed_range *range, int level, int index)
{
    for (; index & 1; index /= 2, level++) range->add[range->adds++] = (unsigned char)(LS_BUF_LEVEL + level);
    range->to = LS_BUF_LEVEL + level;
    if (1 << level < plan->parts) return;
    range->to = LS_BUF_RESULT;
    if (plan->add) range->add[range->adds++] = LS_BUF_RESULT;
}

static int64_t segment_start(const ls_plan *plan, int64_t len, int64_t s, int64_t segments)
{
    return ls__min(len, ls__round_up(len * s / segments, plan->format->align));
}

/* Describes the next segment of a part that is longer than a range.  The sum of a single part is accumulated in y
 * itself. */
static void next_segment(ls_plan *plan, ls_packed_range *range, int64_t len)
{
    const int64_t segments = ls__ceil_div(len, plan->format->longest), s = plan->segment++;
    const int64_t begin = plan->bound[plan->part];
    range->to           = plan->parts == 1 ? LS_BUF_RESULT : LS_BUF_PART;
    range->from         = begin + segment_start(plan, len, s, segments);
    range->len          = begin + segment_start(plan, len, s + 1, segments) - range->from;
    range->piece[0]     = range->len;
    range->pieces       = 1;
    if (s > 0 || (plan->parts == 1 && plan->add)) range->add[range->adds++] = (unsigned char)range->to;
    if (s < segments - 1) return;
    if (plan->parts > 1) carry(plan, range, 0, plan->part);
    plan->segment = 0;
    plan->part++;
}

/* Returns whether `count` parts from `first` on fit into a range. */
static bool fit(const ls_plan *plan, int first, int count)
{
    int64_t words = 0;
    if (count > LS_TILE_PIECES || plan->bound[first + count] - plan->bound[first] > plan->format->longest) return false;
    for (int p = first; p < first + count; p++) words += ls__gemm_panel_rows(plan->format, part_len(plan, p));
    return words <= LS_WORDS;
}

/* Describes the largest subtree of parts that starts at the next part and fits into a range. */
static void next_subtree(ls_plan *plan, ls_packed_range *range, int64_t len)
{
    int level   = 0;
    range->from = plan->bound[plan->part];
    range->len  = len;
    for (; level < LS_TILE_LEVELS && plan->part % (2 << level) == 0 && 2 << level <= plan->parts; level++) {
        if (!fit(plan, plan->part, 2 << level)) break;
        range->len = plan->bound[plan->part + (2 << level)] - range->from;
    }
    range->pieces = 1 << level;
    for (int p = 0; p < range->pieces; p++) range->piece[p] = part_len(plan, plan->part + p);
    carry(plan, range, level, plan->part >> level);
    plan->part += range->pieces;
}

bool ls__gemm_next_range(ls_plan *plan, ls_packed_range *range)
{
    if (plan->part == plan->parts) return false;
    const int64_t len = part_len(plan, plan->part);
    range->adds       = 0;
    if (len > plan->format->longest)
        next_segment(plan, range, len);
    else
        next_subtree(plan, range, len);
    range->last = plan->part == plan->parts;
    return true;
}

int ls__gemm_plan_levels(const ls_plan *plan)
{
    if (plan->parts == 1 || fit(plan, 0, plan->parts)) return 0;
    int levels = 1;
    while (1 << (levels - 1) < plan->parts) levels++;
    return levels;
}

/* ---- division among threads -------------------------------------------------------------------------------------- */

/* Estimates the time of one block of y, in multiply-adds of one vector. */
static double block_cost(const ls_gemm_format *f, int64_t m, int64_t n, int64_t k, ls_gemm_tasks t)
{
    const double rows = (double)ls__ceil_div(ls__ceil_div(m, f->tile_rows), t.rows) * (double)f->tile_rows;
    const double cols = (double)ls__ceil_div(ls__ceil_div(n, LS_NR), t.cols) * LS_NR;
    const double len  = (double)k / t.trees;
    return rows * cols * len / LS_V + (rows * 0.5 + cols * f->pack_cost) * len + rows * cols * 0.5;
}

ls_gemm_tasks ls__gemm_tasks(const ls_gemm_format *f, int64_t m, int64_t n, int64_t k, int splits, int threads)
{
    enum { LARGEST = 1 << 19 }; /* largest block of y that several packed ranges update, floats */
    const int64_t tall = ls__ceil_div(m, f->tile_rows), wide = ls__ceil_div(n, LS_NR);
    const int     trees = tall * wide < 8 * threads ? splits : 1; /* K is divided only if y has too few tiles */
    ls_gemm_tasks best  = {1, 1, 1};
    double        least = 0;
    /* The time of a division is that of its busiest thread, and of the sum over the subtrees. */
    for (int t = 1; t == 1 || (t <= trees && t <= 4 * threads && m * n * t <= LS_STATE); t *= 2)
        for (int blocks = t == 1 ? threads : 1; blocks <= 4 * threads; blocks += blocks < threads ? 1 : threads)
            for (int64_t rows = 1; rows <= blocks && rows <= tall; rows++) {
                const ls_gemm_tasks tasks = {rows, blocks / rows, t};
                if (blocks % rows || tasks.cols > wide) continue;
                double cost = block_cost(f, m, n, k, tasks) * (double)ls__ceil_div((int64_t)blocks * t, threads);
                if (t > 1) cost += (double)(m * n * t) / LS_V + 1000;
                if (least == 0 || cost < least) {
                    least = cost;
                    best  = tasks;
                }
            }
    if (k > LS_KC) /* smaller blocks, which stay in the cache from one packed range to the next */
        while (ls__ceil_div(m, best.rows) * ls__ceil_div(n, best.cols) > LARGEST) {
            if (m * best.cols > n * best.rows)
                best.rows *= 2;
            else
                best.cols *= 2;
        }
    return best;
}

/* SPDX-License-Identifier: Apache-2.0
 * The order in which a matrix product goes through K, and how it is dealt out to threads. */
#include "core/cpu/gemm/gemm_plan.h"

#include "core/base/integer.h"
#include "core/cpu/gemm/gemm_pack.h"

void ls__gemm_plan(ls_plan *plan, const ls_gemm *g)
{
    bool cut = g->splits > 1;
    *plan    = (ls_plan){
           .bound = cut ? g->bound : plan->whole, .whole = {0, g->k}, .parts = cut ? g->splits : 1, .add = g->add};
}

static int64_t part_len(const ls_plan *plan, int part) { return plan->bound[part + 1] - plan->bound[part]; }

/* Where the sum of subtree `index` of level `level` goes: it is added to the left ones that wait, then waits or is the
 * result. */
static void carry(const ls_plan *plan, ls_packed_range *run, int level, int index)
{
    for (; index & 1; index /= 2, level++) run->add[run->adds++] = (unsigned char)(LS_BUF_LEVEL + level);
    run->to = LS_BUF_LEVEL + level;
    if (1 << level < plan->parts) return;
    run->to = LS_BUF_RESULT;
    if (plan->add) run->add[run->adds++] = LS_BUF_RESULT;
}

/* A segment of a part longer than KC.  A single part's sum grows in the result itself. */
static void segment_run(ls_plan *plan, ls_packed_range *run, int64_t len)
{
    int64_t segments = (len + LS_KC - 1) / LS_KC, s = plan->segment++;
    int64_t begin = plan->bound[plan->part];
    run->to       = plan->parts == 1 ? LS_BUF_RESULT : LS_BUF_PART;
    run->from     = begin + len * s / segments;
    run->len      = begin + len * (s + 1) / segments - run->from;
    run->piece[0] = run->len;
    run->pieces   = 1;
    if (s > 0 || (plan->parts == 1 && plan->add)) run->add[run->adds++] = (unsigned char)run->to;
    if (s < segments - 1) return;
    if (plan->parts > 1) carry(plan, run, 0, plan->part);
    plan->segment = 0;
    plan->part++;
}

bool ls__gemm_next_range(ls_plan *plan, ls_packed_range *run)
{
    if (plan->part == plan->parts) return false;
    int64_t len = part_len(plan, plan->part);
    run->adds   = 0;
    if (len > LS_KC)
        segment_run(plan, run, len);
    else {
        int level = 0; /* of the largest subtree that starts here and fits */
        run->from = plan->bound[plan->part];
        run->len  = len;
        for (; level < LS_TILE_LEVELS && plan->part % (2 << level) == 0 && 2 << level <= plan->parts; level++) {
            int64_t more = plan->bound[plan->part + (2 << level)] - run->from;
            if (more > LS_KC) break;
            run->len = more;
        }
        run->pieces = 1 << level;
        for (int p = 0; p < run->pieces; p++) run->piece[p] = part_len(plan, plan->part + p);
        carry(plan, run, level, plan->part >> level);
        plan->part += run->pieces;
    }
    run->last = plan->part == plan->parts;
    return true;
}

int ls__gemm_plan_levels(const ls_plan *plan)
{
    bool one_run = plan->bound[plan->parts] - plan->bound[0] <= LS_KC && plan->parts <= LS_TILE_PIECES;
    if (plan->parts == 1 || one_run) return 0;
    int levels = 1;
    while (1 << (levels - 1) < plan->parts) levels++;
    return levels;
}

/* ---- dealing
 * --------------------------------------------------------------------------------------------------------- The cost of
 * a deal is that of the busiest thread, in multiply-adds of one vector. */

static double block_cost(const ls_gemm *g, ls_deal d)
{
    double rows = (double)ls__ceil_div(ls__ceil_div(g->m, LS_MR), d.rows) * LS_MR;
    double cols = (double)ls__ceil_div(ls__ceil_div(g->n, LS_NR), d.cols) * LS_NR;
    double k    = (double)g->k / d.trees;
    return rows * cols * k / LS_V + (rows + cols) * k * 0.5 + rows * cols * 0.5;
}

ls_deal ls__gemm_deal(const ls_gemm *g, int threads)
{
    enum { LARGEST = 1 << 19 }; /* floats of y in a block, where it is gone through more than once */
    ls_deal best = {1, 1, 1};
    int64_t tall = ls__ceil_div(g->m, LS_MR), wide = ls__ceil_div(g->n, LS_NR);
    int     trees = tall * wide < 8 * threads ? g->splits : 1; /* K is dealt out only where y has too few tiles */
    double  least = 0;
    for (int t = 1; t == 1 || (t <= trees && t <= 4 * threads && g->m * g->n * t <= LS_STATE); t *= 2)
        for (int tasks = t == 1 ? threads : 1; tasks <= 4 * threads; tasks += tasks < threads ? 1 : threads)
            for (int64_t rows = 1; rows <= tasks && rows <= tall; rows++) {
                ls_deal d = {rows, tasks / rows, t};
                if (tasks % rows || d.cols > wide) continue;
                double cost = block_cost(g, d) * (double)ls__ceil_div((int64_t)tasks * t, threads);
                if (t > 1) cost += (double)(g->m * g->n * t) / LS_V + 1000;
                if (least == 0 || cost < least) {
                    least = cost;
                    best  = d;
                }
            }
    if (g->k > LS_KC) /* blocks of y that stay in cache from run to run */
        while (ls__ceil_div(g->m, best.rows) * ls__ceil_div(g->n, best.cols) > LARGEST) {
            if (g->m * best.cols > g->n * best.rows)
                best.rows *= 2;
            else
                best.cols *= 2;
        }
    return best;
}

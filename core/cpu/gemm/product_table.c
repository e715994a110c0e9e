/* SPDX-License-Identifier: Apache-2.0
 * Chooses between ls__gemm and an external library for each product.  The libraries write float32: a y in bfloat16 is
 * computed in blocks, in a workspace, and then rounded. */
#include "core/cpu/gemm/product_table.h"

#include <omp.h>
#include <stdio.h>

#include "core/base/integer.h"
#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/vector/bf16.h"

static ls_status float32_part(ls_provider *library, const ls_gemm *g)
{
    const ls_status status = ls__provider_gemm(library, g);
    if (status != LS_OK) ls__gemm(g); /* the library has not changed y */
    return status;
}

/* Computes the block of y of `part`, which is float32, and rounds it into y. */
static ls_status bfloat16_block(ls_provider *library, const ls_gemm *part, uint16_t *y, int64_t y_row, bool add)
{
    enum { WORTH_THREADS = 1 << 14 };
    const ls_status status = float32_part(library, part);
    const bool      alone  = part->serial || omp_in_parallel();
#pragma omp parallel for schedule(static) if (!alone && part->m * part->n >= WORTH_THREADS)
    for (int64_t i = 0; i < part->m; i++) {
        float    *sum = (float *)part->y + i * part->n;
        uint16_t *to  = y + i * y_row;
        for (int64_t j = 0; add && j < part->n; j++) sum[j] += ls__widen_1(to[j]);
        ls__narrow(part->n, sum, to);
    }
    return status;
}

static ls_status bfloat16_product(ls_provider *library, const ls_gemm *g)
{
    enum { LEAST_COLS = 1 << 10 };
    const int64_t cols = ls__min(g->n, ls__max(LS_STATE / g->m, LEAST_COLS)), rows = ls__min(g->m, LS_STATE / cols);
    ls_gemm_space space = ls__gemm_space_take();
    ls_status     first = LS_OK;
    for (int64_t i = 0; i < g->m; i += rows)
        for (int64_t j = 0; j < g->n; j += cols) {
            ls_gemm part = *g;
            part.m       = ls__min(rows, g->m - i);
            part.n       = ls__min(cols, g->n - j);
            part.x       = (const uint16_t *)g->x + i * g->x_row;
            part.w       = (const uint16_t *)g->w + j * g->w_col;
            part.bias    = g->bias ? g->bias + j : NULL;
            part.y       = space.state;
            part.y_row   = part.n;
            part.y_type  = LS_F32;
            part.add     = false;
            const ls_status found =
                bfloat16_block(library, &part, (uint16_t *)g->y + i * g->y_row + j, g->y_row, g->add);
            if (first == LS_OK) first = found;
        }
    ls__gemm_space_give(space);
    return first;
}

ls_status ls__product_with(ls_product_by by, const ls_gemm *g)
{
    if (g->m <= 0 || g->n <= 0) return LS_OK;
    ls_provider *library = ls__product_library(by);
    return g->y_type == LS_BF16 ? bfloat16_product(library, g) : float32_part(library, g);
}

/* The rates in a table are those of products that use all threads; other products have no library of their own. */
static ls_product_by chosen(const ls_product_table *table, const ls_gemm *g)
{
    ls_product_class c;
    if (g->splits > 1) return LS_BY_LOCKSTEP;
    if (!g->serial && !omp_in_parallel() && ls__product_class_of(g, &c)) {
        const ls_product_by by = (ls_product_by)table->by[c.bf16][c.layout][c.m][c.n][c.k];
        if (by != LS_BY_LOCKSTEP) return by;
    }
    return table->float32_by_openblas && g->type == LS_F32 && g->k > 0 ? LS_BY_OPENBLAS : LS_BY_LOCKSTEP;
}

static void warn(void)
{
    static _Atomic bool warned;
    if (!warned) fprintf(stderr, "lockstep: warning: %s; such products are computed by Lockstep\n", ls_error_message());
    warned = true;
}

void ls__product(const ls_product_table *table, const ls_gemm *g)
{
    const ls_product_by by = table ? chosen(table, g) : LS_BY_LOCKSTEP;
    if (by == LS_BY_LOCKSTEP)
        ls__gemm(g);
    else if (ls__product_with(by, g) != LS_OK)
        warn();
}

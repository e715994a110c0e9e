/* SPDX-License-Identifier: Apache-2.0
 * Matrix products: one chain of multiply-adds per element and part of K. */
#include "core/cpu/gemm.h"

#include "core/cpu/vec.h"

static vf part_sum(const ls_gemm *g, int64_t i, int64_t j, int64_t n, int64_t from, int64_t to)
{
    vf acc = {0};
    for (int64_t k = from; k < to; k++) {
        vf w = {0};
        if (g->w_col == 1) w = v_load_part(g->w + k * g->w_row + j, n);
        else
            for (int64_t c = 0; c < n; c++) w[c] = g->w[k * g->w_row + (j + c) * g->w_col];
        acc = v_fma(v_set(g->x[i * g->x_row + k * g->x_col]), w, acc);
    }
    return acc;
}

static vf tree(const ls_gemm *g, int64_t i, int64_t j, int64_t n, int first, int parts)
{
    if (parts == 1) return part_sum(g, i, j, n, g->bound[first], g->bound[first + 1]);
    return tree(g, i, j, n, first, parts / 2) + tree(g, i, j, n, first + parts / 2, parts / 2);
}

void ls__gemm(const ls_gemm *g)
{
#pragma omp parallel for schedule(static) if (!g->serial && g->m * g->n * g->k > 1 << 16)
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j += LS_V) {
            int64_t n  = g->n - j < LS_V ? g->n - j : LS_V;
            vf      y  = g->splits > 1 ? tree(g, i, j, n, 0, g->splits) : part_sum(g, i, j, n, 0, g->k);
            float  *to = g->y + i * g->y_row + j;
            if (g->bias) y += v_load_part(g->bias + j, n);
            if (g->add) y += v_load_part(to, n);
            v_store_part(to, y, n);
        }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropout (Srivastava 2014), scaled in training.      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x m,    m = 0 with probability p, else 1 / (1 - p)        inference: y = x
 * Backward    dx = dy m
 *
 * The mask is a function of the call's key, the sample's index in the global batch and the element (Philox), so it does not depend
 * on ranks, and no two of them share one.  Backward draws it again: with vectors that is as fast as reading it, and
 * nothing is kept.
 */
#include <math.h>

#include "core/base/philox.h"
#include "core/cpu/map.h"
#include "core/ops/infer.h"

enum { TILE = 1024, GROUPS = TILE / 4 }; /* elements drawn at once; Philox makes four numbers for a counter */

static ls_status infer(ls_node *n)
{
    const ls_dropout_args *a = n->args;
    LS_NODE_CHECK(n, a->p >= 0 && a->p < 1, "p is %g, expected 0 <= p < 1", (double)a->p);
    return ls__infer_same(n);
}

/* ls_philox(key, sample, group + i) for n counters side by side: v[k][i] is number k of counter i. */
static void draw(uint64_t key, uint64_t sample, uint64_t group, int n, uint32_t v[4][GROUPS])
{
    for (int i = 0; i < n; i++) {
        v[0][i] = (uint32_t)(group + (uint64_t)i);
        v[1][i] = (uint32_t)((group + (uint64_t)i) >> 32);
        v[2][i] = (uint32_t)sample;
        v[3][i] = (uint32_t)(sample >> 32);
    }
    for (int round = 0; round < 10; round++) {
        const uint32_t k0 = (uint32_t)key + (uint32_t)round * 0x9E3779B9u, k1 = (uint32_t)(key >> 32) + (uint32_t)round * 0xBB67AE85u;
        for (int i = 0; i < n; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * v[0][i], p1 = (uint64_t)0xCD9E8D57u * v[2][i];
            v[0][i] = (uint32_t)(p1 >> 32) ^ v[1][i] ^ k0;
            v[2][i] = (uint32_t)(p0 >> 32) ^ v[3][i] ^ k1;
            v[1][i] = (uint32_t)p1;
            v[3][i] = (uint32_t)p0;
        }
    }
}

/* y = x times the mask, for elements [first, first + n) of a sample. */
static void mask_tile(const ls_call *c, int64_t sample, int64_t first, int64_t n, const float *x, float *y, bool add)
{
    const float    p    = ((const ls_dropout_args *)c->args)->p, scale = 1 / (1 - p);
    const uint32_t from = (uint32_t)ceilf(p * 0x1p24f); /* of 24 bits, as ls_uniform01 takes them */
    uint32_t       v[4][GROUPS];
    float          m[TILE];
    const int      groups = (int)(n + 63) / 64 * 16; /* whole vectors */
    draw(c->key, (uint64_t)(c->first_sample + sample), (uint64_t)first / 4, groups, v);
    for (int i = 0; i < groups; i++)
        for (int k = 0; k < 4; k++) m[4 * i + k] = v[k][i] >> 8 < from ? 0 : scale;
    if (add) V_MAP(n, V_PUT(y, V_GET(y) + V_GET(x) * V_GET(m)));
    else V_MAP(n, V_PUT(y, V_GET(x) * V_GET(m)));
}

static void mask(const ls_call *c, const float *x, float *y, bool add)
{
    int64_t numel = ls__numel(c->node->in[0]), tiles = (numel + TILE - 1) / TILE;
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL / 2)
    for (int64_t k = 0; k < c->rows * tiles; k++) {
        int64_t sample = k / tiles, first = k % tiles * TILE, at = sample * numel + first;
        mask_tile(c, sample, first, numel - first < TILE ? numel - first : TILE, x + at, y + at, add);
    }
}

static bool active(const ls_call *c) { return c->training && ((const ls_dropout_args *)c->args)->p > 0; }

static void forward(const ls_call *c)
{
    if (active(c)) mask(c, c->x[0], c->y[0], false);
    else ls__map(ls__map_copy, NULL, c->rows * ls__numel(c->node->in[0]), c->x[0], NULL, c->y[0], false);
}

static void backward(const ls_call *c)
{
    if (active(c)) mask(c, c->dy[0], c->dx[0], c->add[0]);
    else ls__map(ls__map_copy, NULL, c->rows * ls__numel(c->node->in[0]), c->dy[0], NULL, c->dx[0], c->add[0]);
}

static double flops(const ls_node *n) { return 20.0 * (double)ls__numel(n->in[0]); }

LS_OP(dropout) = {
    .name             = "dropout",
    .args_bytes       = sizeof(ls_dropout_args),
    .ins              = 1,
    .outs             = 1,
    .inplace          = true,
    .inplace_backward = true,
    .random           = true,
    .fields           = LS_FIELDS(LS_FIELD(FLOAT, ls_dropout_args, p)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .flops            = flops,
};

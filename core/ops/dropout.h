/* SPDX-License-Identifier: Apache-2.0
 *
 * Inverted dropout (Srivastava 2014) of elements, channels or samples.
 *
 * Forward     y = x m,    m = 0 with probability p, else 1 / (1 - p)        inference: y = x
 * Backward    dx = dy m
 *
 * A *unit* is a number of consecutive elements of a sample that have one m.  The mask is a Philox function of the
 * call's key, the sample's index in the global batch and the unit, so it is the same for any number of ranks and
 * differs between samples.  Backward generates the mask again instead of saving it: 0.9 G elements/s per thread with
 * AVX2 on Zen 3.  Reading a saved mask would take a quarter of the time and a byte of memory per element.
 */
#ifndef LS_CORE_OPS_DROPOUT_H
#define LS_CORE_OPS_DROPOUT_H

#include "core/base/integer.h"
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/vector/vec_philox.h"
#include "core/ops/infer.h"

/* elements of a tile: a multiple of 4 LS_V, because Philox gives four numbers per counter */
enum { LS_DROPOUT_TILE = 1024 };

/* Shape rule, for a sample of `units` units. */
static inline ls_status ls__dropout_infer(ls_node *n, int64_t units)
{
    const ls_dropout_args *a = n->args;
    LS_NODE_CHECK(n, a->p >= 0 && a->p < 1, "p is %g, expected 0 <= p < 1", (double)a->p);
    LS_NODE_CHECK(n, units <= (int64_t)1 << 33, "'%s' is %s: expected at most 2^33 elements per sample", n->in[0]->name,
                  ls__shape(n->in[0]));
    return ls__infer_same(n);
}

V_INLINE vf ls__zip(vf a, vf b, int upper) { return upper ? v_zip_high(a, b) : v_zip_low(a, b); }

/* Writes the factors of units [first, first + n) of a sample to m, which has space for whole vectors.  `first` is a
 * multiple of four. */
static inline void ls__dropout_units(const ls_call *c, uint64_t sample, int64_t first, int64_t n, float *m)
{
    const float p = ((const ls_dropout_args *)c->args)->p;
    for (int64_t i = 0; i < n; i += 4 * LS_V) {
        vu v[4];
        vf w[4];
        v_philox(c->key, sample, 0, (uint32_t)((first + i) / 4), v);
        for (int k = 0; k < 4; k++) w[k] = v_keep(v[k], p);
        for (int k = 0; k < 4; k++)
            v_store(m + i + k * LS_V, ls__zip(ls__zip(w[0], w[2], k / 2), ls__zip(w[1], w[3], k / 2), k % 2));
    }
}

/* Writes the factors of elements [first, first + n) of a sample to m, which has space for whole vectors. */
static inline void ls__dropout_mask(const ls_call *c, int64_t unit, uint64_t sample, int64_t first, int64_t n, float *m)
{
    if (unit == 1) {
        ls__dropout_units(c, sample, first, n, m);
        return;
    }
    float of_unit[4 * LS_V];
    for (int64_t i = 0; i < n;) {
        const int64_t u = (first + i) / unit, end = (u + 1) * unit - first < n ? (u + 1) * unit - first : n;
        ls__dropout_units(c, sample, u & ~(int64_t)3, 4, of_unit);
        for (; i < end; i++) m[i] = of_unit[u & 3];
    }
}

/* Computes y = x m for elements [first, first + n) of a sample. */
static inline void ls__dropout_tile(const ls_call *c, int64_t unit, int64_t sample, int64_t first, int64_t n,
                                    ls_array from, ls_array to, bool add)
{
    float         m[LS_DROPOUT_TILE], in[LS_DROPOUT_TILE], out[LS_DROPOUT_TILE];
    const int64_t at = sample * ls__numel(c->node->in[0]) + first;
    const float  *x  = ls__read(from, at, n, in);
    float        *y  = ls__write_begin(to, at, n, out, add);
    ls__dropout_mask(c, unit, (uint64_t)(c->first_sample + sample), first, n, m);
    if (add)
        V_MAP(n, V_PUT(y, V_GET(y) + V_GET(x) * V_GET(m)));
    else
        V_MAP(n, V_PUT(y, V_GET(x) * V_GET(m)));
    ls__write_end(to, at, n, y);
}

/* Computes y = x m for all samples, or y = x if there is no dropout. */
static inline void ls__dropout_apply(const ls_call *c, int64_t unit, ls_array x, ls_array y, bool add)
{
    const int64_t numel = ls__numel(c->node->in[0]), tiles = (numel + LS_DROPOUT_TILE - 1) / LS_DROPOUT_TILE;
    if (!c->training || ((const ls_dropout_args *)c->args)->p == 0) {
        ls__map(ls__map_copy, NULL, c->rows * numel, x, (ls_array){0}, y, add);
        return;
    }
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL / 2)
    for (int64_t k = 0; k < c->rows * tiles; k++) {
        const int64_t sample = k / tiles, first = k % tiles * LS_DROPOUT_TILE;
        ls__dropout_tile(c, unit, sample, first, ls__min(LS_DROPOUT_TILE, numel - first), x, y, add);
    }
}

static inline double ls__dropout_flops(const ls_node *n) { return 20.0 * (double)ls__numel(n->in[0]); }

/* Descriptor members with one value in all of these ops; the other functions are those of the op's file. */
#define LS_DROPOUT_OP                                                                                                  \
    .args_bytes = sizeof(ls_dropout_args), .ins = 1, .outs = 1, .either = 1u << 0, .inplace = true,                    \
    .inplace_backward = true, .random = true, .fields = LS_FIELDS(LS_FIELD(FLOAT, ls_dropout_args, p)),                \
    .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward}, .flops = ls__dropout_flops

#endif

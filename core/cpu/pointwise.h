/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions with 1 x 1 taps of stride 1 without padding: y[o][p] = bias[o] + sum over c of  w[o][c] x[c][p].
 *
 * Vector lanes hold neighbouring points, so planes are neither unfolded nor transposed.
 */
#ifndef LS_CORE_CPU_POINTWISE_H
#define LS_CORE_CPU_POINTWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"
#include "core/cpu/vector/typed_array.h"

/* One direction of a convolution; of the gradient of the input: x is dy, y is dx. */
typedef struct ls_pointwise {
    int64_t      groups;
    int64_t      in, out;              /* channels of one group, of the source and of the result        */
    int64_t      points;               /* points of a plane                                             */
    int64_t      w_in, w_out, w_group; /* strides of the weights: source channel, result channel, group */
    ls_array     x, w, y;
    const float *bias; /* NULL: none */
    bool         add;  /* add to y   */
} ls_pointwise;

#define ls__pointwise_run LS_ISA_NAME(ls__pointwise_run)
#define ls__pointwise_scratch LS_ISA_NAME(ls__pointwise_scratch)
#ifdef LS_ISA_SUFFIX

/* Computes y of `samples` samples, with the threads of OpenMP. */
void   ls__pointwise_run(const ls_pointwise *p, int64_t samples, float *scratch);
size_t ls__pointwise_scratch(const ls_pointwise *p, int threads);

#endif
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions with one channel in each group on both sides ("depthwise"), with strides of 1 and 2 and any dilation.
 *
 * The source plane is copied with its padding, cut into one *part* for each residue of its position modulo the strides.
 * Then the values that a tap reads for neighbouring results are neighbours in one part, also those of the next row: all
 * parts have rows of `pitch` floats, and so has the plane of results, of which the first columns are used.  A plane is
 * thus computed as one row, with full vectors for planes of any width:
 *
 *     result[i] = bias + sum over taps t of  w[t] source[offset[t] + i]            i = row pitch + column
 *     dw[t]     = sum over i of  dy[i] source[offset[t] + i]                       dy is zero in unused columns
 *
 * The gradient of the source is the same with dy as the source, in one pass for each residue of the result's position
 * modulo the strides, each with the taps of that residue.
 *
 * A result is one chain of multiply-adds over the taps in order, from the bias on.
 */
#ifndef LS_CORE_CPU_DEPTHWISE_H
#define LS_CORE_CPU_DEPTHWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"
#include "core/cpu/vector/typed_array.h"

enum { LS_DEPTHWISE_TAPS = 49, LS_DEPTHWISE_STRIDE = 2 }; /* most taps, largest stride */

/* A convolution along one dim: tap k of result i reads position i stride - before + k dilation. */
typedef struct ls_depthwise_dim {
    int64_t in, out, kernel, stride, dilation, before;
} ls_depthwise_dim;

/* Results with one residue of their position along both dims. */
typedef struct ls_depthwise_pass {
    int64_t rows, cols;                /* number of results */
    int64_t row, col;                  /* position of the first one */
    int     taps;                      /* number of taps, at most LS_DEPTHWISE_TAPS */
    int32_t offset[LS_DEPTHWISE_TAPS]; /* in the parts of the source */
    int32_t weight[LS_DEPTHWISE_TAPS]; /* in the weights of a channel */
} ls_depthwise_pass;

/* One direction. */
typedef struct ls_depthwise {
    int64_t           channels, taps;
    int64_t           src_h, src_w, dst_h, dst_w;
    int64_t           lo_h, lo_w;       /* position in the source of the first element of its parts */
    int64_t           parts_h, parts_w; /* residues of the source's positions */
    int64_t           rows, pitch;      /* rows of a part, and floats of a row */
    int64_t           step_h, step_w;   /* positions from one result of a pass to the next */
    int               passes;           /* step_h x step_w, column residues first */
    ls_depthwise_pass pass[LS_DEPTHWISE_STRIDE * LS_DEPTHWISE_STRIDE];
} ls_depthwise;

#define ls__depthwise_plan LS_ISA_NAME(ls__depthwise_plan)
#define ls__depthwise_run LS_ISA_NAME(ls__depthwise_run)
#define ls__depthwise_scratch LS_ISA_NAME(ls__depthwise_scratch)
#define ls__depthwise_weights LS_ISA_NAME(ls__depthwise_weights)
#define ls__depthwise_weights_work LS_ISA_NAME(ls__depthwise_weights_work)
#ifdef LS_ISA_SUFFIX

/* Plans y, or the gradient of x if `back`.  Returns false if there are too many taps or the stride is too large. */
bool ls__depthwise_plan(ls_depthwise *p, const ls_depthwise_dim *h, const ls_depthwise_dim *w, int64_t channels,
                        bool back);

/* y = x * w + bias; of the gradient of the input: x is dy, y is dx. */
typedef struct ls_depthwise_operands {
    ls_array     x, w, y;
    const float *bias; /* NULL: none */
    bool         add;  /* add to y   */
} ls_depthwise_operands;

/* Computes y of `samples` samples, with the threads of OpenMP. */
void   ls__depthwise_run(const ls_depthwise *p, int64_t samples, const ls_depthwise_operands *o, float *scratch);
size_t ls__depthwise_scratch(const ls_depthwise *p, int threads);

/* Writes the gradients of the weights of a channel and of its bias, summed over samples [first, last): dw[tap], and
 * *db unless NULL.  p: a plan of y.  work: ls__depthwise_weights_work floats, zero before the first call. */
void ls__depthwise_weights(const ls_depthwise *p, ls_array x, ls_array dy, int64_t channel, int64_t first, int64_t last,
                           float *dw, float *db, float *work);
int64_t ls__depthwise_weights_work(const ls_depthwise *p);

#endif
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes of a convolution: the kernels of core/ops/conv2d.c.
 *
 * A *pass* computes, for one sample and one group, a grid of output points of `out` channels from a source of `in`
 * planes:
 *
 *     y[o][i, j] = bias[o] + sum over k of  w[o][k] * src[point(i, j) + tap[k]]
 *
 * `point` and `tap` are tables of offsets, so the source is never unfolded in memory (im2col); see Dukhan, "The
 * indirect convolution algorithm", 2019.  The forward of a convolution is one pass.  The gradient of the input takes
 * stride_h x stride_w passes, one per residue of the input position modulo the strides, each with the taps that reach
 * it.  The gradient of the weights exchanges the roles of points and taps: it sums over the points.
 *
 * The source is the *window*: a copy of the planes of the sample with the padding around them, or the sample itself if
 * no padding is needed and the sample is float32.  A three-dimensional convolution runs a pass once per output depth:
 * the planes of all depths of a channel follow one another in the window, and the taps of one row read one plane of
 * each channel and depth of the kernel.
 *
 * Samples, weights and y may be bfloat16.  They are widened where they are copied, packed or transposed; products and
 * sums are float32, and an element of y is rounded once.
 */
#ifndef LS_CORE_CPU_CONV_H
#define LS_CORE_CPU_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"
#include "core/cpu/vector/typed_array.h"

/* Rows [lo_h, lo_h + h) and columns [lo_w, lo_w + w) of planes of in_h x in_w.  Positions outside of the planes are
 * zero. */
typedef struct ls_conv_window {
    int64_t in_h, in_w;
    int64_t lo_h, lo_w, h, w;
    int64_t plane;  /* from one plane of the window to the next, floats */
    bool    direct; /* the window is the sample itself, without a copy */
} ls_conv_window;

/* The points of one depth.  With depths, a channel has several planes in the source; each tap reads one of them. */
typedef struct ls_conv_pass {
    int64_t  in, out;                     /* planes that the taps of a row read, and channels of the result, of one
                                             group */
    int64_t  depths;                      /* output depths */
    int64_t  src_d, step_d;               /* plane of the window under output depth 0, and from one depth to the next */
    int64_t  dst_depth;                   /* from one output depth to the next in y */
    int64_t  rows, cols;                  /* output points of a channel */
    int64_t  src_h;                       /* row of the window under output row 0 */
    int64_t  step_h;                      /* rows of the window from one output row to the next */
    int64_t  src_w;                       /* place of output column 0 in a row of the window */
    int64_t  step_w;                      /* floats of the window from one output column to the next */
    int64_t  dst;                         /* offset of output point (0, 0) of channel 0 in y */
    int64_t  dst_row, dst_col, dst_plane; /* strides of y: row, column, channel */
    int64_t  taps;                        /* in * taps_h * taps_w */
    int64_t  taps_h, taps_w;
    int32_t *tap;        /* taps offsets in the source */
    int32_t *tap_weight; /* taps offsets in the weights of an output channel */
    int32_t *tap_row;    /* taps_h offsets of a tap's row from the row of its point, rows of the window */
    int32_t *point;      /* rows * cols offsets in the source */
    bool     by_rows;    /* vector lanes hold the points of a row, and the taps are ordered by row first, so that rows
                            in the padding can be skipped; false: vector lanes hold output channels */
    float   *packed;     /* packed weights of all groups */
} ls_conv_pass;

#define ls__conv_lanes LS_ISA_NAME(ls__conv_lanes)
#define ls__conv_by_rows LS_ISA_NAME(ls__conv_by_rows)
#define ls__conv_panels LS_ISA_NAME(ls__conv_panels)
#define ls__conv_panel_first LS_ISA_NAME(ls__conv_panel_first)
#define ls__conv_pack LS_ISA_NAME(ls__conv_pack)
#define ls__conv_fill LS_ISA_NAME(ls__conv_fill)
#define ls__conv_work LS_ISA_NAME(ls__conv_work)
#define ls__conv_run LS_ISA_NAME(ls__conv_run)
#define ls__conv_dw_work LS_ISA_NAME(ls__conv_dw_work)
#define ls__conv_dw LS_ISA_NAME(ls__conv_dw)
#define ls__conv_dw_store LS_ISA_NAME(ls__conv_dw_store)
#ifdef LS_ISA_SUFFIX

/* Number of floats of a vector. */
int64_t ls__conv_lanes(void);

/* Returns whether vector lanes should hold the points of a row rather than output channels.  Depends on the shape
 * alone: sums in the two orders of taps round differently, so the estimate assumes vectors of V_LANES floats at all
 * levels. */
bool ls__conv_by_rows(const ls_conv_pass *p, const ls_conv_window *s);

/* Output channels are computed in panels.  Returns the number of panels of `out` channels, and the first channel of
 * panel i (i = number of panels: out). */
int64_t ls__conv_panels(int64_t out, bool by_rows);
int64_t ls__conv_panel_first(int64_t out, bool by_rows, int64_t i);

/* Packs the weights w[o * w_out + tap_weight[k]] of panel i of one group. */
void ls__conv_pack(const ls_conv_pass *p, int64_t i, ls_array w, int64_t w_out, float *packed);

/* Copies `planes` planes of x into a window.  The padding of the window must be zero. */
void ls__conv_fill(const ls_conv_window *s, int64_t planes, ls_array x, float *window);

/* Workspace of ls__conv_run, floats. */
int64_t ls__conv_work(void);

/* Computes the channels of panels [first, last) of one sample and group.  src: the window; packed: packed weights of
 * the group; bias: of the group, or NULL; y: output planes of the group, which are overwritten, or added to if
 * `add`. */
void ls__conv_run(const ls_conv_pass *p, const ls_conv_window *s, int64_t first, int64_t last, const float *src,
                  const float *packed, const float *bias, ls_array y, bool add, float *work);

/* Workspace of ls__conv_dw, floats. */
int64_t ls__conv_dw_work(void);

/* Adds the weight gradient of panels [first, last) of one sample and group to `sum`:
 *
 *     dw[o][k] += sum over points of  dy[o][point] * src[point + tap[k]]
 *     db[o]    += sum over points of  dy[o][point]
 *
 * sum has taps + 1 rows per panel, with one lane per channel; the last row is db.  The caller sets it to zero before
 * the first sample. */
void ls__conv_dw(const ls_conv_pass *p, int64_t first, int64_t last, const float *src, ls_array dy, float *sum,
                 float *work);

/* Writes `sum` as dw (channels x taps) and db (NULL: not wanted), both starting at the first channel of panel
 * `first`. */
void ls__conv_dw_store(const ls_conv_pass *p, int64_t first, int64_t last, const float *sum, float *dw, float *db);

#endif
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Correlations, the arithmetic of convolution: what core/ops/conv2d.c is made of.
 *
 * A *pass* computes, for one sample, a grid of output points of `out` channels from a source of `in` planes:
 *
 *     y[o][i, j] = bias[o] + sum over k of  w[o][k] * src[point(i, j) + tap[k]]
 *
 * where both `point` and `tap` are tables of offsets, so that nothing is ever unfolded (im2col) in memory; see Dukhan,
 * "The indirect convolution algorithm", 2019.  The forward of a convolution is one pass.  The gradient of its input is
 * stride_h x stride_w passes, one for each residue of the input's position by the stride, each with the taps that reach
 * it.  The gradient of its weights has points and taps exchanged: the points are what is summed over.
 *
 * The source is a copy of the sample's planes with the padding around them (a *window*), or the sample itself where no
 * padding is needed.
 */
#ifndef LS_CORE_CPU_CONV_H
#define LS_CORE_CPU_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"

/* Rows [lo_h, lo_h + h) and columns [lo_w, lo_w + w) of planes of in_h x in_w; what lies outside of them is zero. */
typedef struct ls_conv_window {
    int64_t in_h, in_w;
    int64_t lo_h, lo_w, h, w;
    int64_t plane;  /* floats from one plane of the copy to the next */
    bool    direct; /* no copy: the window is the plane              */
} ls_conv_window;

typedef struct ls_conv_pass {
    int64_t  in, out;       /* channels of the source and of the result, of one group               */
    int64_t  rows, cols;    /* output points                                                        */
    int64_t  src_h, step_h; /* row of the window under output row 0, and from one to the next       */
    int64_t  src_w, step_w;
    int64_t  dst, dst_row, dst_col, dst_plane; /* of output point (0, 0) of channel 0; steps             */
    int64_t  taps; /* in * taps_h * taps_w                                                 */
    int64_t  taps_h, taps_w;
    int32_t *tap;        /* taps offsets in the source                                           */
    int32_t *tap_weight; /* taps offsets in the weights                                          */
    int32_t *tap_row;    /* taps_h: the window's row that a tap adds to a point's                */
    int32_t *point;      /* rows * cols offsets in the source                                    */
    bool     by_rows;    /* lanes lie on the points of a row, not on the output channels; the taps are ordered
                          * row first, and those that fall into the padding are left out          */
    float   *packed;     /* weights, packed_size(pass) floats for each group                      */
} ls_conv_pass;

/* Floats that a panel's lanes are padded to. */
#define ls__conv_lanes LS_ISA_NAME(ls__conv_lanes)
/* Which way of the two is better: a function of the shape (and level) alone. */
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

int64_t ls__conv_lanes(void);
bool    ls__conv_by_rows(const ls_conv_pass *p, const ls_conv_window *s);

/* Output channels are worked on in panels: how many, and the first channel of panel i (i = panels: out). */
int64_t ls__conv_panels(int64_t out, bool by_rows);
int64_t ls__conv_panel_first(int64_t out, bool by_rows, int64_t i);

/* Packs panel i of one group's weights:  w[o * w_out + tap_weight[k]]. */
void ls__conv_pack(const ls_conv_pass *p, int64_t i, const float *w, int64_t w_out, float *packed);

/* Copies `planes` planes into a window whose border is already zero. */
void ls__conv_fill(const ls_conv_window *s, int64_t planes, const float *x, float *window);

/* Floats of workspace of ls__conv_run. */
int64_t ls__conv_work(void);

/* Computes panels [first, last) of one sample and group.  src: the window; packed: the group's weights; bias: the
 * group's, or NULL; y: the group's planes, which are written or added to. */
void ls__conv_run(const ls_conv_pass *p, const ls_conv_window *s, int64_t first, int64_t last, const float *src,
                  const float *packed, const float *bias, float *y, bool add, float *work);

/* Weight gradient of panels [first, last) of one sample and group:
 *     dw[o][k] += sum over points of  dy[o][point] * src[point + tap[k]]        db[o] += sum over points of
 * dy[o][point] in `sum`, which holds `taps + 1` rows (the last is db) of the lanes of each panel; zeroed by the caller
 * at first. */
int64_t ls__conv_dw_work(void);
void    ls__conv_dw(const ls_conv_pass *p, int64_t first, int64_t last, const float *src, const float *dy, float *sum,
                    float *work);

/* Writes `sum` as dw: out x taps and db (NULL: not wanted) of channels from panel `first` on. */
void ls__conv_dw_store(const ls_conv_pass *p, int64_t first, int64_t last, const float *sum, float *dw, float *db);

#endif
#endif

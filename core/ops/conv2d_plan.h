/* SPDX-License-Identifier: Apache-2.0
 *
 * Plan of a convolution: the passes of one direction (y or dx), their tables, and the padded source.  conv_transpose2d
 * computes its y as the dx of a convolution.
 *
 * core/ops/conv2d.c has the maths; core/cpu/conv.h has the kernels and the meaning of a pass.
 */
#ifndef LS_CORE_OPS_CONV2D_PLAN_H
#define LS_CORE_OPS_CONV2D_PLAN_H

#include "core/base/integer.h"
#include "core/cpu/conv.h"
#include "core/ops/window.h"

/* One dim of a direction.  The result is y in forward and dx in backward; the source is x and dy. */
typedef struct ls_conv_axis {
    int64_t result, source; /* sizes of the result and of the source                */
    int64_t kernel, stride, padding, dilation;
    bool    back;              /* backward: the result is dx                           */
    int64_t window_lo, window; /* first position of the padded source, and its size    */
} ls_conv_axis;

/* A convolution y = x * w.  The windows have the sizes of x (in) and y (out). */
typedef struct ls_conv_shape {
    ls_windows a;
    int64_t    groups;
    int64_t    in, out; /* channels of one group, of x and of y */
    ls_dtype   x_type, y_type;
    bool       direct; /* sums of products as in the definition, without Winograd's tiles */
} ls_conv_shape;

/* Passes of one direction of one node.  Their tables lie in the workspace; base NULL: only sizes are computed. */
typedef struct ls_conv_plan {
    ls_conv_axis   d, h, w;
    int64_t        groups;
    int64_t        in, out;              /* channels of one group, of the source and of the result           */
    int64_t        w_in, w_out, w_group; /* strides of the weights: source channel, result channel, group    */
    ls_conv_window window;
    int64_t        depth, lo_d;  /* planes of a channel in the window, and the depth of the first    */
    ls_dtype       type;         /* of the source                                                            */
    bool           on_channels;  /* vector lanes hold output channels, never points of a row                */
    int64_t        passes, used; /* passes that have room, and those that are not empty                     */
    ls_conv_pass  *pass;
    size_t         bytes; /* of the workspace in use */
    char          *base;
} ls_conv_plan;

/* Bytes of `count` elements, rounded up to whole cache lines. */
static inline size_t ls__conv_line_bytes(int64_t count, size_t size)
{
    return ((size_t)count * size + 63) & ~(size_t)63;
}

#define ls__conv_expect LS_ISA_NAME(ls__conv_expect)
#define ls__conv_limit LS_ISA_NAME(ls__conv_limit)
#define ls__conv_kernel LS_ISA_NAME(ls__conv_kernel)
#define ls__conv_kernel_taps LS_ISA_NAME(ls__conv_kernel_taps)
#define ls__conv_take LS_ISA_NAME(ls__conv_take)
#define ls__conv_plan_direction LS_ISA_NAME(ls__conv_plan_direction)
#define ls__conv_make_passes LS_ISA_NAME(ls__conv_make_passes)
#define ls__conv_packed_channels LS_ISA_NAME(ls__conv_packed_channels)
#define ls__conv_window_floats LS_ISA_NAME(ls__conv_window_floats)
#define ls__conv_panels_per_piece LS_ISA_NAME(ls__conv_panels_per_piece)
#define ls__conv_source LS_ISA_NAME(ls__conv_source)
#define ls__conv_direction LS_ISA_NAME(ls__conv_direction)
#define ls__conv_direction_scratch LS_ISA_NAME(ls__conv_direction_scratch)
#define ls__conv_weights LS_ISA_NAME(ls__conv_weights)
#define ls__conv_weights_scratch LS_ISA_NAME(ls__conv_weights_scratch)
#ifdef LS_ISA_SUFFIX

/* Checks x, w and b, and replaces groups 0 by 1.  w is O x C/groups x KH x KW, or if `transposed` C x O/groups x KH x
 * KW, with as many dims of the kernel as the op has.  out: O. */
ls_status ls__conv_expect(const ls_node *n, bool transposed, int *groups, int64_t *out);

/* Checks that the offsets in a padded sample with `channels` channels of the output fit into 32 bits. */
ls_status ls__conv_limit(const ls_node *n, int64_t channels, const ls_windows *a);

/* The kernel's size along a dim: 0 depth, 1 height, 2 width; 1 for a dim that the weights w do not have. */
int ls__conv_kernel(const ls_tensor *w, int dim);

/* Taps of a kernel. */
int64_t ls__conv_kernel_taps(const ls_windows *a);

/* Takes memory from the workspace; NULL if the plan only computes sizes. */
void *ls__conv_take(ls_conv_plan *p, int64_t count, size_t size);

/* Starts the plan of y (back false) or of dx (back true).  `on_channels` puts vector lanes on channels for all
 * shapes. */
void ls__conv_plan_direction(ls_conv_plan *p, const ls_conv_shape *s, bool back, bool on_channels, void *scratch);

/* Takes memory for the tables of all passes, and for packed weights if `packs`, and fills the tables.  Every tap and
 * every point is in exactly one pass. */
void ls__conv_make_passes(ls_conv_plan *p, bool packs);

/* Output channels of a group, padded to whole vectors. */
int64_t ls__conv_packed_channels(const ls_conv_plan *p);

/* Floats of the window of one group, including those that vectors read behind the last row. */
int64_t ls__conv_window_floats(const ls_conv_plan *p);

/* Panels of a piece: they share one copy of the window. */
int64_t ls__conv_panels_per_piece(const ls_conv_plan *p, int64_t panels);

/* The source of one sample and group: `window`, filled, or the sample itself where no copy is needed. */
const float *ls__conv_source(const ls_conv_plan *p, ls_array x, int64_t sample, int64_t group, float *window);

/* ---- whole directions: core/ops/conv2d.c ------------------------------------------------------------------------- */

/* Arrays of one direction: x, b and y in forward; dy as x and dx as y in backward. */
typedef struct ls_conv_operands {
    ls_array     x, y;
    const float *b;   /* NULL: no bias */
    bool         add; /* add to y */
} ls_conv_operands;

/* Computes y, or dx if `back`, of `samples` samples. */
void   ls__conv_direction(const ls_conv_shape *s, bool back, int64_t samples, const ls_conv_operands *o, ls_array w,
                          void *scratch);
size_t ls__conv_direction_scratch(const ls_conv_shape *s, bool back, int threads);

/* Computes the gradient of the weights, input 1 of the node, and if `bias` that of the bias, input 2, each unless it is
 * not wanted.  x, dy: as in the convolution. */
void   ls__conv_weights(const ls_call *c, const ls_conv_shape *s, ls_array x, ls_array dy, bool bias);
size_t ls__conv_weights_scratch(const ls_conv_shape *s, int64_t rows, int shards, int threads);

#endif
#endif

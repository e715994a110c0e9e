/* SPDX-License-Identifier: Apache-2.0
 * Arithmetic of convolution and pooling: sizes, receptive fields, padding, pixels that no window covers. */
#ifndef LS_LAUNCH_VISION_LAYER_WINDOWS_H
#define LS_LAUNCH_VISION_LAYER_WINDOWS_H

#include <stdio.h>

#include "core/graph/graph.h"

/* The windows of a layer along one dim:
 *
 *     out = floor((in + before + after - dilation (kernel - 1) - 1) / stride) + 1 */
typedef struct ls_layer_axis {
    int64_t in, out, kernel, stride, dilation;
    int64_t before, after; /* padding                                                           */
    bool    ceil;          /* the quotient is rounded up                                        */
    bool    spread;        /* adaptive pooling: windows of different sizes; kernel is the largest one */
    int64_t inside;        /* windows that lie entirely in the input                            */
    int64_t unread;        /* input positions in no window                                      */
    /* Receptive field: output i depends on the pixels from `start` + i `jump` on, `field` of them; parts outside the
     * image are padding.  field 0: not known, behind an op that moves pixels. */
    int64_t field, jump, start;
} ls_layer_axis;

/* A layer without depth, or without depth and height, has one window of one position along them. */
typedef struct ls_layer_windows {
    const ls_node *node;
    ls_layer_axis  d, h, w;
} ls_layer_windows;

/* Lists the convolutions and poolings of a graph in `memory`.  The input is images, volumes or sequences.  Returns
 * their number.  The field of a sum or a concatenation is the smallest one that contains those of its operands. */
int ls_layer_windows_of(const ls_graph *g, ls_arena *memory, ls_layer_windows **windows);

/* Share of the output positions whose window reaches into the padding. */
double ls_layer_padded_share(const ls_layer_windows *w);

/* Prints them as a table; nothing if there are none. */
void ls_layer_windows_print(FILE *f, const ls_graph *g, ls_arena *memory);

#endif

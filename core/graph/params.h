/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters of a graph as one block, and its layout, which the gradients and the optimizer state share.  Not
 * public.
 *
 * Order: that in which gradients become complete.  Backward runs the nodes in reverse, so the parameter whose *first*
 * use comes last is complete first.  Every parameter begins at a multiple of LS_PARAM_ALIGN floats, which are the
 * positions at which ranks partition the block.  The first LS_HEADER floats are not parameters: in the gradient block
 * they carry loss, weight and status, all-reduced with the first bucket.  The layout depends on the graph alone, never
 * on ranks.
 *
 * Tied weights: a parameter with two uses (an embedding that is also the output layer) has a second segment in the
 * gradient block, behind all others.  The use whose backward runs first writes the second segment, the other use the
 * first one.  Each segment is complete, and all-reduced, on its own; finally the second is added to the first.
 * Parameters with more uses have leaves instead (core/graph/build_program.c).
 *
 * Sums over the batch (ls_op.batch_sums) have a region at the end of the gradient block: for each node those of
 * forward, then those of backward.  Sums over groups of the batch (ls_op.group_rows) are the last of them.
 */
#ifndef LS_CORE_GRAPH_PARAMS_H
#define LS_CORE_GRAPH_PARAMS_H

#include "core/graph/graph.h"

enum {
    LS_HEADER      = 16,            /* floats of the header */
    LS_PARAM_ALIGN = 256,           /* floats */
    LS_PARAM_START = LS_PARAM_ALIGN /* offset of the first parameter, floats */
};

typedef struct ls_param_slot {
    const ls_tensor *tensor;
    size_t           offset; /* in the block, floats */
    int64_t          count;
    bool             trained; /* has a gradient */
    size_t           second;  /* offset of the second segment of tied weights in the gradient block, floats; 0: none */
} ls_param_slot;

struct ls_params {
    ls_graph      *graph;
    ls_arena      *arena; /* holds this struct and its tables */
    int            count;
    ls_param_slot *slot;       /* in order of creation */
    int           *order;      /* slots in order of the block */
    int           *slot_of;    /* slot by tensor index; -1: not a parameter */
    size_t         floats;     /* floats of the block, with header and padding */
    size_t         trained;    /* end of the last trained parameter, floats */
    size_t         sums;       /* end of the second segments, and start of the sums over the batch, floats */
    size_t        *sums_of;    /* offset of the sums of a node in the gradient block, by node index */
    size_t         group_sums; /* start of the sums over groups of the batch, behind all other sums, floats */
    size_t         grads;      /* floats of the gradient block: `trained`, the second segments and the sums */
    int           *seconds;    /* slots with a second segment, in the order in which the segments become complete */
    int            tied;       /* number of `seconds` */
    ls_block       block;
    /* bfloat16 copy of the block, at the same offsets; NULL data: none.  `stale`: the copy must be renewed before it is
     * read, because something else than the update may have written the block. */
    ls_block   narrow;
    bool       stale;
    ls_params *origin; /* parameters whose blocks these are, under another graph (core/graph/inference.c); NULL: own */
};

/* Allocates the bfloat16 copy if the precision needs one and there is none. */
ls_status ls__params_new_copy(ls_params *p, ls_dtype precision);

/* Renews `count` values of the copy from `offset` on; all of it if it is stale. */
void ls__params_narrow(ls_params *p, size_t offset, size_t count);
void ls__params_refresh(ls_params *p);

/* ls_params_new without initial values, for parameters that a file gives: large models are initialised for seconds. */
ls_status ls__params_new_unset(ls_params **params, ls_graph *g);

/* The two steps of ls_params_new.  The first computes the layout, in `arena`; the caller allocates p->block of
 * p->floats floats and frees it.  The second fills every parts-th parameter from number `part` on with its initial
 * values. */
ls_status ls__params_lay_out(ls_params **params, ls_graph *g, ls_arena *arena);
ls_status ls__params_fill(ls_params *p, uint64_t seed, int part, int parts);

/* The digest of one parameter. */
uint64_t ls__param_digest(const ls_params *p, int param);

/* The offset of the sums of a node over the batch, of forward or backward, in the gradient block. */
size_t ls__batch_sums_at(const ls_params *p, const ls_node *n, bool backward);

/* Writes the layer of each parameter to `layer`, by slot; the first layer is 0.  Returns the number of layers.
 * Parameters of one layer have equal names up to the first numbers: "layer1.0" of layer1.0.conv1.weight.  Names without
 * a number are compared up to the last dot.  A layer of parameters with one dim alone, such as a norm, belongs to the
 * layer before it. */
int ls__param_layers(const ls_params *p, int *layer);

/* Adds second segments for the parameters that the backward of `loss` uses twice. */
void ls__params_tie(ls_params *p, const ls_tensor *loss);

/* Fills `values` with the initial values of a parameter (core/nn/init.c). */
ls_status ls__init_fill(const ls_tensor *param, uint64_t seed, float *values);

#endif

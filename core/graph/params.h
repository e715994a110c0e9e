/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters of a graph as one block, in the order in which their gradients become complete: backward runs the
 * nodes in reverse, so the parameter whose *first* use comes last is complete first.  Gradients and optimizer state
 * have the same layout.  Every parameter begins at a multiple of LS_PARAM_ALIGN floats, where a block may be cut among
 * ranks.  The first LS_HEADER floats are not parameters: in the gradient block they carry what travels with the first
 * of them (loss, weight, status).  Layout depends on the graph alone, never on ranks.
 *
 * Tied weights: a parameter with two uses (an embedding that is the head, too) has a second segment in the gradient
 * block, behind all others.  The use whose backward runs first writes that one, the other one the first; each is
 * complete, and summed over ranks, on its own, and in the end the second is added to the first.  Parameters with more
 * uses have leaves instead (core/graph/program.c).
 */
#ifndef LS_CORE_GRAPH_PARAMS_H
#define LS_CORE_GRAPH_PARAMS_H

#include "core/graph/graph.h"

enum {
    LS_HEADER      = 16,
    LS_PARAM_ALIGN = 256,
    LS_PARAM_START = LS_PARAM_ALIGN
}; /* in floats; where the first parameter begins */

typedef struct ls_param_slot {
    const ls_tensor *tensor;
    size_t           offset; /* in floats */
    int64_t          count;
    bool             trained; /* has a gradient */
    size_t           second;  /* of tied weights: of the second segment in the gradient block, in floats; 0: none */
} ls_param_slot;

struct ls_params {
    ls_graph      *graph;
    ls_arena      *arena; /* holds this struct and its tables */
    int            count;
    ls_param_slot *slot;    /* in the order of creation                          */
    int           *order;   /* slots in the order of the block                   */
    int           *slot_of; /* by tensor index; -1: not a parameter              */
    size_t         floats;  /* of the whole block, header and padding included   */
    size_t         trained; /* floats up to the end of the last trained parameter */
    size_t         grads;   /* floats of the gradient block: the same, and the second segments */
    int           *seconds; /* slots with a second segment, in the order in which these are complete */
    int            tied;    /* how many */
    ls_block       block;
};

/* ls_params_new in two steps: all but the block, which the caller makes, of `floats` floats, and keeps as his own; and
 * the first values, of every parts-th parameter, from number `part` on. */
ls_status ls__params_lay_out(ls_params **params, ls_graph *g, ls_arena *arena);
ls_status ls__params_fill(ls_params *p, uint64_t seed, int part, int parts);

/* The digest of one parameter. */
uint64_t ls__param_digest(const ls_params *p, int param);

/* Lays out second segments for the parameters with two uses in the backward of `loss`; none before that. */
void ls__params_tie(ls_params *p, const ls_tensor *loss);

/* How many inputs of ops give each tensor a part of its gradient in the backward of `loss`: a list by tensor index, in
 * `memory`. */
int *ls__gradient_uses(const ls_graph *g, const ls_tensor *loss, ls_arena *memory);

/* Fills `count` floats of a parameter as its initialiser says (core/nn/init.c). */
ls_status ls__init_fill(const ls_tensor *param, uint64_t seed, float *values);

#endif

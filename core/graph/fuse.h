/* SPDX-License-Identifier: Apache-2.0
 * Fuses elementwise ops into the node before them.  Not public. */
#ifndef LS_CORE_GRAPH_FUSE_H
#define LS_CORE_GRAPH_FUSE_H

#include "core/graph/instruction.h"

/* Sets p->node and p->maker.  needed: by node, whether the outputs and the loss depend on it. */
void ls__fuse(ls_program *p, const bool *needed);

/* The position among the inputs of a fused node of the tensor that it adds to its result. */
static inline int ls__added_input(const ls_node *n) { return n->ins - 1; }

/* The values that backward of a node reads: ls_op.saves, and the result of a fused node that adds and applies a
 * function, because the function's argument is known in no other way. */
unsigned ls__saves(const ls_node *n);

/* Whether out[0] of a node is cheap to compute again (ls_op.recompute). */
bool ls__is_cheap(const ls_node *n);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Nodes that the results of a program need, and uses of a value that add to its gradient.  Not public. */
#ifndef LS_CORE_GRAPH_DEPENDENCIES_H
#define LS_CORE_GRAPH_DEPENDENCIES_H

#include "core/graph/graph.h"

/* Marks the nodes, by index, that the outputs and the loss depend on.  loss: may be NULL. */
void ls__mark_needed(const ls_graph *g, ls_tensor *const *output, int outputs, const ls_tensor *loss, bool *needed);

/* The uses of input k of a node that add to its gradient.  An op of a loop that cannot defer the gradient of a
 * parameter (ls_op.defers) counts as several, because each step adds. */
enum { LS_USES_OF_STEPS = 3 };
int ls__gradient_uses_of(const ls_node *n, int k);

/* For each tensor, the number of op inputs that add to its gradient in the backward of `loss`: an array by tensor
 * index, in `memory`. */
int *ls__gradient_uses(const ls_graph *g, const ls_tensor *loss, ls_arena *memory);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters that Muon updates as matrices.  Not public. */
#ifndef LS_CORE_OPTIM_HIDDEN_MATRICES_H
#define LS_CORE_OPTIM_HIDDEN_MATRICES_H

#include "core/base/arena.h"
#include "core/core.h"

enum { LS_MATRIX_PARTS = 8 };

/* Returns the number of matrices that a parameter holds, up to LS_MATRIX_PARTS, and their bounds: matrix i is the rows
 * [bound[i], bound[i + 1]) of dim 0, with all other dims as columns.  0: the parameter is not a hidden matrix.
 *
 * Hidden matrices are the weights of linear layers and of convolutions without groups, except those of the last layer,
 * which computes the output, and of recurrences.  An embedding, also one that is tied to the output layer, is none.  A
 * weight that holds queries, keys and values is three matrices.  `memory` is taken for the duration of the graph. */
int ls__hidden_matrices(const ls_graph *g, const ls_tensor *param, ls_arena *memory,
                        int64_t bound[LS_MATRIX_PARTS + 1]);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters of a graph as one block, in the order in which their gradients become complete: backward runs the nodes
 * in reverse, so the parameter whose *first* use comes last is complete first.  Gradients and optimizer state have the
 * same layout.  The first LS_HEADER floats are not parameters: in the gradient block they carry what travels with the
 * first bucket (loss, weight, status).  Layout depends on the graph alone, never on ranks.
 */
#ifndef LS_CORE_GRAPH_PARAMS_H
#define LS_CORE_GRAPH_PARAMS_H

#include "core/graph/graph.h"

enum { LS_HEADER = 16, LS_PARAM_ALIGN = 16 }; /* in floats */

typedef struct ls_param_slot {
    const ls_tensor *tensor;
    size_t           offset; /* in floats */
    int64_t          count;
    bool             trained; /* has a gradient */
} ls_param_slot;

struct ls_params {
    ls_graph      *graph;
    int            count;
    ls_param_slot *slot;    /* in the order of creation                          */
    int           *order;   /* slots in the order of the block                   */
    int           *slot_of; /* by tensor index; -1: not a parameter              */
    size_t         floats;  /* of the whole block, header and padding included   */
    size_t         trained; /* floats up to the end of the last trained parameter */
    ls_block       block;
};

/* Fills `count` floats of a parameter as its initialiser says (core/nn/init.c). */
ls_status ls__init_fill(const ls_tensor *param, uint64_t seed, float *values);

#endif

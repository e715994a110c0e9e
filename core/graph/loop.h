/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops in a graph and in a program.  Not public; core/core.h has the functions for models.
 *
 * A loop has a body: nodes that run once for each step.  In a program the body stands between LOOP and END, still a
 * flat list.  Backward runs the body from the last step to the first.
 *
 *     LOOP 20 steps                                        forward
 *       forward   select      step t of the inputs
 *       ...
 *       forward   carry       the value of the next step
 *       forward   stack       step t of a result
 *     END
 *     ...
 *     LOOP 20 steps                                        backward, t = 19 ... 0
 *       backward  stack
 *       ...
 *     END
 *     backward  linear        deferred: dw over all steps
 *     fold                    gradients that cannot be deferred
 *
 * Values of a step are
 *   - local: used within one run of the body.  One copy, planned like any other value.
 *   - carried: handed to the next step.  Two copies, for even and odd steps; T + 1 if backward reads them.
 *   - stacked: read by backward, or by an instruction after the loop.  T copies.
 * A copy has room for the largest batch, so copy t begins at t `stride` bytes.
 *
 * The gradient of a parameter is deferred if the op allows it (ls_op.defers): one backward call for all steps, after
 * the loop.  Its operands are first copied from T x B x ... to B x T x ..., so that the sum runs over the samples of a
 * shard, each with all steps, as for any other tensor.  Parameters of other ops have one leaf per shard, which every
 * step adds to; a FOLD instruction after the loop sums the leaves.  The gradient of a tensor outside of the loop, such
 * as the keys of an attention, is the sum over the steps.
 */
#ifndef LS_CORE_GRAPH_LOOP_H
#define LS_CORE_GRAPH_LOOP_H

#include "core/graph/instruction.h"

struct ls_loop {
    ls_graph  *graph;
    ls_tensor *over;       /* the first dim of this tensor is the number of steps; NULL: not known yet */
    int        begin, end; /* nodes [begin, end) are the body; while it is built, `begin` is the first node after
                              ls_loop_begin */
};

/* The number of steps, for the graph's present shapes. */
int64_t ls__loop_steps(const ls_loop *l);

/* Whether t is the value that a loop carries. */
bool ls__is_carried(const ls_tensor *t);

/* A copy of a node of a body that computes all steps: its values of a step become B x T x .... */
ls_status ls__loop_all_steps(ls_program *p, const ls_node *n, const ls_node **all);

/* After the instructions have been built: decides which values of steps have several copies. */
void ls__loop_buffers(ls_program *p);

/* Sets the dims of the nodes that compute all steps to the graph's present ones. */
void ls__loop_reshape(ls_program *p);

/* Bytes of workspace for the operands of a deferred instruction. */
size_t ls__loop_gather_bytes(const ls_program *p, const ls_instr *instr);

/* Copies the operands of a deferred instruction to B x T x ... in the workspace of the call, and makes them its
 * operands. */
void ls__loop_gather(const ls_program *p, const ls_instr *instr, ls_call *c);

#endif

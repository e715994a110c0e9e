/* SPDX-License-Identifier: Apache-2.0
 *
 * A training step or an inference as a flat list of instructions: compiled from a graph, planned, executed.  Not
 * public.
 *
 *     ls_program *p;
 *     LS_TRY(ls__program_new(&p, graph, params, &(ls_program_options){.loss = loss, .max_rows = 64, .max_shards = 8}));
 *     LS_TRY(ls__program_insert(p, ls__program_ready(p, offset, count), &(ls_instr){.kind = LS_INSTR_CALL, ...}));
 *     LS_TRY(ls__program_plan(p));                 gives every buffer an offset (core/graph/planner.h)
 *     LS_TRY(ls__program_bind(p, arena));          arena of p->arena_bytes bytes; zeroes the states
 *     LS_TRY(ls__program_run(p, &run));            any number of times; allocates nothing
 */
#ifndef LS_CORE_GRAPH_PROGRAM_H
#define LS_CORE_GRAPH_PROGRAM_H

#include <stdio.h>

#include "core/graph/instruction.h"
#include "core/graph/planner.h"

/* Compiles the nodes that the outputs and the loss need. */
ls_status ls__program_new(ls_program **p, ls_graph *g, ls_params *params, const ls_program_options *options);
void      ls__program_free(ls_program *p);

/* The position of the first CALL instruction with this tag and id; -1: none. */
int ls__program_find(const ls_program *p, ls_instr_tag tag, int id);
/* The position of the next instruction from `at` on that sums over the batch; -1: none. */
int ls__program_next_sums(const ls_program *p, int at);
/* The position after the last instruction that writes a float of [offset, offset + count) of the gradient block. */
int ls__program_ready(const ls_program *p, size_t offset, size_t count);
/* The position of the first instruction that writes a float of that range; the end if none does. */
int ls__program_first_write(const ls_program *p, size_t offset, size_t count);
/* The position after which all outputs and the loss are known: the end of forward, or after the backward instruction
 * that computes the loss. */
int ls__program_loss_known(const ls_program *p);
/* Inserts a CALL instruction at a position; copies `instr` and its name. */
ls_status ls__program_insert(ls_program *p, int at, const ls_instr *instr);

/* The floats [offset, offset + count) of the gradient block. */
typedef struct ls_grad_range {
    size_t offset, count;
} ls_grad_range;
/* Writes the parts of a range that no instruction writes to `out`, in order.  `out` has room for one more than there
 * are parameters.  Returns their number. */
int ls__program_gaps(const ls_program *p, size_t offset, size_t count, ls_grad_range *out);
/* Moves gradients: instructions write range[i] from to[i] on.  Afterwards the functions above must not be called. */
void ls__program_move_gradients(ls_program *p, const ls_grad_range *range, const size_t *to, int n);

/* ---- execution (core/graph/executor.c) --------------------------------------------------------------------------- */

/* Sets the arena, which several programs may share.  Allocates and zeroes the states. */
ls_status ls__program_bind(ls_program *p, void *arena);
/* Makes `p` use the states of `with`, which must have states of the same names and sizes. */
ls_status ls__program_share_state(ls_program *p, const ls_program *with);
/* The tensor of state i, and the values of its samples; NULL: there are no more states. */
const ls_tensor *ls__program_state(const ls_program *p, int i, float **values);
/* Zeroes the states. */
void      ls__program_reset(ls_program *p);
ls_status ls__program_run(ls_program *p, const ls_execution *run);

/* The values of a tensor after a run, or in a CALL instruction that reads it. */
void *ls__program_value(const ls_program *p, const ls_execution *run, const ls_tensor *t);
/* The gradient of options.gradient after a run. */
void *ls__program_gradient(const ls_program *p, const ls_execution *run);

/* ---- printing (core/graph/print_program.c) ----------------------------------------------------------------------- */

/* Prints one line per instruction: what it reads and writes. */
void ls__program_print(const ls_program *p, FILE *to);
/* Prints one line per buffer: offset, size, lifetime. */
void ls__plan_print(const ls_program *p, FILE *to);

#endif

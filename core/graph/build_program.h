/* SPDX-License-Identifier: Apache-2.0
 * Graph to instructions: forward, and backward by reverse-mode differentiation.  Not public. */
#ifndef LS_CORE_GRAPH_BUILD_PROGRAM_H
#define LS_CORE_GRAPH_BUILD_PROGRAM_H

#include "core/graph/instruction.h"

/* Builds the instructions and buffers of a program from its graph and options, and from p->recompute. */
ls_status ls__build_program(ls_program *p);

/* Whether backward can compute out[0] of `n` again: all values that forward reads are there when backward runs. */
bool ls__can_recompute(const ls_program *p, const ls_node *n);
/* Whether backward computes out[0] of a node again: it is cheap, or chosen in p->recompute. */
bool ls__is_recomputed(const ls_program *p, const ls_node *n);

/* The buffer of a tensor's value; added to the program if it has none. */
int ls__value_buffer(ls_program *p, const ls_tensor *tensor);

/* Appends an instruction. */
void ls__append_instr(ls_program *p, const ls_instr *instr);

/* An instruction without buffers. */
ls_instr ls__blank_instr(ls_instr_kind kind, const char *name);

#endif

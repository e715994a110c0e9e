/* SPDX-License-Identifier: Apache-2.0
 * Lifetimes of buffers and their offsets in one arena.  Not public. */
#ifndef LS_CORE_GRAPH_PLANNER_H
#define LS_CORE_GRAPH_PLANNER_H

#include "core/graph/instruction.h"

/* Gives every buffer and every workspace an offset; sets arena_bytes, state_bytes and scratch_bytes. */
ls_status ls__program_plan(ls_program *p);

/* Checks after a change of the graph's shapes that the workspace of each instruction is large enough. */
ls_status ls__program_check_scratch(ls_program *p);

/* Returns the bytes of the arena in use during the instruction that uses most, and its position. */
size_t ls__program_peak(ls_program *p, int *at);

#endif

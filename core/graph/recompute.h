/* SPDX-License-Identifier: Apache-2.0
 * Chooses activations to recompute in backward.  Not public. */
#ifndef LS_CORE_GRAPH_RECOMPUTE_H
#define LS_CORE_GRAPH_RECOMPUTE_H

#include "core/graph/instruction.h"

/* Builds the instructions of a program, with as many activations recomputed as lower its peak memory. */
ls_status ls__build_with_recompute(ls_program *p);

/* Chooses more activations (p->recompute) until the arena has at most `bytes`, or until nothing lowers the peak.  The
 * program is built several times, in its own memory. */
ls_status ls__recompute_for_arena(ls_program *p, size_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Instruction-set levels.  Every file of core/ops, core/cpu and core/optim is compiled once per level, with
 * LS_ISA_SUFFIX set to v2, v3 or v4 (x86-64-v2, -v3: AVX2 and FMA, -v4: AVX-512) or to plain on other processors.  Such
 * a file has static functions and symbols wrapped in LS_ISA_NAME, so that each level has its own copy of all of it and
 * calls only itself. One level is chosen at start (the processor's best, lowered by LOCKSTEP_ISA, agreed by all ranks
 * as the lowest among them) and is part of what a digest is compared under.
 */
#ifndef LS_CORE_BASE_ISA_H
#define LS_CORE_BASE_ISA_H

#include "core/base/status.h"

#define LS__PASTE2(name, level) name##_##level
#define LS__PASTE(name, level) LS__PASTE2(name, level)
#define LS_ISA_NAME(name) LS__PASTE(name, LS_ISA_SUFFIX)

/* From lowest to highest. */
#if defined(__x86_64__)
#define LS_ISA_LIST(X) X(v2) X(v3) X(v4)
#else
#define LS_ISA_LIST(X) X(plain)
#endif

typedef enum ls_isa {
#define X(level) LS_ISA_##level,
    LS_ISA_LIST(X)
#undef X
        LS_ISA_COUNT
} ls_isa;

/* Everything that exists once per level (core/cpu/isa_table.h); defined in core/cpu/isa_table.c. */
typedef struct ls_isa_table ls_isa_table;

/* The highest level this processor can run. */
ls_isa ls_isa_best(void);

/* The level in use: at first the best one, or what LOCKSTEP_ISA says. */
ls_isa      ls_isa_current(void);
const char *ls_isa_name(ls_isa isa);

/* Checks LOCKSTEP_ISA (unknown or unsupported: LS_ERR_ENV) and sets the level; called by everything that starts a run.
 */
ls_status ls_isa_init(void);

/* Lowers the level, as agreed with the other ranks.  Call before a graph is built. */
ls_status ls_isa_set(ls_isa isa);

/* The level's tables. */
const ls_isa_table *ls__isa_table(void);
const ls_isa_table *ls__isa_table_of(ls_isa isa);

#endif

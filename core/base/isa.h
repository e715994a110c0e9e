/* SPDX-License-Identifier: Apache-2.0
 *
 * Instruction-set levels: x86-64-v2, v3 (AVX2 and FMA), v4 (AVX-512), v4_bf16 (AVX512_BF16) and amx (AMX-BF16);
 * `plain` on other processors.  v4_bf16 and amx have the code of v4, except for products of bfloat16.  v4_bf16 computes
 * them by VDPBF16PS, which gives the same bits.  amx computes them by TDPBF16PS, which adds in another order.
 *
 * Every file of core/ops, core/cpu and core/optim is compiled once per level, with LS_ISA_SUFFIX defined as v2, v3, v4
 * or plain.  Such a file has static functions, and global symbols wrapped in LS_ISA_NAME, so each level has its own
 * copy of the code and calls only itself.  The level is chosen at start: the processor's best, lowered by LOCKSTEP_ISA
 * and to the lowest among all ranks.
 *
 * In float32 all levels from v3 on give equal bits, and so equal digests.  In bfloat16 v3, v4 and v4_bf16 do, and amx
 * has bits of its own.  v2 has no fused multiply-add, and rounds differently.
 */
#ifndef LS_CORE_BASE_ISA_H
#define LS_CORE_BASE_ISA_H

#include <stdbool.h>

#include "core/base/enum_text.h"
#include "core/base/status.h"

#define LS__PASTE2(name, level) name##_##level
#define LS__PASTE(name, level) LS__PASTE2(name, level)
#define LS_ISA_NAME(name) LS__PASTE(name, LS_ISA_SUFFIX)

/* The levels from lowest to highest: enumerator, text, suffix of the symbols. */
#if defined(__x86_64__)
#define LS_ISA_LIST(X)                                                                                                 \
    X(LS_ISA_V2, "v2", v2)                                                                                             \
    X(LS_ISA_V3, "v3", v3) X(LS_ISA_V4, "v4", v4) X(LS_ISA_V4_BF16, "v4_bf16", v4) X(LS_ISA_AMX, "amx", v4)
#else
#define LS_ISA_LIST(X) X(LS_ISA_PLAIN, "plain", plain)
#endif

typedef enum ls_isa { LS_ENUMERATORS(LS_ISA_LIST) LS_ISA_COUNT } ls_isa;

/* The functions and ops of one level (core/cpu/isa_table.h). */
typedef struct ls_isa_table ls_isa_table;

/* The highest level that this processor supports. */
ls_isa ls_isa_best(void);

/* The level in use: initially LOCKSTEP_ISA, or the best one. */
ls_isa      ls_isa_current(void);
const char *ls_isa_name(ls_isa isa);

/* The level with this name; -1: unknown. */
int ls_isa_find(const char *name);

/* The lowest level that gives the same bits as `isa`, in bfloat16 or in float32.  Digests of runs are comparable if
 * this level is equal. */
ls_isa ls_isa_bits(ls_isa isa, bool bf16);

/* Returns whether VDPBF16PS, where it exists, multiplies faster than FMA does.  It does on AMD's processors; on Intel's
 * it has half the rate of two FMA units. */
bool ls_isa_fast_dot(void);

/* Names the instructions for products of bfloat16 that the level in use lacks, and the consequence, as a phrase for
 * messages; NULL: it lacks none. */
const char *ls_isa_bf16_lack(void);

/* Sets the level from LOCKSTEP_ISA.  LS_ERR_ENV: unknown or unsupported level.  Called before a run starts. */
ls_status ls_isa_init(void);

/* Sets the level, as agreed by all ranks.  LS_ERR_ENV: not supported.  Call before a graph is built. */
ls_status ls_isa_set(ls_isa isa);

/* The table of the level in use; that of any level. */
const ls_isa_table *ls__isa_table(void);
const ls_isa_table *ls__isa_table_of(ls_isa isa);

#endif

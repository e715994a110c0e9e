/* SPDX-License-Identifier: Apache-2.0
 * Chooses the instruction-set level. */
#include "core/base/isa.h"

#include <stdlib.h>
#include <string.h>

#define X(level) extern const ls_isa_table LS__PASTE(ls__isa_table, level);
LS_ISA_LIST(X)
#undef X

static const ls_isa_table *const levels[] = {
#define X(level) &LS__PASTE(ls__isa_table, level),
    LS_ISA_LIST(X)
#undef X
};

static const char *const names[] = {
#define X(level) #level,
    LS_ISA_LIST(X)
#undef X
};

static int chosen = -1;

ls_isa ls_isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return LS_ISA_v4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return LS_ISA_v3;
    return LS_ISA_v2;
#else
    return LS_ISA_plain;
#endif
}

const char *ls_isa_name(ls_isa isa) { return isa < LS_ISA_COUNT ? names[isa] : "unknown"; }

ls_status ls_isa_set(ls_isa isa)
{
    LS_CHECK(isa <= ls_isa_best(), LS_ERR_ENV, "this processor runs the instruction sets up to %s, not %s",
             ls_isa_name(ls_isa_best()), ls_isa_name(isa));
    chosen = (int)isa;
    return LS_OK;
}

ls_status ls_isa_init(void)
{
    const char *asked = getenv("LOCKSTEP_ISA");
    if (!asked || !*asked) return ls_isa_set(chosen >= 0 ? (ls_isa)chosen : ls_isa_best());
    for (int i = 0; i < LS_ISA_COUNT; i++)
        if (strcmp(asked, names[i]) == 0) return ls_isa_set((ls_isa)i);
    return LS_FAIL(LS_ERR_ENV,
                   "LOCKSTEP_ISA=%s is not an instruction-set level of this build" LS_HINT "one of %s to %s", asked,
                   names[0], names[LS_ISA_COUNT - 1]);
}

ls_isa ls_isa_current(void)
{
    if (chosen < 0 && ls_isa_init() != LS_OK) chosen = (int)ls_isa_best();
    return (ls_isa)chosen;
}

const ls_isa_table *ls__isa_table_of(ls_isa isa) { return levels[isa]; }

const ls_isa_table *ls__isa_table(void) { return levels[ls_isa_current()]; }

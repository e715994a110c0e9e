/* SPDX-License-Identifier: Apache-2.0
 * Chooses the instruction-set level and gives access to its table. */
#include "core/base/isa.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X(isa, text, level) extern const ls_isa_table LS__PASTE(ls__isa_table, level);
LS_ISA_LIST(X)
#undef X

static const ls_isa_table *const levels[] = {
#define X(isa, text, level) &LS__PASTE(ls__isa_table, level),
    LS_ISA_LIST(X)
#undef X
};

static const char *const names[] = LS_ENUM_TEXTS(LS_ISA_LIST);

static int chosen = -1;

#if defined(__x86_64__)
/* Asks the kernel, once per process, for the tile registers.  Returns whether AMX-BF16 can be used. */
static bool find_amx(void)
{
    enum { REQUEST_PERMISSION = 0x1023 /* ARCH_REQ_XCOMP_PERM, Linux 5.16 */, TILE_DATA = 18 };
    static _Atomic int found = -1;
    if (found < 0)
        found = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
                syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
    return found;
}
#endif

ls_isa ls_isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return !__builtin_cpu_supports("avx512bf16") ? LS_ISA_V4 : find_amx() ? LS_ISA_AMX : LS_ISA_V4_BF16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return LS_ISA_V3;
    return LS_ISA_V2;
#else
    return LS_ISA_PLAIN;
#endif
}

const char *ls_isa_name(ls_isa isa) { return isa < LS_ISA_COUNT ? names[isa] : "unknown"; }

int ls_isa_find(const char *name) { return ls__enum_find(names, name); }

ls_isa ls_isa_bits(ls_isa isa, bool bf16)
{
#if defined(__x86_64__)
    if (isa == LS_ISA_AMX && bf16) return isa;
    return isa > LS_ISA_V3 ? LS_ISA_V3 : isa;
#else
    (void)bf16;
    return isa;
#endif
}

ls_status ls_isa_set(ls_isa isa)
{
    LS_CHECK(isa <= ls_isa_best(), LS_ERR_ENV,
             "instruction set: expected at most %s, the best of this processor, found %s", ls_isa_name(ls_isa_best()),
             ls_isa_name(isa));
    chosen = (int)isa;
    return LS_OK;
}

ls_status ls_isa_init(void)
{
    const char *asked = getenv("LOCKSTEP_ISA");
    if (!asked || !*asked) return ls_isa_set(chosen >= 0 ? (ls_isa)chosen : ls_isa_best());
    const int isa = ls_isa_find(asked);
    if (isa >= 0) return ls_isa_set((ls_isa)isa);
    return LS_FAIL(LS_ERR_ENV, "LOCKSTEP_ISA=%s: unknown instruction-set level" LS_HINT "one of %s to %s", asked,
                   names[0], names[LS_ISA_COUNT - 1]);
}

ls_isa ls_isa_current(void)
{
    if (chosen < 0 && ls_isa_init() != LS_OK) chosen = (int)ls_isa_best();
    return (ls_isa)chosen;
}

bool ls_isa_fast_dot(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return !__builtin_cpu_is("intel");
#else
    return false;
#endif
}

const char *ls_isa_bf16_lack(void)
{
#if defined(__x86_64__)
    if (ls_isa_current() == LS_ISA_AMX || (ls_isa_current() == LS_ISA_V4_BF16 && ls_isa_fast_dot())) return NULL;
    if (ls_isa_current() == LS_ISA_V4_BF16)
        return "AVX512_BF16 of this processor is slower than FMA: products of bfloat16 are computed as those of "
               "float32, at the same speed and with the bits of AVX512_BF16";
#endif
    return "no AVX512_BF16: products of bfloat16 are computed as those of float32, at the same speed and with the bits "
           "of AVX512_BF16";
}

const ls_isa_table *ls__isa_table_of(ls_isa isa) { return levels[isa]; }

const ls_isa_table *ls__isa_table(void) { return levels[ls_isa_current()]; }

/* SPDX-License-Identifier: Apache-2.0
 * core/base/isa.c: the choice of the instruction-set level, by the processor, by LOCKSTEP_ISA and by agreement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/isa.h"
#include "core/cpu/isa_table.h"

/* Every level has a complete table with its name; v4_bf16 and amx have that of v4. */
static void tables(void **state)
{
    (void)state;
    for (int isa = 0; isa < LS_ISA_COUNT; isa++) {
        const ls_isa_table *level = ls__isa_table_of((ls_isa)isa);
        if (level == ls__isa_table_of((ls_isa)(isa ? isa - 1 : LS_ISA_COUNT - 1))) {
            assert_string_equal(level->name, "v4");
            assert_true(isa > 0 && strcmp(ls_isa_name((ls_isa)isa), "v4") != 0);
            continue;
        }
        assert_string_equal(level->name, ls_isa_name((ls_isa)isa));
        assert_true(level->gemm && level->vmath && level->optim);
        for (int op = 0; op < LS_OP_COUNT; op++) assert_non_null(level->op[op]);
        for (int other = 0; other < isa; other++) assert_true(ls__isa_table_of((ls_isa)other)->gemm != level->gemm);
    }
    assert_string_equal(ls_isa_name(LS_ISA_COUNT), "unknown");
}

static void the_default_is_the_best_level(void **state)
{
    (void)state;
    unsetenv("LOCKSTEP_ISA");
    assert_int_equal(ls_isa_init(), LS_OK);
    assert_int_equal(ls_isa_current(), ls_isa_best());
    assert_ptr_equal(ls__isa_table(), ls__isa_table_of(ls_isa_best()));
}

static void ranks_lower_the_level(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
        assert_int_equal(ls_isa_current(), isa);
        assert_ptr_equal(ls__isa_table(), ls__isa_table_of((ls_isa)isa));
        /* A later ls_isa_init keeps the agreed level. */
        assert_int_equal(ls_isa_init(), LS_OK);
        assert_int_equal(ls_isa_current(), isa);
    }
    for (int isa = (int)ls_isa_best() + 1; isa < LS_ISA_COUNT; isa++) {
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_ERR_ENV);
        assert_non_null(strstr(ls_error_message(), ls_isa_name((ls_isa)isa)));
        assert_int_equal(ls_isa_current(), ls_isa_best());
    }
}

static void levels_with_equal_bits(void **state)
{
    (void)state;
    for (int isa = 0; isa < LS_ISA_COUNT; isa++) {
        assert_int_equal(ls_isa_find(ls_isa_name((ls_isa)isa)), isa);
        const bool own = strcmp(ls_isa_name((ls_isa)isa), "amx") == 0;
        assert_int_equal(ls_isa_bits((ls_isa)isa, false), isa < 1 ? isa : 1); /* v3 for all levels from v3 on */
        assert_int_equal(ls_isa_bits((ls_isa)isa, true), isa < 1 || own ? isa : 1);
    }
    assert_int_equal(ls_isa_find("v5"), -1);
}

static void levels_below_v4_bf16_lack_products_of_bfloat16(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
        const char *lack = ls_isa_bf16_lack();
        if (strcmp(ls_isa_name((ls_isa)isa), "amx") == 0 ||
            (strcmp(ls_isa_name((ls_isa)isa), "v4_bf16") == 0 && ls_isa_fast_dot()))
            assert_null(lack);
        else
            assert_non_null(strstr(lack, "AVX512_BF16"));
    }
}

/* The level chosen for a value of LOCKSTEP_ISA, or 100 + the status of the error.  Runs in a child process, because a
 * process chooses its level once. */
static int chosen(const char *asked)
{
    pid_t child = fork();
    if (child == 0) {
        setenv("LOCKSTEP_ISA", asked, 1);
        ls_status status = ls_isa_init();
        _exit(status == LS_OK ? (int)ls_isa_current() : 100 + (int)status);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_environment_sets_the_level(void **state)
{
    (void)state;
    assert_int_equal(ls_isa_set(ls_isa_best()), LS_OK);
    for (int isa = 0; isa < LS_ISA_COUNT; isa++)
        assert_int_equal(chosen(ls_isa_name((ls_isa)isa)), isa <= (int)ls_isa_best() ? isa : 100 + LS_ERR_ENV);
    assert_int_equal(chosen("v5"), 100 + LS_ERR_ENV);
    assert_int_equal(chosen("avx2"), 100 + LS_ERR_ENV);
    assert_int_equal(chosen("V2"), 100 + LS_ERR_ENV);
    assert_int_equal(chosen(""), ls_isa_best());
    setenv("LOCKSTEP_ISA", "avx2", 1);
    assert_int_equal(ls_isa_init(), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "LOCKSTEP_ISA=avx2"));
    assert_non_null(strstr(ls_error_message(), "hint: "));
    unsetenv("LOCKSTEP_ISA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(the_default_is_the_best_level),
        cmocka_unit_test(ranks_lower_the_level),
        cmocka_unit_test(levels_with_equal_bits),
        cmocka_unit_test(levels_below_v4_bf16_lack_products_of_bfloat16),
        cmocka_unit_test(the_environment_sets_the_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

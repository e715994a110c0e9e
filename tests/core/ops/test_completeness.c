/* SPDX-License-Identifier: Apache-2.0
 *
 * Every op has a test that runs the checks of tests/check_op.h on it.  Ops over one and three dims are tested with
 * those over two dims: conv3d in test_conv2d.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/check_op.h"

/* Returns whether the text has CHECK_OP(OP, ...), with any white space before the name. */
static bool defines_check(const char *text, const char *op)
{
    const size_t n = strlen(op);
    while ((text = strstr(text, "CHECK_OP("))) {
        text += strlen("CHECK_OP(");
        text += strspn(text, " \n");
        if (strncmp(text, op, n) == 0 && text[n] == ',') return true;
    }
    return false;
}

/* Writes the name of the test of an op. */
static void test_of(const char *op, char *test, size_t bytes)
{
    snprintf(test, bytes, "%s", op);
    if (ls__op_by_id(ls__op_find(op))->dims) test[strlen(test) - 2] = '2';
}

/* Returns whether the test of an op defines and runs check_OP. */
static bool is_checked(const char *op)
{
    char path[512], test[64], runs[64], text[65536];
    test_of(op, test, sizeof test);
    snprintf(path, sizeof path, "%s/tests/core/ops/test_%s.c", LOCKSTEP_SOURCE, test);
    snprintf(runs, sizeof runs, "cmocka_unit_test(check_%s)", op);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return defines_check(text, op) && strstr(text, runs);
}

static void test_all(void **state)
{
    int  missing = 0;
    char test[64];
    for (int i = 0; i < LS_OP_COUNT; i++) {
        const char *op = ls__op_by_id(i)->name;
        if (is_checked(op)) continue;
        test_of(op, test, sizeof test);
        print_error("op %s: no tests/core/ops/test_%s.c that runs CHECK_OP(%s, ...)\n", op, test, op);
        missing++;
    }
    assert_int_equal(missing, 0);
}

/* The checks and the planner rely on this: every op has kernels at every instruction-set level, and its descriptor
 * declares how it uses memory. */
static void test_descriptors(void **state)
{
    for (int isa = 0; isa < LS_ISA_COUNT; isa++)
        for (int i = 0; i < LS_OP_COUNT; i++) {
            const ls_op *op = ls__isa_table_of((ls_isa)isa)->op[i];
            if (!op->view && (!op->forward[LS_CPU] || !op->backward[LS_CPU]))
                fail_msg("op %s: no kernels at instruction-set level %d", op->name, isa);
            if (!op->infer || op->ins < 1 || op->args_bytes < (size_t)op->ins * sizeof(void *))
                fail_msg("op %s: expected a shape rule, inputs, and args that start with the inputs", op->name);
            if (op->inplace && (op->saves & LS_SAVES_IN(0)))
                fail_msg("op %s: saves input 0, which forward may overwrite", op->name);
            assert_int_equal(ls__op_find(op->name), i);
        }
}

CHECK_MAIN(cmocka_unit_test(test_all), cmocka_unit_test(test_descriptors))

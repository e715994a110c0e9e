/* SPDX-License-Identifier: Apache-2.0
 * Sums over rows have the same bits at every level that promises them (ls_isa_bits), for all lengths up to 100 and some
 * long rows.  The functions are static, so the test runs the ops that call them. */
#include "tests/check_op.h"

static const struct {
    int      op;
    int      rows_of_w; /* inputs after x that are parameters of the length of a row */
    ls_dtype target;    /* LS_I32: the second input is a class */
} ops[] = {
    {.op = LS_OP_softmax},                         /* ls__vmax, ls__vsum, ls__row_dot  */
    {.op = LS_OP_log_softmax},                     /* ls__row_exp_sum                  */
    {.op = LS_OP_layer_norm, .rows_of_w = 2},      /* ls__norm_squares, ls__norm_means */
    {.op = LS_OP_rms_norm, .rows_of_w = 1},        /* the same without the mean        */
    {.op = LS_OP_cross_entropy, .target = LS_I32}, /* ls__row_exp_sum                  */
};

/* Runs an op on rows of n floats at a level.  The results lie in the arena of *s. */
static check_result run(check_setup *s, ls_isa isa, size_t which, int n, check_case *cs)
{
    *cs = (check_case){.in = {{.dims = {n}, .mean = 0.3f}}};
    for (int i = 1; i <= ops[which].rows_of_w; i++) cs->in[i] = (check_in){.dims = {n}, .param = true, .mean = 0.5f};
    if (ops[which].target == LS_I32) {
        cs->in[1] = (check_in){.type = LS_I32, .high = n};
        cs->in[2] = cs->in[3] = (check_in){.absent = true};
    }
    assert_int_equal(ls_isa_set(isa), LS_OK);
    check_setup_new(s, ops[which].op, isa, LS_F32, 0, cs, NULL, 3);
    return check_run(s, (check_how){0});
}

static void test_bits(void **state)
{
    (void)state;
    for (size_t which = 0; which < sizeof ops / sizeof *ops; which++)
        for (int n = 1; n < 9000; n = n < 100 ? n + 1 : n * 5 / 2)
            for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
                const ls_isa lowest = ls_isa_bits((ls_isa)isa, false);
                check_setup  s, other;
                check_case   cs, other_case;
                char         when[48];
                if (lowest == (ls_isa)isa) continue;
                snprintf(when, sizeof when, "at level %s", ls_isa_name(lowest));
                const check_result expected = run(&other, lowest, which, n, &other_case);
                const check_result found    = run(&s, (ls_isa)isa, which, n, &cs);
                check_same_results(&s, when, (check_how){0}, &expected, &found);
                check_setup_free(&s);
                check_setup_free(&other);
            }
    assert_int_equal(ls_isa_set(ls_isa_best()), LS_OK);
}

CHECK_MAIN(cmocka_unit_test(test_bits))

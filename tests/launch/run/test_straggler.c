/* SPDX-License-Identifier: Apache-2.0
 * Straggler detection: the slowest rank, whether it matters, and the table. */
#include "launch/run/straggler.h"

#include "tests/unit.h"

static ls_rank_times rank(const char *host, double data, double compute, double wait)
{
    ls_rank_times p = {.data = data, .compute = compute, .wait = wait};
    snprintf(p.host, sizeof p.host, "%s", host);
    return p;
}

static void the_slowest_rank_is_busy_longest(void **state)
{
    static const struct {
        int    ranks;
        double busy[5];
        int    slowest;
        double spread;
    } cases[] = {{1, {5}, 0, 0},          {2, {4, 5}, 1, 0.25},       {3, {6, 4, 5}, 0, 0.2},
                 {4, {1, 1, 3, 2}, 2, 2}, {5, {1, 1, 1, 1, 1}, 0, 0}, {3, {0, 0, 0}, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_rank_times times[5];
        double        spread;
        for (int r = 0; r < cases[i].ranks; r++)
            times[r] = rank("n", cases[i].busy[r] / 4, cases[i].busy[r] * 3 / 4, 100 - r);
        assert_int_equal(ls_straggler_find(times, cases[i].ranks, &spread), cases[i].slowest);
        if (spread < cases[i].spread - 1e-9 || spread > cases[i].spread + 1e-9)
            fail_msg("case %zu: a spread of %g, expected %g", i, spread, cases[i].spread);
    }
}

/* A rank that was busy much longer than the others matters only if it delayed the epoch. */
static void ranks_that_mostly_wait_have_no_straggler(void **state)
{
    static const struct {
        double busy[2], wait[2];
        bool   matters;
    } cases[] = {{{4, 5}, {1, 0}, true},            /* the other rank waits 1 s of 5 */
                 {{0.2, 0.4}, {20.8, 20.6}, false}, /* both wait for the network     */
                 {{4.8, 5}, {0.2, 0}, false},       /* 4 % slower                    */
                 {{1, 2.5}, {19, 17.5}, true},      /* 7 % of the epoch              */
                 {{1, 1.9}, {19, 18.1}, false},     /* 4 % of the epoch              */
                 {{0, 0}, {1, 1}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_rank_times times[2];
        for (int r = 0; r < 2; r++) times[r] = rank("n", 0, cases[i].busy[r], cases[i].wait[r]);
        if (ls_straggler_matters(times, 2) != cases[i].matters) fail_msg("case %zu", i);
    }
}

static void table_of_few(void **state)
{
    ls_rank_times times[] = {rank("node1", 1, 2, 6), rank("node2", 1.5, 7.5, 0), rank("node2", 1, 5, 3)};
    char          text[2048];
    ls_straggler_print(times, 3, 7, text, sizeof text);
    assert_string_equal(text, "rank 1 on node2 was the slowest of epoch 7: busy for 9.0 s, 50 % more than the median\n"
                              "    rank  host               data s compute s   wait s\n"
                              "       0  node1                1.00      2.00     6.00\n"
                              "       1  node2                1.50      7.50     0.00\n"
                              "       2  node2                1.00      5.00     3.00");
}

static void table_of_many_shows_the_slowest(void **state)
{
    enum { MANY = 40 };
    ls_rank_times times[MANY];
    char          text[2048];
    for (int r = 0; r < MANY; r++) times[r] = rank("node", 0, r < 20 ? 1 : 2, 0);
    times[39].compute = 3;
    ls_straggler_print(times, MANY, 1, text, sizeof text);
    assert_non_null(strstr(text, "\n      39  "));
    assert_non_null(strstr(text, "\n      20  ")); /* the first of several equally slow ranks */
    assert_null(strstr(text, "\n      38  "));
    assert_null(strstr(text, "\n       0  "));
    assert_non_null(strstr(text, "\n  and 24 faster ranks"));
    ls_straggler_print(times, MANY, 1, text, 100); /* truncated at the end of the buffer */
    assert_int_equal(strlen(text), 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slowest_rank_is_busy_longest),
        cmocka_unit_test(ranks_that_mostly_wait_have_no_straggler),
        cmocka_unit_test(table_of_few),
        cmocka_unit_test(table_of_many_shows_the_slowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

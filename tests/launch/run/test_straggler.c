/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/run/straggler.h"

#include "tests/unit.h"

static ls_rank_times rank(const char *host, double data, double compute, double wait)
{
    ls_rank_times p = {.data = data, .compute = compute, .wait = wait};
    snprintf(p.host, sizeof p.host, "%s", host);
    return p;
}

static void slowest_is_who_is_busy_for_longest(void **state)
{
    static const struct {
        int    ranks;
        double busy[5];
        int    slowest;
        double spread;
    } cases[] = {{1, {5}, 0, 0},          {2, {4, 5}, 1, 0.25},       {3, {6, 4, 5}, 0, 0.2},
                 {4, {1, 1, 3, 2}, 2, 2}, {5, {1, 1, 1, 1, 1}, 0, 0}, {3, {0, 0, 0}, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_rank_times pace[5];
        double        spread;
        for (int r = 0; r < cases[i].ranks; r++)
            pace[r] = rank("n", cases[i].busy[r] / 4, cases[i].busy[r] * 3 / 4, 100 - r);
        assert_int_equal(ls_straggler_find(pace, cases[i].ranks, &spread), cases[i].slowest);
        if (spread < cases[i].spread - 1e-9 || spread > cases[i].spread + 1e-9)
            fail_msg("case %zu: a spread of %g, expected %g", i, spread, cases[i].spread);
    }
}

static void table_of_few(void **state)
{
    ls_rank_times pace[] = {rank("node1", 1, 2, 6), rank("node2", 1.5, 7.5, 0), rank("node2", 1, 5, 3)};
    char          text[2048];
    ls_straggler_print(pace, 3, 7, text, sizeof text);
    assert_string_equal(text, "rank 1 on node2 was the slowest of epoch 7: busy for 9.0 s, 50 % more than the median\n"
                              "    rank  host               data s compute s   wait s\n"
                              "       0  node1                1.00      2.00     6.00\n"
                              "       1  node2                1.50      7.50     0.00\n"
                              "       2  node2                1.00      5.00     3.00");
}

static void table_of_many_shows_the_slowest(void **state)
{
    enum { MANY = 40 };
    ls_rank_times pace[MANY];
    char          text[2048];
    for (int r = 0; r < MANY; r++) pace[r] = rank("node", 0, r < 20 ? 1 : 2, 0);
    pace[39].compute = 3;
    ls_straggler_print(pace, MANY, 1, text, sizeof text);
    assert_non_null(strstr(text, "\n      39  "));
    assert_non_null(strstr(text, "\n      20  ")); /* the first of those alike */
    assert_null(strstr(text, "\n      38  "));
    assert_null(strstr(text, "\n       0  "));
    assert_non_null(strstr(text, "\n  and 24 ranks that are faster"));
    ls_straggler_print(pace, MANY, 1, text, 100); /* what does not fit is left out */
    assert_int_equal(strlen(text), 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slowest_is_who_is_busy_for_longest),
        cmocka_unit_test(table_of_few),
        cmocka_unit_test(table_of_many_shows_the_slowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

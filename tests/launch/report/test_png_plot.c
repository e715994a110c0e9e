/* SPDX-License-Identifier: Apache-2.0
 * The legend of a line plot: names that do not fit in a row begin another one. */
#include "launch/report/png_plot.h"

#include "tests/unit.h"

static int rows_of(int count, const char *name, double width)
{
    static const double x[2] = {0, 1}, y[2] = {1, 2};
    ls_png_line         line[8];
    ls_png             *p;
    for (int i = 0; i < count; i++) line[i] = (ls_png_line){.name = name, .n = 2, .x = x, .y = y, .colour = i};
    const ls_lines lines = {
        .x = 70, .y = 50, .width = width, .height = 100, .title = "a", .x_name = "b", .count = count, .line = line};
    assert_ok(ls_png_new(&p, width + 100, 400));
    ls_png_lines(p, &lines);
    const int rows = ls_png_legend_rows(p, &lines);
    ls_png_free(p);
    return rows;
}

static void legends_wrap(void **state)
{
    (void)state;
    static const char *const name = "norm-batch,model.norm_over=4,train.batch=4";
    assert_int_equal(rows_of(1, name, 100), 1); /* wider than the plot */
    assert_int_equal(rows_of(8, "a", 700), 1);
    assert_int_equal(rows_of(8, name, 200), 8);
    assert_true(rows_of(8, name, 790) >= 4 && rows_of(8, name, 790) < 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(legends_wrap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * report.html: one complete file, from logs of any length, with errors that name the file. */
#include "launch/report/svg_chart.h"
#include "launch/run/metrics.h"
#include "launch/report/report_html.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], metrics[96], page[96];

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/lockstep-report-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    snprintf(page, sizeof page, "%s/report.html", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(metrics);
    unlink(page);
    return rmdir(folder); /* fails if a temporary file is left over */
}

static char *read_page(void)
{
    FILE *f = fopen(page, "r");
    assert_non_null(f);
    char  *text = calloc(1, 4 << 20);
    size_t n    = fread(text, 1, (4 << 20) - 1, f);
    fclose(f);
    assert_true(n > 0);
    return text;
}

/* Writes the log of a run of `steps` steps; its loss falls from 2.3 to about 0.02. */
static void write_metrics(int steps)
{
    ls_events *e;
    assert_int_equal(ls_events_open(&e, metrics, -1), LS_OK);
    unsigned seed = 1;
    for (int i = 1; i <= steps; i++) {
        double part = (double)i / steps, noise = 1 + 0.5 * ((double)(rand_r(&seed) % 1000) / 1000 - 0.5);
        assert_int_equal(ls_events_write(e, "{s:s, s:i, s:f, s:f, s:f}", "event", "step", "step", i, "loss",
                                         (2.3 * exp(-9 * part) + 0.02 + 0.02 * (1 - part)) * noise, "lr",
                                         0.05 * (1 + cos(3.14159 * part)), "samples_per_s", 11800 + 900 * (noise - 1)),
                         LS_OK);
        if (i % ((steps + 7) / 8) == 0 || i == steps)
            assert_int_equal(ls_events_write(e, "{s:s, s:i, s:f, s:f}", "event", "eval", "step", i, "loss",
                                             0.4 * exp(-4 * part) + 0.03, "accuracy", 0.99 - 0.09 * exp(-5 * part)),
                             LS_OK);
    }
    ls_events_close(e);
}

static ls_report *example(void)
{
    ls_report *r;
    assert_int_equal(ls_report_new(&r, "lenet5 <digits>", "A & B", "finished"), LS_OK);
    ls_report_figure(r, "Test accuracy", "%.2f %%", 98.91);
    ls_report_figure(r, "Test loss", "0.0361");
    ls_report_figure(r, "Training time", "1:12");
    ls_report_figure(r, "Samples per second", "11,834");
    ls_report_figure(r, "Steps", "9,380");
    ls_report_figure(r, "Memory", "3.4 MB");
    ls_report_table(r, "Model", "Layer|Op|Output|Parameters|kFLOP a sample", 1);
    ls_report_row(r, "conv1|conv2d|B x 6 x 28 x 28|156|235.2");
    ls_report_row(r, "fc3|linear|B x 10|850|1.7");
    ls_report_table(r, "Settings", "", 0);
    ls_report_row(r, "train.batch|64");
    ls_report_table(r, "Machine", "", 0);
    ls_report_row(r, "processor|Example 9000");
    return r;
}

static void is_one_whole_file(void **state)
{
    write_metrics(500);
    ls_report *r = example();
    assert_int_equal(ls_report_write(r, metrics, page), LS_OK);
    ls_report_free(r);
    char *text = read_page();
    assert_non_null(strstr(text, "lenet5 &lt;digits&gt;"));
    assert_non_null(strstr(text, "A &amp; B"));
    assert_non_null(strstr(text, "98.91 %"));
    assert_non_null(strstr(text, "B x 6 x 28 x 28"));
    assert_non_null(strstr(text, "</html>"));
    static const char *const never[] = {"<script", "http:", "https:", "url(", "nan", "inf\"", "<img", "@import"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) assert_null(strstr(text, never[i]));
    int charts = 0;
    for (const char *at = text; (at = strstr(at, "<figure")); at++) charts++;
    assert_int_equal(charts, 4);
    free(text);
}

/* A log of no step, of one step, and of more steps than a chart has points gives a page without NaN. */
static void takes_any_length(void **state)
{
    static const int steps[] = {0, 1, 2, 39, 250, 251, 1000, 1001, 20000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        write_metrics(steps[i]);
        ls_report *r = example();
        assert_int_equal(ls_report_write(r, metrics, page), LS_OK);
        ls_report_free(r);
        char       *text = read_page();
        struct stat size;
        assert_null(strstr(text, "nan"));
        assert_int_equal(stat(page, &size), 0);
        assert_true(size.st_size < 400 * 1024);
        free(text);
    }
}

static void an_error_names_the_file(void **state)
{
    ls_report *r = example();
    assert_int_equal(ls_report_write(r, metrics, "/nonexistent/report.html"), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "/nonexistent/report.html"));
    ls_report_free(r);
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* `test_report_html DIR` writes an example page into DIR, to be looked at in a browser */
        snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", argv[1]);
        snprintf(page, sizeof page, "%s/report.html", argv[1]);
        write_metrics(argc > 2 ? atoi(argv[2]) : 240);
        ls_report *r = example();
        ls_status  s = ls_report_write(r, metrics, page);
        ls_report_free(r);
        return s;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_one_whole_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(takes_any_length, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_error_names_the_file, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

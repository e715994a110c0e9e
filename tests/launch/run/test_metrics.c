/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
#include "launch/run/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int fresh_path(void **state)
{
    strcpy(path, "/tmp/lockstep-metrics-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int remove_path(void **state) { return unlink(path); }

/* Returns the events and steps of the file as one text: "start0 step1 step2 eval2". */
static void add_name(const json_t *event, void *data)
{
    char *text = data;
    sprintf(text + strlen(text), "%s%s%.0f", *text ? " " : "", json_string_value(json_object_get(event, "event")),
            ls_events_real(event, "step", -1));
}

static const char *names(void)
{
    static char text[1024];
    text[0] = 0;
    assert_int_equal(ls_events_read(path, add_name, text), LS_OK);
    return text;
}

static void write_run(int64_t from, int64_t to, int64_t keep, bool end)
{
    ls_events *e;
    assert_int_equal(ls_events_open(&e, path, keep), LS_OK);
    for (int64_t i = from; i <= to; i++)
        assert_int_equal(ls_events_write(e, "{s:s, s:I, s:o}", "event", "step", "step", (json_int_t)i, "loss",
                                         ls_events_number(0.1)),
                         LS_OK);
    if (end) assert_int_equal(ls_events_write(e, "{s:s, s:I}", "event", "end", "step", (json_int_t)to), LS_OK);
    ls_events_close(e);
}

static void continues_without_duplicates(void **state)
{
    write_run(1, 5, -1, true);
    assert_string_equal(names(), "step1 step2 step3 step4 step5 end5");
    write_run(4, 6, 3, true);
    assert_string_equal(names(), "step1 step2 step3 step4 step5 step6 end6");
    write_run(1, 2, -1, false);
    assert_string_equal(names(), "step1 step2");
}

static void drops_an_incomplete_line(void **state)
{
    write_run(1, 2, -1, false);
    FILE *f = fopen(path, "a");
    fputs("{\"event\":\"step\",\"step\":3,\"lo", f);
    fclose(f);
    assert_string_equal(names(), "step1 step2");
    write_run(3, 3, 2, false);
    assert_string_equal(names(), "step1 step2 step3");
    char line[256];
    int  lines = 0;
    f          = fopen(path, "r");
    while (fgets(line, sizeof line, f)) {
        json_t *event = json_loads(line, 0, NULL);
        assert_non_null(event);
        json_decref(event);
        lines++;
    }
    fclose(f);
    assert_int_equal(lines, 3);
}

static void writes_null_for_nan_and_infinity(void **state)
{
    ls_events *e;
    assert_int_equal(ls_events_open(&e, path, -1), LS_OK);
    assert_int_equal(ls_events_write(e, "{s:s, s:o, s:o, s:o}", "event", "step", "loss", ls_events_number(NAN), "lr",
                                     ls_events_number(INFINITY), "x", ls_events_number(0.1f)),
                     LS_OK);
    ls_events_close(e);
    char  line[256] = "";
    FILE *f         = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_string_equal(line, "{\"event\":\"step\",\"loss\":null,\"lr\":null,\"x\":0.100000001}\n");
}

static void error_names_the_folder(void **state)
{
    ls_events *e;
    assert_int_equal(ls_events_open(&e, "/nonexistent/metrics.jsonl", -1), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "/nonexistent/metrics.jsonl"));
    assert_non_null(strstr(ls_error_message(), "hint:"));
    assert_null(e);
    assert_int_equal(ls_events_read("/nonexistent/metrics.jsonl", add_name, NULL), LS_OK);
}

static void reports_a_full_disk(void **state)
{
    ls_events *e;
    assert_int_equal(ls_events_open(&e, "/dev/full", -1), LS_OK);
    assert_int_equal(ls_events_write(e, "{s:s}", "event", "step"), LS_OK);
    assert_string_equal(ls_events_problem(e), "No space left on device");
    assert_int_equal(ls_events_flush(e), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "space left"));
    /* The memory for waiting lines is limited. */
    ls_status status = LS_OK;
    char      text[1 << 16];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 300 && status == LS_OK; i++) status = ls_events_write(e, "{s:s}", "event", text);
    assert_int_equal(status, LS_ERR_ENV);
    ls_events_close(e);
}

/* Lines that a full disk did not take are written later, in order and complete; a line written in part is completed. */
static void waits_for_space(void **state)
{
    struct rlimit was, full;
    ls_events    *e;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    full = (struct rlimit){100, was.rlim_max};
    assert_int_equal(ls_events_open(&e, path, -1), LS_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    for (int i = 0; i < 10; i++) assert_int_equal(ls_events_write(e, "{s:s, s:i}", "event", "step", "step", i), LS_OK);
    assert_non_null(ls_events_problem(e));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(ls_events_write(e, "{s:s, s:i}", "event", "eval", "step", 10), LS_OK);
    assert_null(ls_events_problem(e));
    assert_int_equal(ls_events_flush(e), LS_OK);
    ls_events_close(e);
    assert_string_equal(names(), "step0 step1 step2 step3 step4 step5 step6 step7 step8 step9 eval10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(continues_without_duplicates, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(drops_an_incomplete_line, fresh_path, remove_path),
        cmocka_unit_test_setup_teardown(writes_null_for_nan_and_infinity, fresh_path, remove_path),
        cmocka_unit_test(error_names_the_folder),
        cmocka_unit_test(reports_a_full_disk),
        cmocka_unit_test_setup_teardown(waits_for_space, fresh_path, remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

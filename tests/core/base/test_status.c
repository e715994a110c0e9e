/* SPDX-License-Identifier: Apache-2.0
 * core/base/status.c: message, hint and trace of an error, through calls, threads and cleanups. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/status.h"

static ls_status inner(int x)
{
    LS_CHECK(x < 3, LS_ERR_DATA, "x: expected less than 3, found %d" LS_HINT "take %s", x, "two");
    return LS_OK;
}

static ls_status middle(int x)
{
    LS_TRY(inner(x));
    return LS_OK;
}

static ls_status outer(int x, int *released)
{
    ls_status status = LS_OK;
    LS_TRY_GOTO(status, middle(x), done);
done:
    ++*released;
    return status;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

static void message_hint_and_trace(void **state)
{
    (void)state;
    int released = 0;
    assert_int_equal(outer(2, &released), LS_OK);
    assert_int_equal(outer(7, &released), LS_ERR_DATA);
    assert_int_equal(released, 2);
    assert_string_equal(ls_error_message(), "x: expected less than 3, found 7\n  hint: take two");
    const char *trace = ls_error_trace();
    assert_int_equal(count(trace, "\n"), 3);
    const char *first  = strstr(trace, "  at inner (tests/core/base/test_status.c:"),
               *second = strstr(trace, "  at middle ("), *third = strstr(trace, "  at outer (");
    assert_true(first == trace && second > first && third > second);
}

static void a_new_error_replaces_message_and_trace(void **state)
{
    (void)state;
    int released = 0;
    assert_int_equal(outer(7, &released), LS_ERR_DATA);
    assert_int_equal(LS_FAIL(LS_ERR_USAGE, "second"), LS_ERR_USAGE);
    assert_string_equal(ls_error_message(), "second");
    assert_int_equal(count(ls_error_trace(), "  at "), 1);
}

/* The message of the last error may be an argument of the next one. */
static void an_error_can_quote_the_last(void **state)
{
    (void)state;
    assert_int_equal(LS_FAIL(LS_ERR_DATA, "deep"), LS_ERR_DATA);
    assert_int_equal(LS_FAIL(LS_ERR_ENV, "shallow: %s", ls_error_message()), LS_ERR_ENV);
    assert_string_equal(ls_error_message(), "shallow: deep");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(LS_FAIL(LS_ERR_DATA, "%s", text), LS_ERR_DATA);
    assert_int_equal(strlen(ls_error_message()), 4095);
    for (int i = 0; i < 500; i++)
        assert_int_equal(ls__trace(LS_ERR_DATA, "/core/some/file.c", i, "function"), LS_ERR_DATA);
    assert_int_equal(strlen(ls_error_trace()), 4095);
}

/* Messages quote names from files: control characters in them are replaced. */
static void messages_have_no_control_characters(void **state)
{
    (void)state;
    assert_int_equal(LS_FAIL(LS_ERR_DATA, "%s: \xc3\xa9" LS_HINT "try\tit",
                             "a\x1b[31m\r\x7f"
                             "b"),
                     LS_ERR_DATA);
    assert_string_equal(ls_error_message(), "a?[31m??b: \xc3\xa9\n  hint: try\tit");
}

static void *other_thread(void *seen)
{
    *(int *)seen = (int)strlen(ls_error_message());
    LS_FAIL(LS_ERR_FAILED, "of the other thread");
    return NULL;
}

static void each_thread_has_its_own_error(void **state)
{
    (void)state;
    int       seen = -1;
    pthread_t thread;
    LS_FAIL(LS_ERR_FAILED, "of this thread");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &seen), 0);
    pthread_join(thread, NULL);
    assert_int_equal(seen, 0);
    assert_string_equal(ls_error_message(), "of this thread");
}

static void errors_are_set_from_another_thread_or_rank(void **state)
{
    (void)state;
    assert_int_equal(ls_error_set(LS_ERR_ENV, "of rank 3", "  at there (far.c:1)\n"), LS_ERR_ENV);
    assert_string_equal(ls_error_message(), "of rank 3");
    assert_string_equal(ls_error_trace(), "  at there (far.c:1)\n");
    assert_int_equal(ls_error_set(LS_ERR_ENV, ls_error_message(), ls_error_trace()), LS_ERR_ENV);
    assert_string_equal(ls_error_message(), "of rank 3");
    assert_string_equal(ls_error_trace(), "  at there (far.c:1)\n");
}

/* The values are exit codes, on which scripts depend. */
static void codes_and_words(void **state)
{
    (void)state;
    const struct {
        ls_status   status;
        int         code;
        const char *text;
    } want[] = {
        {LS_OK, 0, "done"},
        {LS_ERR_FAILED, 1, "failed"},
        {LS_ERR_USAGE, 2, "usage"},
        {LS_ERR_DATA, 3, "data"},
        {LS_ERR_ENV, 4, "environment"},
        {LS_ERR_DIVERGED, 5, "diverged"},
        {LS_STOPPED, 75, "checkpoint"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(want[i].status, want[i].code);
        assert_non_null(strstr(ls_status_text(want[i].status), want[i].text));
    }
    assert_string_equal(ls_status_text((ls_status)99), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_hint_and_trace),
        cmocka_unit_test(a_new_error_replaces_message_and_trace),
        cmocka_unit_test(an_error_can_quote_the_last),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(each_thread_has_its_own_error),
        cmocka_unit_test(errors_are_set_from_another_thread_or_rank),
        cmocka_unit_test(codes_and_words),
        cmocka_unit_test(messages_have_no_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

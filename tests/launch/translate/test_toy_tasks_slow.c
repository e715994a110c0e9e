/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi slow */
/* timeout: 600 */
/* The recipe reverse-digits and its variants on 2 ranks.  With attention, whole sequences are right, and attention is
 * the identity or the anti-diagonal.  Without attention, long sequences fail. */
#include "tests/launch/train_runs.h"

enum { LINES = 300 };

/* The share of held-out sequences without an error, percent, after a training. */
static double accuracy_of(const char *overrides)
{
    static const char label[] = "valid sequence accuracy ";
    char              command[512];
    snprintf(command, sizeof command, "train reverse-digits --fresh run.dir=toy %s", overrides);
    const int code = run(command, .ranks = 2, .seconds = 300);
    if (code) fail_msg("%s: exit code %d\n%s", command, code, text_of("err"));
    const char *found = strstr(text_of("out"), label);
    assert_non_null(found);
    return strtod(found + strlen(label), NULL);
}

static void write_lines(void)
{
    unsigned x = 5;
    FILE    *f = fopen("lines", "w");
    assert_non_null(f);
    for (int i = 0; i < LINES; i++)
        for (int k = i % 10; k >= 0; k--)
            fprintf(f, "%u%c", (x = x * 1664525u + 1013904223u) >> 16 & 7, k ? ' ' : '\n');
    fclose(f);
}

/* The share of digits that are aligned with the digit that they are, percent. */
static double aligned_share(bool reverse)
{
    int right = 0, all = 0;
    assert_int_equal(run("translate toy lines --align --beam 1"), 0);
    const char *line = text_of("out");
    for (int i = 0; i < LINES; i++, line = strchr(line, '\n') + 1) {
        const int   n     = i % 10 + 1;
        const char *links = strstr(line, " ||| ");
        all += n;
        for (int k = 0; k < n; k++) {
            char link[16];
            snprintf(link, sizeof link, " %d-%d", reverse ? n - 1 - k : k, k);
            const char *found = strstr(links, link);
            right += found && found < strchr(line, '\n') && strchr(" \n", found[strlen(link)]);
        }
    }
    return 100.0 * right / all;
}

static void attention_learns(void **state)
{
    (void)state;
    write_lines();
    assert_true(accuracy_of("data.path=made:sort") >= 99);
    assert_true(accuracy_of("data.path=made:copy") >= 99);
    assert_true(aligned_share(false) >= 99);
    assert_true(accuracy_of("") >= 99);
    assert_true(aligned_share(true) >= 99);
}

static void long_sequences_need_attention(void **state)
{
    static const char length[] = "data.min_length=25 data.max_length=25 model.options.attention=none "
                                 "model.options.input_feed=false";
    (void)state;
    assert_true(accuracy_of("data.min_length=25 data.max_length=25") >= 99);
    assert_true(accuracy_of(length) < 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_learns),
                                       cmocka_unit_test(long_sequences_need_attention)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

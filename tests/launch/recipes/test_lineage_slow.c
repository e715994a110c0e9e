/* SPDX-License-Identifier: Apache-2.0
 * labels: io slow
 * timeout: 14400
 * Runs the commands of launch/recipes/README.md from the first to the last, each with a limit of 30 minutes, and
 * compares the results with the last column.  The name of a picture or a report there is a file that the command
 * writes; another text is part of the output.  Arguments select rows: those with one of them in the command.  Rows
 * that need a run of another row need that row as well.  LOCKSTEP_DATA: the folder of the datasets.
 *   test_lineage_slow lenet5-mnist norm-batch */
#include "tests/launch/recipes/lineage_table.h"

#include <time.h>

static lineage_row table[MOST_ROWS];
static int         rows, words;
static char      **word;
static char        data[4096];

static bool is_file(const char *text)
{
    const size_t n = strlen(text);
    return n > 5 && (!strcmp(text + n - 4, ".png") || !strcmp(text + n - 5, ".html"));
}

static time_t seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* Copies the text with one space for each sequence of spaces. */
static const char *single_spaces(const char *text)
{
    static char out[1 << 20];
    size_t      n = 0;
    for (; *text && n < sizeof out - 1; text++)
        if (*text != ' ' || !n || out[n - 1] != ' ') out[n++] = *text;
    out[n] = 0;
    return out;
}

static void compare(const lineage_row *row)
{
    for (int i = 0; i < row->shows; i++) {
        if (is_file(row->shown[i]) ? exists(row->shown[i])
                                   : strstr(single_spaces(text_of("out")), row->shown[i]) != NULL)
            continue;
        fail_msg("%s: expected '%s', found it not in: %s", row->command, row->shown[i], text_of("out"));
    }
}

static bool selected(const char *command)
{
    bool any = words == 0;
    for (int i = 0; i < words; i++) any |= strstr(command, word[i]) != NULL;
    return any;
}

static void commands_show_what_the_table_says(void **state)
{
    (void)state;
    char before[8192];
    int  ran = 0;
    snprintf(before, sizeof before, "export LOCKSTEP_DATA='%s'; lockstep() { \"$P\" \"$@\"; };", data);
    for (int i = 0; i < rows; i++) {
        if (!selected(table[i].command)) continue;
        const time_t start = seconds_now();
        const int    code  = run(table[i].command, .before = before, .program = " ", .threads = 2, .seconds = 1800);
        print_message("%3lld s  %s\n", (long long)(seconds_now() - start), table[i].command);
        if (code) fail_msg("%s: exit code %d: %s", table[i].command, code, text_of("err"));
        compare(&table[i]);
        ran++;
    }
    assert_true(ran > 0);
}

int main(int count, char **argument)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands_show_what_the_table_says)};
    const char             *copies  = getenv("LOCKSTEP_DATA");
    words                           = count - 1;
    word                            = argument + 1;
    rows                            = lineage_table(table);
    if (!realpath(copies ? copies : LOCKSTEP_SOURCE "/../shared/data", data)) {
        print_message("skipped: LOCKSTEP_DATA=DIR gives the datasets\n");
        return 77;
    }
    folder_enter();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_leave();
    return failed;
}

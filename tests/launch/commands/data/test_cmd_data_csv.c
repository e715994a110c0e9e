/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * `lockstep data import csv`: options, the summary, and refused options. */
#include "tests/datasets/dataset_files_for_tests.h"
#include "unit.h"

static char folder[FILES_PATH];

static int setup(void **state)
{
    char path[FILES_PATH + 16];
    folder_make(folder);
    snprintf(path, sizeof path, "%s/a.csv", folder);
    FILE *f = fopen(path, "w");
    fprintf(f, "id;a;b;kind\n");
    for (int i = 0; i < 50; i++) fprintf(f, "r%d;%d.5;%d;%s\n", i, i, 2 * i, i % 2 ? "odd" : "even");
    fclose(f);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

/* Runs `lockstep data import FORMAT a.csv out OPTIONS`; returns the exit code and the printed text. */
static int run(const char *format, const char *options, char text[2048])
{
    char command[2 * FILES_PATH];
    snprintf(command, sizeof command, "cd %s && %s data import %s a.csv out %s 2>&1", folder, LOCKSTEP_PROGRAM, format,
             options);
    FILE  *pipe = popen(command, "r");
    size_t n    = fread(text, 1, 2047, pipe);
    text[n]     = 0;
    return WEXITSTATUS(pclose(pipe));
}

static void a_file_is_imported(void **state)
{
    char             text[2048], out[FILES_PATH + 8];
    ls_dataset      *d;
    ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}, .task = LS_ARRAY_CLASSIFICATION};
    assert_int_equal(run("csv", "--target kind --drop id --valid 0.2", text), 0);
    assert_string_equal(text, "out: 40 + 10 rows (train + valid), 2 features, 2 classes\n");
    snprintf(out, sizeof out, "%s/out", folder);
    assert_ok(ls_dataset_open_arrays(&d, out, "valid", &c));
    assert_int_equal(ls_dataset_info_of(d).count, 10);
    assert_string_equal(ls_dataset_info_of(d).class_names[1], "odd");
    ls_dataset_free(d);
}

static void errors_have_exit_codes(void **state)
{
    static const struct {
        const char *format, *options;
        int         code;
        const char *message;
    } cases[] = {
        {"csv", "--target kind", LS_ERR_DATA, "a.csv:2:1: column 'id': expected a finite number, found 'r0'"},
        {"csv", "--target kinds --drop id", LS_ERR_USAGE, "a.csv: --target: there is no column 'kinds'"},
        {"csv", "--vocab 3", LS_ERR_USAGE, "option '--vocab': unknown"},
        {"csv", "--valid 2", LS_ERR_USAGE,
         "data import csv: --valid: expected a fraction of at least 0 and less than 1, found '2'"},
        {"csv", "--separator ab", LS_ERR_USAGE, "data import csv: --separator: expected one character, found 'ab'"},
        {"text", "--target kind", LS_ERR_USAGE, "option '--target': unknown"},
        {"xls", "", LS_ERR_USAGE, "lockstep data import: command 'xls': unknown"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048];
        assert_int_equal(run(cases[i].format, cases[i].options, text), cases[i].code);
        if (!strstr(text, cases[i].message)) fail_msg("'%s' is not in: %s", cases[i].message, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_file_is_imported), cmocka_unit_test(errors_have_exit_codes)};
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0
 * CSV files: what the grammar allows, the arrays that come out, and the position of each error. */
/* labels: io */
#include "datasets/array/array_files.h"
#include "datasets/files/csv_reader.h"
#include "unit.h"

static char folder[FILES_PATH], out[FILES_PATH + 16], csv[FILES_PATH + 16];

static int setup(void **state)
{
    folder_make(folder);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(csv, sizeof csv, "%s/a.csv", folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static void write_csv(const char *text) { file_write(csv, text, strlen(text)); }

static ls_status import_csv(ls_csv_import *o)
{
    folder_remove(out);
    o->size = sizeof *o;
    o->file = csv;
    o->out  = out;
    return ls_import_csv(o);
}

static const char *const Y[] = {"y"}, *const TWO[] = {"y", "z"}, *const ID[] = {"id"};

/* ---- the reader -------------------------------------------------------------------------------------------------- */

/* All fields of a text as [field] with | between records. */
static void parse(const char *text, char *result, size_t room)
{
    ls_csv r;
    bool   more;
    write_csv(text);
    assert_ok(ls__csv_open(&r, csv, 0));
    for (result[0] = 0;;) {
        assert_ok(ls__csv_record(&r, &more));
        if (!more) break;
        for (int i = 0; i < r.fields; i++)
            snprintf(result + strlen(result), room - strlen(result), "[%s]", r.field[i].text);
        snprintf(result + strlen(result), room - strlen(result), "|");
    }
    ls__csv_close(&r);
}

static void the_grammar_of_rfc_4180(void **state)
{
    static const struct {
        const char *text, *fields;
    } cases[] = {
        {"a,b\n1,2\n", "[a][b]|[1][2]|"},
        {"a,b\r\n1,2\r\n", "[a][b]|[1][2]|"},
        {"a,b\n1,2", "[a][b]|[1][2]|"},
        {"\xEF\xBB\xBF"
         "a,b\n1,2\n",
         "[a][b]|[1][2]|"},
        {"\"a\",\"b \"\"c\"\"\"\n1,2\n", "[a][b \"c\"]|[1][2]|"},
        {"a,\"b\nc\"\n1,2\n", "[a][b\nc]|[1][2]|"},
        {"a,\"b,c\"\n1,2\n", "[a][b,c]|[1][2]|"},
        {"a,b\n,\n", "[a][b]|[][]|"},
        {"a,b\n\n\r\n1,2\n\n", "[a][b]|[1][2]|"},
        {"a , b\n 1,2 \n", "[a][b]|[1][2]|"},
        {"a;b\n1,5;2\n", "[a][b]|[1,5][2]|"},
        {"a\tb\n1\t2\n", "[a][b]|[1][2]|"},
        {"a\n\"\"\n1\n", "[a]|[]|[1]|"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char found[256];
        parse(cases[i].text, found, sizeof found);
        if (strcmp(found, cases[i].fields)) fail_msg("case %zu: %s is not %s", i, found, cases[i].fields);
    }
}

static void long_fields_and_many_columns(void **state)
{
    ls_csv r;
    bool   more;
    char  *text = malloc(1 << 20), *at = text;
    for (int i = 0; i < 2000; i++) at += sprintf(at, "%sc%d", i ? "," : "", i);
    at += sprintf(at, "\n");
    for (int i = 0; i < 2000; i++) at += sprintf(at, "%s%0100d", i ? "," : "", i);
    *at = 0;
    write_csv(text);
    assert_ok(ls__csv_open(&r, csv, ','));
    assert_ok(ls__csv_record(&r, &more));
    assert_int_equal(r.fields, 2000);
    assert_string_equal(r.field[1999].text, "c1999");
    assert_ok(ls__csv_record(&r, &more));
    double value;
    assert_true(ls__csv_number(&r.field[1999], &value) && value == 1999);
    ls__csv_close(&r);
    free(text);
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        double      value;
        bool        ok;
    } cases[] = {{"1", 1, true},      {"-2.5e3", -2500, true}, {".5", 0.5, true}, {"1.", 1, true},
                 {"+7", 7, true},     {"0x10", 0, false},      {"nan", 0, false}, {"inf", 0, false},
                 {"1e999", 0, false}, {"1,5", 0, false},       {"1 2", 0, false}, {"", 0, false},
                 {"e5", 0, false},    {"1e", 0, false},        {"--1", 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_csv_field f     = {.text = cases[i].text, .bytes = strlen(cases[i].text)};
        double       value = 0;
        assert_int_equal(ls__csv_number(&f, &value), cases[i].ok);
        if (cases[i].ok) assert_true(value == cases[i].value);
    }
}

/* ---- the arrays -------------------------------------------------------------------------------------------------- */

static void features_and_one_target(void **state)
{
    ls_dataset      *d;
    double           x[8], y[4];
    ls_csv_import    o = {.targets = 1, .target = Y, .drops = 1, .drop = ID};
    ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}};
    write_csv("id,a,y,b\nr1,1,0.5,2\nr2,3,1.5,4\nr3,5,2.5,6\nr4,7,-1e-3,8\n");
    assert_ok(import_csv(&o));
    assert_int_equal(o.train_rows, 4);
    assert_int_equal(o.features, 2);
    assert_int_equal(o.classes, 0);
    assert_ok(ls_dataset_open_arrays(&d, out, "train", &c));
    assert_int_equal(ls_dataset_info_of(d).column[0].dim[0], 2);
    assert_ok(ls_dataset_values(d, 0, 0, 4, x));
    assert_ok(ls_dataset_values(d, 1, 0, 4, y));
    for (int i = 0; i < 8; i++) assert_true(x[i] == i + 1);
    assert_true(y[0] == 0.5 && y[3] == -1e-3);
    ls_dataset_free(d);
}

static void class_names_become_sorted_indices(void **state)
{
    ls_dataset      *d;
    double           y[5];
    ls_csv_import    o = {.targets = 1, .target = Y};
    ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}, .task = LS_ARRAY_CLASSIFICATION};
    write_csv("a,y\n1,wolf\n2,f\xc3\xb6hn\n3,\"ant, red\"\n4,wolf\n5,17\n");
    assert_ok(import_csv(&o));
    assert_int_equal(o.classes, 4);
    assert_ok(ls_dataset_open_arrays(&d, out, "train", &c));
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.classes, 4);
    assert_string_equal(info.class_names[0], "17");
    assert_string_equal(info.class_names[1], "ant, red");
    assert_string_equal(info.class_names[2], "f\xc3\xb6hn");
    assert_ok(ls_dataset_values(d, 1, 0, 5, y));
    assert_true(y[0] == 3 && y[1] == 2 && y[2] == 1 && y[3] == 3 && y[4] == 0);
    ls_dataset_free(d);
}

/* Integers serve both tasks. */
static void integer_targets_serve_both_tasks(void **state)
{
    ls_dataset   *d;
    ls_csv_import o = {.targets = 1, .target = Y};
    write_csv("a,y\n1,2\n2,0\n3,1\n");
    assert_ok(import_csv(&o));
    for (int task = 0; task < 2; task++) {
        ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}, .task = (ls_array_task)task};
        assert_ok(ls_dataset_open_arrays(&d, out, "train", &c));
        assert_int_equal(ls_dataset_info_of(d).classes, task ? 3 : 0);
        ls_dataset_free(d);
    }
}

static void several_targets_and_named_columns(void **state)
{
    ls_dataset   *d;
    double        y[2];
    ls_csv_import o = {.targets = 2, .target = TWO};
    write_csv("a,y,b,z\n1,2,3,4.5\n5,6,7,8\n");
    assert_ok(import_csv(&o));
    ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}};
    assert_ok(ls_dataset_open_arrays(&d, out, "train", &c));
    assert_int_equal(ls_dataset_info_of(d).column[1].dim[0], 2);
    assert_ok(ls_dataset_values(d, 1, 0, 1, y));
    assert_true(y[0] == 2 && y[1] == 4.5);
    ls_dataset_free(d);

    o = (ls_csv_import){.targets = 2, .target = TWO, .named = true};
    assert_ok(import_csv(&o));
    ls_array_columns named = {.inputs = 2, .targets = 2, .input = {"b", "a"}, .target = {"y", "z"}};
    assert_ok(ls_dataset_open_arrays(&d, out, "train", &named));
    double value;
    assert_ok(ls_dataset_values(d, 0, 1, 1, &value));
    assert_true(value == 7);
    assert_ok(ls_dataset_values(d, 2, 1, 1, &value));
    assert_true(value == 6);
    assert_ok(ls_dataset_values(d, 3, 0, 1, &value));
    assert_true(value == 4.5);
    ls_dataset_free(d);
}

/* Rows sorted by class: random held-out rows have all classes, the last rows only one. */
static void held_out_rows(void **state)
{
    enum { N = 200 };
    for (int last = 0; last < 2; last++) {
        char text[N * 16 + 16], *at = text + sprintf(text, "a,y\n");
        for (int i = 0; i < N; i++) at += sprintf(at, "%d,%d\n", i, i / 50);
        write_csv(text);
        ls_csv_import    o          = {.targets = 1, .target = Y, .valid = 0.2, .valid_last = last};
        ls_array_columns c          = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}};
        bool             seen[N]    = {false};
        int              classes[4] = {0};
        assert_ok(import_csv(&o));
        assert_int_equal(o.train_rows, 160);
        assert_int_equal(o.valid_rows, 40);
        for (int s = 0; s < 2; s++) {
            ls_dataset *d;
            assert_ok(ls_dataset_open_arrays(&d, out, s ? "valid" : "train", &c));
            for (int64_t i = 0, n = ls_dataset_info_of(d).count; i < n; i++) {
                double x, y;
                assert_ok(ls_dataset_values(d, 0, i, 1, &x));
                assert_ok(ls_dataset_values(d, 1, i, 1, &y));
                assert_true(y == (int)x / 50);
                assert_false(seen[(int)x]);
                seen[(int)x] = true;
                if (s) classes[(int)y]++;
            }
            ls_dataset_free(d);
        }
        for (int k = 0; k < 4; k++) assert_true(last ? classes[k] == (k == 3 ? 40 : 0) : classes[k] > 0);
    }
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *text, *message;
} ERRORS[] = {
    {"", "a.csv:1:1: expected a line with the names of the columns, found an empty file"},
    {"a,y\n", "a.csv:2:1: expected at least 1 row"},
    {"1,2\n3,4\n", "a.csv:1:1: expected a line with the names of the columns, found numbers"},
    {"a,,y\n1,2,3\n", "a.csv:1:3: expected the name of a column, found nothing"},
    {"a,y,a\n1,2,3\n", "a.csv:1:5: column 'a': another column has this name"},
    {"a,y\n1,2\n3\n", "a.csv:3:1: expected 2 fields, as in the first line, found 1"},
    {"a,y\n1,2\n3,4,5\n", "a.csv:3:1: expected 2 fields, as in the first line, found 3"},
    {"a,y\n1,2\nx,3\n", "a.csv:3:1: column 'a': expected a finite number, found 'x'\n  hint: leave the column out"},
    {"a,y\n1,2\n3,n/a\n",
     "a.csv:3:3: column 'y': expected a finite number, found 'n/a'\n  hint: a target is text only"},
    {"a,y\n1,2\n,3\n", "a.csv:3:1: column 'a': expected a number, found nothing"},
    {"a,y\n1,cat\n2,\n", "a.csv:3:3: column 'y': expected a class name, found nothing"},
    {"a,y\nnan,2\n", "a.csv:2:1: column 'a': expected a finite number, found 'nan'"},
    {"a,y\n1e999,2\n", "a.csv:2:1: column 'a': expected a finite number"},
    {"a;y\n1,5;2\n",
     "a.csv:2:1: column 'a': expected a finite number, found '1,5'\n  hint: write decimal numbers with a"},
    {"a,y\n1,\"2\n3,4\n", "a.csv:2:3: the quoted field is not closed before the end of the file"},
    {"a,y\n1,\"2\"x\n", "a.csv:2:6: expected a separator or the end of the line after the closing quote"},
    {"a,y\n1,2\"\n", "a.csv:2:4: a quote inside a field without quotes"},
    {"a,y\r1,2\r", "a.csv:1:4: a carriage return without a line feed"},
    {"\xFF\xFE"
     "a",
     "a.csv:1:1: expected UTF-8, found UTF-16"},
    {"a,y\n1,caf\xE9\n", "a.csv:2:3: column 'y': expected a class name, UTF-8"},
    {"a,b\n1,2\n", "a.csv: --target: there is no column 'y'\n  hint: the first columns are a, b"},
    {"y\n1\n", "a.csv: expected at least 1 column that is neither a target nor dropped"},
};

static void errors_name_line_and_column(void **state)
{
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) {
        ls_csv_import o = {.targets = 1, .target = Y};
        write_csv(ERRORS[i].text);
        if (import_csv(&o) == LS_OK) fail_msg("case %zu was accepted", i);
        if (!strstr(ls_error_message(), ERRORS[i].message))
            fail_msg("case %zu: '%s' is not in: %s", i, ERRORS[i].message, ls_error_message());
        assert_int_equal(access(out, F_OK), -1);
    }
}

static void a_zero_byte(void **state)
{
    ls_csv_import o = {.targets = 1, .target = Y};
    file_write(csv, "a,y\n1,\0002\n", 10);
    assert_fails(import_csv(&o), LS_ERR_DATA, "a.csv:2:3: expected text, found a byte 0");
}

static void options_are_checked(void **state)
{
    static const char *const twice[] = {"y", "y"};
    write_csv("a,y,b\n1,cat,2\n3,dog,4\n");
    assert_fails(import_csv(&(ls_csv_import){.targets = 2, .target = twice}), LS_ERR_USAGE,
                 "column 'y' is named twice");
    assert_fails(import_csv(&(ls_csv_import){.targets = 1, .target = Y, .valid = 1}), LS_ERR_USAGE,
                 "--valid: expected");
    assert_fails(import_csv(&(ls_csv_import){.targets = 1, .target = Y, .valid = 0.1}), LS_ERR_DATA,
                 "expected at least 1 row held out of 2");
    static const char *const mixed[] = {"y", "b"};
    assert_fails(import_csv(&(ls_csv_import){.targets = 2, .target = mixed}), LS_ERR_DATA, "must be the only target");
    mkdir(out, 0777);
    char path[FILES_PATH + 32];
    snprintf(path, sizeof path, "%s/test.h5", out);
    file_write(path, "x", 1);
    ls_csv_import o = {.size = sizeof(ls_csv_import), .targets = 1, .target = Y, .file = csv, .out = out};
    assert_fails(ls_import_csv(&o), LS_ERR_USAGE, "has the split 'test', which this import would not replace");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grammar_of_rfc_4180),
        cmocka_unit_test(long_fields_and_many_columns),
        cmocka_unit_test(numbers),
        cmocka_unit_test(features_and_one_target),
        cmocka_unit_test(class_names_become_sorted_indices),
        cmocka_unit_test(integer_targets_serve_both_tasks),
        cmocka_unit_test(several_targets_and_named_columns),
        cmocka_unit_test(held_out_rows),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(a_zero_byte),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

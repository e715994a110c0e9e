/* SPDX-License-Identifier: Apache-2.0
 * leaks: foreign
 *
 * Product tables as files, and their use in a run.  A library that counts its calls takes the place of OpenBLAS and
 * oneDNN: runs with train.reproducible=true never call it, others call it for the products of the table. */
#define LS_FUZZ_REPLAY
#include "tests/fuzz/fuzz_product_table.c"
#include "tests/fuzz/replay.h"

#include <math.h>

#include "launch/commands/command_run.h"

/* ---- a library that counts its calls ----------------------------------------------------------------------------- */

static int calls;

static int multiply(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta)
{
    const float *x_data = g->x, *w_data = g->w;
    float       *y = g->y;
#pragma omp atomic
    calls++;
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            float sum = beta > 0 ? y[i * g->y_row + j] : 0;
            for (int64_t k = 0; k < g->k; k++)
                sum += x_data[i * g->x_row + k * g->x_col] * w_data[k * g->w_row + j * g->w_col];
            y[i * g->y_row + j] = sum;
        }
    return 0;
}

static const ls_provider counting = {
    .name = "Counting", .detail = "1.0", .sgemm = multiply, .bgemm = multiply, .tried = true, .status = LS_OK};

static int set_up(void **state)
{
    ls__openblas = ls__onednn = counting;
    calls                     = 0;
    return 0;
}

static int tear_down(void **state)
{
    unsetenv("LOCKSTEP_ISA");
    return ls_isa_set(ls_isa_best());
}

static const char *table_path(void)
{
    static char path[FILES_PATH + 32];
    snprintf(path, sizeof path, "%s/table.json", fuzz_folder());
    return path;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void test_read_is_what_was_written(void **state)
{
    ls_product_table table = {.float32_by_openblas = false}, found;
    char             text[256];
    table.by[0][LS_XW][3][4][0]  = LS_BY_OPENBLAS;
    table.by[0][LS_XTW][0][0][0] = LS_BY_ONEDNN;
    table.by[1][LS_XWT][4][4][4] = LS_BY_ONEDNN;
    assert_int_equal(ls__product_table_write(table_path(), &table, 2), LS_OK);
    memset(&found, 1, sizeof found);
    assert_int_equal(ls__product_table_read(table_path(), &found), LS_OK);
    assert_memory_equal(found.by, table.by, sizeof table.by);
    assert_false(found.float32_by_openblas);
    ls__product_table_text(&table, text, sizeof text);
    assert_string_equal(text, "Counting 1.0 (1 class), Counting 1.0 (2 classes)");
    ls__product_table_text(&(ls_product_table){.float32_by_openblas = true}, text, sizeof text);
    assert_string_equal(text, "Counting 1.0 (float32)");
    ls__product_table_text(&(ls_product_table){.float32_by_openblas = false}, text, sizeof text);
    assert_string_equal(text, "");
    memset(table.by, 0, sizeof table.by);
    assert_int_equal(ls__product_table_write(table_path(), &table, 2), LS_OK);
    assert_int_equal(ls__product_table_read(table_path(), &found), LS_OK);
    assert_memory_equal(found.by, table.by, sizeof table.by);
}

#define START "{\"format\": \"lockstep product table 1\", \"level\": \"LEVEL\", \"products\": "
#define ROW(type, layout, m, by)                                                                                       \
    "{\"type\": " type ", \"layout\": " layout ", \"m\": " m ", \"n\": 8, \"k\": 8, \"by\": " by "}"
#define GOOD ROW("\"float32\"", "\"x w\"", "8", "\"oneDNN\"")

static const struct {
    const char *text, *message;
    ls_status   status;
} errors[] = {
    {"", ":1:0: '[' or '{' expected near end of file", LS_ERR_DATA},
    {"{\"format\": 1", ":1:12: '}' expected", LS_ERR_DATA},
    {"[]", ": format: expected 'lockstep product table 1', found ''", LS_ERR_DATA},
    {"{\"format\": \"x\", \"format\": \"y\"}", ": duplicate object key", LS_ERR_DATA},
    {"{\"format\": \"lockstep product table 2\"}", ": format: expected 'lockstep product table 1'", LS_ERR_DATA},
    {"{\"format\": \"lockstep product table 1\", \"level\": \"v9\"}", ": level: expected a table of the", LS_ERR_ENV},
    {START "{}}", ": products: expected a list", LS_ERR_DATA},
    {START "[1]}", ": products[0]: expected an object", LS_ERR_DATA},
    {START "[" GOOD ", {}]}", ": products[1]: expected an object with type", LS_ERR_DATA},
    {START "[" ROW("1", "\"x w\"", "8", "\"oneDNN\"") "]}",
     ": products[0]: type: expected 'float32' or 'bfloat16', found no text", LS_ERR_DATA},
    {START "[" ROW("\"float32\"", "\"w\"", "8", "\"oneDNN\"") "]}",
     ": products[0]: layout: expected 'x w' or 'x w^T' or 'x^T w', found 'w'", LS_ERR_DATA},
    {START "[" ROW("\"float32\"", "\"x w\"", "9", "\"oneDNN\"") "]}",
     ": products[0]: m: expected the smallest dim of a class (8, 32, 128, 512, 2048), found another value",
     LS_ERR_DATA},
    {START "[" ROW("\"float32\"", "\"x w\"", "8", "\"lockstep\"") "]}",
     ": products[0]: by: expected 'OpenBLAS' or 'oneDNN', found 'lockstep'", LS_ERR_DATA},
    {START "[" GOOD ", " GOOD "]}", ": products[1]: expected a class without a row, found its second row", LS_ERR_DATA},
    {START "[" ROW("\"bfloat16\"", "\"x w\"", "8", "\"OpenBLAS\"") "]}",
     ": products[0]: by: expected a library that multiplies bfloat16, found 'OpenBLAS'", LS_ERR_DATA},
};

/* Writes the text of an error, with the level in use in the place of LEVEL. */
static void write_table(const char *text)
{
    char        all[4096] = "";
    const char *level     = strstr(text, "LEVEL");
    if (level)
        snprintf(all, sizeof all, "%.*s%s%s", (int)(level - text), text, ls_isa_name(ls_isa_current()), level + 5);
    else
        snprintf(all, sizeof all, "%s", text);
    file_write(table_path(), all, strlen(all));
}

static void test_errors(void **state)
{
    ls_product_table table;
    ls__openblas.bgemm = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        write_table(errors[i].text);
        if (ls__product_table_read(table_path(), &table) != errors[i].status) fail_msg("%s", errors[i].text);
        if (!strstr(ls_error_message(), errors[i].message) || !strstr(ls_error_message(), "bench gemm --table") ||
            strncmp(ls_error_message(), table_path(), strlen(table_path())) != 0)
            fail_msg("%s: %s", errors[i].text, ls_error_message());
    }
    unlink(table_path());
    assert_int_equal(ls__product_table_read(table_path(), &table), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "No such file"));
    assert_int_equal(ls__product_table_read(fuzz_folder(), &table), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "expected a file of at most"));
}

static void test_hostile_files(void **state) { replay("product_table", fuzz_product_table, 300); }

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* Trains for three steps; returns the status of the products, and the last loss. */
static ls_status train(const char *const *options, double *loss, char *text)
{
    char *argv[16] = {"train", "lenet5-digits", "data.train_count=200", "data.test_count=20", "train.batch=40"};
    int   n        = 5;
    for (; *options; options++) argv[n++] = (char *)(uintptr_t)*options;
    ls_run     r;
    ls_args    args;
    ls_batch   batch;
    ls_metrics m;
    ls_loader *loader;
    assert_int_equal(ls_command_start(&r, &args, n, argv), LS_OK);
    if (ls_run_recipe(&r, args.positional[0], args.overrides, args.override) != LS_OK)
        fail_msg("%s", ls_error_message());
    assert_int_equal(ls_run_data(&r, LS_SPLITS_BOTH), LS_OK);
    const ls_status status = ls_run_products(&r);
    if (status == LS_OK) {
        snprintf(text, 128, "%s", r.products ? r.products_text : "");
        assert_int_equal(ls_run_graph(&r), LS_OK);
        assert_int_equal(ls_run_trainer(&r), LS_OK);
        assert_int_equal(ls_loader_new(&loader, r.train, .batch = 40, .shards = r.shards, .ranks = 1, .seed = 1),
                         LS_OK);
        for (int i = 0; i < 3; i++) {
            assert_true(ls_loader_next(loader, &batch));
            assert_int_equal(ls_trainer_step(r.trainer, &batch, &m), LS_OK);
        }
        *loss = m.loss;
        ls_loader_free(loader);
    }
    ls_command_finish(&r, LS_OK);
    return status;
}

#define TRAIN(loss, text, ...) train((const char *const[]){__VA_ARGS__, NULL}, loss, text)

static void test_reproducible_runs_call_no_library(void **state)
{
    double loss;
    char   text[128], key[FILES_PATH + 64];
    setenv("LOCKSTEP_ISA", ls_isa_name((ls_isa)0), 1); /* also not at the lowest level */
    assert_int_equal(TRAIN(&loss, text, "train.reproducible=true"), LS_OK);
    assert_string_equal(text, "");
    assert_int_equal(calls, 0);
    write_table(START "[]}");
    snprintf(key, sizeof key, "train.product_table=%s", table_path());
    assert_int_equal(TRAIN(&loss, text, key), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "train.product_table: expected train.reproducible=false"));
    assert_int_equal(calls, 0);
}

/* Losses of the same steps with and without libraries: they differ by the rounding of sums. */
static void test_products_of_a_table(void **state)
{
    double loss, own;
    char   text[128], key[FILES_PATH + 64];
    snprintf(key, sizeof key, "train.product_table=%s", table_path());
    ls_product_table table = {.float32_by_openblas = false};
    assert_int_equal(TRAIN(&own, text, "train.reproducible=false"), LS_OK);
    assert_string_equal(text, ls_isa_best() ? "" : "Counting 1.0 (float32)");
    calls = 0;
    memset(table.by[0], LS_BY_ONEDNN, sizeof table.by[0]);
    assert_int_equal(ls__product_table_write(table_path(), &table, 1), LS_OK);
    assert_int_equal(TRAIN(&loss, text, "train.reproducible=false", key), LS_OK);
    assert_non_null(strstr(text, "Counting 1.0 (375 classes)"));
    assert_true(calls >= 3 * 3 * 3); /* 3 steps, 3 linear layers, 3 products */
    assert_float_equal(loss, own, 1e-4);
    /* A row for a type that the library does not multiply on this processor. */
    table.by[1][LS_XW][0][0][0] = LS_BY_ONEDNN;
    assert_int_equal(ls__product_table_write(table_path(), &table, 1), LS_OK);
    assert_int_equal(TRAIN(&loss, text, "train.reproducible=false", key), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "Counting (1.0): expected products of bfloat16"));
    /* A library that is absent. */
    ls__onednn.status = LS_ERR_ENV;
    snprintf(ls__onednn.message, sizeof ls__onednn.message, "%s", "Counting is not in this build");
    assert_int_equal(TRAIN(&loss, text, "train.reproducible=false", key), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "Counting is not in this build"));
}

/* At the lowest level OpenBLAS computes all products of float32; without it, Lockstep does. */
static void test_lowest_level(void **state)
{
    double loss, own;
    char   text[128];
    setenv("LOCKSTEP_ISA", ls_isa_name((ls_isa)0), 1);
    assert_int_equal(TRAIN(&loss, text, "train.reproducible=false"), LS_OK);
    assert_string_equal(text, "Counting 1.0 (float32)");
    assert_true(calls >= 3 * 3 * 3);
    calls               = 0;
    ls__openblas.status = LS_ERR_ENV;
    assert_int_equal(TRAIN(&own, text, "train.reproducible=false"), LS_OK);
    assert_string_equal(text, "");
    assert_int_equal(calls, 0);
    assert_float_equal(loss, own, 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_is_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reproducible_runs_call_no_library, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_products_of_a_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lowest_level, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

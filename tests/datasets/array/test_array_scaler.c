/* SPDX-License-Identifier: Apache-2.0
 * The scaler: mean and std against a two-pass computation, JSON without loss, and what loaders deliver. */
/* labels: io */
#include <math.h>

#include "datasets/array/array_files.h"
#include "unit.h"

static char folder[FILES_PATH];

static const char *at(const char *name)
{
    static char path[FILES_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int setup(void **state)
{
    folder_make(folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

enum { N = 50, C = 2, H = 3, W = 4, PLANE = H * W, F = 3 };

static double field_value(int i, int c, int p) { return c * 1e9 + 0.125 * ((i * 13 + p * 5) % 17) * (c + 1); }

static const ls_array_columns COLUMNS = {.inputs = 2, .targets = 1, .input = {"field", "x"}, .target = {"y"}};

/* field: 2 channels, the second one far from 0; x: vectors with one constant element; y: one number. */
static ls_dataset *open_fields(void)
{
    double      field[N][C][PLANE], x[N][F], y[N];
    hsize_t     dims[4] = {N, C, H, W}, vector[2] = {N, F};
    ls_dataset *d;
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < C; c++)
            for (int p = 0; p < PLANE; p++) field[i][c][p] = field_value(i, c, p);
        for (int f = 0; f < F; f++) x[i][f] = f == 1 ? 0.1 : i * (f + 1) - 3;
        y[i] = sqrt(i);
    }
    hid_t file = h5_create(at("fields.h5"));
    h5_put(file, "field", 4, dims, field[0][0], (array_spec){.stored = H5T_IEEE_F64LE});
    h5_put(file, "x", 2, vector, x[0], (array_spec){.stored = H5T_IEEE_F64LE, .chunk = {8, 2}});
    h5_put(file, "y", 1, dims, y, (array_spec){.stored = H5T_IEEE_F64LE});
    H5Fclose(file);
    assert_ok(ls_dataset_open_arrays(&d, at("fields.h5"), NULL, &COLUMNS));
    return d;
}

static void near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12 * (fabs(expected) + 1))) fail_msg("%.17g is not %.17g", found, expected);
}

static void mean_and_std_are_those_of_two_passes(void **state)
{
    ls_dataset   *d = open_fields();
    ls_scaler    *s;
    int64_t       count;
    const double *mean, *std;
    assert_ok(ls_scaler_fit(&s, d));
    assert_true(ls_scaler_get(s, "field", &count, &mean, &std));
    assert_int_equal(count, C);
    for (int c = 0; c < C; c++) {
        double m = 0, v = 0, n = N * PLANE;
        for (int i = 0; i < N; i++)
            for (int p = 0; p < PLANE; p++) m += (field_value(i, c, p) - c * 1e9) / n;
        for (int i = 0; i < N; i++)
            for (int p = 0; p < PLANE; p++) v += pow(field_value(i, c, p) - c * 1e9 - m, 2) / n;
        near(mean[c], c * 1e9 + m);
        if (fabs(std[c] - sqrt(v)) > 1e-7) fail_msg("std %.17g is not %.17g", std[c], sqrt(v));
    }
    assert_true(ls_scaler_get(s, "x", &count, &mean, &std));
    assert_int_equal(count, F);
    near(mean[2], 3 * 24.5 - 3);
    near(std[2], 3 * sqrt((N * N - 1) / 12.0));
    near(mean[1], 0.1);
    assert_true(std[1] == 1); /* constant */
    assert_true(ls_scaler_get(s, "y", &count, &mean, &std));
    assert_int_equal(count, 1);
    assert_false(ls_scaler_get(s, "z", &count, &mean, &std));
    ls_scaler_free(s);
    ls_dataset_free(d);
}

static void json_keeps_all_bits(void **state)
{
    ls_dataset   *d = open_fields();
    ls_scaler    *s, *copy;
    int64_t       n, m;
    const double *mean, *std, *mean2, *std2;
    assert_ok(ls_scaler_fit(&s, d));
    char *json = ls_scaler_to_json(s);
    assert_ok(ls_scaler_from_json(&copy, "data.json", json));
    for (int c = 0; c < 3; c++) {
        const char *name = ls_dataset_info_of(d).column[c].name;
        assert_true(ls_scaler_get(s, name, &n, &mean, &std));
        assert_true(ls_scaler_get(copy, name, &m, &mean2, &std2));
        assert_int_equal(n, m);
        assert_memory_equal(mean, mean2, (size_t)n * sizeof *mean);
        assert_memory_equal(std, std2, (size_t)n * sizeof *std);
    }
    assert_ok(ls_dataset_scale(d, copy));
    free(json);
    ls_scaler_free(s);
    ls_scaler_free(copy);
    ls_dataset_free(d);
}

static void bad_json_is_refused(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{", "data.json:1:"},
        {"[1]", "data.json: expected a JSON object"},
        {"{\"x\": 3}", "x.mean: expected a list of numbers"},
        {"{\"x\": {\"mean\": [], \"std\": []}}", "x.mean: expected a list of numbers"},
        {"{\"x\": {\"mean\": [1, 2], \"std\": [1]}}", "x.std: expected a list of 2 numbers"},
        {"{\"x\": {\"mean\": [1], \"std\": [0]}}", "x.std[0]: expected a positive number"},
        {"{\"x\": {\"mean\": [\"1\"], \"std\": [1]}}", "x.mean[0]: expected a finite number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_scaler *s;
        assert_fails(ls_scaler_from_json(&s, "data.json", cases[i].json), LS_ERR_DATA, cases[i].message);
        assert_null(s);
    }
}

static void a_scaler_must_fit_the_arrays(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{\"x\": {\"mean\": [1,2,3], \"std\": [1,1,1]}, \"y\": {\"mean\": [1], \"std\": [1]}}",
         "/field: the scaler has no mean"},
        {"{\"field\": {\"mean\": [1,2,3], \"std\": [1,1,1]}}", "/field: has 2 channels, but the scaler has 3 means"},
    };
    ls_dataset *d = open_fields();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_scaler *s;
        assert_ok(ls_scaler_from_json(&s, "data.json", cases[i].json));
        assert_fails(ls_dataset_scale(d, s), LS_ERR_DATA, cases[i].message);
        ls_scaler_free(s);
    }
    ls_dataset_free(d);
}

/* Scaled in float64: the channel near 1e9 keeps its digits, although float32 has steps of 64 there. */
static void loaders_deliver_scaled_values_and_inverse_undoes_it(void **state)
{
    ls_dataset   *d = open_fields();
    ls_scaler    *s;
    ls_loader    *l;
    ls_batch      b;
    int64_t       n;
    const double *mean, *std;
    assert_ok(ls_scaler_fit(&s, d));
    assert_ok(ls_dataset_scale(d, s));
    assert_true(ls_scaler_get(s, "field", &n, &mean, &std));
    assert_ok(ls_loader_new(&l, d, .batch = N, .shards = 1, .ranks = 1, .in_order = true, .epochs = 1));
    assert_true(ls_loader_next(l, &b));
    for (int i = 0; i < N; i++) {
        float        y       = ((const float *)b.data[2])[i];
        const float *channel = (const float *)b.data[0] + (i * C + 1) * PLANE;
        for (int p = 0; p < PLANE; p++) assert_true(channel[p] == (float)((field_value(i, 1, p) - mean[1]) / std[1]));
        assert_ok(ls_scaler_inverse(s, "y", 1, 1, &y));
        if (fabs(y - sqrt(i)) > 1e-6) fail_msg("sample %d: %g is not %g", i, (double)y, sqrt(i));
    }
    float values[3];
    assert_fails(ls_scaler_inverse(s, "x", 1, 4, values), LS_ERR_USAGE, "multiple of 3");
    assert_fails(ls_scaler_inverse(s, "z", 1, 1, values), LS_ERR_USAGE, "no array of this name");
    ls_loader_free(l);
    ls_scaler_free(s);
    ls_dataset_free(d);
}

static void labels_are_not_scaled(void **state)
{
    ls_dataset      *d;
    ls_scaler       *s;
    int64_t          n;
    const double    *mean, *std;
    ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}, .task = LS_ARRAY_CLASSIFICATION};
    regression_file(at("c.h5"), 20, 2, (array_spec){0}, 3);
    assert_ok(ls_dataset_open_arrays(&d, at("c.h5"), NULL, &c));
    assert_ok(ls_scaler_fit(&s, d));
    assert_false(ls_scaler_get(s, "y", &n, &mean, &std));
    assert_ok(ls_dataset_scale(d, s));
    ls_scaler_free(s);
    ls_dataset_free(d);
}

static void a_missing_value_names_its_sample(void **state)
{
    ls_dataset      *d;
    ls_scaler       *s;
    hsize_t          dim[2]    = {20, 3};
    double           x[20 * 3] = {0};
    ls_array_columns c         = {.inputs = 1, .input = {"x"}};
    x[11 * 3 + 2]              = NAN;
    hid_t file                 = h5_create(at("nan.h5"));
    h5_put(file, "x", 2, dim, x, (array_spec){0});
    H5Fclose(file);
    assert_ok(ls_dataset_open_arrays(&d, at("nan.h5"), NULL, &c));
    assert_fails(ls_scaler_fit(&s, d), LS_ERR_DATA, "/x: sample 11: element 2 is nan");
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_and_std_are_those_of_two_passes),
        cmocka_unit_test(json_keeps_all_bits),
        cmocka_unit_test(bad_json_is_refused),
        cmocka_unit_test(a_scaler_must_fit_the_arrays),
        cmocka_unit_test(loaders_deliver_scaled_values_and_inverse_undoes_it),
        cmocka_unit_test(labels_are_not_scaled),
        cmocka_unit_test(a_missing_value_names_its_sample),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

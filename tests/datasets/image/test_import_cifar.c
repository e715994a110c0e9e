/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * The binary files of CIFAR-10 and CIFAR-100 become datasets; damaged ones are refused and leave nothing. */
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { PIXELS = 3072, PER_FILE = 7, BYTES = PER_FILE * (PIXELS + 2) };

static char    folder[FILES_PATH], in[FILES_PATH + 8], out[FILES_PATH + 8];
static uint8_t data[BYTES];

static int setup(void **state)
{
    folder_make(folder);
    snprintf(in, sizeof in, "%s/in", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    return mkdir(in, 0777);
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static uint8_t pixel(int i, int p) { return (uint8_t)(i * 29 + p * 3 + p / 100); }

static void put(const char *name, const void *bytes, size_t n)
{
    char path[FILES_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", in, name);
    file_write(path, bytes, n);
}

/* Writes a file of samples first, first + 1, ...; returns its bytes. */
static size_t put_samples(const char *name, int labels, int first)
{
    uint8_t *at = data;
    for (int i = first; i < first + PER_FILE; i++) {
        if (labels == 2) *at++ = (uint8_t)(i % 20);
        *at++ = (uint8_t)(labels == 2 ? i * 3 % 100 : i % 10);
        for (int p = 0; p < PIXELS; p++) *at++ = pixel(i, p);
    }
    put(name, data, (size_t)(at - data));
    return (size_t)(at - data);
}

static void put_ten(void)
{
    char name[32];
    for (int k = 0; k < 5; k++) {
        snprintf(name, sizeof name, "data_batch_%d.bin", k + 1);
        put_samples(name, 1, k * PER_FILE);
    }
    put_samples("test_batch.bin", 1, 5 * PER_FILE);
}

static void check_split(const char *split, int first, int count, int classes, int (*label_of)(int))
{
    static uint8_t found[PIXELS];
    ls_dataset    *d;
    int32_t        label;
    int            files, checked;
    assert_int_equal(ls_dataset_open(&d, out, split), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).count, count);
    assert_int_equal(ls_dataset_info_of(d).classes, classes);
    assert_int_equal(ls_dataset_verify(d, &files, &checked), LS_OK);
    assert_int_equal(files, checked);
    for (int i = 0; i < count; i++) {
        assert_int_equal(ls_dataset_read(d, i, found, &label), LS_OK);
        assert_int_equal(label, label_of(first + i));
        for (int p = 0; p < PIXELS; p++) assert_int_equal(found[p], pixel(first + i, p));
    }
    ls_dataset_free(d);
}

static int ten(int i) { return i % 10; }
static int fine(int i) { return i * 3 % 100; }
static int coarse(int i) { return i % 20; }

static void cifar_10_is_imported(void **state)
{
    const char names[] = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    put_ten();
    put("batches.meta.txt", names, sizeof names - 1);
    assert_int_equal(ls_import_cifar(in, out, false, 3), LS_OK);
    check_split("train", 0, 5 * PER_FILE, 10, ten);
    check_split("test", 5 * PER_FILE, PER_FILE, 10, ten);
    ls_dataset *d;
    assert_int_equal(ls_dataset_open(&d, out, "test"), LS_OK);
    assert_string_equal(ls_dataset_info_of(d).class_names[9], "truck");
    double sum = 0;
    for (int i = 0; i < 5 * PER_FILE; i++)
        for (int p = 1024; p < 2048; p++) sum += pixel(i, p);
    float mean = (float)(sum / (5 * PER_FILE * 1024) / 255), found = ls_dataset_info_of(d).mean[1];
    assert_true(found - mean < 1e-6f && mean - found < 1e-6f);
    ls_dataset_free(d);
}

static void cifar_100_has_two_labels(void **state)
{
    put_samples("train.bin", 2, 0);
    put_samples("test.bin", 2, PER_FILE);
    assert_int_equal(ls_import_cifar(in, out, false, 1), LS_OK);
    check_split("train", 0, PER_FILE, 100, fine);
    check_split("test", PER_FILE, PER_FILE, 100, fine);
    assert_int_equal(ls_import_cifar(in, out, true, 1), LS_OK);
    check_split("train", 0, PER_FILE, 20, coarse);
}

static void expect_failure(bool by_coarse, ls_status status, const char *part)
{
    assert_int_equal(ls_import_cifar(in, out, by_coarse, 1), status);
    if (!strstr(ls_error_message(), part)) print_error("expected \"%s\", found %s\n", part, ls_error_message());
    assert_non_null(strstr(ls_error_message(), part));
    assert_int_equal(folder_count(out), -1);
}

static void damaged_files_are_refused(void **state)
{
    expect_failure(false, LS_ERR_DATA, "has neither data_batch_1.bin");
    put_samples("data_batch_1.bin", 1, 0);
    expect_failure(false, LS_ERR_DATA, "data_batch_2.bin: No such file");
    put_ten();
    expect_failure(true, LS_ERR_USAGE, "has no coarse labels");
    static const size_t cuts[] = {0, 1, PIXELS, PIXELS + 2, 2 * PIXELS + 1};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        put_samples("data_batch_3.bin", 1, 14);
        put("data_batch_3.bin", data, cuts[k]);
        expect_failure(false, LS_ERR_DATA, "data_batch_3.bin: has ");
    }
    size_t bytes         = put_samples("data_batch_3.bin", 1, 14);
    data[2 * PIXELS + 2] = 10;
    put("data_batch_3.bin", data, bytes);
    expect_failure(false, LS_ERR_DATA, "data_batch_3.bin: sample 2 has label 10; expected 0 to 9");
    put_ten();
    const char garbled[] = "0\n1\n2\n3\n4\n5\n6\n7\n8\nGCOL\1";
    put("batches.meta.txt", garbled, sizeof garbled - 1);
    expect_failure(false, LS_ERR_DATA, "the name of class 9 is not printable");
    put("batches.meta.txt", "cat\ndog\n", 8);
    expect_failure(false, LS_ERR_DATA, "batches.meta.txt: has 2 names; expected 10");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(cifar_10_is_imported), CASE(cifar_100_has_two_labels),
                                       CASE(damaged_files_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

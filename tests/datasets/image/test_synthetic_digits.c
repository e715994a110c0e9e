/* SPDX-License-Identifier: Apache-2.0
 * Synthetic digits: a pure function of (seed, split, index), balanced classes, ink inside the image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "datasets/datasets.h"

enum { PIXELS = 28 * 28 };

static ls_dataset *open_digits(const char *split, int64_t count, uint64_t seed)
{
    ls_dataset *d;
    assert_int_equal(ls_dataset_digits(&d, split, count, seed), LS_OK);
    return d;
}

static void read_sample(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    assert_int_equal(ls_dataset_read(d, i, pixels, label), LS_OK);
}

/* Samples do not depend on the order of reads, the number of samples, or the cache. */
static void pure_function_of_seed_and_index(void **state)
{
    ls_dataset *small = open_digits("train", 200, 5), *huge = open_digits("train", (int64_t)1 << 40, 5);
    for (int64_t i = 199; i >= 0; i--) {
        uint8_t a[PIXELS], b[PIXELS], again[PIXELS];
        int32_t la, lb, lagain;
        read_sample(small, i, a, &la);
        read_sample(huge, i, b, &lb);
        read_sample(small, i, again, &lagain);
        assert_memory_equal(a, b, PIXELS);
        assert_memory_equal(a, again, PIXELS);
        assert_int_equal(la, lb);
        assert_int_equal(la, lagain);
    }
    ls_dataset_free(small);
    ls_dataset_free(huge);
}

static void seeds_and_splits_differ(void **state)
{
    ls_dataset *base     = open_digits("train", 100, 1),
               *others[] = {open_digits("test", 100, 1), open_digits("train", 100, 2)};
    for (int k = 0; k < 2; k++) {
        int same = 0;
        for (int64_t i = 0; i < 100; i++) {
            uint8_t a[PIXELS], b[PIXELS];
            int32_t label;
            read_sample(base, i, a, &label);
            read_sample(others[k], i, b, &label);
            same += !memcmp(a, b, PIXELS);
        }
        assert_int_equal(same, 0);
        ls_dataset_free(others[k]);
    }
    ls_dataset_free(base);
}

static void classes_are_balanced_in_every_ten(void **state)
{
    ls_dataset *d = open_digits("train", 1000, 3);
    for (int64_t ten = 0; ten < 100; ten++) {
        int seen = 0;
        for (int64_t i = 0; i < 10; i++) {
            uint8_t pixels[PIXELS];
            int32_t label;
            read_sample(d, ten * 10 + i, pixels, &label);
            assert_in_range(label, 0, 9);
            seen |= 1 << label;
        }
        assert_int_equal(seen, 0x3ff);
    }
    ls_dataset_free(d);
}

/* The constants for mean and std match the pixels; each image has ink, and none in the corners. */
static void pixels_are_as_announced(void **state)
{
    enum { COUNT = 5000 };
    ls_dataset *d   = open_digits("train", COUNT, 9);
    double      sum = 0, squares = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        uint8_t pixels[PIXELS];
        int32_t label;
        int     inked = 0;
        read_sample(d, i, pixels, &label);
        for (int p = 0; p < PIXELS; p++) {
            sum += pixels[p] / 255.0;
            squares += pixels[p] / 255.0 * (pixels[p] / 255.0);
            inked += pixels[p] > 100;
        }
        assert_in_range(inked, 12, PIXELS / 2);
        assert_int_equal(pixels[0] + pixels[27] + pixels[PIXELS - 28] + pixels[PIXELS - 1], 0);
    }
    ls_dataset_info info = ls_dataset_info_of(d);
    double          mean = sum / COUNT / PIXELS, std = sqrt(squares / COUNT / PIXELS - mean * mean);
    assert_true(fabs(mean - info.mean[0]) < 0.003);
    assert_true(fabs(std - info.std[0]) < 0.005);
    assert_int_equal(info.classes, 10);
    assert_string_equal(info.class_names[7], "7");
    ls_dataset_free(d);
}

static void bad_requests_are_errors(void **state)
{
    ls_dataset *d;
    uint8_t     pixels[PIXELS];
    int32_t     label;
    assert_int_equal(ls_dataset_digits(&d, "train", 0, 1), LS_ERR_DATA);
    assert_null(d);
    d = open_digits("train", 5, 1);
    assert_int_equal(ls_dataset_read(d, 5, pixels, &label), LS_ERR_USAGE);
    assert_int_equal(ls_dataset_read(d, -1, pixels, &label), LS_ERR_USAGE);
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pure_function_of_seed_and_index),   cmocka_unit_test(seeds_and_splits_differ),
        cmocka_unit_test(classes_are_balanced_in_every_ten), cmocka_unit_test(pixels_are_as_announced),
        cmocka_unit_test(bad_requests_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

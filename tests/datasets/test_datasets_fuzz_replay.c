/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * leaks: foreign (libhdf5 keeps memory of damaged files)
 * The fuzz targets of datasets, on their committed seeds and on changes of these. */
#define LS_FUZZ_REPLAY
#include "tests/fuzz/fuzz_array_hdf5.c"
#include "tests/fuzz/fuzz_image_file.c"
#include "tests/fuzz/fuzz_image_hdf5.c"
#include "tests/fuzz/fuzz_import_cifar.c"
#include "tests/fuzz/fuzz_import_csv.c"
#include "tests/fuzz/fuzz_import_mnist.c"
#include "tests/fuzz/fuzz_import_labelled.c"
#include "tests/fuzz/fuzz_labelled_hdf5.c"
#include "tests/fuzz/fuzz_pairs_hdf5.c"
#include "tests/fuzz/fuzz_tokenizer.c"
#include "tests/fuzz/replay.h"

static void array_hdf5(void **state) { replay("array_hdf5", fuzz_array_hdf5, 30); }

static void image_file(void **state) { replay("image_file", fuzz_image_file, 100); }

static void image_hdf5(void **state) { replay("image_hdf5", fuzz_image_hdf5, 30); }

static void import_cifar(void **state) { replay("import_cifar", fuzz_import_cifar, 40); }

static void import_csv(void **state) { replay("import_csv", fuzz_import_csv, 40); }

static void import_mnist(void **state) { replay("import_mnist", fuzz_import_mnist, 15); }

static void import_labelled(void **state) { replay("import_labelled", fuzz_import_labelled, 40); }

static void labelled_hdf5(void **state) { replay("labelled_hdf5", fuzz_labelled_hdf5, 40); }

static void pairs_hdf5(void **state) { replay("pairs_hdf5", fuzz_pairs_hdf5, 40); }

static void tokenizer(void **state) { replay("tokenizer", fuzz_tokenizer, 40); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(array_hdf5),    cmocka_unit_test(image_file),
                                       cmocka_unit_test(image_hdf5),    cmocka_unit_test(import_csv),
                                       cmocka_unit_test(import_mnist),  cmocka_unit_test(import_cifar),
                                       cmocka_unit_test(pairs_hdf5),    cmocka_unit_test(tokenizer),
                                       cmocka_unit_test(labelled_hdf5), cmocka_unit_test(import_labelled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

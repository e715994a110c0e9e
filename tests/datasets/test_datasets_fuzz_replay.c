/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * The fuzz targets of this room, on their seeds. */
#define LS_FUZZ_REPLAY
#include "tests/fuzz/fuzz_import_mnist.c"
#include "tests/fuzz/fuzz_image_file.c"
#include "tests/fuzz/fuzz_image_hdf5.c"
#include "tests/fuzz/fuzz_tokenizer.c"
#include "tests/fuzz/replay.h"

static void test_idx(void **state) { replay("import_mnist", fuzz_idx, 15); }

static void test_picture(void **state) { replay("image_file", fuzz_picture, 100); }

static void test_shard(void **state) { replay("image_hdf5", fuzz_shard, 30); }

static void test_tokenizer(void **state) { replay("tokenizer", fuzz_tokenizer, 40); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idx), cmocka_unit_test(test_picture),
                                       cmocka_unit_test(test_shard), cmocka_unit_test(test_tokenizer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

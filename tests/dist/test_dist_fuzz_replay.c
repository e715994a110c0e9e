/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * The fuzz targets of dist, on their committed seeds. */
#define LS_FUZZ_REPLAY
#include "tests/fuzz/fuzz_checkpoint.c"
#include "tests/fuzz/fuzz_hf_config.c"
#include "tests/fuzz/fuzz_safetensors.c"
#include "tests/fuzz/replay.h"

static void test_safetensors(void **state) { replay("safetensors", fuzz_safetensors, 200); }

static void test_checkpoint(void **state) { replay("checkpoint", fuzz_checkpoint, 8); }

static void test_config(void **state) { replay("hf_config", fuzz_config, 200); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_safetensors), cmocka_unit_test(test_checkpoint),
                                       cmocka_unit_test(test_config)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * The fuzz targets of launch, on their committed seeds. */
#define LS_FUZZ_REPLAY
#include "tests/fuzz/fuzz_pretrained_input.c"
#include "tests/fuzz/replay.h"

static void test_pretrained_input(void **state) { replay("pretrained_input", fuzz_pretrained_input, 200); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pretrained_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

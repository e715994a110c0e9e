/* SPDX-License-Identifier: Apache-2.0 */
/* timeout: 600 */
#include "tests/conv2d_reference.h"

/* Blocks with points of several samples and several blocks of a sample, groups, and sums in several chains. */
CHECK_OP(conv2d, conv2d_reference, {.in = {{.dims = {9, 3, 5}}, W(10, 9, 1, 1), W(10)}, .out = {10, 3, 5}},
         {.in = {{.dims = {20, 8, 13}}, W(26, 10, 1, 1), NO_BIAS}, .args = ARGS(.groups = 2), .out = {26, 8, 13}},
         {.in = {{.dims = {140, 4, 4}}, W(11, 140, 1, 1), W(11)}, .out = {11, 4, 4}})

CHECK_MAIN(cmocka_unit_test(check_conv2d))

/* SPDX-License-Identifier: Apache-2.0
 * Common to tests: cmocka, and assertions on statuses that print the error. */
#ifndef LS_TESTS_UNIT_H
#define LS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        ls_status assert_status = (call);                                                                              \
        if (assert_status != LS_OK) fail_msg("%s: %s\n%s", #call, ls_error_message(), ls_error_trace());               \
    } while (0)

/* Asserts that `call` fails with this status and a message that contains `part`. */
#define assert_fails(call, status, part)                                                                               \
    do {                                                                                                               \
        assert_int_equal((call), (status));                                                                            \
        if (!strstr(ls_error_message(), (part))) fail_msg("'%s' is not in: %s", (part), ls_error_message());           \
    } while (0)

#endif

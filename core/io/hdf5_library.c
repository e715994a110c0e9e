/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/hdf5_library.h: the version of HDF5, and a handler that records its errors.
 */
#include "core/io/hdf5_library.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char reason[256] = "unknown error";
static _Thread_local int  reason_errno;

const char *ls__h5_version(bool *thread_safe)
{
    static char text[64];
    unsigned    major = 0, minor = 0, release = 0;
    hbool_t     safe = 0;
    H5get_libversion(&major, &minor, &release);
    *thread_safe = H5is_library_threadsafe(&safe) >= 0 && safe;
    snprintf(text, sizeof text, "HDF5 %u.%u.%u", major, minor, release);
    return text;
}

/* Called for each level of the error stack, innermost (n = 0) first. */
static herr_t record_level(unsigned n, const H5E_error2_t *error, void *unused)
{
    const char *code = error->desc ? strstr(error->desc, "errno = ") : NULL;
    (void)unused;
    if (code && !reason_errno) reason_errno = atoi(code + 8);
    if (n == 0) snprintf(reason, sizeof reason, "%s", error->desc ? error->desc : "unknown error");
    return 0;
}

static herr_t record_error(hid_t stack, void *unused)
{
    (void)unused;
    reason_errno = 0;
    H5Ewalk2(stack, H5E_WALK_UPWARD, record_level, NULL);
    return 0;
}

void ls__h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, record_error, NULL); }

const char *ls__h5_reason(void) { return reason; }

int ls__h5_errno(void) { return reason_errno; }

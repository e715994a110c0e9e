/* SPDX-License-Identifier: Apache-2.0
 * What this room stands on. */
#include "datasets/files/about.h"

#include <hdf5.h>
#include <stdio.h>

const char *ls__hdf5_library(bool *thread_safe)
{
    static char text[64];
    unsigned    major = 0, minor = 0, release = 0;
    hbool_t     safe = 0;
    H5get_libversion(&major, &minor, &release);
    *thread_safe = H5is_library_threadsafe(&safe) >= 0 && safe;
    snprintf(text, sizeof text, "HDF5 %u.%u.%u", major, minor, release);
    return text;
}

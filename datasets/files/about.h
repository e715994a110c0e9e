/* SPDX-License-Identifier: Apache-2.0
 * What this room stands on, for `lockstep doctor`. */
#ifndef LS_DATASETS_FILES_ABOUT_H
#define LS_DATASETS_FILES_ABOUT_H

#include <stdbool.h>

/* Version of the HDF5 library that is loaded, and whether it may be called by several threads. */
const char *ls__hdf5_library(bool *thread_safe);

#endif

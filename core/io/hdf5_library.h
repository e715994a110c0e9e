/* SPDX-License-Identifier: Apache-2.0
 *
 * The HDF5 library in this process: its version, and why its last call failed.  Not public.
 *
 * HDF5 prints errors to stderr unless a handler is installed, and forgets an error with its next call, even one that
 * only closes an object.  The handler of ls__h5_quiet records the error at once, per thread.
 */
#ifndef LS_CORE_IO_HDF5_LIBRARY_H
#define LS_CORE_IO_HDF5_LIBRARY_H

#include <stdbool.h>

/* Returns "HDF5 1.10.8"; *thread_safe tells whether the library may be called by several threads. */
const char *ls__h5_version(bool *thread_safe);

/* Makes HDF5 record errors of this thread instead of printing them. */
void ls__h5_quiet(void);

/* Returns the innermost reason of the last error of this thread, for messages. */
const char *ls__h5_reason(void);

/* Returns the errno of the system call that caused that error, 0: none is known. */
int ls__h5_errno(void);

#endif

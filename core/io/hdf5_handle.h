/* SPDX-License-Identifier: Apache-2.0
 *
 * A handle that owns the HDF5 objects opened while one file is read or written.  Not public.
 *
 *     ls_h5 h;
 *     hid_t file;
 *     ls__h5_begin(&h, path, LS_ERR_DATA);
 *     status = read_it(&h);                        opens objects with LS_TRY_HDF5_OPEN, returns at the first error
 *     return ls__h5_end(&h, status);               the one place of cleanup: closes all objects, newest first
 *
 * A function that opens objects in a loop closes those of one iteration with ls__h5_mark and ls__h5_release.
 */
#ifndef LS_CORE_IO_HDF5_HANDLE_H
#define LS_CORE_IO_HDF5_HANDLE_H

#include <hdf5.h>

#include "core/base/status.h"

enum { LS_H5_OBJECTS = 24 }; /* most objects that are open at the same time */

typedef struct ls_h5 {
    const char *path;
    ls_status   failure; /* status of a failed HDF5 call: LS_ERR_DATA when reading, LS_ERR_ENV when writing */
    hid_t       id[LS_H5_OBJECTS];
    int         ids;
    H5E_auto2_t print; /* error handler of the caller, restored by ls__h5_end */
    void       *print_data;
} ls_h5;

/* Starts with no object and makes HDF5 record its errors instead of printing them. */
void ls__h5_begin(ls_h5 *h, const char *path, ls_status failure);

/* Closes all objects, restores the caller's error handler, and returns `status`. */
ls_status ls__h5_end(ls_h5 *h, ls_status status);

/* Registers an object for closing.  Returns it; a negative id is returned as it is. */
hid_t ls__h5_keep(ls_h5 *h, hid_t id);

/* Closes the objects that were opened after ls__h5_mark returned `mark`. */
static inline int ls__h5_mark(const ls_h5 *h) { return h->ids; }
void              ls__h5_release(ls_h5 *h, int mark);

/* Returns the error of an HDF5 call that failed: the errno of the system call behind it, or HDF5's reason. */
ls_status ls__h5_failed(const ls_h5 *h, const char *call, const char *file, int line, const char *func);

/* Returns from the calling function when an HDF5 call returns a negative number. */
#define LS_TRY_HDF5(h, call)                                                                                           \
    do {                                                                                                               \
        if ((call) < 0) return ls__h5_failed((h), #call, __FILE__, __LINE__, __func__);                                \
    } while (0)

/* Sets `id` to the object that `call` opens, registered for closing; returns from the calling function after an error.
 */
#define LS_TRY_HDF5_OPEN(h, id, call) LS_TRY_HDF5((h), (id) = ls__h5_keep((h), (call)))

#endif

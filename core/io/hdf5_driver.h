/* SPDX-License-Identifier: Apache-2.0
 *
 * An HDF5 file driver on POSIX calls that reports success for every write and keeps the first error for the caller.
 * Not public.
 *
 * Reason: after a failed write (a full disk), HDF5 1.10 to 1.14 cannot close the objects that are open, and crashes
 * when the process ends.  So a write error must not reach the library.
 *
 *     hid_t access = H5Pcreate(H5P_FILE_ACCESS), driver = ls__h5_driver();
 *     H5Pset_driver(access, driver, NULL);
 *     file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
 *     ... write ...
 *     H5Fclose(file);
 *     if (ls__h5_write_error()) ... the file is not complete
 */
#ifndef LS_CORE_IO_HDF5_DRIVER_H
#define LS_CORE_IO_HDF5_DRIVER_H

#include <hdf5.h>

/* Registers the driver for one file that is created, and clears the recorded error of this thread.  Release the driver
 * with H5Idec_ref. */
hid_t ls__h5_driver(void);

/* Returns the errno of the first failed write of this thread since ls__h5_driver, 0: none failed. */
int ls__h5_write_error(void);

#endif

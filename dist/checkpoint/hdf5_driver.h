/* SPDX-License-Identifier: Apache-2.0
 *
 * A file driver for HDF5 whose writes never fail.  Not public.
 *
 * When a write fails, HDF5 (1.10 to 1.14) can't close what was open, and crashes when the process ends.  So a full disk
 * must not reach it: this driver keeps the first error for the caller, who asks when all is closed, and drops what else
 * is written.
 *
 *     hid_t how = H5Pcreate(H5P_FILE_ACCESS), driver = ls__hdf5_driver();
 *     H5Pset_driver(how, driver, NULL);
 *     file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, how);  ... H5Fclose(file);
 *     if (ls__hdf5_write_error()) ...
 */
#ifndef LS_DIST_CHECKPOINT_HDF5_DRIVER_H
#define LS_DIST_CHECKPOINT_HDF5_DRIVER_H

#include <stdint.h>

/* The driver (an hid_t), for one file that is created; H5Idec_ref it afterwards.  Forgets an earlier error. */
int64_t ls__hdf5_driver(void);

/* errno of the first write of this thread that failed, or 0. */
int ls__hdf5_write_error(void);

#endif

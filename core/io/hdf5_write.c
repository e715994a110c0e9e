/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/hdf5_write.h: attributes, and data sets with reserved space.
 */
#include "core/io/hdf5_write.h"

#include <string.h>

bool ls__h5_put_attribute(hid_t object, const char *name, hid_t stored, hid_t memory, int n, const void *values)
{
    hsize_t dim   = (hsize_t)n;
    hid_t   space = n ? H5Screate_simple(1, &dim, NULL) : H5Screate(H5S_SCALAR);
    hid_t   a     = H5Acreate2(object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    bool    ok    = a >= 0 && H5Awrite(a, memory, values) >= 0;
    if (a >= 0) ok = H5Aclose(a) >= 0 && ok;
    H5Sclose(space);
    return ok;
}

bool ls__h5_put_text(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text));
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    bool ok = ls__h5_put_attribute(object, name, type, type, 0, text);
    H5Tclose(type);
    return ok;
}

bool ls__h5_reserve(hid_t where, const char *name, hid_t type, int rank, const hsize_t *dim, int64_t *at)
{
    hid_t space = H5Screate_simple(rank, dim, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(create, H5D_CONTIGUOUS);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(create, false); /* equal datasets are equal files */
    hid_t   set    = H5Dcreate2(where, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    haddr_t offset = set >= 0 ? H5Dget_offset(set) : HADDR_UNDEF;
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    *at = *dim ? (int64_t)offset : 0;
    return set >= 0 && (offset != HADDR_UNDEF || !*dim);
}

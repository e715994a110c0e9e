/* SPDX-License-Identifier: Apache-2.0
 * Tells whether the target of an array dataset can be the classes of a classification. */
#include "datasets/array/array.h"

static bool is_integer(hid_t set)
{
    hid_t       type   = H5Dget_type(set);
    H5T_class_t number = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    if (type >= 0) H5Tclose(type);
    return number == H5T_INTEGER || number == H5T_ENUM; /* h5py writes bool as an enumeration */
}

bool ls__array_target_is_class(ls_dataset *base)
{
    ls_array_set *d;
    if (ls__array_set_of(base, &d) != LS_OK || d->columns != d->inputs + 1 || d->column[d->inputs].elements != 1)
        return false;
    const ls_array_part *p = &d->file[0].part[d->inputs];
    return p->stored >= 0 ? ls__array_stored_is_integer(p->stored) : p->set >= 0 && is_integer(p->set);
}

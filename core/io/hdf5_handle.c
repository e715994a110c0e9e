/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/hdf5_handle.h: a handle that owns the HDF5 objects of one file.
 */
#include "core/io/hdf5_handle.h"

#include <string.h>

#include "core/io/hdf5_library.h"
#include "core/io/paths.h"

void ls__h5_begin(ls_h5 *h, const char *path, ls_status failure)
{
    *h = (ls_h5){.path = path, .failure = failure};
    H5Eget_auto2(H5E_DEFAULT, &h->print, &h->print_data);
    ls__h5_quiet();
}

hid_t ls__h5_keep(ls_h5 *h, hid_t id)
{
    if (id < 0) return id;
    if (h->ids == LS_H5_OBJECTS) { /* cannot happen: the nesting of objects is bounded */
        H5Idec_ref(id);
        return -1;
    }
    return h->id[h->ids++] = id;
}

void ls__h5_release(ls_h5 *h, int mark)
{
    while (h->ids > mark) H5Idec_ref(h->id[--h->ids]);
}

ls_status ls__h5_end(ls_h5 *h, ls_status status)
{
    ls__h5_release(h, 0);
    H5Eset_auto2(H5E_DEFAULT, h->print, h->print_data);
    return status;
}

ls_status ls__h5_failed(const ls_h5 *h, const char *call, const char *file, int line, const char *func)
{
    const char *name = strstr(call, "H5"); /* the call without an assignment in front of it */
    int         code = ls__h5_errno();
    if (!name) name = call;
    if (code) return ls__fail(LS_ERR_ENV, file, line, func, "%s: %s%s", h->path, strerror(code), ls__errno_hint(code));
    return ls__fail(h->failure, file, line, func, "%s: %.*s failed: %s", h->path, (int)strcspn(name, "("), name,
                    ls__h5_reason());
}

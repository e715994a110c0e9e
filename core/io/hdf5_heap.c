/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/hdf5_heap.h.  Texts of variable length are stored in "global heap collections" of an HDF5 file
 * (HDF5 File Format Specification, III.E):
 *
 *     "GCOL"  version 1  3 reserved bytes  size: 8 bytes      followed by objects, up to the size:
 *     index: 2  references: 2  reserved: 4  size: 8           and that many bytes, rounded up to 8; index 0 is the free
 *                                                             space, whose size includes this header
 *
 * and an attribute or data set refers to each text by
 *
 *     bytes of the text: 4  address of the collection: 8  index: 4
 *
 * HDF5 1.10 loops forever when the size of a free space is 0; so every collection is walked here before HDF5 reads it.
 * HDF5 also trusts the index of a reference and the number of bytes that the reference states; so references are
 * followed here as well.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/hdf5_heap.h"
#include "core/io/hdf5_library.h"

enum {
    BUFFER    = 1 << 18,
    HEADER    = 16,
    MARK      = 5,
    REFERENCE = 16,
    INDICES   = 1 << 16
}; /* sizes in bytes; number of values of an index */
#define MAX_SCAN_BYTES ((int64_t)1 << 30)
#define NO_OBJECT UINT64_MAX

static const uint8_t mark[MARK] = {'G', 'C', 'O', 'L', 1};

static uint64_t little_endian(const uint8_t *b, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | b[i];
    return value;
}

/* Returns whether the objects of the collection at byte `at` fill exactly its size.  object_bytes (NULL: not wanted) is
 * set to the size of the object of each index, NO_OBJECT where there is none or more than one. */
static bool is_valid_collection(int fd, int64_t at, int64_t file_bytes, uint64_t *object_bytes)
{
    uint8_t head[HEADER];
    if (object_bytes) memset(object_bytes, 0xff, INDICES * sizeof *object_bytes);
    if (pread(fd, head, HEADER, at) != HEADER) return false;
    uint64_t size = little_endian(head + 8, 8), used = HEADER;
    if (size < HEADER || size > (uint64_t)(file_bytes - at)) return false;
    while (size - used >= HEADER) {
        if (pread(fd, head, HEADER, at + (int64_t)used) != HEADER) return false;
        uint64_t index = little_endian(head, 2), object = little_endian(head + 8, 8);
        if (object > size) return false;
        uint64_t step = index ? HEADER + (object + 7) / 8 * 8 : object;
        if (step < HEADER || step > size - used) return false;
        if (object_bytes && index) object_bytes[index] = object_bytes[index] == NO_OBJECT ? object : NO_OBJECT;
        used += step;
    }
    return true;
}

/* Checks every collection between the bytes `from` and `to`. */
static ls_status scan(const char *path, int fd, int64_t file_bytes, int64_t from, int64_t to, uint8_t *buffer)
{
    while (to - from >= MARK) {
        int64_t want = to - from < BUFFER ? to - from : BUFFER;
        ssize_t n    = pread(fd, buffer, (size_t)want, from);
        LS_CHECK(n >= MARK, LS_ERR_DATA, "%s: cannot be read: the file ends early", path);
        for (uint8_t *hit = buffer; (hit = memmem(hit, (size_t)(buffer + n - hit), mark, MARK)); hit++)
            LS_CHECK(is_valid_collection(fd, from + (hit - buffer), file_bytes, NULL), LS_ERR_DATA,
                     "%s: is a damaged HDF5 file: its heap of texts at byte %lld" LS_HINT "copy it or make it again",
                     path, (long long)(from + (hit - buffer)));
        from += n - (MARK - 1);
    }
    return LS_OK;
}

ls_status ls__h5_check_heaps(const char *path, int fd, int64_t file_bytes, int64_t skip, int64_t skip_bytes)
{
    static const char signature[8] = "\x89HDF\r\n\x1a\n";
    uint8_t           head[HEADER];
    LS_CHECK(pread(fd, head, HEADER, 0) == HEADER && !memcmp(head, signature, 8), LS_ERR_DATA,
             "%s: expected the signature of an HDF5 file, found other bytes", path);
    const uint8_t *widths = head + (head[8] < 2 ? 13 : 9);
    LS_CHECK(widths[0] == 8 && widths[1] == 8, LS_ERR_DATA,
             "%s: expected addresses and sizes of 8 bytes, found %d and %d", path, widths[0], widths[1]);
    /* A larger file is almost all chunks of values; scanning it would delay the start of a run too long. */
    if (file_bytes - skip_bytes > MAX_SCAN_BYTES) return LS_OK;
    uint8_t *buffer = malloc(BUFFER);
    LS_CHECK(buffer, LS_ERR_ENV, "%s: no memory", path);
    ls_status status = scan(path, fd, file_bytes, 0, skip, buffer);
    if (status == LS_OK) status = scan(path, fd, file_bytes, skip + skip_bytes, file_bytes, buffer);
    free(buffer);
    return status;
}

/* ---- references -------------------------------------------------------------------------------------------------- */

/* A type conversion from text to opaque bytes that keeps the bytes of the file: HDF5 has no other way to read the
 * references themselves. */
static herr_t keep_bytes(hid_t from, hid_t to, H5T_cdata_t *call, size_t n, size_t stride, size_t back_stride,
                         void *data, void *back, hid_t transfer)
{
    (void)n, (void)stride, (void)back_stride, (void)data, (void)back, (void)transfer;
    return call->command != H5T_CONV_INIT || (H5Tis_variable_str(from) > 0 && H5Tget_size(to) == REFERENCE) ? 0 : -1;
}

/* Reads the references of an attribute or data set as they are in the file. */
static bool read_references(hid_t object, uint8_t *references)
{
    static const char name[] = "references to texts";
    hid_t             text = H5Tcopy(H5T_C_S1), raw = H5Tcreate(H5T_OPAQUE, REFERENCE);
    bool              ok = text >= 0 && raw >= 0 && H5Tset_size(text, H5T_VARIABLE) >= 0 &&
              H5Tregister(H5T_PERS_SOFT, name, text, raw, keep_bytes) >= 0;
    if (ok) {
        ok = (H5Iget_type(object) == H5I_ATTR ? H5Aread(object, raw, references)
                                              : H5Dread(object, raw, H5S_ALL, H5S_ALL, H5P_DEFAULT, references)) >= 0;
        H5Tunregister(H5T_PERS_SOFT, name, text, raw, keep_bytes);
    }
    if (text >= 0) H5Tclose(text);
    if (raw >= 0) H5Tclose(raw);
    return ok;
}

/* Returns the first reference that does not lead to a text of the stated size, or -1. */
static int64_t broken_reference(int fd, const uint8_t *reference, int64_t count, uint64_t *object_bytes)
{
    struct stat st;
    uint64_t    loaded = 0;
    uint8_t     head[MARK];
    if (fstat(fd, &st)) return 0;
    for (int64_t i = 0; i < count; i++, reference += REFERENCE) {
        uint64_t bytes = little_endian(reference, 4), at = little_endian(reference + 4, 8),
                 index = little_endian(reference + 12, 4);
        if (at == 0) continue; /* address 0: an empty text */
        if (at != loaded) {
            if (at >= (uint64_t)st.st_size || pread(fd, head, MARK, (off_t)at) != MARK || memcmp(head, mark, MARK) != 0)
                return i;
            if (!is_valid_collection(fd, (int64_t)at, st.st_size, object_bytes)) return i;
            loaded = at;
        }
        if (index >= INDICES || object_bytes[index] == NO_OBJECT || object_bytes[index] != bytes) return i;
    }
    return -1;
}

ls_status ls__h5_check_texts(const char *path, hid_t file, hid_t object, const char *name, int64_t count)
{
    void     *handle       = NULL;
    uint8_t  *references   = calloc((size_t)count + 1, REFERENCE);
    uint64_t *object_bytes = malloc(INDICES * sizeof *object_bytes);
    int64_t   broken       = -1;
    ls_status status       = LS_OK;
    if (!references || !object_bytes)
        status = LS_FAIL(LS_ERR_ENV, "%s: no memory for %lld texts", path, (long long)count);
    else if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0 || !read_references(object, references))
        status = LS_FAIL(LS_ERR_DATA, "%s: %s cannot be read: %s", path, name, ls__h5_reason());
    else if ((broken = broken_reference(*(int *)handle, references, count, object_bytes)) >= 0)
        status = LS_FAIL(LS_ERR_DATA,
                         "%s: is a damaged HDF5 file: text %lld of %s is not where it should be" LS_HINT
                         "copy it or make it again",
                         path, (long long)broken, name);
    free(references);
    free(object_bytes);
    return status;
}

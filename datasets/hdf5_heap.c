/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts of variable length lie in "global heap collections" of an HDF5 file (HDF5 File Format Specification, III.E):
 *
 *     "GCOL"  version 1  3 reserved bytes  size: 8 bytes      then objects, up to the size:
 *     index: 2  references: 2  reserved: 4  size: 8           and the size, rounded up to 8; index 0: what is free, header included
 *
 * HDF5 1.10 goes round for ever when the size of a free piece is 0, and so each collection is walked here before HDF5 does.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/hdf5.h"

enum { BUFFER = 1 << 18, HEADER = 16, MARK = 5 };
#define MOST ((int64_t)1 << 30)

static uint64_t little_endian(const uint8_t *b)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | b[i];
    return value;
}

/* Does the collection at `at` end where it says, in steps that lead on? */
static bool sound(int fd, int64_t at, int64_t file_bytes)
{
    uint8_t head[HEADER];
    if (pread(fd, head, HEADER, at) != HEADER) return false;
    uint64_t size = little_endian(head + 8), used = HEADER;
    if (size < HEADER || size > (uint64_t)(file_bytes - at)) return false;
    while (size - used >= HEADER) {
        if (pread(fd, head, HEADER, at + (int64_t)used) != HEADER) return false;
        uint64_t object = little_endian(head + 8);
        if (object > size) return false;
        uint64_t step = head[0] | head[1] ? HEADER + (object + 7) / 8 * 8 : object;
        if (step < HEADER || step > size - used) return false;
        used += step;
    }
    return true;
}

static ls_status scan(const char *path, int fd, int64_t file_bytes, int64_t from, int64_t to, uint8_t *buffer)
{
    static const uint8_t mark[MARK] = {'G', 'C', 'O', 'L', 1};
    while (to - from >= MARK) {
        int64_t want = to - from < BUFFER ? to - from : BUFFER;
        ssize_t n    = pread(fd, buffer, (size_t)want, from);
        LS_CHECK(n >= MARK, LS_ERR_DATA, "%s: cannot be read", path);
        for (uint8_t *hit = buffer; (hit = memmem(hit, (size_t)(buffer + n - hit), mark, MARK)); hit++)
            LS_CHECK(sound(fd, from + (hit - buffer), file_bytes), LS_ERR_DATA,
                     "%s: is a damaged HDF5 file: its heap of texts at byte %lld" LS_HINT "copy it or make it again", path, (long long)(from + (hit - buffer)));
        from += n - (MARK - 1);
    }
    return LS_OK;
}

ls_status ls__h5_check_heaps(const char *path, int fd, int64_t file_bytes, int64_t skip, int64_t skip_bytes)
{
    static const char signature[8] = "\x89HDF\r\n\x1a\n";
    uint8_t           head[HEADER];
    LS_CHECK(pread(fd, head, HEADER, 0) == HEADER && !memcmp(head, signature, 8), LS_ERR_DATA, "%s: does not begin as an HDF5 file does", path);
    const uint8_t *widths = head + (head[8] < 2 ? 13 : 9);
    LS_CHECK(widths[0] == 8 && widths[1] == 8, LS_ERR_DATA, "%s: has addresses of %d and sizes of %d bytes; expected 8", path, widths[0], widths[1]);
    /* Looking through more than this, for chunks of pixels that are almost all of it, would take longer than a run's start may. */
    if (file_bytes - skip_bytes > MOST) return LS_OK;
    uint8_t *buffer = malloc(BUFFER);
    LS_CHECK(buffer, LS_ERR_ENV, "%s: no memory", path);
    ls_status status = scan(path, fd, file_bytes, 0, skip, buffer);
    if (status == LS_OK) status = scan(path, fd, file_bytes, skip + skip_bytes, file_bytes, buffer);
    free(buffer);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * 
 * Implements core/io/hdf5_driver.h: an HDF5 file driver on POSIX calls that never reports a failed write.
 */
#include "core/io/hdf5_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

typedef struct driver_file {
    H5FD_t  base;
    int     fd;
    haddr_t allocated, written; /* ends of the allocated and of the written space, bytes */
} driver_file;

static _Thread_local int first_error;

int ls__h5_write_error(void) { return first_error; }

static void record_error(int code)
{
    if (!first_error) first_error = code ? code : EIO;
}

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t limit)
{
    (void)flags, (void)access, (void)limit;
    driver_file *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    f->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        record_error(errno);
        free(f);
        return NULL;
    }
    return &f->base;
}

static herr_t close_file(H5FD_t *file)
{
    driver_file *f = (driver_file *)file;
    if (close(f->fd) != 0) record_error(errno);
    free(f);
    return 0;
}

static herr_t query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)file)->allocated;
}

static herr_t set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((driver_file *)file)->allocated = end;
    return 0;
}

static haddr_t get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)file)->written;
}

/* Bytes that were never written read as zero. */
static herr_t read_file(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t bytes, void *data)
{
    (void)type, (void)transfer;
    driver_file *f   = (driver_file *)file;
    char        *out = data;
    while (bytes) {
        ssize_t n = pread(f->fd, out, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            memset(out, 0, bytes);
            break;
        }
        out += n;
        at += (haddr_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static herr_t write_file(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t bytes, const void *data)
{
    (void)type, (void)transfer;
    driver_file *f  = (driver_file *)file;
    const char  *in = data;
    if (at + bytes > f->written) f->written = at + bytes;
    while (bytes && !first_error) {
        ssize_t n = pwrite(f->fd, in, bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            record_error(n < 0 ? errno : ENOSPC);
            break;
        }
        in += n;
        at += (haddr_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static herr_t truncate_file(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    driver_file *f = (driver_file *)file;
    if (f->written == f->allocated) return 0;
    if (!first_error && ftruncate(f->fd, (off_t)f->allocated) != 0) record_error(errno);
    f->written = f->allocated;
    return 0;
}

static const H5FD_class_t class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value   = 510, /* driver number, from the range for applications */
#endif
    .name      = "lockstep",
    .maxaddr   = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .open      = open_file,
    .close     = close_file,
    .query     = query,
    .get_eoa   = get_eoa,
    .set_eoa   = set_eoa,
    .get_eof   = get_eof,
    .read      = read_file,
    .write     = write_file,
    .truncate  = truncate_file,
    .fl_map    = H5FD_FLMAP_DICHOTOMY,
};

hid_t ls__h5_driver(void)
{
    first_error = 0;
    return H5FDregister(&class);
}

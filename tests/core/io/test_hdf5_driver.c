/* SPDX-License-Identifier: Apache-2.0 */
/* core/io/hdf5_driver.h: a failed write is kept from HDF5, which closes its objects and does not crash. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/io/hdf5.h"
#include "core/io/hdf5_driver.h"
#include "core/io/hdf5_handle.h"
#include "core/io/hdf5_write.h"
#include "unit.h"

static char path[] = "/tmp/lockstep-driver-XXXXXX";

enum { VALUES = 1000 };

/* Writes a file with one data set through the driver. */
static ls_status write_file(ls_h5 *h)
{
    static int values[VALUES];
    hsize_t    dim = VALUES;
    hid_t      access, driver, file, space, set;
    for (int i = 0; i < VALUES; i++) values[i] = i;
    LS_TRY_HDF5_OPEN(h, access, ls__h5_access());
    LS_TRY_HDF5_OPEN(h, driver, ls__h5_driver());
    LS_TRY_HDF5(h, H5Pset_driver(access, driver, NULL));
    LS_TRY_HDF5_OPEN(h, file, H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access));
    LS_TRY_HDF5_OPEN(h, space, H5Screate_simple(1, &dim, NULL));
    LS_TRY_HDF5_OPEN(h, set, H5Dcreate2(file, "x", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    LS_TRY_HDF5(h, H5Dwrite(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
    return LS_OK;
}

static ls_status write_closed(void)
{
    ls_h5 h;
    ls__h5_begin(&h, path, LS_ERR_ENV);
    return ls__h5_end(&h, write_file(&h));
}

static void a_written_file_is_an_ordinary_hdf5_file(void **state)
{
    int values[VALUES] = {0};
    assert_ok(write_closed());
    assert_int_equal(ls__h5_write_error(), 0);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "x", H5P_DEFAULT);
    assert_true(H5Dread(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Fclose(file);
    for (int i = 0; i < VALUES; i++) assert_int_equal(values[i], i);
}

static void a_full_disk_is_reported_and_nothing_crashes(void **state)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 4096; limit += 512) {
        struct rlimit small = {limit, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        ls_status status = write_closed();
        setrlimit(RLIMIT_FSIZE, &before);
        assert_ok(status); /* HDF5 sees no error */
        assert_int_equal(ls__h5_write_error(), EFBIG);
    }
    assert_ok(write_closed());
    assert_int_equal(ls__h5_write_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_file_is_an_ordinary_hdf5_file),
        cmocka_unit_test(a_full_disk_is_reported_and_nothing_crashes),
    };
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}

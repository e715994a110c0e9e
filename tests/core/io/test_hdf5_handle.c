/* SPDX-License-Identifier: Apache-2.0 */
/* core/io/hdf5_handle.h, core/io/hdf5_write.h: objects are closed, errors have a cause, space is reserved for
 * values. */
#include <fcntl.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_handle.h"
#include "core/io/hdf5_write.h"
#include "unit.h"

static char path[] = "/tmp/lockstep-handle-XXXXXX";

static ls_status create(ls_h5 *h, int64_t *at)
{
    hid_t   access, file;
    hsize_t dim[2] = {3, 2};
    int     answer = 42;
    float   mean[] = {0.5f, 0.25f};
    LS_TRY_HDF5_OPEN(h, access, ls__h5_access());
    LS_TRY_HDF5_OPEN(h, file, H5Fcreate(h->path, H5F_ACC_TRUNC, H5P_DEFAULT, access));
    assert_true(ls__h5_put_attribute(file, "answer", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &answer));
    assert_true(ls__h5_put_attribute(file, "mean", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, mean));
    assert_true(ls__h5_put_text(file, "split", "train"));
    assert_true(ls__h5_reserve(file, "x", H5T_STD_I32LE, 2, dim, at));
    return LS_OK;
}

/* The values are written to the reserved space, and read through HDF5. */
static void reserved_space_holds_the_values(void **state)
{
    ls_h5       h;
    ls_h5_shape shape;
    hid_t       file, set;
    int32_t     values[6] = {1, 2, 3, 4, 5, 6}, found[6] = {0};
    int64_t     at = 0, answer = 0, offset = 0;
    float       mean[2];
    char        split[16];
    ls__h5_begin(&h, path, LS_ERR_ENV);
    assert_ok(ls__h5_end(&h, create(&h, &at)));
    assert_true(at > 0);
    int fd = open(path, O_RDWR);
    assert_ok(ls__file_write_at(path, fd, at, values, sizeof values));
    int64_t bytes = lseek(fd, 0, SEEK_END);
    close(fd);

    file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_ok(ls__h5_int(path, file, "answer", &answer));
    assert_int_equal(answer, 42);
    assert_ok(ls__h5_floats(path, file, "mean", 2, mean));
    assert_true(mean[0] == 0.5f && mean[1] == 0.25f);
    assert_ok(ls__h5_text(path, file, "split", true, split, sizeof split));
    assert_string_equal(split, "train");
    assert_ok(ls__h5_dataset(path, file, "x", true, &set, &shape));
    assert_int_equal(shape.rank, 2);
    assert_int_equal(shape.count, 6);
    assert_ok(ls__h5_storage(path, set, "x", &shape, bytes, &offset));
    assert_int_equal(offset, at);
    assert_fails(ls__h5_storage(path, set, "x", &shape, at + 1, &offset), LS_ERR_DATA, "/x: its data end beyond");
    assert_true(H5Dread(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, found) >= 0);
    assert_memory_equal(found, values, sizeof values);
    H5Dclose(set);
    H5Fclose(file);
}

static ls_status open_missing(ls_h5 *h)
{
    hid_t file, set;
    LS_TRY_HDF5_OPEN(h, file, H5Fopen(h->path, H5F_ACC_RDONLY, H5P_DEFAULT));
    LS_TRY_HDF5_OPEN(h, set, H5Dopen2(file, "no such", H5P_DEFAULT));
    return LS_OK;
}

static void an_error_names_the_call_and_closes_everything(void **state)
{
    ls_h5 h;
    ls__h5_begin(&h, path, LS_ERR_DATA);
    assert_fails(ls__h5_end(&h, open_missing(&h)), LS_ERR_DATA, ": H5Dopen2 failed: ");
    assert_non_null(strstr(ls_error_message(), path));
    assert_int_equal(h.ids, 0);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

static void a_missing_file_is_an_error_of_the_system(void **state)
{
    ls_h5 h;
    ls__h5_begin(&h, "/nowhere/x.h5", LS_ERR_DATA);
    assert_fails(ls__h5_end(&h, open_missing(&h)), LS_ERR_ENV, "/nowhere/x.h5: No such file");
}

static void release_closes_down_to_the_mark(void **state)
{
    ls_h5 h;
    ls__h5_begin(&h, path, LS_ERR_ENV);
    hid_t kept = ls__h5_keep(&h, H5Screate(H5S_SCALAR));
    int   mark = ls__h5_mark(&h);
    hid_t open = ls__h5_keep(&h, H5Screate(H5S_SCALAR));
    ls__h5_release(&h, mark);
    assert_true(H5Iis_valid(kept) > 0);
    assert_true(H5Iis_valid(open) == 0);
    ls__h5_end(&h, LS_OK);
    assert_true(H5Iis_valid(kept) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_space_holds_the_values),
        cmocka_unit_test(an_error_names_the_call_and_closes_everything),
        cmocka_unit_test(a_missing_file_is_an_error_of_the_system),
        cmocka_unit_test(release_closes_down_to_the_mark),
    };
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}

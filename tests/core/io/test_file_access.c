/* SPDX-License-Identifier: Apache-2.0
 * core/io/file_access.h: positioned reads and writes, whole files, checksums. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "unit.h"

static char path[] = "/tmp/lockstep-access-XXXXXX";
static int  fd;

static void bytes_are_read_where_they_were_written(void **state)
{
    char text[8] = "";
    assert_ok(ls__file_write_at(path, fd, 3, "abcdef", 6));
    assert_ok(ls__file_write_at(path, fd, 0, "xyz", 3));
    assert_ok(ls__file_read_at(path, fd, 2, text, 4));
    assert_string_equal(text, "zabc");
    assert_fails(ls__file_read_at(path, fd, 6, text, 4), LS_ERR_DATA, "ends at byte 9, expected 1 more bytes");
}

static void only_regular_files_are_opened(void **state)
{
    int opened;
    assert_fails(ls__file_open("/tmp", &opened), LS_ERR_DATA, "/tmp: expected a regular file");
    assert_int_equal(opened, -1);
    assert_fails(ls__file_open("/nothing", &opened), LS_ERR_ENV, "/nothing: cannot be read: No such file");
}

static void a_small_file_is_read_whole(void **state)
{
    char  *text;
    size_t bytes;
    assert_ok(ls__file_text(path, 9, &text, &bytes));
    assert_int_equal(bytes, 9);
    assert_string_equal(text, "xyzabcdef");
    free(text);
    assert_fails(ls__file_text(path, 8, &text, &bytes), LS_ERR_DATA, "at most 8 bytes, found 9");
    assert_null(text);
}

/* The expected value is the output of xxh64sum. */
static void the_checksum_is_xxh64(void **state)
{
    uint64_t checksum;
    int64_t  bytes;
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_ok(ls__file_checksum(path, &checksum, &bytes));
    assert_int_equal(bytes, 0);
    assert_true(checksum == 0xef46db3751d8e999);
    assert_ok(ls__file_write_at(path, fd, 0, "a", 1));
    assert_ok(ls__file_checksum(path, &checksum, &bytes));
    assert_int_equal(bytes, 1);
    assert_true(checksum == 0xd24ec4f1a98c6e5b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_read_where_they_were_written),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(a_small_file_is_read_whole),
        cmocka_unit_test(the_checksum_is_xxh64),
    };
    fd = mkstemp(path);
    if (fd < 0) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}

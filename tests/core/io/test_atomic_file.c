/* SPDX-License-Identifier: Apache-2.0
 * core/io/atomic_file.h: a file appears complete or not at all. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "unit.h"

static char folder[] = "/tmp/lockstep-atomic-XXXXXX";

static const char *at(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Number of files in the folder. */
static int files(void)
{
    int  n   = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.' || e->d_name[1] > '.';
    closedir(dir);
    return n;
}

static void expect_content(const char *name, const char *content)
{
    char  text[64] = "";
    FILE *f        = fopen(at(name), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_string_equal(text, content);
}

static void content_appears_with_the_rename(void **state)
{
    ls_file f;
    assert_ok(ls__file_create(&f, at("a")));
    assert_ok(ls__file_write(&f, "one", 3));
    assert_int_not_equal(access(at("a"), F_OK), 0);
    assert_ok(ls__file_finish(&f, LS_OK));
    expect_content("a", "one");
    assert_int_equal(files(), 1);
}

static void an_error_keeps_the_old_content(void **state)
{
    ls_file f;
    assert_ok(ls__file_create(&f, at("a")));
    assert_ok(ls__file_write(&f, "two", 3));
    assert_int_equal(ls__file_finish(&f, LS_ERR_DATA), LS_ERR_DATA);
    expect_content("a", "one");
    assert_int_equal(files(), 1);
}

static void a_stream_writes_the_file(void **state)
{
    ls_file f;
    FILE   *stream;
    assert_ok(ls__file_create(&f, at("b")));
    assert_ok(ls__file_stream(&f, &stream));
    fprintf(stream, "%d %s", 42, "streams");
    assert_ok(ls__file_finish(&f, LS_OK));
    expect_content("b", "42 streams");
}

static void a_failed_write_of_a_stream_is_reported_with_its_cause(void **state)
{
    ls_file       f;
    FILE         *stream;
    struct rlimit before, small = {100, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(ls__file_create(&f, at("b")));
    assert_ok(ls__file_stream(&f, &stream));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 10000; i++) fputc('x', stream);
    ls_status status = ls__file_finish(&f, LS_OK);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_fails(status, LS_ERR_ENV, "/b: cannot be written: File too large");
    expect_content("b", "42 streams");
    assert_int_equal(files(), 2);
}

static void a_missing_folder_is_an_error(void **state)
{
    ls_file f;
    assert_fails(ls__file_create(&f, at("no/such")), LS_ERR_ENV, "no/such: cannot be written: No such file");
    assert_int_equal(ls__file_finish(&f, LS_ERR_ENV), LS_ERR_ENV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_appears_with_the_rename),
        cmocka_unit_test(an_error_keeps_the_old_content),
        cmocka_unit_test(a_stream_writes_the_file),
        cmocka_unit_test(a_failed_write_of_a_stream_is_reported_with_its_cause),
        cmocka_unit_test(a_missing_folder_is_an_error),
    };
    if (!mkdtemp(folder)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(at("a"));
    unlink(at("b"));
    rmdir(folder);
    return failed;
}

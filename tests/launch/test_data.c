/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * Where data come from: the cache, local copies, ranks that start together, a download that is not what it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "launch/data_internal.h"
#include "tests/datasets/idx_files.h"

static char root[FILES_PATH], copies[FILES_PATH + 16], cache[FILES_PATH + 16], programs[FILES_PATH + 16];

static int setup(void **state)
{
    char mnist[FILES_PATH + 32];
    folder_make(root);
    snprintf(copies, sizeof copies, "%s/copies", root);
    snprintf(cache, sizeof cache, "%s/cache", root);
    snprintf(programs, sizeof programs, "%s/bin", root);
    snprintf(mnist, sizeof mnist, "%s/mnist", copies);
    mkdir(copies, 0777);
    mkdir(mnist, 0777);
    mkdir(programs, 0777);
    idx_put_all(mnist, 1);
    setenv("XDG_CACHE_HOME", cache, 1);
    unsetenv("LOCKSTEP_DATA");
    return 0;
}

static int teardown(void **state)
{
    folder_remove(root);
    return 0;
}

static void a_path_is_taken_as_it_is(void **state)
{
    char path[LS_DATA_PATH];
    assert_int_equal(ls_data_resolve("some/folder", path, sizeof path), LS_OK);
    assert_string_equal(path, "some/folder");
}

static void what_was_not_fetched_says_how(void **state)
{
    char path[LS_DATA_PATH];
    assert_int_equal(ls_data_resolve("mnist", path, sizeof path), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "lockstep data fetch mnist"));
    setenv("LOCKSTEP_DATA", "/nowhere", 1);
    assert_int_equal(ls_data_resolve("mnist", path, sizeof path), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "LOCKSTEP_DATA=/nowhere"));
    unsetenv("LOCKSTEP_DATA");
}

/* All find the same folder, nothing else remains, and the second time it is only found. */
static void ranks_that_start_together_import_once(void **state)
{
    enum { RANKS = 6 };
    char  path[LS_DATA_PATH], folder[FILES_PATH + 64];
    pid_t child[RANKS];
    setenv("LOCKSTEP_DATA", copies, 1);
    for (int r = 0; r < RANKS; r++)
        if (!(child[r] = fork())) _exit(ls_data_resolve("mnist", path, sizeof path) == LS_OK && ls__data_there(path) ? 0 : 1);
    for (int r = 0; r < RANKS; r++) {
        int how;
        assert_int_equal(waitpid(child[r], &how, 0), child[r]);
        assert_int_equal(how, 0);
    }
    snprintf(folder, sizeof folder, "%s/lockstep", cache);
    assert_int_equal(folder_count(folder), 2); /* the data set and its lock */
    assert_int_equal(ls_data_resolve("mnist", path, sizeof path), LS_OK);
    ls_dataset *d;
    assert_int_equal(ls_dataset_open(&d, path, "train"), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).count, IDX_TRAIN);
    ls_dataset_free(d);
    /* Other files, another folder. */
    char    mnist[FILES_PATH + 32], again[LS_DATA_PATH];
    uint8_t data[IDX_BYTES];
    snprintf(mnist, sizeof mnist, "%s/mnist", copies);
    size_t bytes = idx_make(1, data);
    data[8]      = 9;
    idx_put(mnist, 1, data, bytes, 1);
    assert_int_equal(ls_data_resolve("mnist", again, sizeof again), LS_OK);
    assert_string_not_equal(path, again);
    unsetenv("LOCKSTEP_DATA");
}

static void copies_that_are_not_mnist_are_not_fetched(void **state)
{
    setenv("LOCKSTEP_DATA", copies, 1);
    assert_int_equal(ls__data_fetch("mnist", NULL), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "is not the file of MNIST"));
    assert_int_equal(ls__data_fetch("imagenet", NULL), LS_ERR_USAGE);
    unsetenv("LOCKSTEP_DATA");
}

/* A stand-in for curl that copies the file of that name from a folder (the last two arguments are output and address), if it is there. */
static void put_downloader(const char *from)
{
    char path[FILES_PATH + 32], text[2048];
    snprintf(path, sizeof path, "%s/curl", programs);
    snprintf(text, sizeof text, "#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nexec cp \"%s/$(basename \"$2\")\" \"$1\" 2>/dev/null\n", from);
    file_write(path, text, strlen(text));
    chmod(path, 0777);
    snprintf(text, sizeof text, "%s:/usr/bin:/bin", programs);
    setenv("PATH", text, 1);
}

static void a_download_is_checked_and_leaves_nothing(void **state)
{
    char folder[FILES_PATH + 64], from[FILES_PATH + 64], out[FILES_PATH + 64];
    snprintf(folder, sizeof folder, "%s/lockstep", cache);
    snprintf(out, sizeof out, "%s/out", root);
    int before = folder_count(folder);
    snprintf(from, sizeof from, "%s/mnist", copies);
    put_downloader(from); /* files, but not MNIST's */
    assert_int_equal(ls__data_fetch("mnist", out), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "is not the file of MNIST"));
    put_downloader("/nowhere");
    assert_int_equal(ls__data_fetch("mnist", out), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "cannot be downloaded"));
    assert_int_equal(folder_count(folder), before);
    assert_int_equal(folder_count(out), -1);
}

/* With the real files at hand (TEST_DATA: what LOCKSTEP_DATA was), a download that works. */
static void the_real_files_are_fetched(void **state)
{
    char        from[FILES_PATH + 64], out[FILES_PATH + 64];
    const char *real = getenv("TEST_DATA");
    assert_non_null(real);
    snprintf(from, sizeof from, "%s/mnist", real);
    snprintf(out, sizeof out, "%s/out", root);
    put_downloader(from);
    assert_int_equal(ls__data_fetch("mnist", out), LS_OK);
    assert_int_equal(folder_count(out), 2);
    ls_dataset *d;
    assert_int_equal(ls_dataset_open(&d, out, "train"), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).count, 60000);
    ls_dataset_free(d);
}

static void pictures_of_a_data_set(void **state)
{
    char out[FILES_PATH + 64], png[FILES_PATH + 64];
    snprintf(out, sizeof out, "%s/tiny", root);
    snprintf(png, sizeof png, "%s/sheet.png", root);
    assert_int_equal(tiny_write(out, 5, 1), LS_OK);
    assert_int_equal(ls__data_inspect(out, png), LS_OK);
    assert_true(file_bytes(png) > 100);
    assert_int_equal(folder_count(out), 1);
    assert_int_equal(ls__data_inspect(out, NULL), LS_OK); /* beside it */
    assert_int_equal(folder_count(out), 2);
    assert_int_equal(ls__data_inspect("/nowhere", png), LS_ERR_DATA);
}

int main(void)
{
    const char *data = getenv("LOCKSTEP_DATA");
    if (data && *data) setenv("TEST_DATA", data, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_taken_as_it_is),
        cmocka_unit_test(what_was_not_fetched_says_how),
        cmocka_unit_test(ranks_that_start_together_import_once),
        cmocka_unit_test(copies_that_are_not_mnist_are_not_fetched),
        cmocka_unit_test(a_download_is_checked_and_leaves_nothing),
        cmocka_unit_test(pictures_of_a_data_set),
        cmocka_unit_test(the_real_files_are_fetched), /* the last: left out without the files */
    };
    return _cmocka_run_group_tests("launch.data", tests, sizeof tests / sizeof *tests - (data && *data ? 0 : 1), setup, teardown);
}

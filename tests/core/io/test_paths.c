/* SPDX-License-Identifier: Apache-2.0
 * core/io/paths.h: folders are made and removed, paths are bounded, renames are synced. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/paths.h"
#include "unit.h"

static char folder[] = "/tmp/lockstep-paths-XXXXXX";

static const char *at(const char *name)
{
    static char ring[2][256];
    static int  next;
    char       *path = ring[next++ % 2];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    fclose(f);
}

static void folders_are_made_with_their_parents(void **state)
{
    int made = 0;
    assert_ok(ls__make_folders(at("a/b/c"), &made));
    assert_int_equal(made, 3);
    assert_ok(ls__make_folders(at("a/b/d"), &made));
    assert_int_equal(made, 4);
    assert_ok(ls__make_folders(at("a/b/d"), &made));
    assert_int_equal(made, 4);
    assert_ok(ls__make_folders(at("a/b/d"), NULL));
}

static void a_file_in_the_way_is_named(void **state)
{
    write_file("a/file");
    assert_fails(ls__make_folders(at("a/file"), NULL), LS_ERR_ENV, "a/file: expected a folder, found a file");
    assert_fails(ls__make_folders(at("a/file/x"), NULL), LS_ERR_ENV, "a/file/x: cannot make the folder: Not a dir");
    assert_fails(ls__make_folders("", NULL), LS_ERR_USAGE, "empty text");
}

static void a_folder_is_removed_with_its_files_and_no_further(void **state)
{
    assert_fails(ls__remove_folder(at("a")), LS_ERR_ENV, "cannot remove the file");
    assert_int_equal(symlink("b", at("a/link")), 0);
    assert_fails(ls__remove_folder(at("a/link")), LS_ERR_ENV, "a/link: cannot remove the folder");
    write_file("a/b/c/file");
    assert_ok(ls__remove_folder(at("a/b/c")));
    assert_int_not_equal(access(at("a/b/c"), F_OK), 0);
    assert_ok(ls__remove_folder(at("a/b/c")));
}

static void a_path_is_bounded(void **state)
{
    char path[LS_PATH_BYTES], *text = calloc(1, 5000);
    memset(text, 'x', 4999);
    assert_fails(ls__path(path, "%s", text), LS_ERR_USAGE, "expected a path of at most 4095 bytes, found 4999");
    free(text);
    assert_ok(ls__path(path, "%s/%d", "a", 7));
    assert_string_equal(path, "a/7");
}

static void a_rename_names_the_new_file(void **state)
{
    write_file("old");
    assert_ok(ls__rename(at("old"), at("new")));
    assert_int_equal(access(at("new"), F_OK), 0);
    assert_fails(ls__rename(at("old"), at("newer")), LS_ERR_ENV, "newer: cannot be written: No such file");
}

static void an_errno_has_a_hint(void **state)
{
    errno = ENOSPC;
    assert_fails(LS_FAIL_ERRNO("%s: cannot be written", "f"), LS_ERR_ENV, "f: cannot be written: No space left");
    assert_non_null(strstr(ls_error_message(), LS_HINT "free space"));
    assert_string_equal(ls__errno_hint(0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(a_file_in_the_way_is_named),
        cmocka_unit_test(a_folder_is_removed_with_its_files_and_no_further),
        cmocka_unit_test(a_path_is_bounded),
        cmocka_unit_test(a_rename_names_the_new_file),
        cmocka_unit_test(an_errno_has_a_hint),
    };
    char command[64];
    if (!mkdtemp(folder)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || failed;
}

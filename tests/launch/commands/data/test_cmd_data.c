/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * Where data come from: the cache, local copies, ranks that start together, a download that is not what it should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/data/dataset_fetch.h"
#include "tests/datasets/image/mnist_files.h"

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
    assert_int_equal(ls_data_resolve("some/folder", NULL, path, sizeof path), LS_OK);
    assert_string_equal(path, "some/folder");
}

static void what_was_not_fetched_says_how(void **state)
{
    char path[LS_DATA_PATH];
    assert_int_equal(ls_data_resolve("mnist", NULL, path, sizeof path), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "lockstep data fetch mnist"));
    setenv("LOCKSTEP_DATA", "/nowhere", 1);
    assert_int_equal(ls_data_resolve("mnist", NULL, path, sizeof path), LS_ERR_DATA);
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
        if (!(child[r] = fork()))
            _exit(ls_data_resolve("mnist", NULL, path, sizeof path) == LS_OK && ls__data_there(path) ? 0 : 1);
    for (int r = 0; r < RANKS; r++) {
        int how;
        assert_int_equal(waitpid(child[r], &how, 0), child[r]);
        assert_int_equal(how, 0);
    }
    snprintf(folder, sizeof folder, "%s/lockstep", cache);
    assert_int_equal(folder_count(folder), 2); /* the data set and its lock */
    assert_int_equal(ls_data_resolve("mnist", NULL, path, sizeof path), LS_OK);
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
    assert_int_equal(ls_data_resolve("mnist", NULL, again, sizeof again), LS_OK);
    assert_string_not_equal(path, again);
    unsetenv("LOCKSTEP_DATA");
}

/* Makes DIR/cifar10/cifar10-jpeg.tar.xz with four images of two classes. */
static void put_cifar10(void)
{
    uint8_t rgb[3 * 16];
    char    path[2 * FILES_PATH], command[4 * FILES_PATH];
    for (int i = 0; i < 4; i++) {
        const char *split = i < 2 ? "train" : "test", *name = i % 2 ? "cat" : "bird";
        snprintf(command, sizeof command, "mkdir -p %s/cifar10 %s/files/%s/%s", copies, root, split, name);
        assert_int_equal(system(command), 0);
        for (int k = 0; k < 3 * 16; k++) rgb[k] = (uint8_t)(i * 50 + k);
        snprintf(path, sizeof path, "%s/files/%s/%s/0001.jpg", root, split, name);
        assert_int_equal(ls_image_write(path, 3, 4, 4, rgb), LS_OK);
    }
    snprintf(command, sizeof command, "tar -C %s/files -cJf %s/cifar10/cifar10-jpeg.tar.xz train test", root, copies);
    assert_int_equal(system(command), 0);
}

static void an_archive_of_images_is_imported_once(void **state)
{
    char            path[LS_DATA_PATH], again[LS_DATA_PATH], cached[FILES_PATH + 64], archive[2 * FILES_PATH];
    ls_dataset     *d;
    ls_dataset_info info;
    snprintf(cached, sizeof cached, "%s/lockstep", cache);
    assert_int_equal(ls_data_resolve("cifar10", NULL, path, sizeof path), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "set LOCKSTEP_DATA=DIR with cifar10-jpeg.tar.xz in DIR/cifar10"));
    assert_int_equal(ls__data_fetch("cifar10", NULL), LS_ERR_DATA);
    put_cifar10();
    setenv("LOCKSTEP_DATA", copies, 1);
    assert_int_equal(ls__data_fetch("cifar10", NULL), LS_ERR_DATA); /* not the public archive */
    int before = folder_count(cached);
    assert_int_equal(ls_data_resolve("cifar10", NULL, path, sizeof path), LS_OK);
    assert_int_equal(folder_count(cached), before + 2); /* the dataset and its lock */
    assert_int_equal(ls_dataset_open(&d, path, "test"), LS_OK);
    info = ls_dataset_info_of(d);
    assert_int_equal(info.count, 2);
    assert_int_equal(info.channels * 100 + info.height * 10 + info.width, 344);
    assert_string_equal(info.class_names[1], "cat");
    ls_dataset_free(d);
    assert_int_equal(ls_data_resolve("cifar10", NULL, again, sizeof again), LS_OK);
    assert_string_equal(path, again);
    snprintf(archive, sizeof archive, "%s/cifar10/cifar10-jpeg.tar.xz", copies);
    file_write(archive, "no archive", 10);
    before = folder_count(cached);
    assert_int_equal(ls_data_resolve("cifar10", NULL, path, sizeof path), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "cifar10-jpeg.tar.xz: cannot be extracted"));
    assert_int_equal(folder_count(cached), before + 1); /* the lock alone */
    unlink(archive);
    assert_int_equal(ls_data_resolve("cifar10", NULL, path, sizeof path), LS_ERR_DATA);
    unsetenv("LOCKSTEP_DATA");
}

static void copies_that_are_not_mnist_are_not_fetched(void **state)
{
    setenv("LOCKSTEP_DATA", copies, 1);
    assert_int_equal(ls__data_fetch("mnist", NULL), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "is not the file of dataset mnist"));
    assert_int_equal(ls__data_fetch("imagenet", NULL), LS_ERR_USAGE);
    unsetenv("LOCKSTEP_DATA");
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void put_text(const char *text)
{
    char folder[FILES_PATH + 64], path[FILES_PATH + 96];
    snprintf(folder, sizeof folder, "%s/shakespeare", copies);
    snprintf(path, sizeof path, "%s/input.txt", folder);
    mkdir(folder, 0777);
    file_write(path, text, strlen(text));
}

static ls_status resolve_text(const char *tokenizer, int64_t vocab, char path[LS_DATA_PATH])
{
    return ls_data_resolve("shakespeare", &(ls_text_choice){tokenizer, vocab}, path, LS_DATA_PATH);
}

/* A text is imported once for each tokenizer, whoever asks first; other text, another folder. */
static void a_text_is_imported_by_its_tokenizer(void **state)
{
    enum { RANKS = 4 };
    char            path[6][LS_DATA_PATH], folder[FILES_PATH + 64];
    pid_t           child[RANKS];
    ls_dataset     *d;
    ls_tokenizer   *t;
    ls_dataset_info info;
    snprintf(folder, sizeof folder, "%s/lockstep", cache);
    assert_int_equal(resolve_text(NULL, 0, path[0]), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "lockstep data fetch shakespeare"));
    put_text("to be, or not to be, that is the question: whether 'tis nobler");
    setenv("LOCKSTEP_DATA", copies, 1);
    int before = folder_count(folder);
    for (int r = 0; r < RANKS; r++)
        if (!(child[r] = fork())) _exit(resolve_text("chars", 0, path[0]) == LS_OK && ls__data_there(path[0]) ? 0 : 1);
    for (int r = 0; r < RANKS; r++) {
        int how;
        assert_int_equal(waitpid(child[r], &how, 0), child[r]);
        assert_int_equal(how, 0);
    }
    assert_int_equal(folder_count(folder), before + 2); /* the data set and its lock */
    assert_int_equal(resolve_text(NULL, 0, path[0]), LS_OK);
    assert_int_equal(folder_count(folder), before + 2);
    assert_int_equal(ls_dataset_open(&d, path[0], "valid"), LS_OK);
    info = ls_dataset_info_of(d);
    assert_int_equal(info.tokens, 7); /* the last tenth of 62 bytes, which begins at int(55.8) */
    assert_int_equal(ls_data_tokenizer(&t, &info), LS_OK);
    assert_int_equal(ls_tokenizer_size(t), info.classes);
    ls_tokenizer_free(t);
    ls_dataset_free(d);
    assert_int_equal(resolve_text("bytes", 0, path[1]), LS_OK);
    assert_int_equal(resolve_text("bpe", 258, path[2]), LS_OK);
    assert_int_equal(resolve_text("bpe", 260, path[3]), LS_OK);
    assert_int_equal(resolve_text(path[3], 0, path[4]), LS_OK); /* the tokenizer of another data set */
    const ls_text_choice words[] = {{"words", 0, 0, false}, {"words", 0, 2, false}, {"words", 0, 2, true}};
    static const int     size[]  = {2 + 13, 2 + 1, 2 + 3}; /* "be,"; lower-cased also "to", "is" */
    put_text("To be, or not to be, that Is the is\nquestion: whether 'tis\nnobler\n");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ls_data_resolve("shakespeare", &words[i], path[5], LS_DATA_PATH), LS_OK);
        assert_int_equal(ls_tokenizer_load(&t, path[5]), LS_OK);
        assert_int_equal(ls_tokenizer_size(t), size[i]);
        ls_tokenizer_free(t);
    }
    put_text("nothing will come of nothing: speak again");
    assert_int_equal(resolve_text(NULL, 0, path[5]), LS_OK);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++) assert_string_not_equal(path[i], path[j]);
    assert_int_equal(resolve_text("bpf", 0, path[0]), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "found 'bpf'"));
    assert_int_equal(resolve_text("chars", 100, path[0]), LS_ERR_USAGE);
    put_text("");
    assert_int_equal(resolve_text(NULL, 0, path[0]), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "the text is empty"));
    assert_int_equal(ls__data_inspect(path[2], NULL), LS_OK);
    unsetenv("LOCKSTEP_DATA");
}

/* tokenizer.json beside the dataset files must be the tokenizer of the import. */
static void another_tokenizer_is_found(void **state)
{
    char              file[FILES_PATH + 32], path[FILES_PATH + 32], other[FILES_PATH + 64];
    const char *const files[] = {file};
    ls_dataset       *d;
    ls_tokenizer     *t;
    ls_dataset_info   info;
    snprintf(file, sizeof file, "%s/words.txt", root);
    snprintf(path, sizeof path, "%s/words", root);
    snprintf(other, sizeof other, "%s/words/tokenizer.json", root);
    file_write(file, "abc abc abc abc", 15);
    assert_int_equal(ls_import_text(&(ls_text_import){.size      = sizeof(ls_text_import),
                                                      .files     = 1,
                                                      .file      = files,
                                                      .out       = path,
                                                      .tokenizer = "chars",
                                                      .valid     = 0.2,
                                                      .shards    = 1}),
                     LS_OK);
    assert_int_equal(ls_dataset_open(&d, path, "train"), LS_OK);
    info = ls_dataset_info_of(d);
    assert_int_equal(ls_tokenizer_bytes(&t), LS_OK);
    assert_int_equal(ls_tokenizer_save(t, path), LS_OK);
    ls_tokenizer_free(t);
    assert_int_equal(ls_data_tokenizer(&t, &info), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "is not the tokenizer of the dataset in this folder"));
    unlink(other);
    assert_int_equal(ls_data_tokenizer(&t, &info), LS_OK);
    assert_null(t);
    ls_dataset_free(d);
}

/* A stand-in for curl that copies the file of that name from a folder (the last two arguments are output and address),
 * if it is there. */
static void put_downloader(const char *from)
{
    char path[FILES_PATH + 32], text[2048];
    snprintf(path, sizeof path, "%s/curl", programs);
    snprintf(text, sizeof text,
             "#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nexec cp \"%s/$(basename \"$2\")\" \"$1\" 2>/dev/null\n",
             from);
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
    assert_non_null(strstr(ls_error_message(), "is not the file of dataset mnist"));
    put_downloader("/nowhere");
    assert_int_equal(ls__data_fetch("shakespeare", out), LS_ERR_ENV);
    assert_int_equal(folder_count(out), -1);
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
    /* Of a text the file itself is kept, in the cache, from where it is imported when a recipe asks for it. */
    char path[LS_DATA_PATH];
    snprintf(from, sizeof from, "%s/shakespeare", real);
    put_downloader(from);
    assert_int_equal(ls__data_fetch("shakespeare", NULL), LS_OK);
    assert_int_equal(resolve_text(NULL, 0, path), LS_OK);
    assert_int_equal(ls_dataset_open(&d, path, "train"), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).tokens, 1003854); /* nanoGPT's figures */
    assert_int_equal(ls_dataset_info_of(d).classes, 65);
    ls_dataset_free(d);
    assert_int_equal(ls_dataset_open(&d, path, "valid"), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).tokens, 111540);
    ls_dataset_free(d);
    /* Pairs of sentences have six files, which stay compressed. */
    snprintf(from, sizeof from, "%s/multi30k", real);
    put_downloader(from);
    assert_int_equal(ls__data_fetch("multi30k", NULL), LS_OK);
    assert_int_equal(ls_data_resolve("multi30k", NULL, path, sizeof path), LS_OK);
    static const char *const split[] = {"train", "valid", "test"};
    static const int         count[] = {29000, 1014, 1000};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ls_dataset_open(&d, path, split[i]), LS_OK);
        assert_int_equal(ls_dataset_info_of(d).count, count[i]);
        assert_int_equal(ls_dataset_info_of(d).classes, 8192);
        ls_dataset_free(d);
    }
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
        cmocka_unit_test(an_archive_of_images_is_imported_once),
        cmocka_unit_test(copies_that_are_not_mnist_are_not_fetched),
        cmocka_unit_test(a_text_is_imported_by_its_tokenizer),
        cmocka_unit_test(another_tokenizer_is_found),
        cmocka_unit_test(a_download_is_checked_and_leaves_nothing),
        cmocka_unit_test(pictures_of_a_data_set),
        cmocka_unit_test(the_real_files_are_fetched), /* the last: left out without the files */
    };
    return _cmocka_run_group_tests("launch.data", tests, sizeof tests / sizeof *tests - (data && *data ? 0 : 1), setup,
                                   teardown);
}

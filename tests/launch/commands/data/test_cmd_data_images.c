/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * `lockstep data import images`: ranks, the list of unreadable files, the summary, and refused options. */
#include "datasets/datasets.h"
#include "tests/launch/run_program.h"

static int setup(void **state)
{
    uint8_t rgb[3 * 4 * 4];
    char    name[64];
    folder_enter();
    assert_int_equal(system("mkdir -p tree/cat tree/dog"), 0);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 48; k++) rgb[k] = (uint8_t)(i * 31 + k * 7);
        snprintf(name, sizeof name, "tree/%s/%d.png", i % 2 ? "cat" : "dog", i);
        assert_int_equal(ls_image_write(name, 3, 4, 4, rgb), LS_OK);
    }
    return 0;
}

static int teardown(void **state)
{
    folder_leave();
    return 0;
}

static void ranks_write_the_same_bytes(void **state)
{
    assert_int_equal(run("data import images tree one --size 3x5 --split 0.25", .threads = 2), 0);
    assert_non_null(strstr(text_of("out"), "30 train, 10 valid; images of 3 x 3 x 5, 2 classes"));
    assert_int_equal(run("data import images tree two --size 3x5 --split 0.25", .ranks = 2), 0);
    assert_int_equal(system("cmp one/train.h5 two/train.h5 && cmp one/valid.h5 two/valid.h5"), 0);
    assert_int_equal(system("test $(ls -A two | wc -l) = 2"), 0);
}

static void unreadable_files_are_listed(void **state)
{
    assert_int_equal(system("echo text >tree/cat/x.png; echo GIF89a >tree/dog/y.png"), 0);
    for (int ranks = 0; ranks < 3; ranks += 2) {
        assert_int_equal(run("data import images tree out3", .ranks = ranks), 3);
        assert_non_null(strstr(text_of("out"), "unreadable  tree/cat/x.png: is no image"));
        assert_non_null(strstr(text_of("out"), "unreadable  tree/dog/y.png: is a GIF file"));
        assert_non_null(strstr(text_of("err"), "2 of 42 files cannot be read"));
        assert_false(exists("out3"));
    }
    assert_int_equal(run("data import images tree out3 --on-error skip"), 0);
    assert_non_null(strstr(text_of("out"), "36 train, 4 valid"));
    assert_non_null(strstr(text_of("out"), "2 unreadable"));
}

/* A run keeps the options of the import in data.json, and predict reads files with them. */
static void predict_reads_files_as_the_import_did(void **state)
{
    assert_int_equal(run("data import images tree six --size 32 --interpolation bicubic --fit crop --on-error skip"),
                     0);
    assert_int_equal(run("train lenet5-digits data.path=six run.dir=r train.max_steps=1 train.batch=8"), 0);
    assert_non_null(strstr(text_of("r/data.json"), "\"interpolation\": \"bicubic\""));
    assert_non_null(strstr(text_of("r/data.json"), "\"fit\": \"crop\""));
    assert_int_equal(run("predict r tree/cat/1.png"), 0);
    char *bicubic = strdup(text_of("out"));
    assert_int_equal(run("predict r tree/cat/1.png", .before = "sed -i s/bicubic/bilinear/ r/data.json;"), 0);
    assert_string_not_equal(text_of("out"), bicubic);
    free(bicubic);
    assert_int_equal(run("predict r tree/cat/1.png", .before = "sed -i s/bilinear/linear/ r/data.json;"), 3);
}

static char *digest_of(const char *line, int ranks)
{
    assert_int_equal(run(line, .ranks = ranks), 0);
    char *digest = strstr(text_of("err"), "digest ");
    if (!digest) digest = strstr(text_of("out"), "digest ");
    assert_non_null(digest);
    return strndup(digest, 32);
}

/* Training on image files gives the parameters of training on the pixels of an import, on any number of ranks and
 * loader threads.  A damaged file ends the run, and is named. */
static void image_files_train_like_their_pixels(void **state)
{
    static const char files[] = "train lenet5-digits data.path=files data.augment.crop=1 train.batch=8 "
                                "train.max_steps=6 eval.samples=4 ";
    char              line[256];
    assert_int_equal(run("data import images tree files --size 32 --store files --on-error skip --split 0.2"), 0);
    assert_non_null(strstr(text_of("out"), "image files, decoded to images of 3 x 32 x 32"));
    assert_int_equal(run("data import images tree pixels --size 32 --on-error skip --split 0.2"), 0);
    assert_int_equal(run("data inspect files"), 0);
    assert_non_null(strstr(text_of("out"), "image files, decoded to uint8, 3 x 32 x 32"));
    assert_int_equal(run("data verify files"), 0);
    snprintf(line, sizeof line, "%s run.dir=f1 data.loader_threads=3", files);
    char *one = digest_of(line, 0);
    snprintf(line, sizeof line, "%s run.dir=f2", files);
    char *two = digest_of(line, 2);
    snprintf(line, sizeof line, "%s run.dir=f3 data.path=pixels", files);
    char *pixels = digest_of(line, 0);
    assert_string_equal(one, two);
    assert_string_equal(one, pixels);
    free(one);
    free(two);
    free(pixels);

    assert_int_equal(run("eval f1"), 0);
    assert_int_equal(run("predict f1 tree/cat/1.png"), 0);
    char *prediction = strdup(text_of("out"));
    assert_int_equal(run("predict f3 tree/cat/1.png"), 0);
    assert_string_equal(text_of("out"), prediction);
    free(prediction);

    for (int ranks = 0; ranks <= 2; ranks += 2) {
        assert_int_equal(run("data verify files", .before = "sed -i 's/IDAT/IDAX/' files/train.h5;"), 3);
        snprintf(line, sizeof line, "%s run.dir=f4", files);
        assert_int_equal(run(line, .ranks = ranks), 3);
        assert_non_null(strstr(text_of("err"), "files/train.h5: sample "));
    }
}

static void options_are_checked(void **state)
{
    static const char *const wrong[] = {"--size 0",          "--size 3x",         "--size x3",    "--size 99999",
                                        "--fit squeeze",     "--on-error ignore", "--split 1.5",  "--channels 2",
                                        "--interpolation x", "--orientation up",  "--size 3x4x5", "--store jpeg"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[128];
        snprintf(line, sizeof line, "data import images tree out4 %s", wrong[i]);
        assert_int_equal(run(line), 2);
        assert_false(exists("out4"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_write_the_same_bytes), cmocka_unit_test(unreadable_files_are_listed),
        cmocka_unit_test(predict_reads_files_as_the_import_did), cmocka_unit_test(image_files_train_like_their_pixels),
        cmocka_unit_test(options_are_checked)};
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Trees of image files become datasets: order of classes and samples, splits, unreadable files, duplicates, and equal
 * bytes for any number of ranks. */
#include <math.h>
#include <pthread.h>

#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { SIDE = 6, PLANE = SIDE * SIDE, TEXT = 1 << 14, MAX_RANKS = 5 };

static char folder[FILES_PATH], in[FILES_PATH + 8], out[FILES_PATH + 8];

typedef struct notes {
    int  count[3];
    char text[TEXT];
} notes;

static void take_note(void *context, ls_images_note kind, const char *text)
{
    notes *n = context;
    n->count[kind]++;
    snprintf(n->text + strlen(n->text), sizeof n->text - strlen(n->text), "%s\n", text);
}

static int setup(void **state)
{
    folder_make(folder);
    snprintf(in, sizeof in, "%s/in", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    return mkdir(in, 0777);
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

/* Makes the parent folders of in/NAME; returns the path. */
static const char *place(const char *name)
{
    static char path[FILES_PATH + 128];
    size_t      length = (size_t)snprintf(path, sizeof path, "%s/%s", in, name);
    for (size_t i = strlen(in) + 1; i < length; i++)
        if (path[i] == '/') {
            path[i] = 0;
            mkdir(path, 0777);
            path[i] = '/';
        }
    return path;
}

static void make_pixels(int seed, uint8_t *rgb)
{
    for (int i = 0; i < 3 * PLANE; i++) rgb[i] = (uint8_t)(seed * 41 + i * (seed % 7 + 3) + i * i % 11);
}

static void put(const char *name, int seed)
{
    uint8_t rgb[3 * PLANE];
    make_pixels(seed, rgb);
    assert_int_equal(ls_image_write(place(name), 3, SIDE, SIDE, rgb), LS_OK);
}

static void put_text(const char *name, const char *text) { file_write(place(name), text, strlen(text)); }

static ls_images_import options(notes *n)
{
    if (n) *n = (notes){.count = {0}};
    return (ls_images_import){.size    = sizeof(ls_images_import),
                              .folder  = in,
                              .out     = out,
                              .valid   = -1,
                              .shards  = 1,
                              .seed    = 1,
                              .note    = n ? take_note : NULL,
                              .context = n};
}

static ls_dataset *open_split(const char *split)
{
    ls_dataset *d;
    int         files, checked;
    assert_int_equal(ls_dataset_open(&d, out, split), LS_OK);
    assert_int_equal(ls_dataset_verify(d, &files, &checked), LS_OK);
    assert_int_equal(files, checked);
    return d;
}

static void check_sample(ls_dataset *d, int64_t i, int seed, int label)
{
    uint8_t found[3 * PLANE], rgb[3 * PLANE];
    int32_t its_label;
    make_pixels(seed, rgb);
    assert_int_equal(ls_dataset_read(d, i, found, &its_label), LS_OK);
    assert_int_equal(its_label, label);
    for (int p = 0; p < PLANE; p++)
        for (int c = 0; c < 3; c++) assert_int_equal(found[c * PLANE + p], rgb[3 * p + c]);
}

static void labels_and_samples_follow_names_bytewise(void **state)
{
    static const char *const names[] = {"B", "a", "1", "10", "2"}, *const sorted[] = {"1", "10", "2", "B", "a"};
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "train/%s/z.png", names[i]);
        put(name, 2 * i);
        snprintf(name, sizeof name, "train/%s/inside/y.jpg", names[i]); /* a PNG file in spite of its name */
        put(name, 2 * i + 1);
    }
    put("test/2/x.png", 30);
    put("test/B/x.png", 31);
    put(".hidden/x.png", 32);
    put("train/.hidden/x.png", 32);
    put("train/a/.x.png", 32);
    put_text("train/README", "no class");
    notes            n;
    ls_images_import o = options(&n);
    assert_int_equal(ls_import_images(&o), LS_OK);
    assert_int_equal(o.count[0], 10);
    assert_int_equal(o.count[1], 0); /* a split test: no part of train is held out */
    assert_int_equal(o.count[2], 2);
    assert_int_equal(n.count[LS_IMAGES_REMARK], 4); /* three classes without a test image; ignored names */
    assert_non_null(strstr(n.text, "2 hidden names, 1 files"));
    ls_dataset     *d    = open_split("train");
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.classes, 5);
    static const int first[] = {4, 6, 8, 0, 2}; /* seeds of the sorted classes */
    double           sum = 0, square = 0;
    for (int c = 0; c < 5; c++) {
        assert_string_equal(info.class_names[c], sorted[c]);
        check_sample(d, 2 * c, first[c] + 1, c); /* "inside/y.jpg" is before "z.png" */
        check_sample(d, 2 * c + 1, first[c], c);
    }
    for (int i = 0; i < 10; i++) {
        uint8_t pixels[3 * PLANE];
        int32_t label;
        assert_int_equal(ls_dataset_read(d, i, pixels, &label), LS_OK);
        for (int p = 0; p < PLANE; p++) sum += pixels[p], square += (double)pixels[p] * pixels[p];
    }
    double mean = sum / (10 * PLANE);
    assert_true(fabs(info.mean[0] - mean / 255) < 1e-6);
    assert_true(fabs(info.std[0] - sqrt(square / (10 * PLANE) - mean * mean) / 255) < 1e-6);
    ls_dataset_free(d);
    d = open_split("test");
    check_sample(d, 0, 30, 2);
    check_sample(d, 1, 31, 3);
    ls_dataset_free(d);
    assert_int_equal(folder_count(out), 2);
}

/* ---- ranks ------------------------------------------------------------------------------------------------------- */

static pthread_barrier_t meeting;
static ls_status         answers[MAX_RANKS];

typedef struct one_rank {
    ls_images_import o;
    ls_status        status;
} one_rank;

static ls_status agree(void *context, ls_status own)
{
    one_rank *r        = context;
    answers[r->o.rank] = own;
    ls_status worst    = LS_OK;
    pthread_barrier_wait(&meeting);
    for (int i = 0; i < r->o.ranks; i++) worst = worst == LS_OK ? answers[i] : worst;
    pthread_barrier_wait(&meeting);
    return worst;
}

static void *import_rank(void *rank)
{
    one_rank *r = rank;
    r->status   = ls_import_images(&r->o);
    return NULL;
}

static void import_with(int ranks, const ls_images_import *o)
{
    pthread_t thread[MAX_RANKS];
    one_rank  rank[MAX_RANKS];
    pthread_barrier_init(&meeting, NULL, (unsigned)ranks);
    for (int r = 0; r < ranks; r++) {
        rank[r].o         = *o;
        rank[r].o.rank    = r;
        rank[r].o.ranks   = ranks;
        rank[r].o.agree   = agree;
        rank[r].o.context = &rank[r];
        assert_int_equal(pthread_create(&thread[r], NULL, import_rank, &rank[r]), 0);
    }
    for (int r = 0; r < ranks; r++) {
        pthread_join(thread[r], NULL);
        assert_int_equal(rank[r].status, LS_OK);
    }
    pthread_barrier_destroy(&meeting);
}

static void put_many(int per_class)
{
    for (int i = 0; i < 3 * per_class; i++) {
        char name[64];
        snprintf(name, sizeof name, "class%d/%d.png", i % 3, i);
        put(name, i);
    }
}

static void check_bytes_of_ranks(bool keep)
{
    static const char *const files[] = {"train-00000-of-00002.h5", "train-00001-of-00002.h5", "valid-00000-of-00002.h5",
                                        "valid-00001-of-00002.h5"};
    static uint8_t           first[4][1 << 16], again[1 << 16];
    size_t                   bytes[4];
    ls_images_import         o = options(NULL);
    o.skip                     = true;
    o.keep                     = keep;
    o.shards                   = 2;
    for (int ranks = 1; ranks <= MAX_RANKS; ranks++) {
        import_with(ranks, &o);
        assert_int_equal(folder_count(out), 4);
        for (int k = 0; k < 4; k++) {
            char path[FILES_PATH + 64];
            snprintf(path, sizeof path, "%s/%s", out, files[k]);
            size_t n = file_read(path, ranks == 1 ? first[k] : again, sizeof again);
            assert_in_range(n, 1, sizeof again - 1);
            if (ranks == 1) bytes[k] = n;
            assert_int_equal(n, bytes[k]);
            if (ranks > 1) assert_memory_equal(first[k], again, n);
        }
        folder_remove(out);
    }
}

static void the_bytes_do_not_depend_on_ranks(void **state)
{
    put_many(25);
    put_text("class1/damaged.png", "\x89PNG\r\n\x1a\n and no more");
    check_bytes_of_ranks(false);
    check_bytes_of_ranks(true);
}

/* ---- splits ------------------------------------------------------------------------------------------------------ */

/* Sets held[i] where image i is in the split valid; returns the number of images of each class there. */
static void read_valid(int images, bool *held, int of_class[3])
{
    ls_dataset *d = open_split("valid");
    memset(held, 0, (size_t)images * sizeof *held);
    memset(of_class, 0, 3 * sizeof *of_class);
    for (int64_t i = 0; i < ls_dataset_info_of(d).count; i++) {
        uint8_t pixels[3 * PLANE], rgb[3 * PLANE];
        int32_t label;
        assert_int_equal(ls_dataset_read(d, i, pixels, &label), LS_OK);
        of_class[label]++;
        for (int k = 0; k < images; k++) {
            make_pixels(k, rgb);
            bool same = true;
            for (int p = 0; p < PLANE && same; p++)
                same = rgb[3 * p] == pixels[p] && rgb[3 * p + 1] == pixels[PLANE + p];
            held[k] |= same;
        }
    }
    ls_dataset_free(d);
}

static void the_split_depends_on_content(void **state)
{
    enum { IMAGES = 60 };
    bool first[IMAGES], second[IMAGES];
    int  of_class[3];
    put_many(IMAGES / 3);
    ls_images_import o = options(NULL);
    o.valid            = 0.2;
    assert_int_equal(ls_import_images(&o), LS_OK);
    read_valid(IMAGES, first, of_class);
    for (int c = 0; c < 3; c++) assert_int_equal(of_class[c], 4);
    for (int i = 0; i < IMAGES; i++) { /* other names, another order */
        char from[FILES_PATH + 64], to[FILES_PATH + 64];
        snprintf(from, sizeof from, "%s/class%d/%d.png", in, i % 3, i);
        snprintf(to, sizeof to, "%s/class%d/x%d", in, i % 3, 997 * i % 61);
        assert_int_equal(rename(from, to), 0);
    }
    o       = options(NULL);
    o.valid = 0.2;
    assert_int_equal(ls_import_images(&o), LS_OK);
    read_valid(IMAGES, second, of_class);
    assert_memory_equal(first, second, sizeof first);
    o       = options(NULL);
    o.valid = 0.2;
    o.seed  = 2;
    assert_int_equal(ls_import_images(&o), LS_OK);
    read_valid(IMAGES, second, of_class);
    assert_memory_not_equal(first, second, sizeof first);
    for (int c = 0; c < 3; c++) assert_int_equal(of_class[c], 4);
}

static void duplicates_stay_together_and_are_reported(void **state)
{
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "train/cat/%d.png", i);
        put(name, i / 4); /* two images, four times each */
    }
    put("train/dog/same.png", 0); /* the content of a cat */
    put("train/dog/other.png", 50);
    put("test/cat/leak.png", 1);
    notes            n;
    ls_images_import o = options(&n);
    o.valid            = 0.4; /* 3 cats of 8, which would separate equal ones */
    assert_int_equal(ls_import_images(&o), LS_OK);
    assert_int_equal(o.count[0] + o.count[1], 10);
    assert_int_equal(o.count[1], 5); /* all four of one image, and a dog */
    assert_int_equal(o.duplicates, 3 + 3 + 1 + 1);
    assert_true(o.across >= 1);
    assert_true(n.count[LS_IMAGES_DUPLICATE] >= 2);
    assert_non_null(strstr(n.text, "test/cat/leak.png"));
    assert_non_null(strstr(n.text, "class dog"));
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_failure(ls_images_import o, ls_status status, const char *part)
{
    assert_int_equal(ls_import_images(&o), status);
    if (!strstr(ls_error_message(), part)) print_error("expected \"%s\", found %s\n", part, ls_error_message());
    assert_non_null(strstr(ls_error_message(), part));
    assert_int_equal(folder_count(out), -1);
}

static void unreadable_files_are_listed(void **state)
{
    put_many(4);
    put_text("class0/a.gif", "GIF89a");
    put_text("class1/empty.jpg", "");
    put_text("class2/text.png", "text");
    put_text("class2/truncated.bmp", "BM");
    char gone[FILES_PATH + 64];
    snprintf(gone, sizeof gone, "%s/class2/link.png", in);
    assert_int_equal(symlink("nowhere", gone), 0);
    notes            n;
    ls_images_import o = options(&n);
    expect_failure(o, LS_ERR_DATA, "5 of 17 files cannot be read, the first: ");
    assert_int_equal(n.count[LS_IMAGES_UNREADABLE], 5);
    static const char *const parts[] = {"a.gif: is a GIF file", "empty.jpg: is empty", "text.png: is no image",
                                        "truncated.bmp: is a", "link.png: "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_non_null(strstr(n.text, parts[i]));
    o      = options(&n);
    o.skip = true;
    assert_int_equal(ls_import_images(&o), LS_OK);
    assert_int_equal(o.unreadable, 5);
    assert_int_equal(n.count[LS_IMAGES_UNREADABLE], 5);
    assert_int_equal(o.count[0] + o.count[1], 12);
}

static void wrong_trees_and_options_are_refused(void **state)
{
    ls_images_import o = options(NULL);
    expect_failure(o, LS_ERR_DATA, "0 classes");
    o.folder = "/nowhere";
    expect_failure(o, LS_ERR_DATA, "/nowhere: expected a folder");
    mkdir(place("cat"), 0777);
    expect_failure(options(NULL), LS_ERR_DATA, "hold no files");
    put_text("cat/x.png", "text");
    expect_failure(options(NULL), LS_ERR_DATA, "none of 1 files is an image");
    put("cat/x.png", 1);
    put("cat/y.png", 2);
    o      = options(NULL);
    o.test = in;
    put_text("names", "dog\ncat\ndog\n");
    char names[FILES_PATH + 16];
    snprintf(names, sizeof names, "%s/names", in);
    o         = options(NULL);
    o.classes = names;
    expect_failure(o, LS_ERR_DATA, "the class 'dog' twice");
    put_text("names", "dog\nhorse\n");
    expect_failure(o, LS_ERR_DATA, "the class 'cat' is not one of the 2 classes");
    o          = options(NULL);
    o.channels = 2;
    expect_failure(o, LS_ERR_USAGE, "expected 1 (grey) or 3 (RGB)");
    o       = options(NULL);
    o.valid = 1;
    expect_failure(o, LS_ERR_USAGE, "expected less than 1");
    o        = options(NULL);
    o.height = 70000;
    o.width  = 1;
    expect_failure(o, LS_ERR_USAGE, "expected 1 to 16384 a side");
    uint8_t rgb[3 * 4 * 5] = {0};
    assert_int_equal(ls_image_write(place("cat/z.png"), 3, 4, 5, rgb), LS_OK);
    expect_failure(options(NULL), LS_ERR_USAGE, "expected one size");
    put("train/cat/x.png", 1);
    put("valid/cat/x.png", 1);
    o       = options(NULL);
    o.valid = 0.5;
    expect_failure(o, LS_ERR_USAGE, "has a split valid already");
    put("val/cat/x.png", 1);
    expect_failure(options(NULL), LS_ERR_DATA, "found both");
    put("test/cow/x.png", 1);
    folder_remove(place("val"));
    expect_failure(options(NULL), LS_ERR_DATA, "the class 'cow' is not one of the 1 classes");
    folder_remove(place("test"));
    put_text("test/cat/x.png", "text");
    o      = options(NULL);
    o.skip = true;
    expect_failure(o, LS_ERR_DATA, "the split test has no image");
    o.test = in;
    expect_failure(o, LS_ERR_USAGE, "expected no --test");
}

static void sizes_classes_and_options_are_kept(void **state)
{
    uint8_t rgb[3 * 8 * 12], expected[15];
    for (int i = 0; i < 3 * 8 * 12; i++) rgb[i] = (uint8_t)(i * 5);
    assert_int_equal(ls_image_write(place("cat/a.png"), 3, 8, 12, rgb), LS_OK);
    put("dog/b.png", 3);
    put_text("names", "wolf\ndog\ncat\n");
    char names[FILES_PATH + 16], path[FILES_PATH + 16];
    snprintf(names, sizeof names, "%s/names", in);
    snprintf(path, sizeof path, "%s/cat/a.png", in);
    ls_images_import o = options(NULL);
    o.classes          = names;
    o.height           = 3;
    o.width            = 5;
    o.channels         = 1;
    o.valid            = 0;
    o.options          = (ls_image_options){.interpolation = LS_BICUBIC, .fit = LS_FIT_CROP, .as_stored = true};
    assert_int_equal(ls_import_images(&o), LS_OK);
    ls_dataset     *d    = open_split("train");
    ls_dataset_info info = ls_dataset_info_of(d);
    uint8_t         found[15];
    int32_t         label;
    assert_int_equal(info.channels * 100 + info.height * 10 + info.width, 135);
    assert_int_equal(info.image_options.interpolation, LS_BICUBIC);
    assert_int_equal(info.image_options.fit, LS_FIT_CROP);
    assert_true(info.image_options.as_stored);
    assert_string_equal(info.class_names[0], "wolf");
    assert_int_equal(ls_dataset_read(d, 0, found, &label), LS_OK);
    assert_int_equal(label, 2);
    assert_int_equal(ls_image_read(path, &info.image_options, 1, 3, 5, expected), LS_OK);
    assert_memory_equal(found, expected, sizeof expected);
    assert_int_equal(ls_image_read(path, NULL, 1, 3, 5, expected), LS_OK);
    assert_memory_not_equal(found, expected, sizeof expected);
    ls_dataset_free(d);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(labels_and_samples_follow_names_bytewise),
        CASE(the_bytes_do_not_depend_on_ranks),
        CASE(the_split_depends_on_content),
        CASE(duplicates_stay_together_and_are_reported),
        CASE(unreadable_files_are_listed),
        CASE(wrong_trees_and_options_are_refused),
        CASE(sizes_classes_and_options_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

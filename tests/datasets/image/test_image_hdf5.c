/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Image files in HDF5: written samples are read back, and each malformed file has its message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <sys/resource.h>
#include <cmocka.h>
#include <hdf5.h>

#include "tests/datasets/dataset_files_for_tests.h"

/* Defaults of the table below; each row changes some of them. */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Woverride-init-side-effects"
#endif

static char folder[FILES_PATH];

static int setup(void **state)
{
    folder_make(folder);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[FILES_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- round trip -------------------------------------------------------------------------------------------------- */

static void expect_tiny(const char *path, const char *split, int64_t count, int files, int with_checksum)
{
    ls_dataset *d;
    int         found_files, checked;
    assert_int_equal(ls_dataset_open(&d, path, split), LS_OK);
    ls_dataset_info info = ls_dataset_info_of(d), expected = tiny_info(count);
    assert_string_equal(info.split, "train");
    assert_int_equal(info.count, count);
    assert_int_equal(info.channels, 2);
    assert_int_equal(info.height, 3);
    assert_int_equal(info.width, 4);
    assert_int_equal(info.classes, 3);
    assert_memory_equal(info.mean, expected.mean, sizeof info.mean);
    assert_memory_equal(info.std, expected.std, sizeof info.std);
    for (int c = 0; c < 3; c++) assert_string_equal(info.class_names[c], expected.class_names[c]);
    for (int64_t i = count - 1; i >= 0; i--) {
        uint8_t pixels[24], wanted[24];
        int32_t label, wanted_label;
        assert_int_equal(ls_dataset_read(d, i, pixels, &label), LS_OK);
        tiny_sample(i, wanted, &wanted_label);
        assert_memory_equal(pixels, wanted, 24);
        assert_int_equal(label, wanted_label);
        assert_int_equal(ls_dataset_read(d, i, NULL, &label), LS_OK);
        assert_int_equal(label, wanted_label);
    }
    assert_int_equal(ls_dataset_verify(d, &found_files, &checked), LS_OK);
    assert_int_equal(found_files, files);
    assert_int_equal(checked, with_checksum);
    ls_dataset_free(d);
}

static void round_trip(void **state)
{
    static const struct {
        int64_t count;
        int     shards;
    } cases[] = {{1, 1}, {7, 1}, {7, 3}, {7, 7}, {100, 4}, {50000, 2}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char out[FILES_PATH + 32];
        snprintf(out, sizeof out, "%s/a/b%zu", folder, k);
        assert_int_equal(tiny_write(out, cases[k].count, cases[k].shards), LS_OK);
        assert_int_equal(folder_count(out), cases[k].shards);
        expect_tiny(out, "train", cases[k].count, cases[k].shards, cases[k].shards);
    }
    expect_tiny(in_folder("a/b1/train.h5"), NULL, 7, 1, 1);
}

/* ---- files of other programs, good and malformed ----------------------------------------------------------------- */

typedef struct make {
    const char *name;    /* of the case                                        */
    const char *message; /* part of the error; NULL: the file is good           */
    hid_t       image_type, label_type, mean_type;
    int         image_rank, label_rank;
    hsize_t     image[5], chunk[5]; /* chunk[0] = 0: contiguous                      */
    int         gzip;
    hsize_t     labels;
    int64_t     label_0; /* of sample 0                                         */
    int         format, classes, means, names, name_type;
    float       mean, std;
    const char *split;
    unsigned    leave_out; /* bits: */
    unsigned    other;
} make;
enum {
    NO_IMAGE   = 1,
    NO_LABEL   = 2,
    NO_FORMAT  = 4,
    NO_SPLIT   = 8,
    NO_CLASSES = 16,
    NO_MEAN    = 32,
    NO_STD     = 64,
    NO_DATA    = 128
};
enum { FORMAT_IS_TEXT = 1, IMAGE_IS_GROUP = 2, IMAGE_IS_LINK = 4, SPLIT_IS_INT = 8, LATE = 16, EXTERNAL = 32 };

static void attribute(hid_t f, const char *name, hid_t type, hid_t memory, hsize_t n, const void *data)
{
    hid_t s = n ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR),
          a = H5Acreate2(f, name, type, s, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, memory, data);
    H5Aclose(a);
    H5Sclose(s);
}

static void text_attribute(hid_t f, const char *name, const char *text)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, H5T_VARIABLE); /* as h5py does */
    attribute(f, name, t, t, 0, &text);
    H5Tclose(t);
}

static void make_image(hid_t f, const make *m)
{
    hsize_t n = 1;
    for (int i = 0; i < m->image_rank; i++) n *= m->image[i];
    hid_t s = H5Screate_simple(m->image_rank, m->image, NULL), p = H5Pcreate(H5P_DATASET_CREATE);
    if (m->chunk[0]) H5Pset_chunk(p, m->image_rank, m->chunk);
    if (m->gzip) H5Pset_deflate(p, 6);
    if (m->other & LATE) H5Pset_alloc_time(p, H5D_ALLOC_TIME_LATE);
    if (m->other & EXTERNAL) H5Pset_external(p, "/etc/passwd", 0, n);
    hid_t d = H5Dcreate2(f, "image", m->image_type, s, H5P_DEFAULT, p, H5P_DEFAULT);
    if (n && n < 1 << 20 && !(m->leave_out & NO_DATA) && !(m->other & EXTERNAL)) {
        uint8_t *x = malloc(n + 24);
        for (hsize_t i = 0; i < n; i += 24) {
            int32_t label;
            tiny_sample((int64_t)i / 24, x + i, &label);
        }
        H5Dwrite(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, x);
        free(x);
    }
    H5Dclose(d);
    H5Pclose(p);
    H5Sclose(s);
}

static void make_label(hid_t f, const make *m)
{
    hsize_t dims[2] = {m->labels, 1};
    hid_t   s       = H5Screate_simple(m->label_rank, dims, NULL),
          d         = H5Dcreate2(f, "label", m->label_type, s, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int64_t *y      = calloc(m->labels + 1, sizeof *y);
    for (hsize_t i = 0; i < m->labels; i++) y[i] = (int64_t)(i % 3);
    if (m->labels) y[0] = m->label_0;
    H5Dwrite(d, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, y);
    free(y);
    H5Dclose(d);
    H5Sclose(s);
}

static void make_names(hid_t f, const make *m)
{
    static const char *const names[] = {"cat", "dog", "f\xc3\xb6hn", "one too many"};
    hsize_t                  n       = (hsize_t)m->names;
    hid_t                    t = H5Tcopy(H5T_C_S1), s = H5Screate_simple(1, &n, NULL);
    H5Tset_size(t, H5T_VARIABLE);
    if (m->name_type) H5Tclose(t), t = H5Tcopy(H5T_NATIVE_INT);
    hid_t d = H5Dcreate2(f, "class_names", t, s, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (!m->name_type) H5Dwrite(d, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, names);
    H5Dclose(d);
    H5Sclose(s);
    H5Tclose(t);
}

static void make_file(const char *path, const make *m)
{
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    float mean[8], std[8];
    for (int i = 0; i < 8; i++) mean[i] = i ? 0.5f : m->mean, std[i] = i ? 0.125f : m->std;
    if (m->other & FORMAT_IS_TEXT)
        text_attribute(f, "lockstep_format", "one");
    else if (!(m->leave_out & NO_FORMAT))
        attribute(f, "lockstep_format", H5T_STD_I64LE, H5T_NATIVE_INT, 0, &m->format);
    if (m->other & SPLIT_IS_INT)
        attribute(f, "split", H5T_STD_I64LE, H5T_NATIVE_INT, 0, &m->format);
    else if (!(m->leave_out & NO_SPLIT))
        text_attribute(f, "split", m->split);
    if (!(m->leave_out & NO_CLASSES)) attribute(f, "classes", H5T_STD_I64LE, H5T_NATIVE_INT, 0, &m->classes);
    if (!(m->leave_out & NO_MEAN)) attribute(f, "mean", m->mean_type, H5T_NATIVE_FLOAT, (hsize_t)m->means, mean);
    if (!(m->leave_out & NO_STD)) attribute(f, "std", m->mean_type, H5T_NATIVE_FLOAT, (hsize_t)m->means, std);
    if (m->other & IMAGE_IS_GROUP)
        H5Gclose(H5Gcreate2(f, "image", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    else if (m->other & IMAGE_IS_LINK)
        H5Lcreate_external("elsewhere.h5", "/image", f, "image", H5P_DEFAULT, H5P_DEFAULT);
    else if (!(m->leave_out & NO_IMAGE))
        make_image(f, m);
    if (!(m->leave_out & NO_LABEL)) make_label(f, m);
    if (m->names) make_names(f, m);
    assert_true(H5Fclose(f) >= 0);
}

#define GOOD                                                                                                           \
    .image_type = H5T_STD_U8LE, .label_type = H5T_STD_I32LE, .mean_type = H5T_IEEE_F64LE, .image_rank = 4,             \
    .image = {5, 2, 3, 4}, .label_rank = 1, .labels = 5, .format = 1, .classes = 3, .means = 2, .names = 3,            \
    .mean = 0.25f, .std = 0.5f, .split = "train"

static void every_header_is_checked(void **state)
{
    const make cases[] = {
        {"contiguous", NULL, GOOD},
        {"labels of int64", NULL, GOOD, .label_type = H5T_STD_I64LE},
        {"labels of uint8, big-endian mean", NULL, GOOD, .label_type = H5T_STD_U8LE, .mean_type = H5T_IEEE_F32BE},
        {"in chunks", NULL, GOOD, .chunk = {2, 2, 3, 4}},
        {"in packed chunks", NULL, GOOD, .chunk = {2, 2, 3, 4}, .gzip = 1},
        {"no data set image", "has no data set /image", GOOD, .leave_out = NO_IMAGE},
        {"no data set label", "has no data set /label", GOOD, .leave_out = NO_LABEL},
        {"image is a group", "expected a data set", GOOD, .other = IMAGE_IS_GROUP},
        {"image is a link", "is a link to elsewhere", GOOD, .other = IMAGE_IS_LINK},
        {"image in another file", "lie in other files", GOOD, .other = EXTERNAL},
        {"float image", "expected uint8, found float32", GOOD, .image_type = H5T_IEEE_F32LE},
        {"signed image", "expected uint8, found int8", GOOD, .image_type = H5T_STD_I8LE},
        {"wide image", "expected uint8, found uint16", GOOD, .image_type = H5T_STD_U16LE},
        {"rank 3", "expected N x C x H x W, found 5 x 2 x 3", GOOD, .image_rank = 3},
        {"rank 5", "expected N x C x H x W, found 5 x 2 x 3 x 4 x 1", GOOD, .image_rank = 5, .image = {5, 2, 3, 4, 1}},
        {"no samples", "has 0 samples", GOOD, .image = {0, 2, 3, 4}, .labels = 0},
        {"channels last", "the order is N x C x H x W", GOOD, .image = {5, 28, 28, 3}},
        {"no pixels", "1 to 4 channels", GOOD, .image = {5, 2, 0, 4}},
        {"huge images", "1 to 4 channels", GOOD, .image = {5, 2, 1 << 20, 4}, .chunk = {1, 1, 1, 4}},
        {"huge count", "chunks of data, found", GOOD, .image = {(hsize_t)1 << 50, 2, 3, 4}, .chunk = {1, 2, 3, 4}},
        {"overflowing count", "1 to 4 channels", GOOD, .image = {(hsize_t)1 << 62, 2, 3, 4}, .chunk = {1, 2, 3, 4}},
        {"huge chunks", "expected chunks of at most", GOOD, .image = {1 << 30, 2, 3, 4}, .chunk = {1 << 24, 2, 3, 4},
         .leave_out = NO_DATA},
        {"chunks of parts", "expected chunks of whole samples", GOOD, .chunk = {2, 1, 3, 4}},
        {"never written", "has a shape but no data", GOOD, .other = LATE, .leave_out = NO_DATA},
        {"chunks never written", "expected 3 chunks of data, found 0", GOOD, .chunk = {2, 2, 3, 4},
         .leave_out = NO_DATA},
        {"fewer labels", "/label: expected 5 labels, as many as /image has images, found 4", GOOD, .labels = 4},
        {"more labels", "/label: expected 5 labels, as many as /image has images, found 6", GOOD, .labels = 6},
        {"float labels", "expected N integers, found float32", GOOD, .label_type = H5T_IEEE_F32LE},
        {"labels in two dims", "expected N integers, found int32, 5 x 1", GOOD, .label_rank = 2},
        {"label too large", "sample 0 has label 3; expected 0 to 2", GOOD, .label_0 = 3},
        {"label negative", "sample 0 has label -1; expected 0 to 2", GOOD, .label_0 = -1},
        {"label beyond int32", "expected 0 to 2", GOOD, .label_type = H5T_STD_I64LE, .label_0 = (int64_t)1 << 32},
        {"no format", "no attribute 'lockstep_format'", GOOD, .leave_out = NO_FORMAT},
        {"newer format", "attribute 'lockstep_format': expected 1, found 2", GOOD, .format = 2},
        {"format is a text", "expected an integer, found string", GOOD, .other = FORMAT_IS_TEXT},
        {"no split", "no attribute 'split'", GOOD, .leave_out = NO_SPLIT},
        {"split is a number", "expected a text, found int64", GOOD, .other = SPLIT_IS_INT},
        {"another split", "attribute 'split': expected 'train', found 'test'", GOOD, .split = "test"},
        {"endless split", "a text of 80 bytes", GOOD,
         .split = "train_train_train_train_train_train_train_train_train_train_train_train_train_tr"},
        {"no classes", "no attribute 'classes'", GOOD, .leave_out = NO_CLASSES},
        {"0 classes", "expected 1 to", GOOD, .classes = 0},
        {"too many classes", "expected 1 to", GOOD, .classes = 1 << 30},
        {"no mean", "no attribute 'mean'", GOOD, .leave_out = NO_MEAN},
        {"no std", "no attribute 'std'", GOOD, .leave_out = NO_STD},
        {"three means", "expected 2 floats, one per channel", GOOD, .means = 3},
        {"integer mean", "expected 2 floats, one per channel, found int32", GOOD, .mean_type = H5T_STD_I32LE},
        {"NaN mean", "expected finite numbers, found nan", GOOD, .mean = 0.0f / 0.0f},
        {"infinite std", "expected finite numbers, found inf", GOOD, .std = 1.0f / 0.0f},
        {"std of 0", "expected positive numbers, found 0", GOOD, .std = 0},
        {"names too many", "expected 3 strings of at most 256 bytes, found string, 4", GOOD, .names = 4},
        {"names are numbers", "expected 3 strings of at most 256 bytes, found int32", GOOD, .name_type = 1},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const make *m = &cases[k];
        ls_dataset *d = NULL;
        make_file(in_folder("train.h5"), m);
        if (!m->message) {
            make again = *m;
            expect_tiny(folder, "train", 5, 1, 0);
            again.names = 0;
            make_file(in_folder("train.h5"), &again);
            assert_int_equal(ls_dataset_open(&d, folder, "train"), LS_OK);
            assert_string_equal(ls_dataset_info_of(d).class_names[2], "2");
            ls_dataset_free(d);
            continue;
        }
        ls_status status = ls_dataset_open(&d, folder, "train");
        if (status != LS_ERR_DATA || !strstr(ls_error_message(), m->message) || !strstr(ls_error_message(), "train.h5"))
            fail_msg("%s: expected '%s', got %d: %s", m->name, m->message, status, ls_error_message());
        assert_null(d);
    }
    unlink(in_folder("train.h5"));
}

/* ---- truncated, damaged and missing files ------------------------------------------------------------------------ */

static void expect_error(const char *path, const char *split, const char *message)
{
    ls_dataset *d;
    ls_status   status = ls_dataset_open(&d, path, split);
    if (status != LS_ERR_DATA || !strstr(ls_error_message(), message))
        fail_msg("expected '%s', got %d: %s", message, status, ls_error_message());
    assert_null(d);
}

static void a_file_of_another_length_is_refused(void **state)
{
    static uint8_t data[1 << 16];
    char           path[FILES_PATH + 64];
    assert_int_equal(tiny_write(in_folder("cut"), 20, 1), LS_OK);
    snprintf(path, sizeof path, "%s", in_folder("cut/train.h5"));
    size_t bytes = file_read(path, data, sizeof data);
    for (size_t n = 0; n < bytes; n += n < 200 ? 1 : 97) {
        ls_dataset *d;
        file_write(path, data, n);
        assert_int_equal(ls_dataset_open(&d, path, "train"), LS_ERR_DATA);
    }
    file_write(path, data, bytes - 1);
    expect_error(path, "train", "truncated");
    file_write(path, data, bytes + 1);
    expect_error(path, "train", "extra bytes at its end");
    file_write(path, "", 0);
    expect_error(path, "train", "is empty");
    file_write(path, data, bytes);
    expect_tiny(path, "train", 20, 1, 1);
}

static void damage_is_found_by_verify(void **state)
{
    static uint8_t data[1 << 16];
    ls_dataset    *d;
    int            files, checked;
    assert_int_equal(tiny_write(in_folder("bits"), 20, 1), LS_OK);
    size_t bytes = file_read(in_folder("bits/train.h5"), data, sizeof data);
    if (bytes < 200) fail_msg("%zu bytes", bytes);
    data[bytes - 100] ^= 1; /* the pixels come last */
    file_write(in_folder("bits/train.h5"), data, bytes);
    assert_int_equal(ls_dataset_open(&d, in_folder("bits"), "train"), LS_OK);
    assert_int_equal(ls_dataset_verify(d, &files, &checked), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "checksum"));
    ls_dataset_free(d);
}

/* Variable-length strings are found through references, which HDF5 follows without checks. */
static void references_are_followed(void **state)
{
    static uint8_t data[1 << 16];
    assert_int_equal(tiny_write(in_folder("texts"), 20, 1), LS_OK);
    char path[FILES_PATH + 64];
    snprintf(path, sizeof path, "%s", in_folder("texts/train.h5"));
    size_t         bytes = file_read(path, data, sizeof data);
    const uint8_t *heap  = memmem(data, bytes, "GCOL", 4);
    assert_non_null(heap);
    uint64_t at         = (uint64_t)(heap - data);
    int      references = 0;
    for (uint8_t *hit = data; (hit = memmem(hit, (size_t)(data + bytes - hit), &at, sizeof at)); hit++, references++) {
        static const uint32_t wrong[] = {0, 5000, 1 << 16, UINT32_MAX};
        uint32_t              size, index;
        memcpy(&size, hit - 4, 4);
        memcpy(&index, hit + 8, 4);
        for (int i = 0; i < 4; i++) {
            memcpy(hit + 8, &wrong[i], 4);
            file_write(path, data, bytes);
            expect_error(path, "train", "is not where it should be");
        }
        memcpy(hit + 8, &index, 4);
        for (uint32_t other = size - 1; other <= size + 1; other += 2) {
            memcpy(hit - 4, &other, 4);
            file_write(path, data, bytes);
            expect_error(path, "train", "is not where it should be");
        }
        memcpy(hit - 4, &size, 4);
        const uint64_t elsewhere[] = {at - 8, at + (1 << 20), UINT64_MAX};
        for (int i = 0; i < 3; i++) {
            memcpy(hit, &elsewhere[i], 8);
            file_write(path, data, bytes);
            expect_error(path, "train", "is not where it should be");
        }
        memcpy(hit, &at, 8);
    }
    assert_int_equal(references, 3); /* the class names */
    file_write(path, data, bytes);
    expect_tiny(path, "train", 20, 1, 1);
}

static void missing_files_are_named(void **state)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int  count;
    assert_int_equal(tiny_write(in_folder("four"), 20, 4), LS_OK);
    assert_int_equal(ls_dataset_splits(in_folder("four"), splits, &count), LS_OK);
    assert_int_equal(count, 1);
    assert_string_equal(splits[0], "train");
    unlink(in_folder("four/train-00002-of-00004.h5"));
    expect_error(in_folder("four"), "train", "train-00002-of-00004.h5: is missing");
    expect_error(in_folder("four"), "test", "has no test.h5; splits found: train");
    expect_error(in_folder("nowhere"), "train", "No such file");
    expect_error("/dev/null", "train", "expected an HDF5 file");
    assert_int_equal(mkfifo(in_folder("pipe.h5"), 0600), 0); /* opening it does not block */
    expect_error(in_folder("pipe.h5"), "train", "expected an HDF5 file");
}

static void files_of_two_datasets_are_refused(void **state)
{
    char from[FILES_PATH + 64], to[FILES_PATH + 64];
    assert_int_equal(tiny_write(in_folder("mixed"), 20, 2), LS_OK);
    make m = {"", NULL, GOOD, .image = {10, 2, 3, 4}, .labels = 10};
    snprintf(from, sizeof from, "%s", in_folder("mixed/train-00001-of-00002.h5"));
    make_file(from, &m);
    expect_tiny(in_folder("mixed/train-00000-of-00002.h5"), "train", 10, 1, 1);
    m.std = 0.75f;
    make_file(from, &m);
    expect_error(in_folder("mixed"), "train", "its std is not that of");
    m.std = 0.5f, m.image[3] = 2;
    make_file(from, &m);
    expect_error(in_folder("mixed"), "train", "its shape of the images is not that of");

    assert_int_equal(tiny_write(in_folder("twice"), 20, 1), LS_OK);
    assert_int_equal(tiny_write(in_folder("other"), 20, 2), LS_OK);
    snprintf(from, sizeof from, "%s", in_folder("other/train-00000-of-00002.h5"));
    snprintf(to, sizeof to, "%s", in_folder("twice/train-00000-of-00002.h5"));
    assert_int_equal(rename(from, to), 0);
    expect_error(in_folder("twice"), "train", "has the split 'train' twice");
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void a_writer_that_fails_leaves_nothing(void **state)
{
    ls_writer      *w;
    uint8_t         pixels[24];
    int32_t         label;
    ls_dataset_info info = tiny_info(10);
    const char     *out  = in_folder("nothing");
    /* Not all samples; then one too many; then a label out of range. */
    assert_int_equal(ls_writer_new(&w, out, &info, 2), LS_OK);
    tiny_sample(0, pixels, &label);
    for (int i = 0; i < 9; i++) assert_int_equal(ls_writer_add(w, pixels, label), LS_OK);
    assert_int_equal(ls_writer_add(w, pixels, 3), LS_ERR_DATA);
    assert_int_equal(ls_writer_close(w), LS_ERR_USAGE);
    assert_int_equal(folder_count(out), 2);
    ls_writer_free(w);
    assert_int_equal(folder_count(out), -1); /* the folder that the writer made is removed as well */

    assert_int_equal(ls_writer_new(&w, out, &info, 1), LS_OK);
    for (int i = 0; i < 10; i++) assert_int_equal(ls_writer_add(w, pixels, label), LS_OK);
    assert_int_equal(ls_writer_add(w, pixels, label), LS_ERR_USAGE);
    assert_int_equal(folder_count(out), 1);
    ls_writer_free(w);
    assert_int_equal(folder_count(out), -1);
}

static void a_full_disk_is_an_error_that_leaves_nothing(void **state)
{
    struct rlimit before, small = {100000, 100000};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    char out[FILES_PATH + 64];
    snprintf(out, sizeof out, "%s", in_folder("full"));
    mkdir(out, 0777);
    setrlimit(RLIMIT_FSIZE, &small);
    ls_status status = tiny_write(out, 50000, 1);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "cannot be written"));
    assert_int_equal(folder_count(out), 0);
}

static void bad_requests_are_errors(void **state)
{
    ls_writer      *w;
    ls_dataset_info info = tiny_info(0);
    assert_int_equal(ls_writer_new(&w, in_folder("x"), &info, 1), LS_ERR_DATA);
    info = tiny_info(3);
    assert_int_equal(ls_writer_new(&w, in_folder("x"), &info, 4), LS_ERR_USAGE);
    info.std[1] = 0;
    assert_int_equal(ls_writer_new(&w, in_folder("x"), &info, 1), LS_ERR_DATA);
    info       = tiny_info(3);
    info.split = "a/b";
    assert_int_equal(ls_writer_new(&w, in_folder("x"), &info, 1), LS_ERR_USAGE);
    info = tiny_info(3);
    file_write(in_folder("a file"), "x", 1);
    assert_int_equal(ls_writer_new(&w, in_folder("a file/x"), &info, 1), LS_ERR_ENV);
    assert_int_equal(tiny_write(in_folder("y"), 3, 1), LS_OK);
    assert_int_equal(ls_writer_new(&w, in_folder("y"), &info, 2), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "already has the split"));
    assert_int_equal(tiny_write(in_folder("y"), 2, 1), LS_OK); /* the same name: replaced at once */
    expect_tiny(in_folder("y"), "train", 2, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_header_is_checked),
        cmocka_unit_test(a_file_of_another_length_is_refused),
        cmocka_unit_test(damage_is_found_by_verify),
        cmocka_unit_test(references_are_followed),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(files_of_two_datasets_are_refused),
        cmocka_unit_test(a_writer_that_fails_leaves_nothing),
        cmocka_unit_test(a_full_disk_is_an_error_that_leaves_nothing),
        cmocka_unit_test(bad_requests_are_errors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

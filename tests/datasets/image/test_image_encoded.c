/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Datasets that keep image files: the pixels of an import at the same size, damaged samples, malformed headers. */
#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { IMAGES = 12, CLASSES = 3, MOST = 3 * 16 * 16 };

static char folder[FILES_PATH], in[FILES_PATH + 8], out[FILES_PATH + 8], other[FILES_PATH + 8];

/* Writes IMAGES images of different sizes, in folders of CLASSES classes. */
static int setup(void **state)
{
    folder_make(folder);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(in, sizeof in, "%s/in", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    if (mkdir(in, 0777)) return 1;
    for (int i = 0; i < IMAGES; i++) {
        char    path[FILES_PATH + 64];
        uint8_t rgb[3 * 24 * 24];
        snprintf(path, sizeof path, "%s/%c", in, 'a' + i % CLASSES);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/%c/%02d.png", in, 'a' + i % CLASSES, i);
        for (int k = 0; k < (int)sizeof rgb; k++) rgb[k] = (uint8_t)(k * (i + 3) + k * k % 13);
        if (ls_image_write(path, 3, 9 + i, 20 - i, rgb) != LS_OK) return 1;
    }
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static void import_to(const char *to, bool keep, int side, int shards)
{
    ls_images_import o = {.size    = sizeof o,
                          .folder  = in,
                          .out     = to,
                          .height  = side,
                          .width   = side,
                          .shards  = shards,
                          .keep    = keep,
                          .options = {.interpolation = LS_BICUBIC, .fit = LS_FIT_CROP}};
    assert_ok(ls_import_images(&o));
}

static ls_dataset *opened(const char *path)
{
    ls_dataset *d;
    int         files, checked;
    assert_ok(ls_dataset_open(&d, path, "train"));
    assert_ok(ls_dataset_verify(d, &files, &checked));
    assert_int_equal(files, checked);
    return d;
}

static void expect_same(ls_dataset *a, ls_dataset *b)
{
    ls_dataset_info info  = ls_dataset_info_of(a);
    size_t          bytes = (size_t)(info.channels * info.height * info.width);
    assert_int_equal(info.count, IMAGES);
    assert_int_equal(ls_dataset_info_of(b).count, IMAGES);
    for (int64_t i = IMAGES - 1; i >= 0; i--) {
        uint8_t x[MOST], y[MOST];
        int32_t label_x, label_y;
        assert_ok(ls_dataset_read(a, i, x, &label_x));
        assert_ok(ls_dataset_read(b, i, y, &label_y));
        assert_int_equal(label_x, label_y);
        assert_memory_equal(x, y, bytes);
    }
}

static void samples_are_those_of_stored_pixels(void **state)
{
    for (int shards = 1; shards <= 5; shards += 2) {
        import_to(out, true, 7, shards);
        import_to(other, false, 7, 1);
        ls_dataset     *kept = opened(out), *pixels = opened(other);
        ls_dataset_info a = ls_dataset_info_of(kept), b = ls_dataset_info_of(pixels);
        assert_true(a.stored_bytes > 0);
        assert_int_equal(b.stored_bytes, 0);
        assert_int_equal(a.channels * 10000 + a.height * 100 + a.width, 30707);
        assert_int_equal(a.image_options.fit, LS_FIT_CROP);
        assert_memory_equal(a.mean, b.mean, sizeof a.mean);
        assert_memory_equal(a.std, b.std, sizeof a.std);
        assert_string_equal(a.class_names[2], "c");
        expect_same(kept, pixels);
        ls_dataset_free(kept);
        ls_dataset_free(pixels);
        folder_remove(out);
        folder_remove(other);
    }
}

/* A view of another size decodes once, instead of resizing the resized image. */
static void a_view_decodes_at_its_size(void **state)
{
    import_to(out, true, 7, 1);
    import_to(other, false, 11, 1);
    ls_dataset *kept = opened(out), *pixels = opened(other);
    assert_ok(ls_dataset_view(&kept, .side = 11, .interpolation = LS_BICUBIC));
    assert_int_equal(ls_dataset_info_of(kept).height, 11);
    expect_same(kept, pixels);
    ls_dataset_free(kept);
    ls_dataset_free(pixels);
}

/* Overwrites the image file of sample `i` behind its first bytes. */
static void damage(const char *path, int i)
{
    static uint8_t data[1 << 20];
    size_t         bytes = file_read(path, data, sizeof data), at = 0;
    for (int found = -1; at < bytes; at++) {
        found += !memcmp(data + at, "\x89PNG\r\n\x1a\n", 8);
        if (found == i) break;
    }
    memset(data + at + 40, 0xa5, 20);
    file_write(path, data, bytes);
}

static void a_damaged_sample_is_named(void **state)
{
    char       path[FILES_PATH + 32];
    uint8_t    x[MOST];
    int32_t    label;
    int        files, checked;
    ls_loader *l;
    ls_batch   batch;
    snprintf(path, sizeof path, "%s/train.h5", out);
    import_to(out, true, 7, 1);
    damage(path, 8);
    damage(path, 5);
    ls_dataset *d;
    assert_ok(ls_dataset_open(&d, out, "train"));
    for (int64_t i = 0; i < IMAGES; i++)
        if (i == 5 || i == 8)
            assert_fails(ls_dataset_read(d, i, x, &label), LS_ERR_DATA,
                         i == 5 ? "train.h5: sample 5: is a damaged" : "train.h5: sample 8: is a damaged");
        else
            assert_ok(ls_dataset_read(d, i, x, &label));
    assert_fails(ls_dataset_verify(d, &files, &checked), LS_ERR_DATA, "attribute 'checksum'");
    for (int threads = 1; threads <= 3; threads++) {
        assert_ok(ls_loader_new(&l, d, .batch = 12, .shards = 1, .ranks = 1, .in_order = true, .epochs = 1,
                                .threads = threads));
        assert_false(ls_loader_next(l, &batch));
        assert_fails(ls_loader_status(l), LS_ERR_DATA, "train.h5: sample 5: is a damaged");
        ls_loader_free(l);
    }
    ls_dataset_free(d);

    /* Without a checksum, verification finds the sample. */
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(H5Adelete(f, "checksum") >= 0 && H5Fclose(f) >= 0);
    assert_ok(ls_dataset_open(&d, out, "train"));
    assert_fails(ls_dataset_verify(d, &files, &checked), LS_ERR_DATA, "train.h5: sample 5: is a damaged");
    ls_dataset_free(d);
}

/* ---- malformed headers ------------------------------------------------------------------------------------------- */

enum { FILES = 3, FILE_BYTES = 90 };
typedef struct make {
    const char *name, *message; /* message NULL: the file is good */
    hid_t       bytes_type, offset_type;
    int         bytes_rank, offset_rank, chunk;
    int         offsets; /* number of offsets; -1: no data set */
    int64_t     offset[FILES + 2];
    int         channels, height, width; /* below -9: no attribute */
} make;

static void put_int(hid_t f, const char *name, int value)
{
    if (value < -9) return;
    hid_t s = H5Screate(H5S_SCALAR), a = H5Acreate2(f, name, H5T_STD_I32LE, s, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT, &value);
    H5Aclose(a);
    H5Sclose(s);
}

static void put_set(hid_t f, const char *name, hid_t type, hid_t memory, int rank, hsize_t n, int chunk,
                    const void *data)
{
    hsize_t dims[2] = {n, 1}, chunks[2] = {(hsize_t)chunk, 1};
    hid_t   s = H5Screate_simple(rank, dims, NULL), p = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk) H5Pset_chunk(p, rank, chunks);
    hid_t d = H5Dcreate2(f, name, type, s, H5P_DEFAULT, p, H5P_DEFAULT);
    H5Dwrite(d, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(d);
    H5Pclose(p);
    H5Sclose(s);
}

/* Takes the attributes and labels of a valid file, and makes the rest new. */
static void make_file(const char *path, const make *m)
{
    static const uint8_t bytes[FILE_BYTES] = "P5 2 2 255 \1\2\3\4";
    static const int32_t labels[FILES]     = {0, 1, 2};
    static const char   *names[] = {"channels", "height", "width"}, *sets[] = {"bytes", "offset", "label"};
    const int            values[] = {m->channels, m->height, m->width};
    hid_t                f        = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    for (int i = 0; i < 3; i++) {
        H5Adelete(f, names[i]);
        H5Ldelete(f, sets[i], H5P_DEFAULT);
        put_int(f, names[i], values[i]);
    }
    put_set(f, "bytes", m->bytes_type, H5T_NATIVE_UINT8, m->bytes_rank, FILE_BYTES, m->chunk, bytes);
    put_set(f, "label", H5T_STD_I32LE, H5T_NATIVE_INT, 1, FILES, 0, labels);
    if (m->offsets >= 0)
        put_set(f, "offset", m->offset_type, H5T_NATIVE_INT64, m->offset_rank, (hsize_t)m->offsets, 0, m->offset);
    assert_true(H5Fclose(f) >= 0);
}

#define GOOD                                                                                                           \
    .bytes_type = H5T_STD_U8LE, .offset_type = H5T_STD_I64LE, .bytes_rank = 1, .offset_rank = 1, .offsets = FILES + 1, \
    .offset = {0, 15, 30, 90}, .channels = 3, .height = 4, .width = 4
#pragma GCC diagnostic ignored "-Woverride-init"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Woverride-init-side-effects"
#endif

static void every_header_is_checked(void **state)
{
    const make cases[] = {
        {"good", NULL, GOOD},
        {"offsets of int32", NULL, GOOD, .offset_type = H5T_STD_I32BE},
        {"bytes behind the last file", NULL, GOOD, .offset = {0, 15, 30, 45}},
        {"no offsets", "has no data set /offset", GOOD, .offsets = -1},
        {"float offsets", "/offset: expected N + 1 integers", GOOD, .offset_type = H5T_IEEE_F64LE},
        {"offsets in two dims", "/offset: expected N + 1 integers", GOOD, .offset_rank = 2},
        {"a single offset", "/offset: expected N + 1 integers", GOOD, .offsets = 1},
        {"an offset too few", "/label: expected 2 labels", GOOD, .offsets = FILES, .offset = {0, 15, 90}},
        {"an offset too many", "/label: expected 4 labels", GOOD, .offsets = FILES + 2, .offset = {0, 15, 30, 45, 90}},
        {"negative", "value 0 is -1; expected 0 to 90", GOOD, .offset = {-1, 15, 30, 90}},
        {"beyond the end", "value 3 is 91; expected 0 to 90", GOOD, .offset = {0, 15, 30, 91}},
        {"overflowing", "expected 0 to 90", GOOD, .offset = {0, 15, INT64_MAX, 90}},
        {"decreasing", "sample 1 has -5 bytes; expected 1 to", GOOD, .offset = {0, 35, 30, 90}},
        {"an empty file", "sample 2 has 0 bytes; expected 1 to", GOOD, .offset = {0, 15, 90, 90}},
        {"float bytes", "/bytes: expected one dimension of uint8", GOOD, .bytes_type = H5T_IEEE_F32LE},
        {"signed bytes", "/bytes: expected one dimension of uint8", GOOD, .bytes_type = H5T_STD_I8LE},
        {"bytes in two dims", "/bytes: expected one dimension of uint8", GOOD, .bytes_rank = 2},
        {"bytes in chunks", "expected contiguous storage, found chunks", GOOD, .chunk = 30},
        {"two channels", "'channels': expected 1 or 3, found 2", GOOD, .channels = 2},
        {"four channels", "'channels': expected 1 or 3, found 4", GOOD, .channels = 4},
        {"no height", "no attribute 'height'", GOOD, .height = -10},
        {"height of 0", "'height': expected 1 to 16384 pixels, found 0", GOOD, .height = 0},
        {"wide", "'width': expected 1 to 16384 pixels, found 16385", GOOD, .width = 16385},
        {"huge", "expected 256 MiB a sample at most", GOOD, .height = 16384, .width = 16384},
    };
    char path[FILES_PATH + 32];
    snprintf(path, sizeof path, "%s/train.h5", out);
    import_to(out, true, 4, 1);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const make *m = &cases[k];
        ls_dataset *d = NULL;
        make_file(path, m);
        ls_status status = ls_dataset_open(&d, out, "train");
        if (m->message) {
            if (status != LS_ERR_DATA || !strstr(ls_error_message(), m->message) ||
                !strstr(ls_error_message(), "train.h5"))
                fail_msg("%s: expected '%s', got %d: %s", m->name, m->message, status, ls_error_message());
            continue;
        }
        uint8_t x[48];
        int32_t label;
        if (status != LS_OK) fail_msg("%s: %s", m->name, ls_error_message());
        assert_ok(ls_dataset_read(d, 0, x, &label));
        assert_fails(ls_dataset_read(d, 2, x, &label), LS_ERR_DATA, "sample 2: is no image");
        ls_dataset_free(d);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(samples_are_those_of_stored_pixels),
        CASE(a_view_decodes_at_its_size),
        CASE(a_damaged_sample_is_named),
        CASE(every_header_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

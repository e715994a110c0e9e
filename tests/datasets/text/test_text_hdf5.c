/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
/* Text in HDF5: written tokens are read back for any number of files; all headers and tokens are checked. */
#include <hdf5.h>

#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { N = 1000, DOCUMENTS = 7 };
static char folder[FILES_PATH];

static int32_t token_at(int64_t i, int64_t vocabulary)
{
    return (int32_t)((uint64_t)i * 2654435761u % (uint64_t)vocabulary);
}

static ls_status write_split(const char *split, int64_t n, int64_t vocabulary, int shards)
{
    ls_text_writer *w;
    ls_text_info    info = {
           .split = split, .vocabulary = vocabulary, .tokenizer = "chars", .tokenizer_hash = "0123456789abcdef"};
    ls_status status = ls_text_writer_new(&w, folder, &info, shards);
    for (int64_t i = 0; i < n && status == LS_OK; i++) {
        int32_t token = token_at(i, vocabulary);
        if (i % (N / DOCUMENTS) == 0) status = ls_text_writer_document(w);
        if (status == LS_OK) status = ls_text_writer_add(w, &token, 1);
    }
    if (status == LS_OK) status = ls_text_writer_finish(w, 3 * n);
    if (status == LS_OK) status = ls_text_writer_close(w);
    ls_text_writer_free(w);
    return status;
}

static int set_up(void **state)
{
    folder_make(folder);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    folder_remove(folder);
    return 0;
}

static void check_all(ls_dataset *d, int64_t vocabulary)
{
    int32_t         token[N];
    int64_t         start[16];
    int             files, checked;
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.kind, LS_DATA_TEXT);
    assert_int_equal(info.tokens, N);
    assert_int_equal(info.classes, vocabulary);
    assert_int_equal(info.bytes, 3 * N);
    assert_string_equal(info.tokenizer, "chars");
    assert_string_equal(info.tokenizer_hash, "0123456789abcdef");
    for (int64_t at = 0; at < N; at += 37) {
        int64_t n = N - at < 331 ? N - at : 331;
        assert_ok(ls_dataset_tokens(d, at, n, token));
        for (int64_t i = 0; i < n; i++) assert_int_equal(token[i], token_at(at + i, vocabulary));
    }
    assert_int_equal(info.documents, N / (N / DOCUMENTS) + 1);
    assert_ok(ls_dataset_documents(d, 0, info.documents, start));
    for (int64_t i = 0; i < info.documents; i++) assert_int_equal(start[i], i * (N / DOCUMENTS));
    assert_ok(ls_dataset_documents(d, 3, 2, start));
    assert_int_equal(start[1], 4 * (N / DOCUMENTS));
    assert_ok(ls_dataset_verify(d, &files, &checked));
    assert_int_equal(files, checked);
}

static void files_and_widths(void **state)
{
    const int64_t vocabularies[] = {65, 65536, 65537, 1000000};
    for (int shards = 1; shards <= 5; shards += 2)
        for (int v = 0; v < 4; v++) {
            ls_dataset *d;
            assert_ok(write_split("train", N, vocabularies[v], shards));
            assert_int_equal(folder_count(folder), shards);
            assert_ok(ls_dataset_open(&d, folder, "train"));
            check_all(d, vocabularies[v]);
            ls_dataset_free(d);
            folder_remove(folder);
        }
}

static void nothing_is_left_behind(void **state)
{
    ls_text_writer *w;
    int32_t         token = 65;
    assert_fails(write_split("train", 3, 65, 4), LS_ERR_DATA, "too few for 4 files");
    assert_int_equal(access(folder, F_OK), -1);
    assert_ok(ls_text_writer_new(&w, folder, &(ls_text_info){.split = "train", .vocabulary = 65}, 1));
    assert_fails(ls_text_writer_add(w, &token, 1), LS_ERR_DATA, "expected 0 to 64");
    assert_fails(ls_text_writer_close(w), LS_ERR_USAGE, "ls_text_writer_finish was not called");
    assert_fails(ls_text_writer_finish(w, 0), LS_ERR_DATA, "the text is empty");
    ls_text_writer_free(w);
    assert_int_equal(access(folder, F_OK), -1);
}

/* ---- files of other programs ------------------------------------------------------------------------------------- */

typedef struct odd {
    const char *message;    /* part of the error; NULL: the file is good */
    hid_t       type;       /* of /tokens; 0: uint16 */
    int         rank;       /* 0: 1                  */
    int64_t     tokens;     /* 0: N                  */
    int64_t     vocabulary; /* 0: 65                 */
    int64_t     format;     /* 0: 1                  */
    int64_t     bytes;
    hid_t       documents;         /* type; 0: int64        */
    int64_t     second;            /* start of the second document; 0: 500 */
    int         chunk;             /* 0: contiguous         */
    int64_t     bad;               /* value of token 700; 0: a valid one */
    bool        external, nothing; /* tokens in another file; never written */
} odd;

static void put_int(hid_t file, const char *name, int64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR), a = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT64, &value);
    H5Aclose(a);
    H5Sclose(space);
}

static void make_odd(const char *path, const odd *o)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1),
          space        = H5Screate(H5S_SCALAR);
    hsize_t     dim[2] = {o->tokens ? (hsize_t)o->tokens : N, 1}, documents = 2, chunk = (hsize_t)o->chunk;
    int64_t     tokens[2 * N] = {0}, start[2] = {0, o->second ? o->second : 500};
    const char *split = "train";
    put_int(file, "lockstep_format", o->format ? o->format : 1);
    put_int(file, "vocabulary", o->vocabulary ? o->vocabulary : 65);
    put_int(file, "bytes", o->bytes ? o->bytes : 3 * N);
    H5Tset_size(text, H5T_VARIABLE); /* as h5py writes a str */
    hid_t a = H5Acreate2(file, "split", text, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, text, &split);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(text);
    for (int64_t i = 0; i < N; i++) tokens[i] = token_at(i, 65);
    if (o->bad) tokens[700] = o->bad;
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    if (o->chunk) H5Pset_chunk(p, 1, &chunk), H5Pset_deflate(p, 1);
    if (o->external) H5Pset_external(p, "other", 0, H5F_UNLIMITED);
    space   = H5Screate_simple(o->rank ? o->rank : 1, dim, NULL);
    hid_t d = H5Dcreate2(file, "tokens", o->type ? o->type : H5T_STD_U16LE, space, H5P_DEFAULT, p, H5P_DEFAULT);
    if (!o->nothing) H5Dwrite(d, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, tokens);
    H5Dclose(d);
    H5Sclose(space);
    space = H5Screate_simple(1, &documents, NULL);
    d     = H5Dcreate2(file, "documents", o->documents ? o->documents : H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT,
                       H5P_DEFAULT);
    H5Dwrite(d, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, start);
    H5Dclose(d);
    H5Sclose(space);
    H5Pclose(p);
    H5Fclose(file);
}

/* Opens a file, reads all tokens as training does, and verifies it. */
static ls_status read_all(const char *path)
{
    ls_dataset *d;
    int32_t     token[2 * N];
    int         files, checked;
    LS_TRY(ls_dataset_open(&d, path, "train"));
    ls_dataset_info info   = ls_dataset_info_of(d);
    ls_status       status = ls_dataset_tokens(d, 0, info.tokens < 2 * N ? info.tokens : 2 * N, token);
    for (int64_t i = 0; status == LS_OK && i < N; i++) assert_int_equal(token[i], token_at(i, 65));
    if (status == LS_OK) status = ls_dataset_verify(d, &files, &checked);
    ls_dataset_free(d);
    return status;
}

static void odd_files(void **state)
{
    char      path[FILES_PATH + 16];
    const odd table[] = {
        {.message = NULL},
        {.message = NULL, .chunk = 77},
        {.message = NULL, .chunk = 1000},
        {.message = NULL, .type = H5T_STD_U16BE},
        {.message = NULL, .type = H5T_STD_U32LE, .vocabulary = 70000},
        {.message = NULL, .type = H5T_STD_U32BE, .chunk = 10},
        {.message = NULL, .documents = H5T_STD_I64BE},
        {.message = "found int16", .type = H5T_STD_I16LE},
        {.message = "found uint8", .type = H5T_STD_U8LE},
        {.message = "found uint64", .type = H5T_STD_U64LE},
        {.message = "found float32", .type = H5T_IEEE_F32LE},
        {.message = "found 1000 x 1", .rank = 2},
        {.message = "attribute 'lockstep_format': expected 1, found 2", .format = 2},
        {.message = "expected 1 to", .vocabulary = -1},
        {.message = "expected 1 to", .vocabulary = 1 << 21},
        {.message = "expected uint32 for a vocabulary of 70000 tokens, found uint16", .vocabulary = 70000},
        {.message = "length of the text in bytes", .bytes = -5},
        {.message = "/documents: expected", .documents = H5T_STD_I32LE},
        {.message = "document 1 begins at 1000", .second = 1000},
        {.message = "document 1 begins at", .second = -3},
        {.message = "token 700 is 65; expected 0 to 64", .bad = 65},
        {.message = "token 700 is 4294967295", .bad = 4294967295, .type = H5T_STD_U32LE},
        {.message = "in other files", .external = true, .nothing = true},
        {.message = "has a shape but no data", .nothing = true},
        {.message = "has a shape but no data", .nothing = true, .tokens = (int64_t)1 << 60},
        {.message = "chunks", .nothing = true, .chunk = 10},
    };
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/train.h5", folder);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        make_odd(path, &table[i]);
        if (table[i].message)
            assert_fails(read_all(path), LS_ERR_DATA, table[i].message);
        else
            assert_ok(read_all(path));
    }
    unlink(path);
}

static void damaged(void **state)
{
    char        path[FILES_PATH + 32];
    ls_dataset *d;
    int         files, checked;
    assert_ok(write_split("train", N, 65, 2));
    snprintf(path, sizeof path, "%s/train-00001-of-00002.h5", folder);
    hid_t   file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "tokens", H5P_DEFAULT);
    int64_t bytes = file_bytes(path), at = (int64_t)H5Dget_offset(set);
    H5Dclose(set);
    H5Fclose(file);
    FILE *f = fopen(path, "r+");
    fseek(f, (long)at + 20, SEEK_SET);
    fputc(token_at(N / 2 + 10, 65) ? 0 : 1, f);
    fclose(f);
    assert_ok(ls_dataset_open(&d, folder, "train"));
    assert_fails(ls_dataset_verify(d, &files, &checked), LS_ERR_DATA, "attribute 'checksum': expected");
    ls_dataset_free(d);
    assert_int_equal(truncate(path, bytes - 100), 0);
    assert_fails(ls_dataset_open(&d, folder, "train"), LS_ERR_DATA, "train-00001-of-00002.h5");
    unlink(path);
    assert_fails(ls_dataset_open(&d, folder, "train"), LS_ERR_DATA, "is missing");
    folder_remove(folder);
    assert_ok(write_split("train", N, 65, 1));
    assert_ok(write_split("valid", N, 66, 1));
    assert_fails(ls_dataset_open(&d, folder, "test"), LS_ERR_DATA, "splits found: train, valid");
    assert_ok(ls_dataset_open(&d, folder, "valid"));
    assert_fails(ls_dataset_read(d, 0, NULL, NULL), LS_ERR_USAGE, "expected a dataset of images");
    assert_fails(ls_dataset_tokens(d, N - 1, 2, NULL), LS_ERR_USAGE, "tokens: expected a range within 0 to");
    assert_fails(ls_dataset_documents(d, -1, 1, NULL), LS_ERR_USAGE, "documents: expected a range within 0 to");
    ls_dataset_free(d);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_widths),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(odd_files),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

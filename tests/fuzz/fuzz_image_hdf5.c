/* SPDX-License-Identifier: Apache-2.0
 *
 * HDF5 shards.  First byte even: the rest is the file.  Odd: the rest says how to make an HDF5 file that is sound as
 * such, with whatever types, ranks, sizes and attributes; mutations of raw bytes seldom get past HDF5's own checks.
 * With the second bit, text, else pictures.
 */
#include <hdf5.h>

#include "tests/fuzz/fuzz.h"

typedef struct source {
    const uint8_t *at, *end;
} source;

static unsigned next(source *s) { return s->at < s->end ? *s->at++ : 0; }

/* Mostly small, sometimes absurd. */
static hsize_t next_size(source *s)
{
    unsigned v = next(s);
    return v < 200 ? v % 9 : v < 240 ? (hsize_t)1 << v % 63 : ~(hsize_t)0 >> v % 16;
}

static hid_t next_type(source *s)
{
    const hid_t types[] = {H5T_STD_U8LE,   H5T_STD_I32LE, H5T_IEEE_F32LE, H5T_STD_I64BE,
                           H5T_IEEE_F64LE, H5T_STD_I8LE,  H5T_STD_U16LE,  H5T_C_S1};
    unsigned    v       = next(s);
    hid_t       t       = H5Tcopy(types[v % 8]);
    if (v % 8 == 7) H5Tset_size(t, v & 16 ? H5T_VARIABLE : 1 + v / 8);
    return t;
}

static void fill(source *s, uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)next(s);
}

static void make_attribute(hid_t file, const char *name, hid_t normal, hsize_t n, source *s)
{
    uint8_t  data[512] = {0};
    unsigned how       = next(s);
    if (how > 250) return;
    hid_t type = how > 220 ? next_type(s) : H5Tcopy(normal);
    if (how > 200) n = next_size(s) % 9;
    hid_t space = n ? H5Screate_simple(1, &n, NULL) : H5Screate(how > 240 ? H5S_NULL : H5S_SCALAR);
    hid_t a     = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    fill(s, data, 24);
    if (H5Tis_variable_str(type) > 0) {
        const char *text[9] = {"train", "test", (char *)data + 16, "", "x", "y", "z", "train", "train"};
        data[23]            = 0;
        H5Awrite(a, type, text);
    } else
        H5Awrite(a, type, data);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

static void make_set(hid_t file, const char *name, hid_t normal, int rank, const hsize_t *dims, source *s)
{
    static uint8_t data[1 << 16];
    hsize_t        dim[8], chunk[8], n = 1;
    unsigned       how = next(s);
    if (how > 250) return;
    hid_t type = how > 220 ? next_type(s) : H5Tcopy(normal);
    if (how > 210) rank = (int)(next(s) % 6);
    for (int i = 0; i < rank; i++) {
        dim[i]   = how > 200 || i >= 4 ? next_size(s) : dims[i];
        chunk[i] = how & 1 && next(s) < 200 ? dim[i] : next_size(s) + 1;
        if (n && __builtin_mul_overflow(n, dim[i], &n)) n = ~(hsize_t)0;
    }
    hid_t space = rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR), p = H5Pcreate(H5P_DATASET_CREATE);
    if (how % 4 == 1 && rank) {
        H5Pset_chunk(p, rank, chunk);
        if (how & 8) H5Pset_deflate(p, 1);
    }
    if (how % 4 == 2) H5Pset_layout(p, H5D_COMPACT);
    hid_t set = space >= 0 ? H5Dcreate2(file, name, type, space, H5P_DEFAULT, p, H5P_DEFAULT) : -1;
    if (set >= 0 && n < sizeof data / 64 && H5Tget_class(type) != H5T_STRING) {
        fill(s, data, 64);
        if (how & 16) memset(data, 0, 64);
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    }
    if (set >= 0 && n < 512 && H5Tis_variable_str(type) > 0) {
        static const char *text[512];
        for (int i = 0; i < 512; i++) text[i] = i % 3 ? "name" : "another name";
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
    }
    if (set >= 0) H5Dclose(set);
    H5Pclose(p);
    if (space >= 0) H5Sclose(space);
    H5Tclose(type);
}

static void make_file(const char *path, source *s)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1),
          names     = H5Tcopy(H5T_C_S1);
    hsize_t dims[4] = {next(s) % 8, next(s) % 4, next(s) % 5, next(s) % 5}, classes = 3;
    H5Tset_size(text, 5);
    H5Tset_size(names, H5T_VARIABLE);
    make_attribute(file, "lockstep_format", H5T_STD_I32LE, 0, s);
    make_attribute(file, "split", text, 0, s);
    make_attribute(file, "classes", H5T_STD_I32LE, 0, s);
    make_attribute(file, "mean", H5T_IEEE_F32LE, dims[1], s);
    make_attribute(file, "std", H5T_IEEE_F32LE, dims[1], s);
    make_attribute(file, "checksum", text, 0, s);
    make_set(file, "image", H5T_STD_U8LE, 4, dims, s);
    make_set(file, "label", H5T_STD_I32LE, 1, dims, s);
    make_set(file, "class_names", names, 1, &classes, s);
    H5Tclose(names);
    H5Tclose(text);
    H5Fclose(file);
}

static void make_text(const char *path, source *s)
{
    hid_t   file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1);
    hsize_t dims[4] = {next(s) % 64, 1, 1, 1}, documents[4] = {next(s) % 8, 1, 1, 1};
    H5Tset_size(text, 5);
    make_attribute(file, "lockstep_format", H5T_STD_I32LE, 0, s);
    make_attribute(file, "split", text, 0, s);
    make_attribute(file, "vocabulary", H5T_STD_I64LE, 0, s);
    make_attribute(file, "bytes", H5T_STD_I64LE, 0, s);
    make_attribute(file, "tokenizer", text, 0, s);
    make_attribute(file, "tokenizer_hash", text, 0, s);
    make_attribute(file, "checksum", text, 0, s);
    make_set(file, "tokens", next(s) & 1 ? H5T_STD_U16LE : H5T_STD_U32BE, 1, dims, s);
    make_set(file, "documents", H5T_STD_I64LE, 1, documents, s);
    H5Tclose(text);
    H5Fclose(file);
}

/* Everything that a run would read of it. */
static void use_text(ls_dataset *d, const ls_dataset_info *info)
{
    int32_t token[64];
    int64_t start[8];
    fuzz_expect(info->tokens >= 1 && info->classes >= 1 && info->documents >= 0 && info->bytes >= 0);
    for (int64_t at = 0; at < info->tokens; at += 1 + info->tokens / 16) {
        int64_t n = info->tokens - at < 64 ? info->tokens - at : 64;
        if (ls_dataset_tokens(d, at, n, token) != LS_OK) continue;
        for (int64_t i = 0; i < n; i++) fuzz_expect(token[i] >= 0 && token[i] < info->classes);
    }
    fuzz_status(ls_dataset_documents(d, 0, info->documents < 8 ? info->documents : 8, start));
    fuzz_status(ls_dataset_window(d, 3));
}

FUZZ_TARGET(shard)
{
    char        path[FILES_PATH + 16];
    ls_dataset *d;
    source      s = {data + 1, data + bytes};
    if (!bytes) return;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "%s/train.h5", fuzz_folder());
    if ((data[0] & 3) == 3)
        make_text(path, &s);
    else if (data[0] & 1)
        make_file(path, &s);
    else
        file_write(path, data + 1, bytes - 1);

    ls_status status = ls_dataset_open(&d, path, NULL);
    fuzz_status(status);
    if (status == LS_OK) {
        ls_dataset_info info = ls_dataset_info_of(d);
        int             files, checked;
        bool            pictures = info.kind == LS_DATA_IMAGES;
        if (!pictures) use_text(d, &info);
        fuzz_expect(!pictures || (info.count >= 1 && info.classes >= 1 && info.channels >= 1 && info.channels <= 4));
        for (int64_t i = 0; pictures && i < info.count; i += 1 + info.count / 16) {
            int32_t label = -1;
            fuzz_status(ls_dataset_read(d, i, NULL, &label));
            fuzz_expect(label >= 0 && label < info.classes);
        }
        if (info.count < 1 << 16 && info.tokens < 1 << 16) fuzz_status(ls_dataset_verify(d, &files, &checked));
        ls_dataset_free(d);
    }
    unlink(path);
}

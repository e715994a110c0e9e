/* SPDX-License-Identifier: Apache-2.0
 *
 * Dataset files of images and text.  First byte even: the other bytes are the file.  Odd: they describe an HDF5 file
 * (random_hdf5.h), of text if the second bit is set, else of images, as image files if the third bit is set.
 */
#include "tests/fuzz/random_hdf5.h"

static void make_image_files(hid_t file, const hsize_t *dims, source *s)
{
    hsize_t bytes[4] = {next(s), 1, 1, 1}, offsets[4] = {dims[0] + 1, 1, 1, 1};
    make_attribute(file, "channels", H5T_STD_I32LE, 0, s);
    make_attribute(file, "height", H5T_STD_I32LE, 0, s);
    make_attribute(file, "width", H5T_STD_I32LE, 0, s);
    make_set(file, "bytes", H5T_STD_U8LE, 1, bytes, s);
    make_set(file, "offset", H5T_STD_I64LE, 1, offsets, s);
}

static void make_images(const char *path, bool as_files, source *s)
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
    if (as_files)
        make_image_files(file, dims, s);
    else
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

/* Reads what a run reads of a text dataset. */
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

FUZZ_TARGET(image_hdf5)
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
        make_images(path, data[0] & 4, &s);
    else
        file_write(path, data + 1, bytes - 1);

    ls_status status = ls_dataset_open(&d, path, NULL);
    fuzz_status(status);
    if (status == LS_OK) {
        ls_dataset_info info = ls_dataset_info_of(d);
        int             files, checked;
        bool            images = info.kind == LS_DATA_IMAGES;
        if (!images) use_text(d, &info);
        fuzz_expect(!images || (info.count >= 1 && info.classes >= 1 && info.channels >= 1 && info.channels <= 4));
        for (int64_t i = 0; images && i < info.count; i += 1 + info.count / 16) {
            int32_t label = -1;
            fuzz_status(ls_dataset_read(d, i, NULL, &label));
            fuzz_expect(label >= 0 && label < info.classes);
        }
        bool small =
            (int64_t)info.channels * info.height * info.width < 1 << 20; /* decoding takes long to large sizes */
        if (info.count < 1 << 16 && info.tokens < 1 << 16 && small) fuzz_status(ls_dataset_verify(d, &files, &checked));
        ls_dataset_free(d);
    }
    unlink(path);
}

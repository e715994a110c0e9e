/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of labelled texts.  First byte even: the other bytes are the file.  Odd: they describe its arrays, which have
 * the right types: numbers of samples, tokens and classes, steps from start to start (from 250 on: absurd), tokens,
 * types and labels.
 */
#include "tests/fuzz/random_hdf5.h"

enum { MOST_LABELLED = 32 };

static void make_labelled(const char *path, source *s)
{
    hid_t          file  = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const unsigned count = next(s) % MOST_LABELLED, tokens = next(s), classes = next(s) % 4;
    uint32_t       id[256]                  = {0};
    int64_t        start[MOST_LABELLED + 1] = {0};
    int32_t        second[MOST_LABELLED], label[MOST_LABELLED];
    float          value[MOST_LABELLED];
    fuzz_put_number(file, "lockstep_format", 1);
    fuzz_put_number(file, "vocabulary", 200);
    fuzz_put_number(file, "classes", classes);
    fuzz_put_text(file, "split", "train");
    fuzz_put_text(file, "tokenizer", "bytes");
    fuzz_put_text(file, "tokenizer_hash", "0123456789abcdef");
    for (unsigned i = 0; i < count; i++) {
        const unsigned step = next(s);
        start[i + 1]        = step < 250 ? start[i] + step % 8 : (int64_t)(UINT64_C(1) << (step * 7 + i) % 64);
        second[i]           = (int32_t)next(s) - 8;
        label[i]            = (int32_t)next(s) % 5 - 1;
        value[i]            = (float)label[i] / (float)(next(s) % 3);
    }
    for (unsigned i = 0; i < tokens; i++) id[i] = next(s);
    fuzz_put_array(file, "text_tokens", H5T_STD_U32LE, H5T_NATIVE_UINT32, tokens, id);
    fuzz_put_array(file, "text_starts", H5T_STD_I64LE, H5T_NATIVE_INT64, count + 1, start);
    fuzz_put_array(file, "text_second", H5T_STD_I32LE, H5T_NATIVE_INT32, count, second);
    if (classes)
        fuzz_put_array(file, "label", H5T_STD_I32LE, H5T_NATIVE_INT32, count, label);
    else
        fuzz_put_array(file, "label", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, count, value);
    H5Fclose(file);
}

/* Reads all samples and an epoch of batches, as a run does. */
static void use_labelled(ls_dataset *d)
{
    const ls_dataset_info info = ls_dataset_info_of(d);
    ls_loader            *loader;
    ls_batch              batch;
    int                   files, checked;
    fuzz_expect(info.count >= 1 && info.context >= 4 && info.vocabulary >= 1);
    if (info.count > 1 << 12 || info.tokens > 1 << 20) return;
    fuzz_status(ls_dataset_verify(d, &files, &checked));
    ls_status status = ls_loader_new(&loader, d, .batch = 3, .shards = 2, .ranks = 1, .seed = 1, .epochs = 1);
    fuzz_status(status);
    if (status != LS_OK) return;
    while (ls_loader_next(loader, &batch))
        for (int64_t i = 0; i < batch.rows; i++) {
            const int32_t length = ((const int32_t *)batch.data[2])[i];
            fuzz_expect(length >= 1 && length <= batch.dim0[0] && batch.dim0[0] <= info.context);
        }
    fuzz_status(ls_loader_status(loader));
    ls_loader_free(loader);
}

FUZZ_TARGET(labelled_hdf5)
{
    char        path[FILES_PATH + 16];
    ls_dataset *d;
    source      s = {data + 1, data + bytes};
    if (!bytes) return;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "%s/labelled.h5", fuzz_folder());
    if (data[0] & 1)
        make_labelled(path, &s);
    else
        file_write(path, data + 1, bytes - 1);
    ls_status status = ls_dataset_open(&d, path, NULL);
    fuzz_status(status);
    if (status == LS_OK) {
        if (ls_dataset_info_of(d).kind == LS_DATA_LABELLED) use_labelled(d);
        ls_dataset_free(d);
    }
    unlink(path);
}

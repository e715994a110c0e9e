/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of pairs of sentences.  First byte even: the other bytes are the file.  Odd: they describe its arrays, which
 * have the right types: numbers of pairs, tokens and bytes, steps from start to start (from 250 on: absurd), tokens,
 * lines.
 */
#include "tests/fuzz/random_hdf5.h"

enum { MOST = 16 };

static void put_starts(hid_t file, const char *name, unsigned pairs, source *s)
{
    int64_t start[2 * MOST + 1] = {0};
    for (unsigned i = 0; i < 2 * pairs; i++) {
        unsigned step = next(s);
        start[i + 1]  = step < 250 ? start[i] + step % 4 : (int64_t)(UINT64_C(1) << (step * 7 + i) % 64);
    }
    fuzz_put_array(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, 2 * pairs + 1, start);
}

static void make_pairs(const char *path, source *s)
{
    hid_t          file  = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const unsigned pairs = next(s) % MOST, tokens = next(s), lines = next(s);
    uint32_t       id[256]   = {0};
    uint8_t        text[256] = {0};
    fuzz_put_number(file, "lockstep_format", 1);
    fuzz_put_number(file, "joint", next(s) & 1);
    fuzz_put_text(file, "split", "train");
    for (int side = 0; side < 2; side++) {
        static const char *const name[][4] = {
            {"source_vocabulary", "source_end", "source_tokenizer", "source_tokenizer_hash"},
            {"target_vocabulary", "target_end", "target_tokenizer", "target_tokenizer_hash"}};
        fuzz_put_number(file, name[side][0], 200 + next(s) % 2);
        fuzz_put_number(file, name[side][1], next(s));
        fuzz_put_text(file, name[side][2], "bytes");
        fuzz_put_text(file, name[side][3], "0123456789abcdef");
    }
    put_starts(file, "pair_starts", pairs, s);
    put_starts(file, "line_starts", pairs, s);
    for (unsigned i = 0; i < tokens; i++) id[i] = next(s);
    fill(s, text, lines);
    fuzz_put_array(file, "pair_tokens", H5T_STD_U32LE, H5T_NATIVE_UINT32, tokens, id);
    fuzz_put_array(file, "lines", H5T_STD_U8LE, H5T_NATIVE_UINT8, lines, text);
    H5Fclose(file);
}

/* Reads all pairs and an epoch of batches, as a run does. */
static void use_pairs(ls_dataset *d)
{
    const ls_dataset_info info = ls_dataset_info_of(d);
    ls_loader            *loader;
    ls_batch              batch;
    ls_pair               pair = {0};
    int                   files, checked;
    fuzz_expect(info.kind == LS_DATA_PAIRS && info.count >= 1 && info.source_length >= 4 && info.target_length >= 4);
    fuzz_expect(info.end >= 0 && info.end < info.classes && info.source_end >= 0 &&
                info.source_end < info.source_vocabulary);
    if (info.count > 1 << 12 || info.tokens + info.source_tokens > 1 << 20) return;
    fuzz_status(ls_dataset_verify(d, &files, &checked));
    for (int64_t i = 0; i < info.count; i++) fuzz_status(ls_dataset_pair(d, i, &pair));
    ls_pair_free(&pair);
    ls_status status = ls_loader_new(&loader, d, .batch = 3, .shards = 2, .ranks = 1, .seed = 1, .epochs = 1);
    fuzz_status(status);
    if (status != LS_OK) return;
    while (ls_loader_next(loader, &batch))
        for (int64_t i = 0; i < batch.rows; i++) {
            const int32_t length = ((const int32_t *)batch.data[4])[i];
            fuzz_expect(length >= 1 && length <= batch.dim0[3] && batch.dim0[3] <= info.target_length);
        }
    fuzz_status(ls_loader_status(loader));
    ls_loader_free(loader);
}

FUZZ_TARGET(pairs_hdf5)
{
    char        path[FILES_PATH + 16];
    ls_dataset *d;
    source      s = {data + 1, data + bytes};
    if (!bytes) return;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "%s/pairs.h5", fuzz_folder());
    if (data[0] & 1)
        make_pairs(path, &s);
    else
        file_write(path, data + 1, bytes - 1);
    ls_status status = ls_dataset_open(&d, path, NULL);
    fuzz_status(status);
    if (status == LS_OK) {
        if (ls_dataset_info_of(d).kind == LS_DATA_PAIRS) use_pairs(d);
        ls_dataset_free(d);
    }
    unlink(path);
}

/* SPDX-License-Identifier: Apache-2.0
 * The import of idx files: the first byte chooses which of four intact files the other bytes replace, and whether the
 * file is compressed. */
#include "tests/datasets/image/mnist_files.h"
#include "tests/fuzz/fuzz.h"

FUZZ_TARGET(import_mnist)
{
    static int ready;
    char       out[FILES_PATH + 8], in[FILES_PATH + 8];
    snprintf(in, sizeof in, "%s/in", fuzz_folder());
    snprintf(out, sizeof out, "%s/out", fuzz_folder());
    if (!bytes) return;
    if (!ready) {
        ready = !mkdir(in, 0777);
        idx_put_all(in, 0);
    }
    int k = data[0] % 4, packed = data[0] / 4 % 2;
    if (data[0] & 8) {
        /* The bytes are a gzip file. */
        char path[FILES_PATH + 64];
        idx_put(in, k, "", 0, 1);
        snprintf(path, sizeof path, "%s/%s.gz", in, idx_names[k]);
        file_write(path, data + 1, bytes - 1);
    } else
        idx_put(in, k, data + 1, bytes - 1, packed);

    ls_status status = ls_import_mnist(in, out, 1 + data[0] / 16 % 3);
    fuzz_status(status);
    if (status == LS_OK) {
        ls_dataset *d;
        int         files, checked;
        fuzz_expect(ls_dataset_open(&d, out, k < 2 ? "train" : "test") == LS_OK);
        fuzz_expect(ls_dataset_verify(d, &files, &checked) == LS_OK && files == checked);
        ls_dataset_free(d);
        folder_remove(out);
    }
    fuzz_expect(folder_count(out) == -1);

    uint8_t good[IDX_BYTES];
    size_t  good_bytes = idx_make(k, good);
    idx_put(in, k, good, good_bytes, 0);
}

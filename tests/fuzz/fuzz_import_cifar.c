/* SPDX-License-Identifier: Apache-2.0
 * The import of the binary files of CIFAR: the first byte chooses dataset, labels and which file the other bytes are,
 * repeated 32 times so that short inputs make whole samples. */
#include "tests/fuzz/fuzz.h"

static void cifar_put(const char *in, const char *name, const void *data, size_t bytes)
{
    char path[FILES_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", in, name);
    file_write(path, data, bytes);
}

FUZZ_TARGET(import_cifar)
{
    enum { REPEATS = 32, SAMPLE = 3073, LIMIT = 1 << 12 };
    static const char *const names[2][8] = {
        {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
         "test_batch.bin", "batches.meta.txt"},
        {"train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"}};
    static uint8_t valid[2 * (SAMPLE + 1)], file[REPEATS * LIMIT];
    char           in[FILES_PATH + 8], out[FILES_PATH + 8];
    if (!bytes || bytes > LIMIT) return;
    int hundred = data[0] & 1, coarse = data[0] >> 1 & 1, which = data[0] >> 2 & 7;
    snprintf(in, sizeof in, "%s/in", fuzz_folder());
    snprintf(out, sizeof out, "%s/out", fuzz_folder());
    folder_remove(in);
    mkdir(in, 0777);
    for (int k = 0; k < 8 && names[hundred][k]; k++) {
        if (strstr(names[hundred][k], ".bin"))
            cifar_put(in, names[hundred][k], valid, (size_t)(2 * (SAMPLE + hundred)));
        if (k != which) continue;
        for (int r = 0; r < REPEATS; r++) memcpy(file + (size_t)r * (bytes - 1), data + 1, bytes - 1);
        cifar_put(in, names[hundred][k], file, REPEATS * (bytes - 1));
    }
    ls_status status = ls_import_cifar(in, out, coarse, 1 + data[0] / 32 % 3);
    fuzz_status(status);
    if (status == LS_OK) {
        ls_dataset *d;
        int         files, checked;
        fuzz_expect(ls_dataset_open(&d, out, "train") == LS_OK);
        fuzz_expect(ls_dataset_verify(d, &files, &checked) == LS_OK && files == checked);
        ls_dataset_free(d);
        folder_remove(out);
    }
    fuzz_expect(folder_count(out) == -1);
}

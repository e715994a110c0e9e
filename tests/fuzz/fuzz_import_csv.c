/* SPDX-License-Identifier: Apache-2.0
 * The import of CSV files: bits of the first byte choose the options, the other bytes are the file. */
#include "tests/fuzz/fuzz.h"

FUZZ_TARGET(import_csv)
{
    static const char *const target[] = {"y", "z"};
    char                     out[FILES_PATH + 8], in[FILES_PATH + 8];
    if (!bytes) return;
    snprintf(in, sizeof in, "%s/in.csv", fuzz_folder());
    snprintf(out, sizeof out, "%s/out", fuzz_folder());
    file_write(in, data + 1, bytes - 1);
    ls_csv_import o      = {.size       = sizeof(ls_csv_import),
                            .file       = in,
                            .out        = out,
                            .targets    = data[0] % 3,
                            .target     = target,
                            .named      = data[0] & 4,
                            .valid      = data[0] & 8 ? 0.25 : 0,
                            .valid_last = data[0] & 16,
                            .separator  = data[0] & 32 ? ';' : 0};
    ls_status     status = ls_import_csv(&o);
    fuzz_status(status);
    if (status == LS_OK && !o.named) {
        ls_dataset      *d;
        ls_array_columns c = {.inputs = 1, .targets = o.targets > 0, .input = {"x"}, .target = {"y"}};
        fuzz_expect(ls_dataset_open_arrays(&d, out, "train", &c) == LS_OK);
        fuzz_expect(ls_dataset_info_of(d).count == o.train_rows);
        ls_dataset_free(d);
    }
    if (status == LS_OK) folder_remove(out);
    fuzz_expect(folder_count(out) == -1);
}

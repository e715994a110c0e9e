/* SPDX-License-Identifier: Apache-2.0
 * The import of labelled texts: the first byte chooses format and options, the other bytes are the file. */
#include "tests/fuzz/fuzz.h"

FUZZ_TARGET(import_labelled)
{
    static const char *const ending[] = {"csv", "tsv", "jsonl"};
    char                     out[FILES_PATH + 8], in[FILES_PATH + 16];
    if (!bytes) return;
    snprintf(in, sizeof in, "%s/in.%s", fuzz_folder(), ending[data[0] % 3]);
    snprintf(out, sizeof out, "%s/out", fuzz_folder());
    file_write(in, data + 1, bytes - 1);
    ls_labelled_import o      = {.size = sizeof o,
                                 .file = {in},
                                 .out  = out,
                                 .tokenizer =
                                data[0] & 64 ? LOCKSTEP_SOURCE "/tests/golden/tokenizer/wordpiece.json" : "bytes",
                                 .regression = data[0] & 4,
                                 .valid      = data[0] & 8 ? 0.25 : 0,
                                 .max_length = data[0] & 16 ? 5 : 0,
                                 .text       = data[0] & 32 ? "a" : NULL,
                                 .second     = data[0] & 32 && data[0] & 64 ? "b" : NULL};
    ls_status          status = ls_import_labelled(&o);
    fuzz_status(status);
    if (status == LS_OK) {
        ls_dataset *d;
        fuzz_expect(ls_dataset_open(&d, out, "train") == LS_OK);
        fuzz_expect(ls_dataset_info_of(d).count == o.samples[LS_LABELLED_TRAIN]);
        ls_dataset_free(d);
        folder_remove(out);
    }
    fuzz_expect(folder_count(out) == -1);
    unlink(in);
}

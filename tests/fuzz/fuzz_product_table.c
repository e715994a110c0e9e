/* SPDX-License-Identifier: Apache-2.0
 * Product tables: the bytes are the file. */
#include "launch/recipe/product_table_file.h"
#include "tests/fuzz/fuzz.h"

FUZZ_TARGET(product_table)
{
    char             path[FILES_PATH + 32];
    ls_product_table table;
    snprintf(path, sizeof path, "%s/table.json", fuzz_folder());
    file_write(path, data, bytes);
    fuzz_status(ls_isa_set((ls_isa)0)); /* "v2", the level of the seeds */
    const ls_status status = ls__product_table_read(path, &table);
    fuzz_status(status);
    if (status == LS_OK) {
        const unsigned char *by = (const unsigned char *)table.by;
        for (size_t i = 0; i < sizeof table.by; i++) fuzz_expect(by[i] < LS_PRODUCT_BYS);
        fuzz_expect(!table.float32_by_openblas);
    }
    unlink(path);
}

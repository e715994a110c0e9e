/* SPDX-License-Identifier: Apache-2.0
 *
 * Product tables as files.  A table is JSON with one row for each class of products that a library computes faster than
 * Lockstep.  m, n and k are the smallest dims of the class.
 *
 *     {"format": "lockstep product table 1",
 *      "level": "v4_bf16", "threads": 2,
 *      "products": [
 *       {"type": "bfloat16", "layout": "x w^T", "m": 512, "n": 512, "k": 128, "by": "oneDNN"}]}
 */
#ifndef LS_LAUNCH_RECIPE_PRODUCT_TABLE_FILE_H
#define LS_LAUNCH_RECIPE_PRODUCT_TABLE_FILE_H

#include "core/cpu/gemm/product_table.h"

/* Writes the classes of `table` that have a library.  threads: that the products were measured with. */
ls_status ls__product_table_write(const char *path, const ls_product_table *table, int threads);

/* Reads a table.  LS_ERR_DATA: no table; LS_ERR_ENV: it was measured at another instruction-set level than the one in
 * use. */
ls_status ls__product_table_read(const char *path, ls_product_table *table);

/* Loads the libraries that a table names.  LS_ERR_ENV: a library is absent, or does not multiply bfloat16. */
ls_status ls__product_table_load(const ls_product_table *table);

/* Writes the libraries that a table names: "oneDNN 2.6.3 (12 classes)"; they must be loaded. */
void ls__product_table_text(const ls_product_table *table, char *text, size_t bytes);

#endif

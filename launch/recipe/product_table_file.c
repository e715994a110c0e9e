/* SPDX-License-Identifier: Apache-2.0
 * Reads and writes product tables: see product_table_file.h. */
#include "launch/recipe/product_table_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"

#define FORMAT "lockstep product table 1"
#define REMEASURE LS_HINT "`lockstep bench gemm --table FILE` measures and writes a table"

enum { CLASSES = sizeof(((ls_product_table *)0)->by) };

static const char *const by_names[]     = LS_ENUM_TEXTS(LS_PRODUCT_BY_LIST);
static const char *const layout_names[] = LS_ENUM_TEXTS(LS_PRODUCT_LAYOUT_LIST);
static const char *const type_names[]   = {"float32", "bfloat16", NULL}; /* by ls_product_class.bf16 */
static const int         smallest[]     = {
#define X(least, measured) least,
    LS_PRODUCT_RANGE_LIST(X)
#undef X
};

/* The class at position i of the table, in the order of its memory. */
static ls_product_class class_at(int i)
{
    ls_product_class c = {.k = i % LS_PRODUCT_RANGES};
    c.n                = (i /= LS_PRODUCT_RANGES) % LS_PRODUCT_RANGES;
    c.m                = (i /= LS_PRODUCT_RANGES) % LS_PRODUCT_RANGES;
    c.layout           = (ls_product_layout)((i /= LS_PRODUCT_RANGES) % LS_PRODUCT_LAYOUTS);
    c.bf16             = i / LS_PRODUCT_LAYOUTS;
    return c;
}

static ls_product_by by_of(const ls_product_table *table, ls_product_class c)
{
    return (ls_product_by)table->by[c.bf16][c.layout][c.m][c.n][c.k];
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void write_rows(FILE *f, const ls_product_table *table)
{
    const char *separator = "";
    for (int i = 0; i < CLASSES; i++) {
        const ls_product_class c = class_at(i);
        if (by_of(table, c) == LS_BY_LOCKSTEP) continue;
        fprintf(f, "%s\n {\"type\": \"%s\", \"layout\": \"%s\", \"m\": %d, \"n\": %d, \"k\": %d, \"by\": \"%s\"}",
                separator, type_names[c.bf16], layout_names[c.layout], smallest[c.m], smallest[c.n], smallest[c.k],
                by_names[by_of(table, c)]);
        separator = ",";
    }
}

ls_status ls__product_table_write(const char *path, const ls_product_table *table, int threads)
{
    ls_file f;
    FILE   *stream;
    LS_TRY(ls__file_create(&f, path));
    const ls_status status = ls__file_stream(&f, &stream);
    if (status == LS_OK) {
        fprintf(stream, "{\"format\": \"" FORMAT "\",\n \"level\": \"%s\", \"threads\": %d,\n \"products\": [",
                ls_isa_name(ls_isa_current()), threads);
        write_rows(stream, table);
        fprintf(stream, "]}\n");
    }
    return ls__file_finish(&f, status);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Finds the text of a key in a list of names, from number `first` on. */
static ls_status read_name(const char *where, const json_t *row, const char *key, const char *const *names, int first,
                           int *value)
{
    char        expected[128] = "";
    const char *found         = json_string_value(json_object_get(row, key));
    *value                    = found ? ls__enum_find(names, found) : -1;
    if (*value >= first) return LS_OK;
    for (int i = first; names[i]; i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s'%s'", i > first ? " or " : "",
                 names[i]);
    return LS_FAIL(LS_ERR_DATA, "%s: %s: expected %s, found %s%.40s%s" REMEASURE, where, key, expected,
                   found ? "'" : "", found ? found : "no text", found ? "'" : "");
}

static ls_status read_range(const char *where, const json_t *row, const char *key, int *range)
{
    char          expected[128] = "";
    const json_t *value         = json_object_get(row, key);
    for (*range = 0; *range < LS_PRODUCT_RANGES; ++*range) {
        if (json_is_integer(value) && json_integer_value(value) == smallest[*range]) return LS_OK;
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%d", *range ? ", " : "",
                 smallest[*range]);
    }
    return LS_FAIL(LS_ERR_DATA, "%s: %s: expected the smallest dim of a class (%s), found another value" REMEASURE,
                   where, key, expected);
}

static ls_status read_row(const char *where, const json_t *row, ls_product_table *table)
{
    ls_product_class c;
    int              type, layout, by;
    LS_CHECK(json_is_object(row) && json_object_size(row) == 6, LS_ERR_DATA,
             "%s: expected an object with type, layout, m, n, k and by" REMEASURE, where);
    LS_TRY(read_name(where, row, "type", type_names, 0, &type));
    LS_TRY(read_name(where, row, "layout", layout_names, 0, &layout));
    LS_TRY(read_name(where, row, "by", by_names, LS_BY_LOCKSTEP + 1, &by));
    LS_TRY(read_range(where, row, "m", &c.m));
    LS_TRY(read_range(where, row, "n", &c.n));
    LS_TRY(read_range(where, row, "k", &c.k));
    unsigned char *entry = &table->by[type][layout][c.m][c.n][c.k];
    LS_CHECK(*entry == LS_BY_LOCKSTEP, LS_ERR_DATA,
             "%s: expected a class without a row, found its second row" REMEASURE, where);
    LS_CHECK(!type || ls__product_library((ls_product_by)by)->bgemm, LS_ERR_DATA,
             "%s: by: expected a library that multiplies bfloat16, found '%s'" REMEASURE, where, by_names[by]);
    *entry = (unsigned char)by;
    return LS_OK;
}

static ls_status read_table(const char *path, const json_t *json, ls_product_table *table)
{
    const char *format = json_string_value(json_object_get(json, "format")),
               *level  = json_string_value(json_object_get(json, "level"));
    const json_t *rows = json_object_get(json, "products");
    *table             = (ls_product_table){.float32_by_openblas = false};
    LS_CHECK(format && strcmp(format, FORMAT) == 0, LS_ERR_DATA, "%s: format: expected '%s', found '%.40s'" REMEASURE,
             path, FORMAT, format ? format : "");
    LS_CHECK(level && strcmp(level, ls_isa_name(ls_isa_current())) == 0, LS_ERR_ENV,
             "%s: level: expected a table of the instruction-set level in use, %s, found one of '%.40s'" REMEASURE,
             path, ls_isa_name(ls_isa_current()), level ? level : "");
    LS_CHECK(json_is_array(rows), LS_ERR_DATA, "%s: products: expected a list" REMEASURE, path);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        char where[LS_PATH_BYTES + 32];
        snprintf(where, sizeof where, "%s: products[%zu]", path, i);
        LS_TRY(read_row(where, json_array_get(rows, i), table));
    }
    return LS_OK;
}

ls_status ls__product_table_read(const char *path, ls_product_table *table)
{
    enum { MOST_BYTES = 1 << 20 };
    json_error_t error;
    struct stat  st;
    const int    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block on a pipe, which is refused */
    LS_CHECK(file >= 0, LS_ERR_DATA, "%s: %s" REMEASURE, path, strerror(errno));
    const bool plain = fstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MOST_BYTES;
    json_t    *json  = plain ? json_loadfd(file, JSON_REJECT_DUPLICATES, &error) : NULL;
    close(file);
    LS_CHECK(plain, LS_ERR_DATA, "%s: expected a file of at most %d bytes" REMEASURE, path, MOST_BYTES);
    LS_CHECK(json, LS_ERR_DATA, "%s:%d:%d: %s" REMEASURE, path, error.line, error.column, error.text);
    const ls_status status = read_table(path, json, table);
    json_decref(json);
    return status;
}

/* ---- libraries --------------------------------------------------------------------------------------------------- */

ls_status ls__product_table_load(const ls_product_table *table)
{
    for (int i = 0; i < CLASSES; i++) {
        const ls_product_class c       = class_at(i);
        ls_provider           *library = ls__product_library(by_of(table, c));
        if (!library) continue;
        LS_TRY(ls__provider_load(library));
        LS_CHECK(!c.bf16 || library->bfloat16, LS_ERR_ENV,
                 "%s (%s): expected products of bfloat16, which this processor lacks" REMEASURE, library->name,
                 library->detail);
    }
    return LS_OK;
}

void ls__product_table_text(const ls_product_table *table, char *text, size_t bytes)
{
    size_t used = 0;
    text[0]     = 0;
    for (int by = LS_BY_LOCKSTEP + 1; by < LS_PRODUCT_BYS; by++) {
        int        classes = 0;
        const bool all     = by == LS_BY_OPENBLAS && table->float32_by_openblas;
        for (int i = 0; i < CLASSES; i++) classes += (int)by_of(table, class_at(i)) == by;
        if ((!classes && !all) || used >= bytes) continue;
        const ls_provider *library = ls__product_library((ls_product_by)by);
        used +=
            (size_t)snprintf(text + used, bytes - used, "%s%s %s ", used ? ", " : "", library->name, library->detail);
        if (used >= bytes) continue;
        if (all)
            used += (size_t)snprintf(text + used, bytes - used, "(float32)");
        else
            used += (size_t)snprintf(text + used, bytes - used, "(%d class%s)", classes, classes == 1 ? "" : "es");
    }
}

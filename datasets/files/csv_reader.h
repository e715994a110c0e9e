/* SPDX-License-Identifier: Apache-2.0
 * Reads CSV and TSV files record by record (RFC 4180).  Internal.
 *
 *     LS_TRY(ls__csv_open(&r, "wine.csv", 0));
 *     for (bool more;;) {
 *         LS_TRY_GOTO(status, ls__csv_record(&r, &more), end);
 *         if (!more) break;
 *         ... r.field[0 .. r.fields) ...
 *     }
 *     end: ls__csv_close(&r);
 */
#ifndef LS_DATASETS_FILES_CSV_READER_H
#define LS_DATASETS_FILES_CSV_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/status.h"

/* A field of the current record, without its quotes and the spaces around it. */
typedef struct ls_csv_field {
    const char *text; /* ended by 0; valid until the next record */
    size_t      bytes;
    int64_t     line, column; /* position of its first byte in the file, from 1; columns are bytes */
} ls_csv_field;

typedef struct ls_csv {
    const char   *path;
    FILE         *file;
    char          separator;
    bool          unquoted;            /* quotes are ordinary characters; set it after ls__csv_open */
    int64_t       line, column, bytes; /* position of the next byte; bytes read so far */
    int           fields, field_capacity;
    ls_csv_field *field;
    char         *text; /* texts of all fields of the record */
    size_t        used, capacity;
} ls_csv;

/* Opens a regular file.  separator 0: the most frequent one of comma, semicolon and tab in the first line. */
ls_status ls__csv_open(ls_csv *r, const char *path, char separator);
/* Reads the next record that is not an empty line; *more = false at the end.  LS_ERR_DATA: FILE:LINE:COLUMN. */
ls_status ls__csv_record(ls_csv *r, bool *more);
/* Starts again with the first record. */
ls_status ls__csv_rewind(ls_csv *r);
void      ls__csv_close(ls_csv *r);

/* Parses a finite decimal number, in the C locale; false if the field is something else. */
bool ls__csv_number(const ls_csv_field *field, double *value);

/* The start of a field's text, safe to print in a message. */
const char *ls__csv_show(const ls_csv_field *field, char text[40]);

#endif

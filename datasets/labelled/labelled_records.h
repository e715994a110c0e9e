/* SPDX-License-Identifier: Apache-2.0
 * Reads labelled texts from CSV, TSV and JSON Lines, record by record.  Internal.
 *
 *     LS_TRY(ls__records_open(&r, "train.tsv", &names));
 *     for (ls_record record;;) {
 *         LS_TRY_GOTO(status, ls__record_next(&r, &record), end);
 *         if (!record.line) break;
 *         ... record.text[0], record.text[1], record.label
 *     }
 *     end: ls__records_close(&r);
 */
#ifndef LS_DATASETS_LABELLED_LABELLED_RECORDS_H
#define LS_DATASETS_LABELLED_LABELLED_RECORDS_H

#include <jansson.h>

#include "datasets/files/csv_reader.h"
#include "datasets/files/text_lines.h"

/* Columns, or keys of objects: the text, the second text of a pair (NULL: none), the label. */
enum { LS_RECORD_TEXT, LS_RECORD_SECOND, LS_RECORD_LABEL, LS_RECORD_FIELDS };
typedef struct ls_record_names {
    const char *name[LS_RECORD_FIELDS];
} ls_record_names;

typedef struct ls_record {
    int64_t      line, column;            /* where the record begins, from 1; line 0: there are no more records     */
    ls_text_line field[LS_RECORD_FIELDS]; /* valid until the next record; UTF-8, without white space at the ends */
} ls_record;

typedef struct ls_records {
    const char     *path;
    ls_record_names names;
    int             column[LS_RECORD_FIELDS]; /* CSV, TSV: index of each name; -1: none */
    ls_csv          csv;
    int             header_fields;
    bool            json;
    ls_text_lines   lines; /* JSON Lines */
    int64_t         next;
    json_t         *object;
    bool            first;      /* the object is the first one, which was read to choose the names */
    char            number[64]; /* a label that is a number */
    ls_string       clean[LS_RECORD_FIELDS];
    int64_t         replaced; /* invalid UTF-8 sequences so far */
} ls_records;

/* Opens a file; the ending of its name states the format: .csv, .tsv, .jsonl.  names->name[k] NULL: chosen by the names
 * of the columns, of the first object.  LS_ERR_DATA: there is no such column, or none is known. */
ls_status ls__records_open(ls_records *r, const char *path, const ls_record_names *names);
ls_status ls__record_next(ls_records *r, ls_record *record);
void      ls__records_close(ls_records *r);

#endif

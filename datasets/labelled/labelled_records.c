/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of labelled texts.  In CSV a field may be in quotes (RFC 4180); in TSV quotes are ordinary characters, as in
 * the files of GLUE.  In JSON Lines each line is an object; texts are strings, a label is a string or a number.
 */
#include "datasets/labelled/labelled_records.h"

#include <stdio.h>
#include <string.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode/unicode.h"

static const char *const field_name[] = {"text", "second text", "label"};

/* Names of the texts in known data sets, in the order in which they are looked for. */
static const char *const known_texts[][2] = {{"sentence1", "sentence2"},
                                             {"premise", "hypothesis"},
                                             {"question1", "question2"},
                                             {"question", "sentence"},
                                             {"text1", "text2"},
                                             {"sentence", NULL},
                                             {"text", NULL},
                                             {"review", NULL}};

/* ---- names ------------------------------------------------------------------------------------------------------- */

static int find_column(const ls_records *r, const char *name)
{
    for (int i = 0; i < r->csv.fields; i++)
        if (!strcmp(r->csv.field[i].text, name)) return i;
    return -1;
}

static bool has(const ls_records *r, const char *name)
{
    return r->json ? json_object_get(r->object, name) != NULL : find_column(r, name) >= 0;
}

static const char *list_names(const ls_records *r, char list[512])
{
    size_t used = 0;
    *list       = 0;
    char        show[40];
    const char *key;
    json_t     *value;
    for (int i = 0; !r->json && i < r->csv.fields && used < 400; i++)
        used += (size_t)snprintf(list + used, 512 - used, "%s%s", i ? ", " : "", ls__csv_show(&r->csv.field[i], show));
    if (r->json)
        json_object_foreach(r->object, key, value) if (used < 400) used +=
            (size_t)snprintf(list + used, 512 - used, "%s%.40s", used ? ", " : "", key);
    return list;
}

static ls_status choose_names(ls_records *r)
{
    const char **name = r->names.name;
    char         list[512];
    if (!name[LS_RECORD_LABEL]) name[LS_RECORD_LABEL] = "label";
    for (size_t k = 0; !name[LS_RECORD_TEXT] && k < sizeof known_texts / sizeof *known_texts; k++) {
        if (!has(r, known_texts[k][0]) || (known_texts[k][1] && !has(r, known_texts[k][1]))) continue;
        name[LS_RECORD_TEXT]   = known_texts[k][0];
        name[LS_RECORD_SECOND] = known_texts[k][1];
    }
    LS_CHECK(name[LS_RECORD_TEXT], LS_ERR_DATA,
             "%s:1: expected a column with a known name of a text (sentence, text, sentence1 and sentence2), found: "
             "%s" LS_HINT "--text COLUMN names it, and --second COLUMN the second text of a pair",
             r->path, list_names(r, list));
    for (int k = 0; k < LS_RECORD_FIELDS; k++) {
        static const char *const option[] = {"--text", "--second", "--label"};
        if (!name[k]) continue;
        LS_CHECK(has(r, name[k]), LS_ERR_DATA,
                 "%s:1: expected the column '%s' of the %s, found: %s" LS_HINT "%s COLUMN names it", r->path, name[k],
                 field_name[k], list_names(r, list), option[k]);
        r->column[k] = r->json ? 0 : find_column(r, name[k]);
    }
    return LS_OK;
}

/* ---- JSON Lines -------------------------------------------------------------------------------------------------- */

/* Reads the object of the next line that is not white space; r->object NULL: there is none. */
static ls_status next_object(ls_records *r)
{
    json_error_t error;
    json_decref(r->object);
    r->object = NULL;
    for (; r->next < r->lines.count; r->next++) {
        const ls_text_line *line    = &r->lines.line[r->next];
        const ls_text_line  trimmed = ls_text_line_trim(line->data, line->bytes);
        if (!trimmed.bytes) continue;
        r->object = json_loadb(trimmed.data, trimmed.bytes, JSON_REJECT_DUPLICATES, &error);
        LS_CHECK(r->object, LS_ERR_DATA, "%s:%lld:%d: expected a JSON object, found: %s", r->path,
                 (long long)r->next + 1, error.column > 0 ? error.column : 1, error.text);
        LS_CHECK(json_is_object(r->object), LS_ERR_DATA,
                 "%s:%lld:1: expected a JSON object, like {\"sentence\": \"...\", \"label\": 1}, found another value",
                 r->path, (long long)r->next + 1);
        r->next++;
        return LS_OK;
    }
    return LS_OK;
}

static ls_status read_value(ls_records *r, int k, ls_text_line *field)
{
    const json_t *value = json_object_get(r->object, r->names.name[k]);
    if (json_is_string(value)) {
        *field = (ls_text_line){json_string_value(value), json_string_length(value)};
        return LS_OK;
    }
    LS_CHECK(k == LS_RECORD_LABEL && json_is_number(value), LS_ERR_DATA,
             "%s:%lld: expected %s as the value of '%s', found %s", r->path, (long long)r->next,
             k == LS_RECORD_LABEL ? "a string or a number" : "a string", r->names.name[k],
             !value ? "no such key" : "another value");
    if (json_is_integer(value))
        snprintf(r->number, sizeof r->number, "%lld", (long long)json_integer_value(value));
    else
        snprintf(r->number, sizeof r->number, "%.17g", json_real_value(value));
    *field = (ls_text_line){r->number, strlen(r->number)};
    return LS_OK;
}

static ls_status next_of_lines(ls_records *r, ls_record *record)
{
    if (!r->first) LS_TRY(next_object(r));
    r->first = false;
    if (!r->object) return LS_OK;
    record->line   = r->next;
    record->column = 1;
    for (int k = 0; k < LS_RECORD_FIELDS; k++)
        if (r->column[k] >= 0) LS_TRY(read_value(r, k, &record->field[k]));
    return LS_OK;
}

/* ---- CSV and TSV ------------------------------------------------------------------------------------------------- */

/* Replaces a field that is not UTF-8 by its clean form. */
static ls_status clean_field(ls_records *r, int k, ls_text_line *field)
{
    const uint8_t *bytes = (const uint8_t *)field->data;
    if (ls__utf8_valid(bytes, field->bytes) == field->bytes) return LS_OK;
    r->clean[k].bytes = 0;
    LS_TRY(ls__utf8_clean(bytes, field->bytes, &r->clean[k], &r->replaced));
    *field = (ls_text_line){r->clean[k].data, r->clean[k].bytes};
    return LS_OK;
}

static ls_status next_of_table(ls_records *r, int header_fields, ls_record *record)
{
    bool more;
    LS_TRY(ls__csv_record(&r->csv, &more));
    if (!more) return LS_OK;
    record->line   = r->csv.field[0].line;
    record->column = 1;
    LS_CHECK(r->csv.fields == header_fields, LS_ERR_DATA,
             "%s:%lld:%lld: expected %d fields, as the header line has, found %d%s", r->path, (long long)record->line,
             (long long)r->csv.field[r->csv.fields - 1].column, header_fields, r->csv.fields,
             r->csv.unquoted ? "" : LS_HINT "a text with the separator in it is put in quotes");
    for (int k = 0; k < LS_RECORD_FIELDS; k++) {
        if (r->column[k] < 0) continue;
        const ls_csv_field *f = &r->csv.field[r->column[k]];
        record->field[k]      = (ls_text_line){f->text, f->bytes};
        if (k == LS_RECORD_LABEL) record->column = f->column;
        LS_TRY(clean_field(r, k, &record->field[k]));
    }
    return LS_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *ending)
{
    const size_t length = strlen(name), n = strlen(ending);
    return length > n && !strcmp(name + length - n, ending);
}

static ls_status open_records(ls_records *r)
{
    const bool tsv = ends_with(r->path, ".tsv"), csv = ends_with(r->path, ".csv");
    bool       more;
    r->json = ends_with(r->path, ".jsonl") || ends_with(r->path, ".json");
    LS_CHECK(tsv || csv || r->json, LS_ERR_USAGE, "%s: expected a name that ends with .csv, .tsv or .jsonl", r->path);
    if (r->json) {
        LS_TRY(ls__text_lines_read(&r->lines, r->path, &r->replaced));
        LS_TRY(next_object(r));
        LS_CHECK(r->object, LS_ERR_DATA, "%s: expected one JSON object per line, found none", r->path);
        r->first = true;
        return choose_names(r);
    }
    LS_TRY(ls__csv_open(&r->csv, r->path, tsv ? '\t' : 0));
    r->csv.unquoted = tsv;
    LS_TRY(ls__csv_record(&r->csv, &more));
    LS_CHECK(more, LS_ERR_DATA, "%s: expected a header line with the names of the columns, found an empty file",
             r->path);
    r->header_fields = r->csv.fields;
    return choose_names(r);
}

ls_status ls__records_open(ls_records *r, const char *path, const ls_record_names *names)
{
    *r               = (ls_records){.path = path, .names = *names, .column = {-1, -1, -1}};
    ls_status status = open_records(r);
    if (status != LS_OK) ls__records_close(r);
    return status;
}

ls_status ls__record_next(ls_records *r, ls_record *record)
{
    *record = (ls_record){0};
    LS_TRY(r->json ? next_of_lines(r, record) : next_of_table(r, r->header_fields, record));
    for (int k = 0; k < LS_RECORD_FIELDS && record->line; k++)
        record->field[k] = ls_text_line_trim(record->field[k].data, record->field[k].bytes);
    return LS_OK;
}

void ls__records_close(ls_records *r)
{
    ls__csv_close(&r->csv);
    ls__text_lines_free(&r->lines);
    json_decref(r->object);
    for (int k = 0; k < LS_RECORD_FIELDS; k++) ls_string_free(&r->clean[k]);
    *r = (ls_records){0};
}

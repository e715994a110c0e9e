/* SPDX-License-Identifier: Apache-2.0
 *
 * A parser for RFC 4180: records of fields with a separator between them.  A field in quotes may contain separators,
 * line ends and, doubled, quotes.  A UTF-8 byte order mark is skipped; lines end with LF or CRLF.
 */
#include "datasets/files/csv_reader.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_RECORD_BYTES = 64 << 20, MAX_FIELDS = 1 << 14 };

/* Kinds of end of a field. */
enum { SEPARATOR, RECORD_END, FILE_END };

#define FAIL_AT(r, line, column, ...) fail_at((r), (line), (column), __FILE__, __LINE__, __func__, __VA_ARGS__)

static ls_status fail_at(const ls_csv *r, int64_t line, int64_t column, const char *file, int source_line,
                         const char *func, const char *message)
{
    return ls__fail(LS_ERR_DATA, file, source_line, func, "%s:%lld:%lld: %s", r->path, (long long)line,
                    (long long)column, message);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static int next(ls_csv *r)
{
    int c = getc_unlocked(r->file);
    if (c == EOF) return c;
    r->bytes++;
    r->column++;
    if (c == '\n') {
        r->line++;
        r->column = 1;
    }
    return c;
}

static int peek(ls_csv *r)
{
    int c = getc_unlocked(r->file);
    if (c != EOF) ungetc(c, r->file);
    return c;
}

static ls_status append(ls_csv *r, char c)
{
    if (r->used + 2 > r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 4096;
        if (capacity > MAX_RECORD_BYTES)
            return FAIL_AT(r, r->line, r->column,
                           "the record is longer than 64 MiB" LS_HINT "is a quote missing in a line before?");
        char *text = realloc(r->text, capacity);
        LS_CHECK(text, LS_ERR_ENV, "%s: out of memory for a record of %zu bytes", r->path, capacity);
        r->text     = text;
        r->capacity = capacity;
    }
    r->text[r->used++] = c;
    return LS_OK;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

/* Consumes a separator or a line end after a field. */
static ls_status take_end(ls_csv *r, int c, int *end)
{
    *end = c == r->separator ? SEPARATOR : c == EOF ? FILE_END : RECORD_END;
    if (c != '\r') return LS_OK;
    int after = next(r);
    if (after == '\n') return LS_OK;
    if (after == EOF) *end = FILE_END;
    return after == EOF
               ? LS_OK
               : FAIL_AT(r, r->line, r->column - 2,
                         "a carriage return without a line feed" LS_HINT "convert the line ends to LF or CRLF");
}

static bool ends_field(const ls_csv *r, int c) { return c == r->separator || c == '\n' || c == '\r' || c == EOF; }

static ls_status read_quoted(ls_csv *r, const ls_csv_field *f, int *end)
{
    next(r); /* skips the opening quote */
    for (;;) {
        int c = next(r);
        if (c == EOF)
            return FAIL_AT(r, f->line, f->column, "the quoted field is not closed before the end of the file");
        if (c == 0) return FAIL_AT(r, r->line, r->column - 1, "expected text, found a byte 0");
        if (c == '"') {
            if (peek(r) != '"') break;
            next(r);
        }
        LS_TRY(append(r, (char)c));
    }
    int64_t line = r->line, column = r->column;
    int     c = next(r);
    if (!ends_field(r, c))
        return FAIL_AT(r, line, column,
                       "expected a separator or the end of the line after the closing quote" LS_HINT
                       "a quote inside a quoted field is written twice");
    return take_end(r, c, end);
}

static ls_status read_plain(ls_csv *r, size_t begin, int *end)
{
    int c;
    while (c = next(r), !ends_field(r, c)) {
        if (c == '"' && !r->unquoted)
            return FAIL_AT(r, r->line, r->column - 1,
                           "a quote inside a field without quotes" LS_HINT
                           "put the whole field in quotes, without a space before them");
        if (c == 0) return FAIL_AT(r, r->line, r->column - 1, "expected text, found a byte 0");
        if (r->used > begin || c != ' ') LS_TRY(append(r, (char)c)); /* drops leading spaces */
    }
    LS_TRY(take_end(r, c, end));
    while (r->used > begin && r->text[r->used - 1] == ' ') r->used--;
    return LS_OK;
}

static ls_status read_field(ls_csv *r, bool *quoted, int *end)
{
    ls_csv_field f     = {.line = r->line, .column = r->column};
    size_t       begin = r->used;
    if (r->fields == r->field_capacity) {
        int           capacity = r->field_capacity ? 2 * r->field_capacity : 64;
        ls_csv_field *more     = capacity <= MAX_FIELDS ? realloc(r->field, (size_t)capacity * sizeof *more) : NULL;
        if (capacity > MAX_FIELDS) return FAIL_AT(r, f.line, f.column, "expected at most 16384 fields in a line");
        LS_CHECK(more, LS_ERR_ENV, "%s: out of memory for %d fields", r->path, capacity);
        r->field          = more;
        r->field_capacity = capacity;
    }
    *quoted = !r->unquoted && peek(r) == '"';
    LS_TRY(*quoted ? read_quoted(r, &f, end) : read_plain(r, begin, end));
    f.bytes = r->used - begin;
    LS_TRY(append(r, 0));
    r->field[r->fields++] = f;
    return LS_OK;
}

ls_status ls__csv_record(ls_csv *r, bool *more)
{
    bool blank;
    int  end = FILE_END;
    do {
        bool quoted = false;
        r->fields   = 0;
        r->used     = 0;
        if (peek(r) == EOF) {
            *more = false;
            LS_CHECK(!ferror(r->file), LS_ERR_DATA, "%s: cannot be read: %s", r->path, strerror(errno));
            return LS_OK;
        }
        do {
            LS_TRY(read_field(r, &quoted, &end));
        } while (end == SEPARATOR);
        blank = r->fields == 1 && r->field[0].bytes == 0 && !quoted;
    } while (blank);
    /* Set the pointers last, because append may move the texts. */
    char *text = r->text;
    for (int i = 0; i < r->fields; i++) {
        r->field[i].text = text;
        text += r->field[i].bytes + 1;
    }
    *more = true;
    return LS_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static ls_status skip_mark(ls_csv *r)
{
    int first = getc(r->file), second = getc(r->file), third = getc(r->file);
    LS_CHECK(!(first == 0xFF && second == 0xFE) && !(first == 0xFE && second == 0xFF), LS_ERR_DATA,
             "%s:1:1: expected UTF-8, found UTF-16" LS_HINT "save the file as UTF-8 (iconv -f UTF-16 -t UTF-8)",
             r->path);
    bool mark = first == 0xEF && second == 0xBB && third == 0xBF;
    LS_CHECK(fseek(r->file, mark ? 3 : 0, SEEK_SET) == 0, LS_ERR_DATA, "%s: cannot be read: %s", r->path,
             strerror(errno));
    r->line   = 1;
    r->column = 1;
    r->bytes  = mark ? 3 : 0;
    return LS_OK;
}

ls_status ls__csv_rewind(ls_csv *r)
{
    rewind(r->file);
    return skip_mark(r);
}

/* Returns the separator that occurs most often in the first line, outside quotes. */
static char detect(ls_csv *r)
{
    static const char candidates[] = {',', ';', '\t'};
    int               count[3] = {0}, best = 0;
    bool              quoted = false;
    for (int c = next(r); c != EOF && (c != '\n' || quoted) && r->bytes < MAX_RECORD_BYTES; c = next(r)) {
        if (c == '"') quoted = !quoted;
        for (int i = 0; i < 3 && !quoted; i++) count[i] += c == candidates[i];
    }
    for (int i = 1; i < 3; i++)
        if (count[i] > count[best]) best = i;
    return candidates[best];
}

static ls_status open_file(ls_csv *r, char separator)
{
    struct stat st;
    LS_CHECK(stat(r->path, &st) == 0, LS_ERR_DATA, "%s: %s", r->path, strerror(errno));
    LS_CHECK(S_ISREG(st.st_mode), LS_ERR_DATA,
             "%s: expected a regular file" LS_HINT "save the output of a pipe first: the file is read twice", r->path);
    r->file = fopen(r->path, "rbe");
    LS_CHECK(r->file, LS_ERR_DATA, "%s: %s", r->path, strerror(errno));
    LS_TRY(skip_mark(r));
    r->separator = separator ? separator : detect(r);
    return ls__csv_rewind(r);
}

ls_status ls__csv_open(ls_csv *r, const char *path, char separator)
{
    *r               = (ls_csv){.path = path};
    ls_status status = open_file(r, separator);
    if (status != LS_OK) ls__csv_close(r);
    return status;
}

void ls__csv_close(ls_csv *r)
{
    if (r->file) fclose(r->file);
    free(r->field);
    free(r->text);
    *r = (ls_csv){0};
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static locale_t       c_locale;
static pthread_once_t locale_made = PTHREAD_ONCE_INIT;

static void make_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

bool ls__csv_number(const ls_csv_field *field, double *value)
{
    char *end;
    pthread_once(&locale_made, make_locale);
    /* The set of characters excludes hexadecimal numbers, infinity and NaN, which strtod accepts. */
    if (!field->bytes || strspn(field->text, "+-.0123456789eE") != field->bytes || !c_locale) return false;
    *value = strtod_l(field->text, &end, c_locale);
    return end == field->text + field->bytes && isfinite(*value);
}

const char *ls__csv_show(const ls_csv_field *field, char text[40])
{
    size_t n = field->bytes < 32 ? field->bytes : 32;
    while (n < field->bytes && n && ((unsigned char)field->text[n] & 0xC0) == 0x80) n--;
    for (size_t i = 0; i < n; i++) text[i] = (unsigned char)field->text[i] < ' ' ? '?' : field->text[i];
    snprintf(text + n, 40 - n, "%s", n < field->bytes ? "..." : "");
    return text;
}

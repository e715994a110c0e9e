/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV and TSV files into arrays: the columns that are no targets become /x (N x F, float64), the targets /y.
 *
 * The file is read twice.  The first pass checks all fields, counts the rows and collects the class names; the second
 * writes.  Memory does not depend on the number of rows.  The first row decides the type of a target column: numbers,
 * or text, which becomes a class index in the order of the sorted texts.
 *
 * The held-out rows are chosen by selection sampling (Knuth, The Art of Computer Programming, vol. 2, algorithm 3.4.2
 * S): of the rows still to come, n of m, the next one is taken with probability n / m.  That gives exactly the wanted
 * number, in file order, and does not depend on how the rows are sorted.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/philox.h"
#include "datasets/files/csv_reader.h"
#include "datasets/datasets.h"
#include "datasets/files/options.h"
#include "datasets/tokenizer/unicode/unicode.h"

enum { MAX_CLASSES = 10000, MAX_CLASS_BYTES = 256, PATH_BYTES = 4096, ROWS_PER_PROGRESS = 10000 };
enum { TRAIN, VALID, SPLITS };
static const char *const SPLIT_NAMES[SPLITS] = {"train", "valid"};

typedef enum role { FEATURE, TARGET, DROPPED } role;

typedef struct csv_column {
    const char *name;
    role        role;
    bool        text;     /* true: class names; false: numbers */
    bool        integers; /* all numbers are integers within int32 */
    int         classes;
    char      **class_name; /* `classes` names, sorted */
    int         capacity;
    int         at; /* index among the features, or among the targets */
} csv_column;

typedef struct importer {
    ls_csv_import   *options;
    ls_csv           csv;
    ls_arena        *arena;
    int              columns, features, targets;
    csv_column      *column;
    csv_column      *class_column; /* the target with class names; NULL: none */
    int64_t          rows, file_bytes, done_bytes;
    int64_t          split_rows[SPLITS];
    ls_array_writer *writer[SPLITS];
    double          *x, *y; /* features and targets of one row */
    int32_t         *y_int; /* targets of one row that are classes or integers */
    const void     **output;
} importer;

#define FAIL_AT(m, field, ...) fail_at((m)->csv.path, (field), __FILE__, __LINE__, __func__, __VA_ARGS__)

static ls_status fail_at(const char *path, const ls_csv_field *f, const char *file, int line, const char *func,
                         const char *format, ...) LS_PRINTF(6, 7);
static ls_status fail_at(const char *path, const ls_csv_field *f, const char *file, int line, const char *func,
                         const char *format, ...)
{
    char    message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return ls__fail(LS_ERR_DATA, file, line, func, "%s:%lld:%lld: %s", path, (long long)f->line, (long long)f->column,
                    message);
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

static ls_status check_header(importer *m)
{
    ls_csv *r       = &m->csv;
    int     numbers = 0;
    for (int i = 0; i < r->fields; i++) {
        const ls_csv_field *f = &r->field[i];
        double              value;
        char                text[40];
        numbers += ls__csv_number(f, &value);
        if (!f->bytes) return FAIL_AT(m, f, "expected the name of a column, found nothing");
        if (ls__utf8_valid((const uint8_t *)f->text, f->bytes) != f->bytes || f->bytes >= MAX_CLASS_BYTES)
            return FAIL_AT(m, f, "expected the name of a column, UTF-8 of fewer than %d bytes", MAX_CLASS_BYTES);
        for (int k = 0; k < i; k++)
            if (!strcmp(r->field[k].text, f->text))
                return FAIL_AT(m, f, "column '%s': another column has this name", ls__csv_show(f, text));
    }
    if (numbers == r->fields)
        return FAIL_AT(m, r->field,
                       "expected a line with the names of the columns, found numbers" LS_HINT
                       "add a first line such as x1,x2,y");
    return LS_OK;
}

static csv_column *find_column(importer *m, const char *name)
{
    for (int i = 0; i < m->columns; i++)
        if (!strcmp(m->column[i].name, name)) return &m->column[i];
    return NULL;
}

static ls_status set_roles(importer *m, const char *option, int n, const char *const *names, role as)
{
    for (int i = 0; i < n; i++) {
        csv_column *c = find_column(m, names[i]);
        LS_CHECK(c, LS_ERR_USAGE, "%s: %s: there is no column '%s'" LS_HINT "the first columns are %s%s%s", m->csv.path,
                 option, names[i], m->column[0].name, m->columns > 1 ? ", " : "",
                 m->columns > 1 ? m->column[1].name : "");
        LS_CHECK(c->role == FEATURE, LS_ERR_USAGE, "%s: %s: column '%s' is named twice", m->csv.path, option, names[i]);
        c->role = as;
    }
    return LS_OK;
}

static ls_status read_header(importer *m)
{
    const ls_csv_import *o = m->options;
    bool                 more;
    LS_TRY(ls__csv_record(&m->csv, &more));
    LS_CHECK(more, LS_ERR_DATA, "%s:1:1: expected a line with the names of the columns, found an empty file",
             m->csv.path);
    LS_TRY(check_header(m));
    m->columns = m->csv.fields;
    m->column  = ls_arena_alloc(m->arena, sizeof *m->column * (size_t)m->columns);
    for (int i = 0; i < m->columns; i++)
        m->column[i] = (csv_column){.name = ls_arena_strdup(m->arena, m->csv.field[i].text), .integers = true};
    LS_TRY(set_roles(m, "--target", o->targets, o->target, TARGET));
    LS_TRY(set_roles(m, "--drop", o->drops, o->drop, DROPPED));
    for (int i = 0; i < m->columns; i++) {
        csv_column *c = &m->column[i];
        if (c->role == FEATURE) c->at = m->features++;
        if (c->role == TARGET) c->at = m->targets++;
        bool slash = o->named && c->role != DROPPED && (strchr(c->name, '/') || strlen(c->name) >= LS_COLUMN_NAME);
        LS_CHECK(!slash, LS_ERR_DATA,
                 "%s:1:1: column '%s': with --named, expected a name of fewer than %d bytes without '/'" LS_HINT
                 "rename the column in the file",
                 m->csv.path, c->name, LS_COLUMN_NAME);
    }
    LS_CHECK(m->features, LS_ERR_USAGE, "%s: expected at least 1 column that is neither a target nor dropped",
             m->csv.path);
    return LS_OK;
}

/* ---- the first pass ---------------------------------------------------------------------------------------------- */

/* Returns the index of a class name in the sorted list, or its place in the list if *found is false. */
static int find_class(const csv_column *c, const char *name, bool *found)
{
    int low = 0, high = c->classes;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(c->class_name[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < c->classes && !strcmp(c->class_name[low], name);
    return low;
}

static ls_status add_class(importer *m, csv_column *c, const ls_csv_field *f)
{
    bool found;
    if (f->bytes >= MAX_CLASS_BYTES || ls__utf8_valid((const uint8_t *)f->text, f->bytes) != f->bytes)
        return FAIL_AT(m, f, "column '%s': expected a class name, UTF-8 of fewer than %d bytes", c->name,
                       MAX_CLASS_BYTES);
    int at = find_class(c, f->text, &found);
    if (found) return LS_OK;
    if (c->classes == MAX_CLASSES)
        return FAIL_AT(m, f,
                       "column '%s': expected at most %d different class names" LS_HINT
                       "a column of numbers must have a number in its first row",
                       c->name, MAX_CLASSES);
    if (c->classes == c->capacity) {
        int    capacity = c->capacity ? 2 * c->capacity : 16;
        char **names    = realloc(c->class_name, (size_t)capacity * sizeof *names);
        LS_CHECK(names, LS_ERR_ENV, "%s: out of memory for %d class names", m->csv.path, capacity);
        c->class_name = names;
        c->capacity   = capacity;
    }
    memmove(c->class_name + at + 1, c->class_name + at, (size_t)(c->classes - at) * sizeof *c->class_name);
    c->class_name[at] = ls_arena_strdup(m->arena, f->text);
    c->classes++;
    return LS_OK;
}

static ls_status check_number(importer *m, csv_column *c, const ls_csv_field *f, double *value)
{
    char text[40];
    if (ls__csv_number(f, value)) {
        c->integers = c->integers && *value == floor(*value) && fabs(*value) <= INT32_MAX;
        return LS_OK;
    }
    if (!f->bytes)
        return FAIL_AT(m, f,
                       "column '%s': expected a number, found nothing" LS_HINT
                       "fill in the missing values, or remove the row",
                       c->name);
    bool comma = m->csv.separator != ',' && strchr(f->text, ',');
    return FAIL_AT(m, f, "column '%s': expected a finite number, found '%s'" LS_HINT "%s", c->name,
                   ls__csv_show(f, text),
                   comma                ? "write decimal numbers with a point instead of a comma"
                   : c->role == FEATURE ? "leave the column out with --drop, or name it as --target"
                                        : "a target is text only if its first row is");
}

static ls_status check_row(importer *m)
{
    const ls_csv *r = &m->csv;
    double        value;
    if (r->fields != m->columns)
        return FAIL_AT(m, r->field, "expected %d fields, as in the first line, found %d", m->columns, r->fields);
    for (int i = 0; i < m->columns; i++) {
        csv_column         *c = &m->column[i];
        const ls_csv_field *f = &r->field[i];
        if (c->role == DROPPED) continue;
        if (m->rows == 0 && c->role == TARGET) c->text = f->bytes && !ls__csv_number(f, &value);
        if (c->text && !f->bytes) return FAIL_AT(m, f, "column '%s': expected a class name, found nothing", c->name);
        LS_TRY(c->text ? add_class(m, c, f) : check_number(m, c, f, &value));
    }
    return LS_OK;
}

static void report_progress(importer *m)
{
    const ls_csv_import *o = m->options;
    if (o->progress) o->progress(o->context, m->done_bytes + m->csv.bytes, 2 * m->file_bytes);
}

static ls_status scan(importer *m)
{
    for (bool more;; m->rows++) {
        LS_TRY(ls__csv_record(&m->csv, &more));
        if (!more) break;
        LS_TRY(check_row(m));
        if (m->rows % ROWS_PER_PROGRESS == 0) report_progress(m);
    }
    m->done_bytes = m->csv.bytes;
    LS_CHECK(m->rows >= 1, LS_ERR_DATA, "%s:2:1: expected at least 1 row below the names", m->csv.path);
    for (int i = 0; i < m->columns; i++) {
        csv_column *c = &m->column[i];
        if (!c->text) continue;
        LS_CHECK(!m->class_column && (m->targets == 1 || m->options->named), LS_ERR_DATA,
                 "%s: column '%s': a target with class names must be the only target" LS_HINT
                 "import the file once for each target, and --drop the others",
                 m->csv.path, c->name);
        m->class_column = c;
    }
    return LS_OK;
}

/* ---- the second pass --------------------------------------------------------------------------------------------- */

static ls_array_type type_of(const csv_column *c)
{
    return c->role == TARGET && (c->text || c->integers) ? LS_ARRAY_I32 : LS_ARRAY_F64;
}

/* Describes the arrays /x and /y; returns their number. */
static int describe_matrices(importer *m, ls_array_output *out)
{
    ls_array_type y = m->targets == 1 ? LS_ARRAY_I32 : LS_ARRAY_F64;
    for (int i = 0; i < m->columns; i++)
        if (m->column[i].role == TARGET && type_of(&m->column[i]) == LS_ARRAY_F64) y = LS_ARRAY_F64;
    out[0]       = (ls_array_output){.name = "x", .type = LS_ARRAY_F64, .rank = 1, .dim = {m->features}};
    m->output[0] = m->x;
    if (!m->targets) return 1;
    out[1]       = (ls_array_output){.name = "y", .type = y, .rank = m->targets > 1, .dim = {m->targets}};
    m->output[1] = y == LS_ARRAY_I32 ? (const void *)m->y_int : m->y;
    return 2;
}

/* Describes one array for each column; returns their number. */
static int describe_columns(importer *m, ls_array_output *out)
{
    int n = 0;
    for (int i = 0; i < m->columns; i++) {
        const csv_column *c = &m->column[i];
        if (c->role == DROPPED) continue;
        out[n]       = (ls_array_output){.name = c->name, .type = type_of(c)};
        m->output[n] = out[n].type == LS_ARRAY_I32 ? (const void *)(m->y_int + c->at)
                       : c->role == FEATURE        ? m->x + c->at
                                                   : m->y + c->at;
        n++;
    }
    return n;
}

static ls_status add_strings(importer *m, ls_array_writer *w)
{
    if (m->class_column)
        LS_TRY(ls_array_writer_strings(w, "class_names", m->class_column->classes,
                                       (const char *const *)m->class_column->class_name));
    if (m->options->named) return LS_OK;
    const char **names = ls_arena_alloc(m->arena, sizeof *names * (size_t)m->features);
    for (int i = 0; i < m->columns; i++)
        if (m->column[i].role == FEATURE) names[m->column[i].at] = m->column[i].name;
    return ls_array_writer_strings(w, "feature_names", m->features, names);
}

static ls_status open_writers(importer *m)
{
    const ls_csv_import *o = m->options;
    m->split_rows[VALID]   = o->valid > 0 ? llround(o->valid * (double)m->rows) : 0;
    m->split_rows[TRAIN]   = m->rows - m->split_rows[VALID];
    LS_CHECK(m->split_rows[TRAIN] >= 1 && (o->valid <= 0 || m->split_rows[VALID] >= 1), LS_ERR_DATA,
             "%s: --valid: expected at least 1 row held out of %lld, and 1 left" LS_HINT "set another --valid", o->file,
             (long long)m->rows);
    m->x                 = ls_arena_alloc(m->arena, sizeof *m->x * (size_t)m->features);
    m->y                 = ls_arena_alloc(m->arena, sizeof *m->y * ((size_t)m->targets + 1));
    m->y_int             = ls_arena_alloc(m->arena, sizeof *m->y_int * ((size_t)m->targets + 1));
    m->output            = ls_arena_alloc(m->arena, sizeof *m->output * (size_t)m->columns + sizeof *m->output);
    ls_array_output *out = ls_arena_alloc(m->arena, sizeof *out * ((size_t)m->columns + 1));
    int              n   = o->named ? describe_columns(m, out) : describe_matrices(m, out);
    for (int s = 0; s < SPLITS; s++) {
        char path[PATH_BYTES + 16];
        if (!m->split_rows[s]) continue;
        snprintf(path, sizeof path, "%s/%s.h5", o->out, SPLIT_NAMES[s]);
        LS_TRY(ls_array_writer_new(&m->writer[s], path, m->split_rows[s], out, n));
        LS_TRY(add_strings(m, m->writer[s]));
    }
    return LS_OK;
}

static ls_status take_row(importer *m)
{
    if (m->csv.fields != m->columns) return FAIL_AT(m, m->csv.field, "the file has changed since the first pass");
    for (int i = 0; i < m->columns; i++) {
        const csv_column   *c     = &m->column[i];
        const ls_csv_field *f     = &m->csv.field[i];
        double              value = 0;
        bool                ok    = true;
        if (c->role == DROPPED) continue;
        if (c->text)
            m->y_int[c->at] = find_class(c, f->text, &ok);
        else
            ok = ls__csv_number(f, &value);
        if (!ok) return FAIL_AT(m, f, "column '%s': the file has changed since the first pass", c->name);
        if (c->role == FEATURE) m->x[c->at] = value;
        if (c->role == TARGET && !c->text) {
            m->y[c->at] = value;
            if (c->integers) m->y_int[c->at] = (int32_t)value;
        }
    }
    return LS_OK;
}

static ls_status write_rows(importer *m)
{
    const ls_csv_import *o    = m->options;
    uint64_t             key  = ls_key(0, "csv held-out rows");
    int64_t              left = m->split_rows[VALID];
    bool                 more;
    LS_TRY(ls__csv_rewind(&m->csv));
    LS_TRY(ls__csv_record(&m->csv, &more));
    for (int64_t row = 0; row < m->rows; row++) {
        LS_TRY(ls__csv_record(&m->csv, &more));
        LS_CHECK(more, LS_ERR_DATA, "%s:%lld:1: the file has changed since the first pass", m->csv.path,
                 (long long)m->csv.line);
        LS_TRY(take_row(m));
        ls_philox4 random = ls_philox(key, (uint64_t)row, 0);
        uint64_t   draw   = ((uint64_t)random.v[1] << 32 | random.v[0]) % (uint64_t)(m->rows - row);
        bool       held   = o->valid_last ? row >= m->split_rows[TRAIN] : draw < (uint64_t)left;
        left -= held;
        LS_TRY(ls_array_writer_add(m->writer[held ? VALID : TRAIN], m->output));
        if (row % ROWS_PER_PROGRESS == 0) report_progress(m);
    }
    for (int s = 0; s < SPLITS; s++)
        if (m->writer[s]) LS_TRY(ls_array_writer_close(m->writer[s]));
    return LS_OK;
}

/* ---- the import -------------------------------------------------------------------------------------------------- */

/* Refuses a folder with other splits, which would stay beside the new ones. */
static ls_status check_folder(const ls_csv_import *o)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int  count;
    LS_CHECK(strlen(o->out) < PATH_BYTES, LS_ERR_USAGE, "import csv: the name of the folder is too long");
    if (access(o->out, F_OK) != 0) return LS_OK;
    LS_TRY(ls_dataset_splits(o->out, splits, &count));
    for (int i = 0; i < count; i++)
        LS_CHECK(!strcmp(splits[i], "train") || (o->valid > 0 && !strcmp(splits[i], "valid")), LS_ERR_USAGE,
                 "%s: has the split '%s', which this import would not replace" LS_HINT
                 "remove it, or choose another folder",
                 o->out, splits[i]);
    return LS_OK;
}

static ls_status import_file(importer *m)
{
    ls_csv_import *o = m->options;
    struct stat    st;
    LS_CHECK(o->valid >= 0 && o->valid < 1, LS_ERR_USAGE,
             "import csv: --valid: expected a part of the rows, from 0 to less than 1, found %g", o->valid);
    LS_TRY(check_folder(o));
    LS_TRY(ls_arena_new(&m->arena, "csv"));
    LS_TRY(ls__csv_open(&m->csv, o->file, o->separator));
    m->file_bytes = stat(o->file, &st) == 0 ? st.st_size : 0;
    LS_TRY(read_header(m));
    LS_TRY(scan(m));
    LS_TRY(open_writers(m));
    LS_TRY(write_rows(m));
    o->train_rows = m->split_rows[TRAIN];
    o->valid_rows = m->split_rows[VALID];
    o->features   = m->features;
    o->classes    = m->class_column ? m->class_column->classes : 0;
    return LS_OK;
}

ls_status ls_import_csv(ls_csv_import *options)
{
    ls_csv_import o;
    importer      m = {.options = &o};
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_csv_import"));
    ls_status status = import_file(&m);
    for (int s = SPLITS - 1; s >= 0; s--)
        ls_array_writer_free(m.writer[s]); /* the first writer made the folder: free it last */
    for (int i = 0; i < m.columns; i++) free(m.column[i].class_name);
    ls__csv_close(&m.csv);
    if (m.arena) ls_arena_free(m.arena);
    memcpy(options, &o, options->size); /* returns the results */
    return status;
}

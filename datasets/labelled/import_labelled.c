/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports labelled texts: reads the records of a split, learns the tokenizer and the classes from the split `train`,
 * encodes and writes.
 *
 * Labels of train decide what is learned.  Whole numbers and texts are classes, in the order of the numbers, of the
 * sorted texts.  If one of them is another number, all are values of a regression.  A label of another split that train
 * does not have is an error.
 *
 * Samples with an empty text are left out and counted.  The texts and tokens of a split are in memory at the same time.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/integer.h"
#include "core/io/paths.h"
#include "datasets/files/options.h"
#include "datasets/labelled/labelled.h"
#include "datasets/labelled/labelled_records.h"
#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/training/tokenizer_choice.h"

enum { MAX_CLASSES = 10000, MAX_CLASS_BYTES = 256, PER_PROGRESS = 1024 };

static const char *const split_name[] = {"train", "valid", "test"};

/* A sample as it is read: positions in `text` of its two texts and its label, which follow each other. */
typedef struct sample {
    int64_t at[LS_RECORD_FIELDS + 1];
    int64_t line, column; /* of the label, for messages */
    bool    held_out;     /* of train: becomes valid    */
} sample;

typedef struct importer {
    ls_labelled_import *options;
    ls_arena           *arena;
    bool                paired;
    const char         *path; /* of the split that is being read */
    ls_string           text;
    sample             *sample;
    int64_t             samples, room;
    ls_tokenizer       *tokenizer;
    const char        **class_name; /* sorted */
    bool                numbers;    /* the class names are whole numbers */
    ls_tokens           tokens;     /* of the samples that are written */
    int64_t            *start;
    int32_t            *second;
    void               *label;
    ls_split_writer     w[LS_LABELLED_SPLITS];
    bool                saved; /* the tokenizer was written into a new folder */
} importer;

static ls_text_line field_of(const importer *m, const sample *s, int k)
{
    return (ls_text_line){m->text.data + s->at[k], (size_t)(s->at[k + 1] - s->at[k])};
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ls_status keep(importer *m, const ls_record *r)
{
    sample *s;
    if (m->samples == m->room) {
        const int64_t room = m->room ? 2 * m->room : 4096;
        s                  = realloc(m->sample, (size_t)room * sizeof *s);
        LS_CHECK(s, LS_ERR_ENV, "%s: out of memory for %lld samples", m->path, (long long)room);
        m->sample = s;
        m->room   = room;
    }
    s  = &m->sample[m->samples++];
    *s = (sample){.line = r->line, .column = r->column};
    for (int k = 0; k < LS_RECORD_FIELDS; k++) {
        s->at[k] = (int64_t)m->text.bytes;
        LS_TRY(ls__string_append(&m->text, r->field[k].data ? r->field[k].data : "", r->field[k].bytes));
    }
    s->at[LS_RECORD_FIELDS] = (int64_t)m->text.bytes;
    return LS_OK;
}

static ls_status read_records(importer *m, int split, ls_records *r)
{
    ls_labelled_import *o = m->options;
    for (ls_record record;;) {
        LS_TRY(ls__record_next(r, &record));
        if (!record.line) break;
        LS_CHECK(record.field[LS_RECORD_LABEL].bytes, LS_ERR_DATA, "%s:%lld:%lld: expected a label, found nothing",
                 m->path, (long long)record.line, (long long)record.column);
        if (record.field[LS_RECORD_TEXT].bytes && (!m->paired || record.field[LS_RECORD_SECOND].bytes))
            LS_TRY(keep(m, &record));
        else
            o->empty[split]++;
    }
    LS_CHECK(m->samples, LS_ERR_DATA, "%s: expected at least one sample with a text, found none", m->path);
    return LS_OK;
}

static ls_status read_file(importer *m, int split)
{
    ls_labelled_import   *o     = m->options;
    const ls_record_names names = {{o->text, o->second, o->label}};
    ls_records            r;
    m->path       = o->file[split];
    m->samples    = 0;
    m->text.bytes = 0;
    LS_TRY(ls__records_open(&r, m->path, &names));
    m->paired          = r.names.name[LS_RECORD_SECOND] != NULL;
    ls_status status   = read_records(m, split, &r);
    o->replaced[split] = r.replaced;
    if (split == LS_LABELLED_TRAIN) { /* the other files have the same columns */
        o->text   = ls_arena_strdup(m->arena, r.names.name[LS_RECORD_TEXT]);
        o->second = m->paired ? ls_arena_strdup(m->arena, r.names.name[LS_RECORD_SECOND]) : NULL;
        o->label  = ls_arena_strdup(m->arena, r.names.name[LS_RECORD_LABEL]);
    }
    ls__records_close(&r);
    return status;
}

/* Chooses the samples of train that become valid, at random. */
static ls_status hold_out(importer *m)
{
    const int64_t n = (int64_t)((double)m->samples * m->options->valid);
    LS_CHECK(m->options->valid <= 0 || (n >= 1 && n < m->samples), LS_ERR_DATA,
             "%s: expected enough samples for a split valid of the part %g, found %lld" LS_HINT
             "--valid FILE names a file for it; --valid 0 makes no such split",
             m->path, m->options->valid, (long long)m->samples);
    for (int64_t k = 0; k < n; k++) m->sample[ls_sample_at(0, 0, m->samples, k)].held_out = true;
    return LS_OK;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

static bool number_of(ls_text_line text, double *value)
{
    char buffer[64];
    if (!text.bytes || text.bytes >= sizeof buffer) return false;
    memcpy(buffer, text.data, text.bytes);
    buffer[text.bytes] = 0;
    return ls__csv_number(&(ls_csv_field){.text = buffer, .bytes = text.bytes}, value);
}

static bool is_whole(double value) { return value == rint(value) && fabs(value) <= 1e9; }

static int compare_texts(const void *p, const void *q)
{
    return strcmp(*(const char *const *)p, *(const char *const *)q);
}

static int compare_numbers(const void *p, const void *q)
{
    const long long x = strtoll(*(const char *const *)p, NULL, 10), y = strtoll(*(const char *const *)q, NULL, 10);
    return x < y ? -1 : x > y;
}

/* The name of a class: the label, or of a whole number its shortest form. */
static const char *name_of(const importer *m, ls_text_line label, char name[MAX_CLASS_BYTES])
{
    double value;
    if (m->numbers && number_of(label, &value) && is_whole(value))
        snprintf(name, MAX_CLASS_BYTES, "%lld", (long long)value);
    else
        snprintf(name, MAX_CLASS_BYTES, "%.*s", (int)label.bytes, label.data);
    return name;
}

/* Returns the class of a label; -1: there is none. */
static int class_of(const importer *m, ls_text_line label)
{
    char         name[MAX_CLASS_BYTES];
    const char  *key   = name_of(m, label, name);
    const char **found = bsearch(&key, m->class_name, (size_t)m->options->classes, sizeof key,
                                 m->numbers ? compare_numbers : compare_texts);
    return found && !strcmp(*found, key) ? (int)(found - m->class_name) : -1;
}

static ls_status add_class(importer *m, const sample *s)
{
    char         name[MAX_CLASS_BYTES];
    const char  *key = name_of(m, field_of(m, s, LS_RECORD_LABEL), name);
    const size_t n   = (size_t)m->options->classes;
    size_t       at  = 0;
    if (class_of(m, field_of(m, s, LS_RECORD_LABEL)) >= 0) return LS_OK;
    LS_CHECK(n < MAX_CLASSES, LS_ERR_DATA,
             "%s:%lld:%lld: expected at most %d classes, found more" LS_HINT
             "--label names the column of the label; --regression predicts numbers",
             m->path, (long long)s->line, (long long)s->column, MAX_CLASSES);
    while (at < n && (m->numbers ? compare_numbers : compare_texts)(&m->class_name[at], &key) < 0) at++;
    memmove(m->class_name + at + 1, m->class_name + at, (n - at) * sizeof *m->class_name);
    m->class_name[at] = ls_arena_strdup(m->arena, key);
    m->options->classes++;
    return LS_OK;
}

static ls_status find_classes(importer *m)
{
    bool   all_numbers = true, all_whole = true;
    double value;
    for (int64_t i = 0; i < m->samples; i++) {
        const sample      *s      = &m->sample[i];
        const ls_text_line label  = field_of(m, s, LS_RECORD_LABEL);
        const bool         number = number_of(label, &value);
        LS_CHECK(number || !m->options->regression, LS_ERR_DATA, "%s:%lld:%lld: expected a number, found '%.*s'",
                 m->path, (long long)s->line, (long long)s->column, (int)ls__min(label.bytes, 40), label.data);
        LS_CHECK(label.bytes < MAX_CLASS_BYTES, LS_ERR_DATA,
                 "%s:%lld:%lld: expected a label of fewer than %d bytes, found %zu", m->path, (long long)s->line,
                 (long long)s->column, MAX_CLASS_BYTES, label.bytes);
        all_numbers = all_numbers && number;
        all_whole   = all_whole && number && is_whole(value);
    }
    m->options->classes = 0;
    if (m->options->regression || (all_numbers && !all_whole)) return LS_OK;
    m->numbers    = all_whole;
    m->class_name = ls_arena_alloc(m->arena, (MAX_CLASSES + 1) * sizeof *m->class_name);
    for (int64_t i = 0; i < m->samples; i++) LS_TRY(add_class(m, &m->sample[i]));
    LS_CHECK(m->options->classes > 1, LS_ERR_DATA,
             "%s: expected at least two classes, found only '%s'" LS_HINT "--label names the column of the label",
             m->path, m->class_name[0]);
    return LS_OK;
}

static ls_status set_label(importer *m, const sample *s, int64_t n)
{
    const ls_text_line text  = field_of(m, s, LS_RECORD_LABEL);
    double             value = 0;
    if (m->options->classes) {
        const int c = class_of(m, text);
        LS_CHECK(c >= 0, LS_ERR_DATA, "%s:%lld:%lld: expected a label that %s has, found '%.*s'", m->path,
                 (long long)s->line, (long long)s->column, m->options->file[LS_LABELLED_TRAIN],
                 (int)ls__min(text.bytes, 40), text.data);
        ((int32_t *)m->label)[n] = c;
        return LS_OK;
    }
    LS_CHECK(number_of(text, &value), LS_ERR_DATA, "%s:%lld:%lld: expected a number, found '%.*s'", m->path,
             (long long)s->line, (long long)s->column, (int)ls__min(text.bytes, 40), text.data);
    ((float *)m->label)[n] = (float)value;
    return LS_OK;
}

/* ---- the tokenizer ----------------------------------------------------------------------------------------------- */

static ls_status train_tokenizer(importer *m, ls_tokenizer_training *training)
{
    const int64_t most = 2 * m->samples;
    int64_t       n    = 0;
    ls_text_line *line = malloc((size_t)most * sizeof *line);
    LS_CHECK(line, LS_ERR_ENV, "import labelled: out of memory for %lld texts", (long long)most);
    for (int64_t i = 0; i < m->samples; i++)
        for (int k = LS_RECORD_TEXT; k <= LS_RECORD_SECOND && !m->sample[i].held_out; k++)
            if (field_of(m, &m->sample[i], k).bytes) line[n++] = field_of(m, &m->sample[i], k);
    training->end    = true;
    training->lines  = n;
    training->line   = line;
    ls_status status = ls__tokenizer_train(&m->tokenizer, training);
    free(line);
    return status;
}

static ls_status make_tokenizer(importer *m)
{
    const ls_labelled_import *o        = m->options;
    ls_tokenizer_training     training = {.size_of = sizeof training};
    bool                      trained;
    LS_TRY(ls__training_choose(&training, "import labelled", o->tokenizer, o->vocabulary, o->min_count, o->lowercase,
                               &trained));
    if (trained)
        LS_TRY(train_tokenizer(m, &training));
    else
        LS_TRY(strcmp(o->tokenizer, "bytes") ? ls_tokenizer_load(&m->tokenizer, o->tokenizer)
                                             : ls_tokenizer_bytes(&m->tokenizer));
    m->options->found = ls_tokenizer_size(m->tokenizer);
    return LS_OK;
}

/* ---- a split ----------------------------------------------------------------------------------------------------- */

static int64_t limit_of(const ls_labelled_import *o) { return o->max_length ? o->max_length : LS_LABELLED_LENGTH; }

static ls_status encode(importer *m, int split, const sample *s, int64_t n, ls_text_tokens *t)
{
    ls_labelled_import *o     = m->options;
    const ls_text_line  first = field_of(m, s, LS_RECORD_TEXT), second = field_of(m, s, LS_RECORD_SECOND);
    ls_status           status = ls_tokenizer_encode_texts(m->tokenizer, &first, m->paired ? &second : NULL, 0, t);
    if (status == LS_OK && t->count > limit_of(o)) {
        o->cut[split]++;
        status = ls_tokenizer_encode_texts(m->tokenizer, &first, m->paired ? &second : NULL, limit_of(o), t);
    }
    if (status != LS_OK) {
        char message[1024];
        snprintf(message, sizeof message, "%s", ls_error_message());
        return LS_FAIL(status, "%s:%lld: %s", m->path, (long long)s->line, message);
    }
    LS_CHECK(t->count, LS_ERR_DATA, "%s:%lld: expected a text with at least one token, found none", m->path,
             (long long)s->line);
    LS_TRY(ls__tokens_reserve(&m->tokens, t->count));
    memcpy(m->tokens.id + m->tokens.count, t->id, (size_t)t->count * sizeof *t->id);
    m->tokens.count += t->count;
    m->start[n + 1] = m->tokens.count;
    m->second[n]    = 0;
    while (m->second[n] < t->count && !t->type[m->second[n]]) m->second[n]++;
    if (t->count > o->longest[split]) o->longest[split] = t->count;
    return set_label(m, s, n);
}

/* Encodes the samples of a split, which of train are those that are (not) held out. */
static ls_status encode_split(importer *m, int split, bool held_out)
{
    ls_labelled_import *o      = m->options;
    const size_t        count  = (size_t)m->samples;
    ls_text_tokens      t      = {0};
    ls_status           status = LS_OK;
    int64_t             n      = 0;
    free(m->start);
    free(m->second);
    free(m->label);
    m->start        = malloc((count + 1) * sizeof *m->start);
    m->second       = malloc(count * sizeof *m->second);
    m->label        = malloc(count * sizeof(int32_t));
    m->tokens.count = 0;
    LS_CHECK(m->start && m->second && m->label, LS_ERR_ENV, "import labelled: out of memory for %zu samples", count);
    m->start[0] = 0;
    for (int64_t i = 0; i < m->samples && status == LS_OK; i++) {
        if (m->sample[i].held_out == held_out) status = encode(m, split, &m->sample[i], n++, &t);
        if (o->progress && i % PER_PROGRESS == 0) o->progress(o->context, i, m->samples);
    }
    ls_text_tokens_free(&t);
    o->samples[split] = n;
    o->tokens[split]  = m->tokens.count;
    return status;
}

static ls_status write_split(importer *m, int split, bool held_out)
{
    char hash[24];
    LS_TRY(encode_split(m, split, held_out));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(m->tokenizer));
    return ls__labelled_write(
        &m->w[split], m->options->out, split_name[split],
        &(ls_labelled_contents){.count       = m->options->samples[split],
                                .tokens      = m->tokens.id,
                                .start       = m->start,
                                .second      = m->second,
                                .label       = m->label,
                                .classes     = m->options->classes,
                                .class_names = m->class_name,
                                .vocabulary  = ls_tokenizer_size(m->tokenizer),
                                .tokenizer   = ls_tokenizer_kind_text(ls_tokenizer_kind_of(m->tokenizer)),
                                .hash        = hash});
}

/* ---- the import -------------------------------------------------------------------------------------------------- */

static ls_status check(const ls_labelled_import *o)
{
    const char *writes[LS_LABELLED_SPLITS];
    int         n = 0;
    LS_CHECK(o->file[LS_LABELLED_TRAIN], LS_ERR_USAGE, "import labelled: expected a file for train, found none");
    LS_CHECK(o->valid >= 0 && o->valid < 1, LS_ERR_USAGE,
             "import labelled: --valid: expected a file, or a fraction of at least 0 and less than 1, found %g",
             o->valid);
    LS_CHECK(limit_of(o) >= 4 && limit_of(o) < LS_MAX_TEXT, LS_ERR_USAGE,
             "import labelled: --max-length: expected 4 to %d tokens, found %lld", LS_MAX_TEXT - 1,
             (long long)limit_of(o));
    LS_CHECK(o->tokenizer, LS_ERR_USAGE, "import labelled: tokenizer: expected a kind or a path, found none");
    LS_CHECK(!o->second || o->text, LS_ERR_USAGE, "import labelled: --second: expected --text as well");
    for (int split = 0; split < LS_LABELLED_SPLITS; split++)
        if (o->file[split] || (split == LS_LABELLED_VALID && o->valid > 0)) writes[n++] = split_name[split];
    return ls__split_check_folder(o->out, n, writes);
}

static ls_status save_tokenizer(importer *m)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__path(path, "%s/tokenizer.json", m->options->out));
    m->saved = access(path, F_OK) != 0;
    return ls_tokenizer_save(m->tokenizer, m->options->out);
}

static ls_status run(importer *m)
{
    const ls_labelled_import *o = m->options;
    LS_TRY(check(o));
    LS_TRY(ls_arena_new(&m->arena, "import labelled"));
    for (int split = 0; split < LS_LABELLED_SPLITS; split++) {
        if (!o->file[split]) continue;
        LS_TRY(read_file(m, split));
        if (split == LS_LABELLED_TRAIN) {
            if (!o->file[LS_LABELLED_VALID]) LS_TRY(hold_out(m));
            LS_TRY(make_tokenizer(m));
            LS_TRY(find_classes(m));
        }
        LS_TRY(write_split(m, split, false));
        if (split == LS_LABELLED_TRAIN && !o->file[LS_LABELLED_VALID] && o->valid > 0)
            LS_TRY(write_split(m, LS_LABELLED_VALID, true));
    }
    LS_TRY(save_tokenizer(m));
    for (int split = 0; split < LS_LABELLED_SPLITS; split++)
        if (m->w[split].arena) LS_TRY(ls__split_close(&m->w[split]));
    return LS_OK;
}

/* Removes the tokenizer of an import that failed. */
static void remove_tokenizer(const importer *m)
{
    char path[LS_PATH_BYTES];
    if (ls__path(path, "%s/tokenizer.json", m->options->out) == LS_OK) unlink(path);
}

ls_status ls_import_labelled(ls_labelled_import *options)
{
    ls_labelled_import o;
    importer           m = {.options = &o};
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_labelled_import"));
    ls_status status = run(&m);
    if (status != LS_OK && m.saved) {
        const ls_error error = ls_error_save(status);
        remove_tokenizer(&m);
        status = ls_error_restore(&error);
    }
    for (int split = LS_LABELLED_SPLITS - 1; split >= 0; split--)
        ls__split_free(&m.w[split]); /* the first writer made the folder: free it last */
    ls_tokenizer_free(m.tokenizer);
    ls_tokens_free(&m.tokens);
    ls_string_free(&m.text);
    free(m.sample);
    free(m.start);
    free(m.second);
    free(m.label);
    o.text   = options->text; /* the names that were found are in the arena */
    o.second = options->second;
    o.label  = options->label;
    memcpy(options, &o, options->size); /* returns the results */
    ls_arena_free(m.arena);
    return status;
}

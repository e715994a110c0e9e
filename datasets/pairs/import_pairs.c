/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports pairs of sentences: reads two files of lines for each split, learns the tokenizers from the split `train`,
 * encodes and writes.
 *
 * A line is a sentence without the white space at its ends.  Pairs with an empty line are left out and counted.  Pairs
 * with a sentence longer than max_length are an error, or are left out and counted.  The lines and tokens of a split
 * are in memory at the same time, about 5 times the size of its files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/paths.h"
#include "datasets/files/options.h"
#include "datasets/files/text_lines.h"
#include "datasets/pairs/pairs.h"
#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/training/tokenizer_choice.h"

static const char *const split_name[] = {"train", "valid", "test"}, *const side_name[] = {"source", "target"};

typedef struct importer {
    ls_pairs_import *options;
    ls_text_lines    text[LS_SIDES];      /* of the current split; lines are trimmed              */
    ls_tokenizer    *tokenizer[LS_SIDES]; /* one object twice with a vocabulary for both sides    */
    bool             joint;
    ls_tokens        tokens; /* of the current split */
    ls_string        lines;
    int64_t         *start, *line_start;
    ls_split_writer  w[LS_PAIRS_SPLITS];
    int64_t          read, size; /* bytes of lines encoded so far, of all lines of the current split */
    bool             saved;      /* a tokenizer was written into a new folder of the dataset */
} importer;

static const char *file_of(const ls_pairs_import *o, int split, int side)
{
    return (side ? o->target : o->source)[split];
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void free_lines(importer *m)
{
    for (int side = 0; side < LS_SIDES; side++) ls__text_lines_free(&m->text[side]);
}

/* Reads the two files of a split, and removes the pairs with an empty line from the lists of lines. */
static ls_status read_lines(importer *m, int split)
{
    ls_pairs_import *o = m->options;
    ls_text_lines   *x = &m->text[LS_SOURCE], *y = &m->text[LS_TARGET];
    o->replaced[split] = 0;
    free_lines(m);
    LS_TRY(ls__text_lines_read(x, file_of(o, split, LS_SOURCE), &o->replaced[split]));
    LS_TRY(ls__text_lines_read(y, file_of(o, split, LS_TARGET), &o->replaced[split]));
    LS_CHECK(x->count == y->count, LS_ERR_DATA,
             "%s: has %lld lines, but %s has %lld; expected line i of one file to translate line i of the other",
             y->path, (long long)y->count, x->path, (long long)x->count);
    m->size = m->read = 0;
    o->empty[split]   = 0;
    for (int64_t i = 0; i < x->count; i++) {
        x->line[i] = ls_text_line_trim(x->line[i].data, x->line[i].bytes);
        y->line[i] = ls_text_line_trim(y->line[i].data, y->line[i].bytes);
        o->empty[split] += !x->line[i].bytes || !y->line[i].bytes;
        m->size += (int64_t)(x->line[i].bytes + y->line[i].bytes);
    }
    LS_CHECK(o->empty[split] < x->count, LS_ERR_DATA,
             "%s: expected at least one line with text that has a line with text in %s, found none in %lld lines",
             x->path, y->path, (long long)x->count);
    return LS_OK;
}

static bool is_empty(const importer *m, int64_t i)
{
    return !m->text[LS_SOURCE].line[i].bytes || !m->text[LS_TARGET].line[i].bytes;
}

/* ---- tokenizers -------------------------------------------------------------------------------------------------- */

/* Trains a tokenizer on the lines of the given sides. */
static ls_status train(importer *m, ls_tokenizer **t, ls_tokenizer_training *training, int sides, const int *side)
{
    const int64_t count = m->text[LS_SOURCE].count;
    int64_t       n     = 0;
    ls_text_line *line  = malloc((size_t)(sides * count) * sizeof *line);
    LS_CHECK(line, LS_ERR_ENV, "import pairs: out of memory for %lld lines", (long long)(sides * count));
    for (int k = 0; k < sides; k++)
        for (int64_t i = 0; i < count; i++)
            if (!is_empty(m, i)) line[n++] = m->text[side[k]].line[i];
    training->end    = true;
    training->lines  = n;
    training->line   = line;
    ls_status status = ls__tokenizer_train(t, training);
    free(line);
    return status;
}

/* Makes the tokenizers from the lines of train. */
static ls_status make_tokenizers(importer *m)
{
    static const int       both[]   = {LS_SOURCE, LS_TARGET};
    const ls_pairs_import *o        = m->options;
    ls_tokenizer_training  training = {.size_of = sizeof training};
    ls_tokenizer         **t        = m->tokenizer;
    bool                   trained;
    LS_TRY(ls__training_choose(&training, "import pairs", o->tokenizer, o->vocabulary, o->min_count, o->lowercase,
                               &trained));
    LS_CHECK(trained || !o->separate, LS_ERR_USAGE,
             "import pairs: --separate: the tokenizer %s has one vocabulary; expected bpe, words or chars, which are "
             "trained for each side",
             o->tokenizer);
    m->joint = !o->separate;
    if (trained) {
        LS_TRY(train(m, &t[0], &training, m->joint ? 2 : 1, both));
        if (!m->joint) LS_TRY(train(m, &t[1], &training, 1, &both[1]));
    } else {
        LS_TRY(strcmp(o->tokenizer, "bytes") ? ls_tokenizer_load(&t[0], o->tokenizer) : ls_tokenizer_bytes(&t[0]));
    }
    if (m->joint) t[1] = t[0];
    LS_CHECK(ls_tokenizer_end(t[0]) >= 0, LS_ERR_USAGE,
             "import pairs: tokenizer: %s has no token that ends a sentence" LS_HINT
             "`lockstep data train-tokenizer --end` adds it to characters; bpe, words and bytes have it",
             o->tokenizer);
    for (int side = 0; side < LS_SIDES; side++) m->options->found[side] = ls_tokenizer_size(t[side]);
    return LS_OK;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static int64_t limit_of(const ls_pairs_import *o) { return o->max_length ? o->max_length : LS_PAIRS_LENGTH; }

/* Appends the tokens of a line; *length: their number. */
static ls_status encode(importer *m, int side, int64_t i, int64_t *length)
{
    const ls_text_line *line   = &m->text[side].line[i];
    const int64_t       before = m->tokens.count;
    ls_status           status = ls_tokenizer_encode_line(m->tokenizer[side], line->data, line->bytes, &m->tokens);
    *length                    = m->tokens.count - before;
    m->read += (int64_t)line->bytes;
    if (status != LS_ERR_DATA) return status;
    char message[1024];
    snprintf(message, sizeof message, "%s", ls_error_message());
    return LS_FAIL(status, "%s:%lld: %s", m->text[side].path, (long long)i + 1, message);
}

static ls_status too_long(const importer *m, int side, int64_t i, int64_t length, int64_t pairs)
{
    return LS_FAIL(
        LS_ERR_DATA,
        "%s:%lld: the sentence has %lld tokens; expected at most %lld (%lld pairs of the file are longer)" LS_HINT
        "--max-length N allows longer sentences, --skip-long leaves these pairs out",
        m->text[side].path, (long long)i + 1, (long long)length, (long long)limit_of(m->options), (long long)pairs);
}

/* Encodes the pairs of a split. */
static ls_status encode_split(importer *m, int split)
{
    ls_pairs_import *o     = m->options;
    const int64_t    count = m->text[LS_SOURCE].count, limit = limit_of(o);
    int64_t          long_line = 0, long_length = 0, n = 0;
    int              long_side = 0;
    free(m->start);
    free(m->line_start);
    m->start      = malloc((size_t)(2 * count + 1) * sizeof *m->start);
    m->line_start = malloc((size_t)(2 * count + 1) * sizeof *m->line_start);
    LS_CHECK(m->start && m->line_start, LS_ERR_ENV, "import pairs: out of memory for %lld pairs", (long long)count);
    m->tokens.count = m->tokens.replaced = 0;
    m->lines.bytes                       = 0;
    m->start[0] = m->line_start[0] = 0;
    o->too_long[split]             = 0;
    memset(o->tokens[split], 0, sizeof o->tokens[split]);
    memset(o->longest[split], 0, sizeof o->longest[split]);
    for (int64_t i = 0; i < count; i++) {
        const int64_t before = m->tokens.count;
        int64_t       length[LS_SIDES];
        if (is_empty(m, i)) continue;
        for (int side = 0; side < LS_SIDES; side++) LS_TRY(encode(m, side, i, &length[side]));
        if (!length[LS_SOURCE] || !length[LS_TARGET]) { /* no words, but other white space than that of ASCII */
            o->empty[split]++;
            m->tokens.count = before;
            continue;
        }
        const int side = length[LS_SOURCE] <= limit; /* the side at fault, if one is */
        if (length[side] > limit) {
            if (!o->too_long[split]++) {
                long_line   = i;
                long_side   = side;
                long_length = length[side];
            }
            m->tokens.count = before;
            continue;
        }
        for (int k = 0; k < LS_SIDES; k++) {
            const ls_text_line *line = &m->text[k].line[i];
            LS_TRY(ls__string_append(&m->lines, line->data, line->bytes));
            m->start[n + 1]      = m->start[n] + length[k];
            m->line_start[n + 1] = (int64_t)m->lines.bytes;
            o->tokens[split][k] += length[k];
            if (length[k] > o->longest[split][k]) o->longest[split][k] = length[k];
            n++;
        }
        if (o->progress && i % 1024 == 0) o->progress(o->context, m->read, m->size);
    }
    if (o->too_long[split] && !o->skip_long) return too_long(m, long_side, long_line, long_length, o->too_long[split]);
    o->pairs[split] = n / 2;
    LS_CHECK(n, LS_ERR_DATA,
             "%s: expected a pair of at most %lld tokens, found none" LS_HINT "--max-length N sets the limit",
             m->text[LS_SOURCE].path, (long long)limit);
    return LS_OK;
}

static ls_status write_split(importer *m, int split)
{
    char              hash[LS_SIDES][24];
    ls_pairs_contents c = {.count      = m->options->pairs[split],
                           .tokens     = m->tokens.id,
                           .start      = m->start,
                           .line_start = m->line_start,
                           .lines      = m->lines.data,
                           .joint      = m->joint};
    for (int side = 0; side < LS_SIDES; side++) {
        const ls_tokenizer *t = m->tokenizer[side];
        snprintf(hash[side], sizeof hash[side], "%016llx", (unsigned long long)ls_tokenizer_hash(t));
        c.side[side].vocabulary = ls_tokenizer_size(t);
        c.side[side].end        = ls_tokenizer_end(t);
        c.side[side].tokenizer  = ls_tokenizer_kind_text(ls_tokenizer_kind_of(t));
        c.side[side].hash       = hash[side];
    }
    return ls__pairs_write(&m->w[split], m->options->out, split_name[split], &c);
}

/* ---- the import -------------------------------------------------------------------------------------------------- */

static ls_status check(const ls_pairs_import *o)
{
    const char *writes[LS_PAIRS_SPLITS];
    int         n = 0;
    for (int split = 0; split < LS_PAIRS_SPLITS; split++) {
        const bool source = o->source[split] != NULL, target = o->target[split] != NULL;
        LS_CHECK(source == target && (source || split), LS_ERR_USAGE, "import pairs: %s: expected two files, found %s",
                 split_name[split], source || target ? "one" : "none");
        if (source) writes[n++] = split_name[split];
    }
    LS_CHECK(limit_of(o) >= 1 && limit_of(o) < LS_MAX_SENTENCE, LS_ERR_USAGE,
             "import pairs: --max-length: expected 1 to %d tokens, found %lld", LS_MAX_SENTENCE - 1,
             (long long)limit_of(o));
    LS_CHECK(o->tokenizer, LS_ERR_USAGE, "import pairs: tokenizer: expected a kind or a path, found none");
    return ls__split_check_folder(o->out, n, writes);
}

static ls_status save_tokenizers(importer *m)
{
    for (int side = 0; side < LS_SIDES; side++) {
        char folder[LS_PATH_BYTES];
        LS_TRY(ls__path(folder, "%s/%s", m->options->out, side_name[side]));
        if (access(folder, F_OK) != 0) m->saved = true;
        LS_TRY(ls_tokenizer_save(m->tokenizer[side], folder));
    }
    return LS_OK;
}

/* Removes the tokenizers of an import that failed. */
static void remove_tokenizers(const importer *m)
{
    char path[LS_PATH_BYTES];
    for (int side = 0; side < LS_SIDES; side++)
        if (ls__path(path, "%s/%s", m->options->out, side_name[side]) == LS_OK) ls__remove_folder(path);
}

static ls_status run(importer *m)
{
    const ls_pairs_import *o = m->options;
    LS_TRY(check(o));
    for (int split = 0; split < LS_PAIRS_SPLITS; split++) {
        if (!o->source[split]) continue;
        LS_TRY(read_lines(m, split));
        if (split == LS_PAIRS_TRAIN) LS_TRY(make_tokenizers(m));
        LS_TRY(encode_split(m, split));
        LS_TRY(write_split(m, split));
    }
    LS_TRY(save_tokenizers(m));
    for (int split = 0; split < LS_PAIRS_SPLITS; split++)
        if (m->w[split].arena) LS_TRY(ls__split_close(&m->w[split]));
    return LS_OK;
}

ls_status ls_import_pairs(ls_pairs_import *options)
{
    ls_pairs_import o;
    importer        m = {.options = &o};
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_pairs_import"));
    ls_status status = run(&m);
    if (status != LS_OK && m.saved) {
        const ls_error error = ls_error_save(status);
        remove_tokenizers(&m);
        status = ls_error_restore(&error);
    }
    for (int split = LS_PAIRS_SPLITS - 1; split >= 0; split--)
        ls__split_free(&m.w[split]); /* the first writer made the folder: free it last */
    free_lines(&m);
    if (m.tokenizer[1] != m.tokenizer[0]) ls_tokenizer_free(m.tokenizer[1]);
    ls_tokenizer_free(m.tokenizer[0]);
    ls_tokens_free(&m.tokens);
    ls_string_free(&m.lines);
    free(m.start);
    free(m.line_start);
    memcpy(options, &o, options->size); /* returns the results */
    return status;
}

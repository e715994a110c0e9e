/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports text files: reads them in pieces that ls_tokenizer_cut allows, encodes and writes them.  Memory does not
 * depend on the length of the text.
 *
 * The files, in the given order, are one text, and each file is a document.  <|endoftext|> goes between documents if
 * the tokenizer has it; in the text it ends a document.  The last part of the bytes, from the start of a character on,
 * is the split `valid`, the rest is `train`, as nanoGPT splits Shakespeare (int(0.9 n), Karpathy 2022).
 *
 * With a tokenizer of kind words each line ends with the token <eos>, as in PyTorch's word_language_model.  The newline
 * character may be missing at the end of a file.  `valid` begins at the start of a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/files/dataset_files_write.h"
#include "datasets/files/options.h"
#include "datasets/tokenizer/training/tokenizer_choice.h"

enum { PIECE = 1 << 20, LARGEST_PIECE = 64 << 20, PATH_BYTES = 4096 };
enum { TRAIN, VALID, SPLITS };

typedef struct importer {
    ls_text_import *options;
    ls_tokenizer   *tokenizer;
    int32_t         end;   /* id of <|endoftext|>; -1: none */
    bool            words; /* a tokenizer of kind words     */
    bool            loses; /* the texts of the tokens are not the text: their length is not counted */
    ls_text_writer *w[SPLITS];
    int64_t         bytes[SPLITS]; /* length of the text of the tokens */
    int64_t         size;          /* bytes of all files               */
    int64_t         cut;           /* offset where `valid` begins      */
    int64_t         read;          /* bytes read so far                */
    char           *buffer;
    size_t          room;
    ls_tokens       tokens;
    bool            had_tokenizer; /* out/tokenizer.json existed before the import */
    bool            saved_tokenizer;
} importer;

/* ---- the files --------------------------------------------------------------------------------------------------- */

static ls_status check_files(importer *m)
{
    const ls_text_import *o = m->options;
    LS_CHECK(o->files >= 1, LS_ERR_USAGE, "import text: expected at least 1 file, found none");
    for (int i = 0; i < o->files; i++) {
        struct stat st;
        LS_CHECK(stat(o->file[i], &st) == 0, LS_ERR_DATA, "%s: %s", o->file[i], strerror(errno));
        LS_CHECK(S_ISREG(st.st_mode), LS_ERR_DATA,
                 "%s: expected a regular file" LS_HINT "save the output of a pipe first: the file is read twice",
                 o->file[i]);
        m->size += st.st_size;
    }
    LS_CHECK(m->size > 0, LS_ERR_DATA, "%s: the text is empty; expected at least one character", o->file[0]);
    return LS_OK;
}

/* Finds the start of the character that contains byte `at` of a file. */
static ls_status character_at(const char *path, int64_t at, int64_t *start)
{
    unsigned char c[4];
    int64_t       from = at > 3 ? at - 3 : 0;
    FILE         *f    = fopen(path, "rb");
    LS_CHECK(f, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    size_t n = fseeko(f, (off_t)from, SEEK_SET) == 0 ? fread(c, 1, (size_t)(at - from) + 1, f) : 0;
    fclose(f);
    *start = at;
    if (n != (size_t)(at - from) + 1) return LS_OK; /* the file became shorter; import_part reports it */
    int64_t back = at;
    while (back > from && (c[back - from] & 0xc0) == 0x80) back--;
    if ((c[back - from] & 0xc0) == 0xc0) *start = back;
    return LS_OK;
}

/* Finds the start of the first line from byte `at` of a file on; the size of the file if there is none. */
static ls_status line_at(const char *path, int64_t at, int64_t *start)
{
    int   c = 0;
    FILE *f = fopen(path, "rb");
    LS_CHECK(f, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    if (fseeko(f, (off_t)at - 1, SEEK_SET) == 0)
        while ((c = getc(f)) != EOF && c != '\n') continue;
    *start = (int64_t)ftello(f);
    fclose(f);
    return LS_OK;
}

static ls_status choose_cut(importer *m)
{
    const ls_text_import *o  = m->options;
    int64_t               at = 0;
    m->cut                   = (int64_t)((double)m->size * (1 - o->valid));
    for (int i = 0; i < o->files; i++) {
        struct stat st;
        LS_CHECK(stat(o->file[i], &st) == 0, LS_ERR_DATA, "%s: %s", o->file[i], strerror(errno));
        if (m->cut > at && m->cut < at + st.st_size) {
            int64_t start = 0;
            LS_TRY((m->words ? line_at : character_at)(o->file[i], m->cut - at, &start));
            m->cut = at + start;
            break;
        }
        at += st.st_size;
    }
    LS_CHECK(o->valid <= 0 || (m->cut > 0 && m->cut < m->size), LS_ERR_DATA,
             "%s: the text has %lld bytes, too few to hold out a part of %g" LS_HINT
             "import more text, or set --valid 0",
             o->file[0], (long long)m->size, o->valid);
    return LS_OK;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static ls_status add_tokens(importer *m, int split, bool *document)
{
    const int32_t *id = m->tokens.id;
    int64_t        n  = m->tokens.count, run;
    for (int64_t i = 0; i < n; i += run) {
        for (run = 0; i + run < n;) {
            size_t bytes = 0;
            bool   ends  = id[i + run] == m->end;
            if (!ends && !m->loses) ls_tokenizer_token(m->tokenizer, id[i + run], &bytes);
            m->bytes[split] += (int64_t)bytes;
            run++;
            if (ends) break;
        }
        if (*document) LS_TRY(ls_text_writer_document(m->w[split]));
        LS_TRY(ls_text_writer_add(m->w[split], id + i, run));
        *document = id[i + run - 1] == m->end;
    }
    m->tokens.count = 0;
    return LS_OK;
}

/* Returns the length without an incomplete character at the end; `bytes` if there is only that character. */
static size_t whole_characters(const char *text, size_t bytes)
{
    for (size_t back = 1; back <= 4 && back < bytes; back++) {
        unsigned char c = (unsigned char)text[bytes - back];
        if ((c & 0xc0) == 0x80) continue;
        size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return length > back ? bytes - back : bytes;
    }
    return bytes;
}

static ls_status grow(importer *m, const char *path)
{
    size_t room   = m->room ? 2 * m->room : PIECE;
    char  *larger = realloc(m->buffer, room);
    LS_CHECK(larger, LS_ERR_ENV, "%s: out of memory for a piece of %zu bytes", path, room);
    m->buffer = larger;
    m->room   = room;
    return LS_OK;
}

/* Imports the next `bytes` bytes of an open file as a document. */
static ls_status import_part(importer *m, int split, FILE *f, const char *path, int64_t bytes)
{
    const int32_t line_end = ls_tokenizer_end(m->tokenizer);
    bool          document = true;
    size_t        held     = 0;
    char          last     = 0;
    if (m->end >= 0 && ls_text_writer_tokens(m->w[split])) LS_TRY(ls_text_writer_add(m->w[split], &m->end, 1));
    while (bytes || held) {
        if (held == m->room) LS_TRY(grow(m, path));
        size_t want = m->room - held, n;
        if ((int64_t)want > bytes) want = (size_t)bytes;
        n = fread(m->buffer + held, 1, want, f);
        LS_CHECK(n == want, LS_ERR_DATA, "%s: cannot be read to its end: %s", path,
                 ferror(f) ? strerror(errno) : "the file became shorter");
        held += n;
        bytes -= (int64_t)n;
        m->read += (int64_t)n;
        size_t part = bytes ? ls_tokenizer_cut(m->tokenizer, m->buffer, held) : held;
        if (!part && m->room < LARGEST_PIECE) continue;
        if (!part) part = whole_characters(m->buffer, held);
        LS_TRY(ls_tokenizer_encode(m->tokenizer, m->buffer, part, &m->tokens));
        LS_TRY(add_tokens(m, split, &document));
        last = m->buffer[part - 1];
        memmove(m->buffer, m->buffer + part, held - part);
        held -= part;
        if (m->options->progress) m->options->progress(m->options->context, m->read, m->size);
    }
    if (m->words && last != '\n') LS_TRY(ls_text_writer_add(m->w[split], &line_end, 1));
    return LS_OK;
}

static ls_status import_file(importer *m, const char *path)
{
    struct stat st;
    FILE       *f = fopen(path, "rb");
    LS_CHECK(f, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    ls_status status = fstat(fileno(f), &st) == 0 ? LS_OK : LS_FAIL(LS_ERR_DATA, "%s: %s", path, strerror(errno));
    int64_t   begin = m->read, left = m->cut - begin, all = status == LS_OK ? st.st_size : 0;
    int64_t   train = left < 0 ? 0 : left < all ? left : all;
    if (status == LS_OK && train) status = import_part(m, TRAIN, f, path, train);
    if (status == LS_OK && all > train) status = import_part(m, VALID, f, path, all - train);
    fclose(f);
    return status;
}

/* ---- the tokenizer ----------------------------------------------------------------------------------------------- */

static ls_status make_tokenizer(importer *m)
{
    const ls_text_import *o    = m->options;
    const char           *kind = o->tokenizer;
    ls_tokenizer_training t    = {.size_of = sizeof t, .files = o->files, .file = o->file};
    bool                  trained;
    LS_TRY(ls__training_choose(&t, "import text", kind, o->vocabulary, o->min_count, o->lowercase, &trained));
    if (trained) return ls__tokenizer_train(&m->tokenizer, &t);
    return strcmp(kind, "bytes") ? ls_tokenizer_load(&m->tokenizer, kind) : ls_tokenizer_bytes(&m->tokenizer);
}

/* ---- the import
 * --------------------------------------------------------------------------------------------------- */

static ls_status open_writers(importer *m)
{
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(m->tokenizer));
    ls_text_info info = {.vocabulary     = ls_tokenizer_size(m->tokenizer),
                         .tokenizer      = ls_tokenizer_kind_text(ls_tokenizer_kind_of(m->tokenizer)),
                         .tokenizer_hash = hash};
    info.split        = "train";
    LS_TRY(ls_text_writer_new(&m->w[TRAIN], m->options->out, &info, m->options->shards));
    if (m->options->valid <= 0) return LS_OK;
    info.split = "valid";
    return ls_text_writer_new(&m->w[VALID], m->options->out, &info, m->options->shards);
}

static ls_status run(importer *m)
{
    ls_text_import *o = m->options;
    char            path[PATH_BYTES];
    LS_CHECK(o->valid >= 0 && o->valid < 1, LS_ERR_USAGE,
             "import text: valid: expected a part of the text, from 0 to less than 1, found %g", o->valid);
    LS_CHECK(strlen(o->out) < PATH_BYTES - 64, LS_ERR_USAGE,
             "import text: %.60s...: the name of the folder is too long", o->out);
    LS_TRY(ls__split_check_folder(o->out, o->valid > 0 ? 2 : 1, (const char *const[]){"train", "valid"}));
    LS_TRY(check_files(m));
    LS_TRY(make_tokenizer(m));
    m->words = ls_tokenizer_kind_of(m->tokenizer) == LS_TOKENIZER_WORDS;
    m->loses = m->words || ls_tokenizer_kind_of(m->tokenizer) == LS_TOKENIZER_WORDPIECE;
    m->end   = m->words ? -1 : ls_tokenizer_end(m->tokenizer);
    LS_TRY(choose_cut(m));
    LS_TRY(grow(m, o->file[0]));
    LS_TRY(open_writers(m));
    for (int i = 0; i < o->files; i++) LS_TRY(import_file(m, o->file[i]));
    for (int k = 0; k < SPLITS && m->w[k]; k++) LS_TRY(ls_text_writer_finish(m->w[k], m->bytes[k]));
    snprintf(path, sizeof path, "%s/tokenizer.json", o->out);
    m->had_tokenizer = access(path, F_OK) == 0;
    LS_TRY(ls_tokenizer_save(m->tokenizer, o->out));
    m->saved_tokenizer = true;
    for (int k = 0; k < SPLITS && m->w[k]; k++) LS_TRY(ls_text_writer_close(m->w[k]));
    o->bytes        = m->loses ? m->size : m->bytes[TRAIN] + m->bytes[VALID];
    o->replaced     = m->tokens.replaced;
    o->vocabulary   = ls_tokenizer_size(m->tokenizer);
    o->train_tokens = ls_text_writer_tokens(m->w[TRAIN]);
    o->valid_tokens = m->w[VALID] ? ls_text_writer_tokens(m->w[VALID]) : 0;
    return LS_OK;
}

ls_status ls_import_text(ls_text_import *options)
{
    ls_text_import o;
    importer       m = {.options = &o};
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_text_import"));
    ls_status status = run(&m);
    if (status != LS_OK && m.saved_tokenizer && !m.had_tokenizer) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/tokenizer.json", o.out);
        unlink(path);
    }
    for (int k = SPLITS - 1; k >= 0; k--)
        ls_text_writer_free(m.w[k]); /* the first writer made the folder: free it last */
    ls_tokenizer_free(m.tokenizer);
    ls_tokens_free(&m.tokens);
    free(m.buffer);
    memcpy(options, &o, options->size); /* returns the results */
    return status;
}

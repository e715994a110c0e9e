/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads text files with one sentence per line, as sacreBLEU does: only the newline character ends a line, a carriage
 * return before it is white space at the end of the sentence, and the last line may lack its newline character.
 */
#include "datasets/files/text_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode/unicode.h"

/* gzread decompresses, or copies a file that gzip did not write. */
static ls_status read_text(gzFile file, const char *path, ls_string *text)
{
    static const unsigned piece_bytes = 1 << 16;
    char                 *piece       = malloc(piece_bytes);
    int                   n = 0, error = Z_OK;
    ls_status             status = LS_OK;
    LS_CHECK(piece, LS_ERR_ENV, "%s: out of memory", path);
    while (status == LS_OK && (n = gzread(file, piece, piece_bytes)) > 0)
        status = ls__string_append(text, piece, (size_t)n);
    free(piece);
    LS_TRY(status);
    /* A compressed file that ends too early is no error of gzread. */
    const char *message = gzerror(file, &error);
    LS_CHECK(n == 0 && error == Z_OK, LS_ERR_DATA, "%s: cannot be read: %s" LS_HINT "%s", path,
             error == Z_ERRNO ? strerror(errno) : message,
             error == Z_ERRNO ? "expected a text file" : "the compressed file is damaged or truncated");
    return LS_OK;
}

/* Records the lines of a text, or counts them if line is NULL. */
static int64_t find_lines(const ls_string *text, ls_text_line *line)
{
    int64_t count = 0;
    for (size_t start = 0; start < text->bytes; count++) {
        const char *newline = memchr(text->data + start, '\n', text->bytes - start);
        size_t      end     = newline ? (size_t)(newline - text->data) : text->bytes;
        if (line) line[count] = (ls_text_line){text->data + start, end - start};
        start = end + 1;
    }
    return count;
}

static ls_status invalid_utf8(const char *path, const ls_string *text, size_t valid)
{
    long long line  = 1;
    size_t    start = 0;
    for (size_t i = 0; i < valid; i++)
        if (text->data[i] == '\n') {
            line++;
            start = i + 1;
        }
    return LS_FAIL(LS_ERR_DATA,
                   "%s:%lld: expected UTF-8, found the byte 0x%02X after %zu bytes" LS_HINT
                   "convert the file: iconv -f latin1 -t utf-8 FILE",
                   path, line, (unsigned char)text->data[valid], valid - start);
}

static ls_status check_utf8(const char *path, ls_string *text, int64_t *replaced)
{
    const uint8_t *bytes = (const uint8_t *)text->data;
    const size_t   valid = ls__utf8_valid(bytes, text->bytes);
    ls_string      clean = {0};
    if (valid == text->bytes) return LS_OK;
    if (!replaced) return invalid_utf8(path, text, valid);
    ls_status status = ls__utf8_clean(bytes, text->bytes, &clean, replaced);
    ls_string_free(status == LS_OK ? text : &clean);
    if (status == LS_OK) *text = clean;
    return status;
}

static ls_status take_lines(ls_text_lines *lines, const char *path, int64_t *replaced)
{
    LS_CHECK(lines->text.bytes > 0, LS_ERR_DATA,
             "%s: expected one sentence per line, found an empty file" LS_HINT
             "an empty sentence is an empty line, not a missing one",
             path);
    LS_TRY(check_utf8(path, &lines->text, replaced));
    lines->count = find_lines(&lines->text, NULL);
    lines->line  = malloc((size_t)lines->count * sizeof *lines->line);
    LS_CHECK(lines->line, LS_ERR_ENV, "%s: out of memory for %lld lines", path, (long long)lines->count);
    find_lines(&lines->text, lines->line);
    return LS_OK;
}

ls_status ls__text_lines_read(ls_text_lines *lines, const char *path, int64_t *replaced)
{
    *lines      = (ls_text_lines){.path = path};
    gzFile file = gzopen(path, "rbe");
    LS_CHECK(file, LS_ERR_DATA, "%s: %s" LS_HINT "expected a text file with one sentence per line", path,
             strerror(errno));
    ls_status status = read_text(file, path, &lines->text);
    gzclose(file);
    if (status == LS_OK) status = take_lines(lines, path, replaced);
    if (status != LS_OK) ls__text_lines_free(lines);
    return status;
}

void ls__text_lines_free(ls_text_lines *lines)
{
    ls_string_free(&lines->text);
    free(lines->line);
    *lines = (ls_text_lines){0};
}

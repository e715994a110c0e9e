/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads text files with one sentence per line, as sacreBLEU does: only the newline character ends a line, a carriage
 * return before it is white space at the end of the sentence, and the last line may lack its newline character.
 */
#include "launch/score/score_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode.h"

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
static int64_t find_lines(const ls_string *text, ls_score_text *line)
{
    int64_t count = 0;
    for (size_t start = 0; start < text->bytes; count++) {
        const char *newline = memchr(text->data + start, '\n', text->bytes - start);
        size_t      end     = newline ? (size_t)(newline - text->data) : text->bytes;
        if (line) line[count] = (ls_score_text){text->data + start, end - start};
        start = end + 1;
    }
    return count;
}

static ls_status check_utf8(const char *path, const ls_string *text)
{
    size_t valid = ls__utf8_valid((const uint8_t *)text->data, text->bytes);
    if (valid == text->bytes) return LS_OK;
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

static ls_status take_lines(ls_score_lines *lines, const char *path, const ls_string *text)
{
    lines->count = find_lines(text, NULL);
    LS_CHECK(lines->count > 0, LS_ERR_DATA,
             "%s: expected one sentence per line, found an empty file" LS_HINT
             "an empty translation is an empty line, not a missing one",
             path);
    LS_TRY(check_utf8(path, text));
    lines->line = malloc((size_t)lines->count * sizeof *lines->line);
    LS_CHECK(lines->line, LS_ERR_ENV, "%s: out of memory for %lld lines", path, (long long)lines->count);
    find_lines(text, lines->line);
    return LS_OK;
}

ls_status ls__score_lines_read(ls_score_lines *lines, const char *path)
{
    ls_string text = {0};
    *lines         = (ls_score_lines){.path = path};
    gzFile file    = gzopen(path, "rbe");
    LS_CHECK(file, LS_ERR_DATA, "%s: %s" LS_HINT "expected a text file with one sentence per line", path,
             strerror(errno));
    ls_status status = read_text(file, path, &text);
    gzclose(file);
    lines->text = text.data;
    if (status == LS_OK) status = take_lines(lines, path, &text);
    if (status != LS_OK) ls__score_lines_free(lines);
    return status;
}

void ls__score_lines_free(ls_score_lines *lines)
{
    free(lines->text);
    free(lines->line);
    *lines = (ls_score_lines){0};
}

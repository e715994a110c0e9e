/* SPDX-License-Identifier: Apache-2.0
 * Reads text files in pieces that can be encoded one by one: the memory does not depend on the length of the file. */
#include "datasets/tokenizer/training/text_pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, MOST_BYTES = 64 << 20 };

/* Reads until the buffer is full or the file ends. */
static ls_status fill(int fd, const char *path, char *text, size_t room, size_t *bytes)
{
    while (*bytes < room) {
        ssize_t n = read(fd, text + *bytes, room - *bytes);
        if (n < 0 && errno == EINTR) continue;
        LS_CHECK(n >= 0, LS_ERR_DATA, "%s: cannot be read: %s" LS_HINT "expected a text file", path, strerror(errno));
        if (n == 0) break;
        *bytes += (size_t)n;
    }
    return LS_OK;
}

/* Cuts a text without a place for ls_tokenizer_cut, between two characters. */
static size_t cut_at_character(const char *text, size_t bytes)
{
    size_t at = bytes - 1;
    while (at > 0 && bytes - at < 4 && ((unsigned char)text[at] & 0xC0) == 0x80) at--;
    return at ? at : bytes;
}

static ls_status read_pieces(const ls_tokenizer *t, int fd, const char *path, char **text, ls_text_piece *take,
                             void *context)
{
    struct stat st;
    size_t      room = 0, bytes = 0, first = 2 * READ_BYTES;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < READ_BYTES) first = (size_t)st.st_size + 1;
    for (bool more = true; more;) {
        size_t cut = 0;
        while (more && cut == 0) {
            if (room - bytes < READ_BYTES && room < MOST_BYTES) {
                size_t bigger = room ? 2 * room : first;
                char  *moved  = realloc(*text, bigger);
                LS_CHECK(moved, LS_ERR_ENV, "%s: out of memory to read %zu bytes at once", path, bigger);
                *text = moved;
                room  = bigger;
            }
            LS_TRY(fill(fd, path, *text, room, &bytes));
            more = bytes == room;
            cut  = more ? ls_tokenizer_cut(t, *text, bytes) : bytes;
            if (cut == 0 && room >= MOST_BYTES) cut = cut_at_character(*text, bytes);
        }
        if (cut) LS_TRY(take(context, *text, cut));
        memmove(*text, *text + cut, bytes - cut);
        bytes -= cut;
    }
    return LS_OK;
}

ls_status ls__text_file(const ls_tokenizer *t, const char *path, ls_text_piece *take, void *context)
{
    char *text = NULL;
    int   fd   = open(path, O_RDONLY | O_CLOEXEC);
    LS_CHECK(fd >= 0, LS_ERR_DATA, "%s: %s" LS_HINT "expected a text file", path, strerror(errno));
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    ls_status status = read_pieces(t, fd, path, &text, take, context);
    free(text);
    close(fd);
    return status;
}

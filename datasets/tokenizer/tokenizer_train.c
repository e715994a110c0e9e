/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers from texts: files in pieces, the words or characters in them, and what becomes of these. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/tokenizer/tokenizer_internal.h"

enum { READ_BYTES = 1 << 20, MOST_BYTES = 64 << 20, DEFAULT_WORDS = 4 << 20 };

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* As many bytes as there is room for: fewer only at the end. */
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

/* Where to cut what allows no cut: not within a character. */
static size_t cut_anyway(const char *text, size_t bytes)
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
                LS_CHECK(moved, LS_ERR_ENV, "%s: no memory to read %zu bytes at once", path, bigger);
                *text = moved;
                room  = bigger;
            }
            LS_TRY(fill(fd, path, *text, room, &bytes));
            more = bytes == room;
            cut  = more ? ls_tokenizer_cut(t, *text, bytes) : bytes;
            if (cut == 0 && room >= MOST_BYTES) cut = cut_anyway(*text, bytes);
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

/* ---- what is in them --------------------------------------------------------------------------------------------- */

typedef struct training {
    const ls_tokenizer_training *asked;
    ls_tokenizer                *base; /* cuts texts; bytes, no merges */
    ls_arena                    *memory;
    ls_words                     words;
    uint8_t                     *seen; /* chars: by character          */
    int64_t                      bytes, replaced;
} training;

static ls_status take_words(const ls_tokenizer *t, void *context, const uint8_t *text, size_t bytes,
                            const ls_added *added)
{
    training *tr = context;
    for (size_t i = 0, n; !added && i < bytes; i += n) {
        n = ls__word(t->classes, text + i, bytes - i);
        LS_TRY(ls__words_count(&tr->words, text + i, n));
    }
    return LS_OK;
}

static ls_status take_chars(const ls_tokenizer *t, void *context, const uint8_t *text, size_t bytes,
                            const ls_added *added)
{
    training *tr = context;
    (void)t;
    for (size_t i = 0; !added && i < bytes;) {
        uint32_t code;
        i += ls__utf8_valid_next(text + i, &code);
        tr->seen[code] = 1;
    }
    return LS_OK;
}

static ls_status take_text(void *context, const char *text, size_t bytes)
{
    training *tr = context;
    tr->bytes += (int64_t)bytes;
    LS_TRY(ls__each_piece(tr->base, (const uint8_t *)text, bytes, false, &tr->replaced,
                          tr->seen ? take_chars : take_words, tr));
    return LS_OK;
}

static ls_status read_files(training *tr)
{
    for (int i = 0; i < tr->asked->files; i++) LS_TRY(ls__text_file(tr->base, tr->asked->file[i], take_text, tr));
    LS_CHECK(tr->bytes, LS_ERR_DATA, "%s%s: expected text, found none" LS_HINT "the file is empty", tr->asked->file[0],
             tr->asked->files > 1 ? " and the others" : "");
    return LS_OK;
}

/* ---- what becomes of it ------------------------------------------------------------------------------------------ */

/* Bytes in the order of the characters that they are written with: GPT-2's order. */
static void order_bytes(uint8_t byte_of[256], int32_t id_of[256])
{
    int32_t id = 0;
    for (uint32_t code = 0; id < 256; code++) {
        int byte = ls__char_byte(code);
        if (byte < 0) continue;
        byte_of[id] = (uint8_t)byte;
        id_of[byte] = id++;
    }
}

/* With <|endoftext|> as the last token, or without it. */
static ls_status make(ls_tokenizer **t, ls_tokenizer_kind kind, const ls_learned *learned, bool end,
                      const int32_t byte[256], ls_arena *memory)
{
    uint64_t  used = learned->at[learned->size], bytes = strlen(LS_END_TEXT);
    uint8_t  *text = ls_arena_alloc(memory, used + bytes);
    uint64_t *at   = ls_arena_alloc(memory, ((size_t)learned->size + 2) * sizeof *at);
    ls_added  add  = {.id = learned->size, .special = true};
    memcpy(text, learned->text, used);
    memcpy(text + used, LS_END_TEXT, bytes);
    memcpy(at, learned->at, ((size_t)learned->size + 1) * sizeof *at);
    at[learned->size + 1] = used + bytes;
    LS_TRY(ls__tokenizer_make(t, &(ls_tokenizer_parts){.kind   = kind,
                                                       .size   = learned->size + end,
                                                       .text   = text,
                                                       .at     = at,
                                                       .merges = learned->merges,
                                                       .merge  = learned->merge,
                                                       .byte   = byte,
                                                       .added  = end,
                                                       .add    = &add}));
    return LS_OK;
}

static ls_status make_base(training *tr, bool end)
{
    uint8_t  byte_of[256];
    int32_t  id_of[256];
    uint64_t at[258];
    order_bytes(byte_of, id_of);
    for (int i = 0; i <= 256; i++) at[i] = (uint64_t)i;
    LS_TRY(make(&tr->base, LS_TOKENIZER_BPE, &(ls_learned){.size = 256, .text = byte_of, .at = at}, end, id_of,
                tr->memory));
    return LS_OK;
}

static ls_status train_bpe(training *tr, ls_tokenizer **t)
{
    const ls_tokenizer_training *asked = tr->asked;
    uint8_t                      byte_of[256];
    int32_t                      id_of[256];
    ls_learned                   learned;
    LS_CHECK(asked->size >= 257 && asked->size <= LS_MAX_VOCABULARY, LS_ERR_USAGE,
             "a vocabulary of %d tokens: expected 257 (256 bytes and %s) to %d", asked->size, LS_END_TEXT,
             LS_MAX_VOCABULARY);
    LS_CHECK(asked->max_words >= 0 && asked->max_words < UINT32_MAX && asked->min_count >= 0, LS_ERR_USAGE,
             "expected max_words and min_count not to be negative, found %lld and %lld", (long long)asked->max_words,
             (long long)asked->min_count);
    tr->words.most = asked->max_words ? asked->max_words : DEFAULT_WORDS;
    order_bytes(byte_of, id_of);
    LS_TRY(make_base(tr, true));
    LS_TRY(read_files(tr));
    LS_TRY(ls__learn_merges(&tr->words, asked->size - 1, asked->min_count ? asked->min_count : 2, byte_of, tr->memory,
                            &learned));
    LS_TRY(make(t, LS_TOKENIZER_BPE, &learned, true, id_of, tr->memory));
    return LS_OK;
}

/* The first character from `code` on that was seen; LS_UNICODE_END: none. */
static uint32_t next_seen(const training *tr, uint32_t code)
{
    const uint8_t *found = memchr(tr->seen + code, 1, LS_UNICODE_END - code);
    return found ? (uint32_t)(found - tr->seen) : LS_UNICODE_END;
}

static ls_status train_chars(training *tr, ls_tokenizer **t)
{
    LS_CHECK(tr->asked->size == 0, LS_ERR_USAGE,
             "a vocabulary of %d tokens was asked for: kind chars has as many as there are characters in the text",
             tr->asked->size);
    size_t different = 0;
    LS_TRY(make_base(tr, tr->asked->end));
    tr->seen = ls_arena_alloc(tr->memory, LS_UNICODE_END);
    LS_TRY(read_files(tr));
    for (uint32_t code = 0; (code = next_seen(tr, code)) < LS_UNICODE_END; code++) different++;
    ls_learned learned = {.text = ls_arena_alloc(tr->memory, 4 * different),
                          .at   = ls_arena_alloc(tr->memory, (different + 1) * sizeof *learned.at)};
    for (uint32_t code = 0; (code = next_seen(tr, code)) < LS_UNICODE_END; code++) {
        learned.at[learned.size + 1] =
            learned.at[learned.size] + ls__utf8_put(learned.text + learned.at[learned.size], code);
        learned.size++;
    }
    LS_CHECK(learned.size, LS_ERR_DATA, "%s: expected text, found only %s", tr->asked->file[0], LS_END_TEXT);
    tr->words.words = learned.size;
    LS_TRY(make(t, LS_TOKENIZER_CHARS, &learned, tr->asked->end, NULL, tr->memory));
    return LS_OK;
}

static void tell(int64_t *where, int64_t what)
{
    if (where) *where = what;
}

ls_status ls__tokenizer_train(ls_tokenizer **t, const ls_tokenizer_training *asked)
{
    training  tr = {.asked = asked};
    ls_status status;
    LS_CHECK(asked->kind == LS_TOKENIZER_CHARS || asked->kind == LS_TOKENIZER_BPE, LS_ERR_USAGE,
             "expected a tokenizer of kind chars or bpe: kind bytes has nothing to learn");
    LS_CHECK(asked->files > 0, LS_ERR_USAGE, "expected text files to learn from, found none");
    LS_TRY(ls_arena_new(&tr.memory, "tokenizer training"));
    status = asked->kind == LS_TOKENIZER_BPE ? train_bpe(&tr, t) : train_chars(&tr, t);
    tell(asked->bytes, tr.bytes);
    tell(asked->replaced, tr.replaced);
    tell(asked->words, tr.words.words);
    tell(asked->forgotten, tr.words.forgotten);
    ls__words_free(&tr.words);
    ls_tokenizer_free(tr.base);
    ls_arena_free(tr.memory);
    return status;
}

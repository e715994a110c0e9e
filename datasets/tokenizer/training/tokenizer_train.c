/* SPDX-License-Identifier: Apache-2.0
 * Training of tokenizers: reads text files, counts their words or characters, learns merges, makes the tokenizer. */
#include <string.h>

#include "datasets/files/options.h"
#include "datasets/tokenizer/training/text_pieces.h"
#include "datasets/tokenizer/tokenizer_encode.h"
#include "datasets/tokenizer/tokenizer_make.h"
#include "datasets/tokenizer/training/tokenizer_merges.h"
#include "datasets/tokenizer/training/tokenizer_pieces.h"
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "datasets/tokenizer/training/tokenizer_words.h"
#include "datasets/tokenizer/tokenizer_wordpiece.h"
#include "datasets/tokenizer/unicode/unicode.h"

enum { DEFAULT_WORDS = 4 << 20 };

/* ---- words and characters of the files --------------------------------------------------------------------------- */

typedef struct training {
    const ls_tokenizer_training *options;
    ls_tokenizer                *base; /* tokenizer of bytes, without merges, that splits the texts */
    ls_arena                    *memory;
    ls_words                     words;
    uint8_t                     *seen; /* chars: 1 for each character of the texts; bpe: NULL */
    int64_t                      bytes, replaced;
} training;

/* Counts the words into which BERT splits a text. */
static ls_status take_pieced(training *tr, const ls_tokenizer *t, const uint8_t *text, size_t bytes)
{
    for (size_t i = 0, n, space = 0; i < bytes; i += n ? n : space) {
        n = ls__wordpiece_next(t, text + i, bytes - i, &space);
        if (n) LS_TRY(ls__words_count(&tr->words, text + i, n));
    }
    return LS_OK;
}

static ls_status take_words(const ls_tokenizer *t, void *context, const uint8_t *text, size_t bytes,
                            const ls_added *added)
{
    training *tr = context;
    if (t->kind == LS_TOKENIZER_WORDS) return ls__spaced_count(&tr->words, t->classes, text, bytes);
    if (t->kind == LS_TOKENIZER_WORDPIECE) return added ? LS_OK : take_pieced(tr, t, text, bytes);
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
    const ls_tokenizer_training *o = tr->options;
    for (int i = 0; i < o->files; i++) LS_TRY(ls__text_file(tr->base, o->file[i], take_text, tr));
    for (int64_t i = 0; i < o->lines; i++) LS_TRY(take_text(tr, o->line[i].data, o->line[i].bytes));
    LS_CHECK(tr->bytes, LS_ERR_DATA, "%s%s: expected text, found none" LS_HINT "the file is empty",
             o->files ? o->file[0] : "tokenizer training", o->files > 1 ? " and the others" : "");
    return LS_OK;
}

/* ---- the tokenizer ----------------------------------------------------------------------------------------------- */

/* Orders the bytes by the characters that stand for them, as GPT-2 does. */
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

/* Makes a tokenizer; end: with <|endoftext|> as the last token. */
static ls_status make(const training *tr, ls_tokenizer **t, ls_tokenizer_kind kind, const ls_learned *learned, bool end,
                      const int32_t byte[256])
{
    ls_arena *memory = tr->memory;
    uint64_t  used = learned->at[learned->size], bytes = strlen(LS_END_TEXT);
    uint8_t  *text = ls_arena_alloc(memory, used + bytes);
    uint64_t *at   = ls_arena_alloc(memory, ((size_t)learned->size + 2) * sizeof *at);
    ls_added  add  = {.id = learned->size, .special = true};
    memcpy(text, learned->text, used);
    memcpy(text + used, LS_END_TEXT, bytes);
    memcpy(at, learned->at, ((size_t)learned->size + 1) * sizeof *at);
    at[learned->size + 1] = used + bytes;
    LS_TRY(ls__tokenizer_make(t, &(ls_tokenizer_parts){.kind      = kind,
                                                       .size      = learned->size + end,
                                                       .text      = text,
                                                       .at        = at,
                                                       .merges    = learned->merges,
                                                       .merge     = learned->merge,
                                                       .byte      = byte,
                                                       .added     = end,
                                                       .add       = &add,
                                                       .lowercase = tr->options->lowercase}));
    return LS_OK;
}

static ls_status make_base(training *tr, bool end)
{
    uint8_t  byte_of[256];
    int32_t  id_of[256];
    uint64_t at[258];
    order_bytes(byte_of, id_of);
    for (int i = 0; i <= 256; i++) at[i] = (uint64_t)i;
    LS_TRY(make(tr, &tr->base, LS_TOKENIZER_BPE, &(ls_learned){.size = 256, .text = byte_of, .at = at}, end, id_of));
    return LS_OK;
}

static ls_status train_bpe(training *tr, ls_tokenizer **t)
{
    const ls_tokenizer_training *o = tr->options;
    uint8_t                      byte_of[256];
    int32_t                      id_of[256];
    ls_learned                   learned;
    LS_CHECK(o->size >= 257 && o->size <= LS_MAX_VOCABULARY, LS_ERR_USAGE,
             "tokenizer training: size: expected 257 (256 bytes and %s) to %d tokens, found %d", LS_END_TEXT,
             LS_MAX_VOCABULARY, o->size);
    order_bytes(byte_of, id_of);
    LS_TRY(make_base(tr, true));
    LS_TRY(read_files(tr));
    LS_TRY(ls__learn_merges(&tr->words, o->size - 1, o->min_count ? o->min_count : 2, byte_of, tr->memory, &learned));
    LS_TRY(make(tr, t, LS_TOKENIZER_BPE, &learned, true, id_of));
    return LS_OK;
}

static ls_status make_words(const training *tr, ls_tokenizer **t, const ls_learned *learned)
{
    LS_TRY(ls__tokenizer_make(t, &(ls_tokenizer_parts){.kind      = LS_TOKENIZER_WORDS,
                                                       .size      = learned->size,
                                                       .text      = learned->text,
                                                       .at        = learned->at,
                                                       .unknown   = 0,
                                                       .end       = 1,
                                                       .lowercase = tr->options->lowercase}));
    return LS_OK;
}

static ls_status train_words(training *tr, ls_tokenizer **t)
{
    const ls_tokenizer_training *o = tr->options;
    ls_learned                   learned;
    LS_CHECK(o->size == 0 || (o->size >= 3 && o->size <= LS_MAX_VOCABULARY), LS_ERR_USAGE,
             "tokenizer training: size: expected 0 or 3 (%s, %s and a word) to %d tokens, found %d", LS_UNKNOWN_WORD,
             LS_END_WORD, LS_MAX_VOCABULARY, o->size);
    ls__spaced_learn(&tr->words, 0, 1, tr->memory, &learned); /* a tokenizer without words splits the texts */
    LS_TRY(make_words(tr, &tr->base, &learned));
    LS_TRY(read_files(tr));
    ls__spaced_learn(&tr->words, o->size, o->min_count ? o->min_count : 1, tr->memory, &learned);
    LS_CHECK(learned.size <= LS_MAX_VOCABULARY, LS_ERR_DATA,
             "tokenizer training: expected at most %d words, found %d" LS_HINT "set a limit or a larger minimum count",
             LS_MAX_VOCABULARY, learned.size);
    LS_TRY(make_words(tr, t, &learned));
    return LS_OK;
}

static ls_status train_pieces(training *tr, ls_tokenizer **t)
{
    const ls_tokenizer_training *o = tr->options;
    LS_CHECK(o->size >= 100 && o->size <= LS_MAX_VOCABULARY, LS_ERR_USAGE,
             "tokenizer training: size: expected 100 to %d tokens, found %d", LS_MAX_VOCABULARY, o->size);
    LS_TRY(ls__pieces_base(&tr->base, o->lowercase));
    LS_TRY(read_files(tr));
    return ls__pieces_learn(t, &tr->words, o->size, o->min_count ? o->min_count : 2, o->lowercase, tr->memory);
}

/* Returns the first character of the texts from `code` on; LS_UNICODE_END: none. */
static uint32_t next_seen(const training *tr, uint32_t code)
{
    const uint8_t *found = memchr(tr->seen + code, 1, LS_UNICODE_END - code);
    return found ? (uint32_t)(found - tr->seen) : LS_UNICODE_END;
}

static ls_status train_chars(training *tr, ls_tokenizer **t)
{
    LS_CHECK(tr->options->size == 0, LS_ERR_USAGE,
             "tokenizer training: size: expected 0 for kind chars, found %d" LS_HINT
             "a tokenizer of characters has as many tokens as the text has different characters",
             tr->options->size);
    size_t different = 0;
    LS_TRY(make_base(tr, tr->options->end));
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
    LS_CHECK(learned.size, LS_ERR_DATA, "%s: expected text, found only %s",
             tr->options->files ? tr->options->file[0] : "tokenizer training", LS_END_TEXT);
    tr->words.words = learned.size;
    LS_TRY(make(tr, t, LS_TOKENIZER_CHARS, &learned, tr->options->end, NULL));
    return LS_OK;
}

static void set(int64_t *result, int64_t value)
{
    if (result) *result = value;
}

ls_status ls__tokenizer_train(ls_tokenizer **t, const ls_tokenizer_training *given)
{
    ls_tokenizer_training copy, *o = &copy;
    training              tr = {.options = o};
    ls_status             status;
    LS_TRY(ls__options_copy(&copy, sizeof copy, given, "ls_tokenizer_training"));
    LS_CHECK(o->kind >= LS_TOKENIZER_CHARS && o->kind <= LS_TOKENIZER_WORDPIECE, LS_ERR_USAGE,
             "tokenizer training: kind: expected chars, bpe, words or wordpiece" LS_HINT
             "ls_tokenizer_bytes needs no training");
    LS_CHECK(o->max_words >= 0 && o->max_words < UINT32_MAX && o->min_count >= 0, LS_ERR_USAGE,
             "tokenizer training: max_words, min_count: expected 0 or more, found %lld and %lld",
             (long long)o->max_words, (long long)o->min_count);
    tr.words.most = o->max_words ? o->max_words : DEFAULT_WORDS;
    LS_CHECK(o->files > 0 || o->lines > 0, LS_ERR_USAGE,
             "tokenizer training: expected at least 1 text file or line, found none");
    LS_TRY(ls_arena_new(&tr.memory, "tokenizer training"));
    status = o->kind == LS_TOKENIZER_BPE     ? train_bpe(&tr, t)
             : o->kind == LS_TOKENIZER_CHARS ? train_chars(&tr, t)
             : o->kind == LS_TOKENIZER_WORDS ? train_words(&tr, t)
                                             : train_pieces(&tr, t);
    set(o->bytes, tr.bytes);
    set(o->replaced, tr.replaced);
    set(o->words, tr.words.words);
    set(o->forgotten, tr.words.forgotten);
    ls__words_free(&tr.words);
    ls_tokenizer_free(tr.base);
    ls_arena_free(tr.memory);
    return status;
}

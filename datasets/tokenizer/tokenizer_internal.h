/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the tokenizer share.  Not public.
 *
 *     tokenizer.c         the handle; tokens to text
 *     tokenizer_encode.c  text to tokens: special tokens, invalid UTF-8, where a text may be cut
 *     tokenizer_bpe.c     one word to tokens, by merges
 *     tokenizer_load.c    tokenizer.json, vocab.json and merges.txt
 *     tokenizer_save.c    tokenizer.json
 *     tokenizer_train.c   texts of files, a tokenizer from what they hold
 *     tokenizer_words.c   words, counted
 *     tokenizer_merges.c  merges from counted words
 *     unicode.c           UTF-8, classes of characters, GPT-2's words
 */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_INTERNAL_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_INTERNAL_H

#include "core/base/arena.h"
#include "datasets/tokenizer/tokenizer.h"
#include "datasets/tokenizer/unicode.h"

#define LS_END_TEXT "<|endoftext|>"

/* A token that is found in the text before anything else is done with it. */
typedef struct ls_added {
    int32_t id;
    bool    special; /* plain text when encoding plain */
    bool late; /* "normalized": looked for in what the others have left                                             */
} ls_added;

/* A merge: two tokens that stand side by side become one.  The earlier in the list, the sooner. */
typedef struct ls_merge {
    int32_t left, right, result;
} ls_merge;

/* A slot of the table of merges, found by left and right. */
typedef struct ls_pair {
    int32_t left, right, rank, result; /* left -1: empty */
} ls_pair;

/* A slot of the table of characters. */
typedef struct ls_char {
    uint32_t code;
    int32_t  id; /* -1: empty */
} ls_char;

enum { LS_MAX_ADDED = 4096, LS_MAX_VOCABULARY = 1 << 24 };

struct ls_tokenizer {
    ls_arena         *arena;
    ls_tokenizer_kind kind;
    int32_t           size, end;
    uint64_t          hash;
    const uint8_t    *text; /* of all tokens, one behind the other                                     */
    const uint64_t   *at;   /* size + 1: token i is text[at[i] .. at[i + 1])                           */

    int             added;
    const ls_added *add;            /* by first byte, the longest first                              */
    int             add_first[257]; /* those that begin with byte b: add_first[b] .. add_first[b + 1] */
    size_t          add_longest;    /* in bytes                                                      */
    bool            late;           /* any of them is                                                */

    int64_t         merges;
    const ls_merge *merge;
    uint64_t        pair_mask; /* of the tables: a power of two, less one                       */
    const ls_pair  *pair;
    int32_t         byte[256]; /* bpe: the token of a byte                                      */
    uint64_t        word_mask;
    const int32_t  *word; /* bpe: tokens that are what their own text becomes, by its hash */

    uint64_t       char_mask; /* chars: the token of a character                               */
    const ls_char *chars;
    const uint8_t *classes; /* ls__unicode_classes                                           */
};

/* What a tokenizer is made of.  The caller has checked it: texts are not empty, ids are within 0..size-1, bpe has all
 * bytes. */
typedef struct ls_tokenizer_parts {
    ls_tokenizer_kind kind;
    int32_t           size;
    const uint8_t    *text;
    const uint64_t   *at;
    int64_t           merges;
    const ls_merge   *merge;
    const int32_t    *byte; /* bpe: the tokens of the 256 bytes */
    int               added;
    const ls_added   *add;
} ls_tokenizer_parts;

/* Copies the parts and makes the tables. */
ls_status ls__tokenizer_make(ls_tokenizer **t, const ls_tokenizer_parts *parts);

/* chars: the token of a character; -1: none. */
int32_t ls__char_token(const ls_tokenizer *t, uint32_t code);

/* bpe: the tables of merges, bytes and words, of a tokenizer whose tokens and merges are there. */
void ls__bpe_tables(ls_tokenizer *t, const int32_t byte[256]);
/* Appends the tokens of one word. */
ls_status ls__bpe_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes, ls_tokens *list);

/* GPT-2's way to write bytes as printable characters: that of byte b, and the byte of a character (-1: of none). */
uint32_t ls__byte_char(int byte);
int      ls__char_byte(uint32_t code);

/* One piece of a text, which is UTF-8: an added token, or (`added` NULL) what stands between two of them. */
typedef ls_status ls_piece(const ls_tokenizer *t, void *context, const uint8_t *text, size_t bytes,
                           const ls_added *added);
ls_status ls__each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool plain, int64_t *replaced,
                         ls_piece *take, void *context);

/* Reads a file in pieces that ls_tokenizer_cut allows.  A text that allows none for 64 MB is cut there all the same. */
typedef ls_status ls_text_piece(void *context, const char *text, size_t bytes);
ls_status         ls__text_file(const ls_tokenizer *t, const char *path, ls_text_piece *take, void *context);

/* Words and how often each occurs.  Starts as {.most = N}: when there are more, the rarest half is forgotten. */
typedef struct ls_word_count {
    uint64_t at; /* in text */
    int64_t  count;
    uint32_t bytes;
} ls_word_count;
typedef struct ls_words {
    int64_t        most;
    ls_word_count *word;
    uint8_t       *text;
    uint32_t      *slot; /* word + 1; 0: empty */
    int64_t        words, word_room, slots, forgotten;
    uint64_t       bytes, text_room;
} ls_words;
ls_status ls__words_count(ls_words *w, const uint8_t *word, size_t bytes);
void      ls__words_free(ls_words *w);

/* Merges of the words, until there are `size` tokens (bytes included) or every pair is rarer than min_count.  Token i <
 * 256 is the byte byte_of[i].  All in `memory`: texts (at: size of the result + 1) and merges. */
typedef struct ls_learned {
    int32_t   size;
    uint8_t  *text;
    uint64_t *at;
    int64_t   merges;
    ls_merge *merge;
} ls_learned;
ls_status ls__learn_merges(ls_words *w, int32_t size, int64_t min_count, const uint8_t byte_of[256], ls_arena *memory,
                           ls_learned *learned);

/* Room for n more. */
ls_status ls__tokens_reserve(ls_tokens *list, int64_t n);
ls_status ls__string_append(ls_string *s, const void *data, size_t bytes);

#endif

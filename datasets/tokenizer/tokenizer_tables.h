/* SPDX-License-Identifier: Apache-2.0
 * The struct of a tokenizer and its lookup tables.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_TABLES_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_TABLES_H

#include "core/base/arena.h"
#include "datasets/tokenizer/tokenizer.h"

#define LS_END_TEXT "<|endoftext|>"
/* Kind words: unknown words and ends of lines, as they are written in a file. */
#define LS_UNKNOWN_WORD "<unk>"
#define LS_END_WORD "<eos>"

enum { LS_MAX_ADDED = 1 << 16, LS_MAX_VOCABULARY = 1 << 24 };

/* An added token, which is searched in the text before words and bytes. */
typedef struct ls_added {
    int32_t        id;
    bool           special;        /* ls_tokenizer_encode_plain treats it as plain text            */
    bool           late;           /* "normalized": searched, normalized, in the text between the other added tokens */
    bool           lstrip, rstrip; /* takes the white space before and after it                      */
    bool           single_word;    /* is found only where no character of a word is beside it         */
    const uint8_t *text;           /* the bytes to search for                                          */
    size_t         bytes;
} ls_added;

/* A merge: the neighbours left and right become one token.  Its index in the list is its rank; lower ranks go first. */
typedef struct ls_merge {
    int32_t left, right, result;
} ls_merge;

/* A slot of the hash table of merges, keyed by left and right. */
typedef struct ls_merge_slot {
    int32_t left, right, rank, result; /* left -1: empty slot */
} ls_merge_slot;

/* How the text between added tokens is split into words. */
typedef enum ls_split {
    LS_SPLIT_GPT2,   /* ls__word                                                 */
    LS_SPLIT_DIGITS, /* each digit is a word; the text between digits: ls__word  */
    LS_SPLIT_CL100K, /* ls__word_cl100k                                          */
    LS_SPLIT_SPACES  /* before spaces, or not at all; tokens are of characters   */
} ls_split;

/* Whether a space is put before a text between added tokens that does not begin with one. */
typedef enum ls_prefix { LS_PREFIX_NEVER, LS_PREFIX_FIRST, LS_PREFIX_ALWAYS } ls_prefix;

/* Rules that turn a text into words.  Those of GPT-2 are all 0.  Bytes, so that there is no padding to hash. */
typedef struct ls_rules {
    uint8_t split;                 /* ls_split                                                            */
    uint8_t digits;                /* cl100k: longest number                                              */
    uint8_t whole;                 /* bpe, "ignore_merges": a word in the vocabulary is that token        */
    uint8_t nfc;                   /* normalizer NFC                                                      */
    uint8_t clean, chinese, strip; /* normalizer of BERT: clean_text, handle_chinese_chars, strip_accents */
    uint8_t marks;   /* spaces: a normalizer replaces them, before added tokens are searched late         */
    uint8_t prepend; /* spaces: this normalizer puts one before each text between added tokens            */
    uint8_t prefix;  /* spaces: ls_prefix of the pre-tokenizer                                            */
    uint8_t each;    /* spaces: a word ends before each of them                                           */
    uint8_t free;    /* spaces: no merge crosses a start of spaces, so that words may end there */
} ls_rules;

/* Whether a word or a part of one can be this token.  Kind wordpiece: also the text of the token; RAW: of an added
 * token that is in the vocabulary of pieces. */
#define LS_CONTINUES "##" /* before a piece in a file that continues a word */
typedef enum ls_piece_kind {
    LS_PIECE_NONE, /* an added token that is not in the vocabulary, a byte, or a text that cannot occur */
    LS_PIECE_STARTS,
    LS_PIECE_CONTINUES,
    LS_PIECE_RAW,
    LS_PIECE_RAW_CONTINUES
} ls_piece_kind;

/* Tokens around one text or two: a token's id or LS_TEMPLATE_A, LS_TEMPLATE_B, and the type of these tokens. */
enum { LS_TEMPLATE_A = -1, LS_TEMPLATE_B = -2, LS_MAX_TEMPLATE = 16 };
typedef struct ls_template_item {
    int32_t id, type;
} ls_template_item;
typedef struct ls_template {
    ls_template_item item[LS_MAX_TEMPLATE + 2];
    int              count; /* 0: a pair of texts is not supported */
} ls_template;

/* A file that a tokenizer was loaded from; ls_tokenizer_save writes it unchanged. */
typedef struct ls_tokenizer_file {
    const char *name, *data; /* NULL: none */
    size_t      bytes;
} ls_tokenizer_file;
enum { LS_TOKENIZER_FILES = 2 };

/* A slot of the hash table of characters. */
typedef struct ls_char {
    uint32_t code;
    int32_t  id; /* -1: empty slot */
} ls_char;

struct ls_tokenizer {
    ls_arena         *arena;
    ls_tokenizer_kind kind;
    int32_t           size, end; /* V; id of <|endoftext|>, of words <eos>; -1: none         */
    int32_t           unknown;   /* words, wordpiece: id of <unk>; -1: another kind          */
    bool              lowercase; /* texts are lower-cased                                    */
    uint64_t          hash;
    const uint8_t    *text; /* texts of all tokens, one after the other                      */
    const uint64_t   *at;   /* size + 1 offsets: token i is text[at[i] .. at[i + 1])         */

    int             added;
    const ls_added *add;            /* sorted by first byte, then longest first              */
    int             add_first[257]; /* those with first byte b: add_first[b] .. add_first[b + 1] */
    uint64_t        add_mask;       /* slots - 1 of `add_slot`                               */
    const int32_t  *add_slot;       /* hash table of the indices in `add`; -1: empty         */
    const size_t   *add_length;     /* different lengths of the added tokens, bytes: those with first byte b, longest
                                       first, are add_length[length_first[b] .. length_first[b + 1])              */
    int             length_first[257];
    size_t          add_longest; /* longest added token, bytes                            */
    bool            late;        /* any added token is late                               */
    bool            beside;      /* the characters beside some added token matter         */

    int64_t              merges;
    const ls_merge      *merge;
    uint64_t             pair_mask; /* slots - 1 of `pair`; slots is a power of two              */
    const ls_merge_slot *pair;
    int32_t              byte[256]; /* bpe: token of each byte; -1: none, the byte is left out      */
    uint64_t             word_mask; /* slots - 1 of `word`                                       */
    const int32_t       *word;      /* bpe: hash table of the tokens that are the result of merging their own text;
                                  words: of all tokens; wordpiece: of all pieces */

    const uint8_t *piece;         /* (optional) ls_piece_kind of each token                      */
    size_t         longest_piece; /* bytes                                                       */
    uint32_t       max_word;      /* longest word that is split into pieces, characters          */

    uint64_t       char_mask; /* slots - 1 of `chars`                                       */
    const ls_char *chars;     /* chars; bpe, spaces: hash table of the token of each character */
    const uint8_t *classes;   /* ls__unicode_classes                                        */
    const uint8_t *flags;     /* ls__unicode_flags                                          */

    ls_rules          rules;
    ls_template       single_text, text_pair;
    int32_t           before[LS_MAX_TEMPLATE], after[LS_MAX_TEMPLATE]; /* tokens of `single` beside the text */
    int               befores, afters;
    int32_t           role[LS_TOKEN_ROLES]; /* -1: none */
    ls_tokenizer_file file[LS_TOKENIZER_FILES];
};

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers: text to numbers 0 to V - 1 and back.  Public; included by datasets/datasets.h.
 *
 *     ls_tokenizer *t;
 *     ls_tokens     tokens = {0};
 *     LS_TRY(ls_tokenizer_load(&t, "gpt2"));                                   a folder, or a file in it
 *     LS_TRY_GOTO(status, ls_tokenizer_encode(t, text, bytes, &tokens), end);
 *     ... tokens.id[0 .. tokens.count) ...
 *     end: ls_tokens_free(&tokens), ls_tokenizer_free(t);
 *
 * Kinds: bytes (256 tokens and <|endoftext|>), chars (one token for each character of the training text), bpe
 * (byte-pair encoding of bytes as GPT-2's, or of characters as sentencepiece's; Sennrich et al. 2016), words (separated
 * by white space; <unk> stands for unknown words, and each newline character becomes <eos>), and wordpiece
 * (BERT's).  The files are those of Hugging Face's `tokenizers`: it reads the files of ls_tokenizer_save, of all
 * kinds, and gives the same tokens.
 *
 * A tokenizer is immutable: any number of threads may use it at once.
 */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/enum_text.h"
#include "core/base/public.h"
#include "core/base/status.h"

LS_PUBLIC_BEGIN

typedef struct ls_tokenizer ls_tokenizer;

#define LS_TOKENIZER_LIST(X)                                                                                           \
    X(LS_TOKENIZER_BYTES, "bytes")                                                                                     \
    X(LS_TOKENIZER_CHARS, "chars")                                                                                     \
    X(LS_TOKENIZER_BPE, "bpe") X(LS_TOKENIZER_WORDS, "words") X(LS_TOKENIZER_WORDPIECE, "wordpiece")
typedef enum ls_tokenizer_kind { LS_ENUMERATORS(LS_TOKENIZER_LIST) } ls_tokenizer_kind;

/* ---- construction ------------------------------------------------------------------------------------------------ */

/* Loads a tokenizer from a folder with tokenizer.json, or with vocab.json and merges.txt (GPT-2's files), or from one
 * of these files.  Checks all of it; LS_ERR_DATA names the file, the place, the expected and the found value. */
ls_status ls_tokenizer_load(ls_tokenizer **t, const char *path);
/* Makes the tokenizer of bytes: token b is the byte b, and 256 is <|endoftext|>. */
ls_status ls_tokenizer_bytes(ls_tokenizer **t);
void      ls_tokenizer_free(ls_tokenizer *t); /* NULL is allowed */

/* Writes folder/tokenizer.json, completely or not at all; makes the folder if it is missing.  A tokenizer that was
 * loaded from a tokenizer.json is written as that file was, and with the tokenizer_config.json beside it. */
ls_status ls_tokenizer_save(const ls_tokenizer *t, const char *folder);

/* A text in memory, which need not end with 0. */
typedef struct ls_text_line {
    const char *data;
    size_t      bytes;
} ls_text_line;

typedef struct ls_tokenizer_training {
    size_t            size_of; /* sizeof(ls_tokenizer_training); the macro sets it */
    ls_tokenizer_kind kind;    /* chars, bpe, words or wordpiece */
    int32_t           size;    /* bpe: V with <|endoftext|>; V is smaller if the text has too few pairs.  words: limit
                                    of V, with <unk> and <eos>; 0: none */
    int64_t min_count; /* bpe, wordpiece: smallest count of a pair that is merged; 0: 2.  words: of a word; 0: 1 */
    bool    lowercase; /* texts are lower-cased, in training and by the tokenizer */
    bool    end;       /* chars: add <|endoftext|>, which bpe always has as its last token */
    int     files;
    const char *const  *file;
    int64_t             lines; /* texts in memory to train on, instead of files */
    const ls_text_line *line;
    int64_t
        max_words; /* bpe, words: limit of distinct words in memory; 0: 4 million.  Above it the rarest are removed */
    /* Results, each optional: */
    int64_t *bytes, *replaced;  /* bytes read; invalid UTF-8 sequences in them */
    int64_t *words, *forgotten; /* distinct words at the end; occurrences of removed words */
} ls_tokenizer_training;
/* Trains a tokenizer on files, which are read in pieces: memory depends on the number of distinct words, not on the
 * length of the text.  The result is a function of the text alone.  No token crosses the end of a file or line. */
#define ls_tokenizer_train(t, ...)                                                                                     \
    ls__tokenizer_train((t), &(ls_tokenizer_training){.size_of = sizeof(ls_tokenizer_training), __VA_ARGS__})
ls_status ls__tokenizer_train(ls_tokenizer **t, const ls_tokenizer_training *options);

/* ---- properties -------------------------------------------------------------------------------------------------- */

int32_t           ls_tokenizer_size(const ls_tokenizer *t); /* V */
ls_tokenizer_kind ls_tokenizer_kind_of(const ls_tokenizer *t);
const char       *ls_tokenizer_kind_text(ls_tokenizer_kind kind);
int32_t
ls_tokenizer_end(const ls_tokenizer *t); /* id of <|endoftext|>, or else of LS_TOKEN_EOS; of words <eos>; -1: none */
int32_t ls_tokenizer_unknown(const ls_tokenizer *t); /* words, wordpiece: id of <unk>; -1: another kind */
bool    ls_tokenizer_lowercase(const ls_tokenizer *t);

/* Roles that tokenizer_config.json gives to tokens. */
#define LS_TOKEN_ROLE_LIST(X)                                                                                          \
    X(LS_TOKEN_BOS, "bos_token")                                                                                       \
    X(LS_TOKEN_EOS, "eos_token")                                                                                       \
    X(LS_TOKEN_UNK, "unk_token")                                                                                       \
    X(LS_TOKEN_SEP, "sep_token")                                                                                       \
    X(LS_TOKEN_PAD, "pad_token") X(LS_TOKEN_CLS, "cls_token") X(LS_TOKEN_MASK, "mask_token")
typedef enum ls_token_role { LS_ENUMERATORS(LS_TOKEN_ROLE_LIST) LS_TOKEN_ROLES } ls_token_role;
int32_t ls_tokenizer_role(const ls_tokenizer *t, ls_token_role role); /* -1: no token has this role */
/* Returns the *n tokens that the file's post-processor puts before and after a text, such as <s>.  ls_tokenizer_encode
 * does not add them. */
const int32_t *ls_tokenizer_before(const ls_tokenizer *t, int *n);
const int32_t *ls_tokenizer_after(const ls_tokenizer *t, int *n);
/* True for an added token that is special, such as <|im_end|>. */
bool ls_tokenizer_is_special(const ls_tokenizer *t, int32_t id);
/* Returns the id of the token with these bytes (see ls_tokenizer_token), an added one before others; -1: none. */
int32_t ls_tokenizer_find(const ls_tokenizer *t, const char *text);

uint64_t ls_tokenizer_hash(const ls_tokenizer *t); /* equal hashes: the same tokens for every text      */

/* ---- encoding and decoding --------------------------------------------------------------------------------------- */

/* A list that grows; starts as {0}. */
typedef struct ls_tokens {
    int32_t *id;
    int64_t  count, room; /* tokens; capacity */
    int64_t  replaced;    /* invalid UTF-8 sequences of all texts so far */
} ls_tokens;
void ls_tokens_free(ls_tokens *list);

/* A string that grows; starts as {0}.  A 0 follows its last byte. */
typedef struct ls_string {
    char  *data;
    size_t bytes, room; /* length without the final 0; capacity */
} ls_string;
void ls_string_free(ls_string *s);

/* Appends the tokens of a text, which may contain any bytes, 0 included.  Each maximal invalid UTF-8 subsequence
 * becomes one U+FFFD, as with Python's errors="replace"; kind bytes encodes it as it is.  Special tokens are found in
 * the text, as in Hugging Face's `encode`: "<|endoftext|>" becomes one token.  LS_ERR_DATA: the text has a character
 * that a tokenizer of kind chars has no token for. */
ls_status ls_tokenizer_encode(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list);
/* The same with special tokens as plain text (Hugging Face's encode_special_tokens), for untrusted input. */
ls_status ls_tokenizer_encode_plain(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list);

/* A text or two with the tokens that the file puts around them; starts as {0}. */
typedef struct ls_text_tokens {
    int32_t *id, *type;   /* type: 0, or 1 for tokens of the second text, as the file says       */
    int32_t *word;        /* index of the token's word within its text; -1: a token around texts */
    int64_t  count, room; /* tokens; capacity                                                    */
    int64_t  replaced;    /* invalid UTF-8 sequences of all texts so far                         */
} ls_text_tokens;
void ls_text_tokens_free(ls_text_tokens *e);

/* Encodes a text, or with `second` a pair, and replaces *e: [CLS] A [SEP] B [SEP], types 0 and 1.  max: limit of
 * tokens, those around the texts included; 0: none.  Above it the longer text loses its last tokens, until both
 * have the same number; then both do.  Special tokens are found in the texts.  LS_ERR_DATA: the file has no form
 * for pairs. */
ls_status ls_tokenizer_encode_texts(const ls_tokenizer *t, const ls_text_line *first, const ls_text_line *second,
                                    int64_t max, ls_text_tokens *e);

/* As ls_tokenizer_encode_plain for a sentence, given as a line: without white space of ASCII at its ends. */
ls_status    ls_tokenizer_encode_line(const ls_tokenizer *t, const char *line, size_t bytes, ls_tokens *list);
ls_text_line ls_text_line_trim(const char *line, size_t bytes); /* the line without that white space */

/* Returns the length of the longest prefix of a text whose tokens do not depend on the text after it.  Encode the
 * prefix, then continue behind it, with more text appended.  0: there is no such prefix; append more text, or, at the
 * end of the text or of the buffer, encode all of it. */
size_t ls_tokenizer_cut(const ls_tokenizer *t, const char *text, size_t bytes);

/* Appends the text of n tokens.  The texts of consecutive pieces, put together, are the text of the whole: a character
 * may begin in one token and end in the next.  Kind words: the text of a word ends with a space, that of <eos> is a
 * newline.  Kind wordpiece: the text of a word starts with a space.
 * LS_ERR_DATA: an id is not within 0 to V - 1. */
ls_status ls_tokenizer_decode(const ls_tokenizer *t, const int32_t *ids, int64_t n, ls_string *text);
/* Returns the bytes of one token, valid as long as the tokenizer and not ended by 0; NULL if id is not within 0 to
 * V - 1. */
const char *ls_tokenizer_token(const ls_tokenizer *t, int32_t id, size_t *bytes);

LS_PUBLIC_END

#endif

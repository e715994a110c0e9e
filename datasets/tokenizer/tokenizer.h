/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers: text to numbers 0..V-1 and back.  Public; included by datasets/datasets.h.
 *
 *     ls_tokenizer *t;
 *     ls_tokens     tokens = {0};
 *     LS_TRY(ls_tokenizer_load(&t, "gpt2"));                                   a folder, or a file in it
 *     LS_TRY_GOTO(status, ls_tokenizer_encode(t, text, bytes, &tokens), end);
 *     ... tokens.id[0 .. tokens.count) ...
 *     end: ls_tokens_free(&tokens), ls_tokenizer_free(t);
 *
 * Kinds: bytes (256 and <|endoftext|>), chars (each character that the training text has) and bpe (byte-level byte-pair
 * encoding as GPT-2's, Radford et al. 2019; Sennrich et al. 2016).  The files are those of Hugging Face's `tokenizers`,
 * which reads what ls_tokenizer_save writes, all three kinds, and gives the same tokens.
 *
 * A tokenizer never changes once it is made: any number of threads may use it at once.
 */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/enum_text.h"
#include "core/base/status.h"

LS_PUBLIC_BEGIN

typedef struct ls_tokenizer ls_tokenizer;

#define LS_TOKENIZER_LIST(X) X(LS_TOKENIZER_BYTES, "bytes") X(LS_TOKENIZER_CHARS, "chars") X(LS_TOKENIZER_BPE, "bpe")
typedef enum ls_tokenizer_kind { LS_ENUMERATORS(LS_TOKENIZER_LIST) } ls_tokenizer_kind;

/* ---- making one -------------------------------------------------------------------------------------------------- */

/* From a folder with tokenizer.json, or with vocab.json and merges.txt (GPT-2's files), or from one of these files.
 * Everything in it is checked; LS_ERR_DATA names the file, the place, what was expected and what was found. */
ls_status ls_tokenizer_load(ls_tokenizer **t, const char *path);
/* Token b is the byte b; 256 is <|endoftext|>. */
ls_status ls_tokenizer_bytes(ls_tokenizer **t);
void      ls_tokenizer_free(ls_tokenizer *t); /* NULL is allowed */

/* Writes folder/tokenizer.json (the folder is made if missing), whole or not at all. */
ls_status ls_tokenizer_save(const ls_tokenizer *t, const char *folder);

typedef struct ls_tokenizer_training {
    ls_tokenizer_kind kind; /* chars or bpe                                                                        */
    int32_t           size; /* bpe: V to reach, <|endoftext|> included; less when the text has no more pairs       */
    int64_t min_count;      /* bpe: merge no pair that is rarer; 0: 2                                              */
    bool    end;            /* chars: add <|endoftext|> (bpe always has it, as the last token)                     */
    int     files;
    const char *const *file;
    int64_t max_words; /* bpe: different words kept in memory; 0: 4 million.  Beyond, the rarest are forgotten */
    /* Told afterwards (each optional): */
    int64_t *bytes, *replaced; /* read; invalid UTF-8 sequences among them                                            */
    int64_t *words, *forgotten; /* different words at the end; occurrences of words that were forgotten */
} ls_tokenizer_training;
/* Learns from files, read in pieces: memory depends on the number of different words, not on the length of the text.
 * The result is a function of the text alone.  Each file is a text of its own: no token crosses. */
#define ls_tokenizer_train(t, ...) ls__tokenizer_train((t), &(ls_tokenizer_training){__VA_ARGS__})
ls_status ls__tokenizer_train(ls_tokenizer **t, const ls_tokenizer_training *training);

/* ---- what it is -------------------------------------------------------------------------------------------------- */

int32_t           ls_tokenizer_size(const ls_tokenizer *t); /* V */
ls_tokenizer_kind ls_tokenizer_kind_of(const ls_tokenizer *t);
const char       *ls_tokenizer_kind_text(ls_tokenizer_kind kind);
int32_t           ls_tokenizer_end(const ls_tokenizer *t);  /* <|endoftext|>; -1: it has none */
uint64_t          ls_tokenizer_hash(const ls_tokenizer *t); /* equal: the same tokens for every text */

/* ---- encode, decode ---------------------------------------------------------------------------------------------- */

/* A list that grows; starts as {0}. */
typedef struct ls_tokens {
    int32_t *id;
    int64_t  count, room;
    int64_t  replaced; /* invalid UTF-8 sequences of all texts so far */
} ls_tokens;
void ls_tokens_free(ls_tokens *list);

/* Bytes that grow; starts as {0}.  A 0 follows the last of them. */
typedef struct ls_string {
    char  *data;
    size_t bytes, room;
} ls_string;
void ls_string_free(ls_string *s);

/* Appends the tokens of a text, which may hold any bytes, 0 included.  What is not UTF-8 becomes U+FFFD, one for each
 * maximal invalid subsequence (as Python's errors="replace"; kind bytes takes it as it is).  Special tokens are found
 * in the text, as in Hugging Face's `encode`: "<|endoftext|>" becomes one token.  LS_ERR_DATA: kind chars met a
 * character it does not know. */
ls_status ls_tokenizer_encode(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list);
/* The same, but special tokens are text like any other (Hugging Face's encode_special_tokens): for what others have
 * typed. */
ls_status ls_tokenizer_encode_plain(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list);

/* The longest beginning of a text, in bytes, whose tokens do not depend on what follows: encode it, then go on from
 * there with more text behind it.  0 when there is no such place: read more; at the end of the text, or when the buffer
 * is as large as you want to have it, encode all of it. */
size_t ls_tokenizer_cut(const ls_tokenizer *t, const char *text, size_t bytes);

/* Appends the text of n tokens.  Texts of consecutive pieces put together are the text of the whole: a character may
 * begin in one token and end in the next.  LS_ERR_DATA: an id that is not within 0..V-1. */
ls_status ls_tokenizer_decode(const ls_tokenizer *t, const int32_t *ids, int64_t n, ls_string *text);
/* The bytes of one token, valid as long as the tokenizer; NULL for an id that is not within 0..V-1.  Not ended by 0. */
const char *ls_tokenizer_token(const ls_tokenizer *t, int32_t id, size_t *bytes);

LS_PUBLIC_END
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 and character classes for tokenizers.  Internal.
 *
 * The classes are those of Unicode 16 on every machine, because a later version of Unicode classifies more characters
 * as letters, and a text would get other tokens.
 */
#ifndef LS_DATASETS_TOKENIZER_UNICODE_H
#define LS_DATASETS_TOKENIZER_UNICODE_H

#include "datasets/tokenizer/tokenizer.h"

enum { LS_UNICODE_END = 0x110000, LS_UNICODE_REPLACEMENT = 0xFFFD };
#define LS_UTF8_INVALID UINT32_MAX

typedef enum ls_unicode_class {
    LS_UNICODE_OTHER,
    LS_UNICODE_SPACE,
    LS_UNICODE_LETTER,
    LS_UNICODE_NUMBER
} ls_unicode_class;

/* Returns a table with the ls_unicode_class of each of the LS_UNICODE_END characters. */
const uint8_t *ls__unicode_classes(void);

/* Flags of characters: for Digits; for BertNormalizer and BertPreTokenizer; \w for added tokens; for NFC.  JOINS: may
 * combine with a character before it, or change places with it.  CHANGES: is not its own NFC form. */
enum {
    LS_FLAG_NUMERIC     = 1,
    LS_FLAG_REMOVED     = 2,
    LS_FLAG_PUNCTUATION = 4,
    LS_FLAG_NONSPACING  = 8,
    LS_FLAG_WORD        = 16,
    LS_FLAG_JOINS       = 32,
    LS_FLAG_CHANGES     = 64
};

/* Returns a table with the flags of each of the LS_UNICODE_END characters. */
const uint8_t *ls__unicode_flags(void);

/* Decodes the first character of a non-empty text; returns its length in bytes.  *code = LS_UTF8_INVALID: these bytes
 * are a maximal subpart of an ill-formed sequence, to be replaced by one U+FFFD. */
size_t ls__utf8_next(const uint8_t *text, size_t bytes, uint32_t *code);

/* The same for text that is known to be valid UTF-8. */
static inline size_t ls__utf8_valid_next(const uint8_t *s, uint32_t *code)
{
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    if (s[0] < 0xE0) {
        *code = (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
        return 2;
    }
    if (s[0] < 0xF0) {
        *code = (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
        return 3;
    }
    *code = (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
    return 4;
}

/* Encodes a character; returns its length, at most 4 bytes. */
size_t ls__utf8_put(uint8_t *out, uint32_t code);

/* Returns the length of the longest valid prefix of a text, in bytes. */
size_t ls__utf8_valid(const uint8_t *text, size_t bytes);

/* Appends the text with U+FFFD in place of each invalid subsequence; adds their number to *replaced. */
ls_status ls__utf8_clean(const uint8_t *text, size_t bytes, ls_string *out, int64_t *replaced);

/* Appends the small letters of a valid text, as Hugging Face's normalizer Lowercase gives them: each character for
 * itself, and U+0130 as two characters. */
enum { LS_DOTTED_I = 0x130 };
ls_status ls__utf8_lower(const uint8_t *text, size_t bytes, ls_string *out);

/* Returns the length in bytes of the first word of a non-empty valid text, as GPT-2 splits texts into words:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+                            */
size_t ls__word(const uint8_t *classes, const uint8_t *text, size_t bytes);

/* The same for the form of cl100k, with `digits` as the longest number:
 *     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 *     \s+(?!\S)|\s+                                                                                             */
size_t ls__word_cl100k(const uint8_t *classes, int digits, const uint8_t *text, size_t bytes);

/* GPT-2's printable character for a byte, and the byte that a character stands for (-1: none). */
uint32_t ls__byte_char(int byte);
int      ls__char_byte(uint32_t code);

#endif

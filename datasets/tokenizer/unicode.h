/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 and classes of characters, as far as tokenizers need them.  Not public.
 *
 * The classes are those of Unicode 16, whatever libraries a machine has, so that a text has the same tokens everywhere:
 * the next Unicode will make letters of what was nothing.
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

/* One class for each of LS_UNICODE_END characters. */
const uint8_t *ls__unicode_classes(void);

/* The first character of a text that is not empty, and how many bytes it takes.  LS_UTF8_INVALID: a maximal subpart of
 * an ill-formed sequence (Unicode 16, section 3.9), which becomes one U+FFFD. */
size_t ls__utf8_next(const uint8_t *text, size_t bytes, uint32_t *code);

/* The same for text known to be UTF-8. */
static inline size_t ls__utf8_valid_next(const uint8_t *s, uint32_t *code)
{
    if (s[0] < 0x80) return *code = s[0], 1;
    if (s[0] < 0xE0) return *code = (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu), 2;
    if (s[0] < 0xF0) return *code = (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu), 3;
    return *code = (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu), 4;
}

/* Writes a character, at most 4 bytes; how many. */
size_t ls__utf8_put(uint8_t *out, uint32_t code);

/* How many bytes of the text are valid UTF-8 from its beginning on. */
size_t ls__utf8_valid(const uint8_t *text, size_t bytes);

/* Appends the text with U+FFFD for what is not UTF-8; *replaced grows by their number. */
ls_status ls__utf8_clean(const uint8_t *text, size_t bytes, ls_string *out, int64_t *replaced);

/* The length in bytes of the first word of a text that is UTF-8 and not empty, as GPT-2 cuts texts:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+                            */
size_t ls__word(const uint8_t *classes, const uint8_t *text, size_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalizers: Lowercase, NFC, those of sentencepiece, and BertNormalizer, which cleans, puts spaces around Chinese
 * characters, strips accents and lower-cases, in this order.
 */
#include "datasets/tokenizer/tokenizer_normalize.h"

#include <string.h>

#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/unicode/unicode_normalize.h"

/* The blocks of BertNormalizer's is_chinese_char, with its gap from 2B820 to 2B91F. */
static bool is_chinese(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } block[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                 {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        if (c >= block[i].first && c <= block[i].last) return true;
    return false;
}

/* Removes control characters and U+FFFD, makes white space a space, and puts spaces around Chinese characters. */
static ls_status clean(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_string *out)
{
    LS_TRY(ls__string_reserve(out, bytes + bytes / 3 * 2 + 8)); /* Chinese characters have 3 bytes or more */
    uint8_t *at = (uint8_t *)out->data;
    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t code;
        n                  = ls__utf8_valid_next(text + i, &code);
        const bool chinese = t->rules.chinese && code >= 0x3400 && is_chinese(code);
        if (t->rules.clean && t->flags[code] & LS_FLAG_REMOVED) continue;
        if (chinese) *at++ = ' ';
        if (t->rules.clean && t->classes[code] == LS_UNICODE_SPACE)
            *at++ = ' ';
        else
            for (size_t k = 0; k < n; k++) *at++ = text[i + k];
        if (chinese) *at++ = ' ';
    }
    *at        = 0;
    out->bytes = (size_t)(at - (uint8_t *)out->data);
    return LS_OK;
}

static ls_status strip(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_string *out)
{
    (void)t;
    return ls__utf8_nfd(text, bytes, LS_FLAG_NONSPACING, out);
}

static ls_status lower(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_string *out)
{
    (void)t;
    return ls__utf8_lower(text, bytes, out);
}

static ls_status nfc(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_string *out)
{
    (void)t;
    return ls__utf8_nfc(text, bytes, out);
}

/* Puts a space first, and makes U+2581, which stands for a space in files, a space. */
ls_status ls__put_spaces(const uint8_t *text, size_t bytes, bool first, ls_string *out)
{
    LS_TRY(ls__string_reserve(out, bytes + 1));
    if (first) LS_TRY(ls__string_append(out, " ", 1));
    for (const uint8_t *end = text + bytes, *at; text < end; text = at + strlen(LS_SPACE_MARK)) {
        at = memmem(text, (size_t)(end - text), LS_SPACE_MARK, strlen(LS_SPACE_MARK));
        LS_TRY(ls__string_append(out, text, (size_t)((at ? at : end) - text)));
        if (!at) break;
        LS_TRY(ls__string_append(out, " ", 1));
    }
    return LS_OK;
}

static ls_status spaces(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_string *out)
{
    return ls__put_spaces(text, bytes, t->rules.prepend, out);
}

static bool is_ascii(const uint8_t *text, size_t bytes)
{
    uint8_t all = 0;
    for (size_t i = 0; i < bytes; i++) all |= text[i];
    return all < 0x80;
}

bool ls__normalizes(const ls_tokenizer *t)
{
    return t->rules.clean || t->rules.chinese || t->rules.strip || t->rules.nfc || t->rules.marks || t->lowercase;
}

ls_status ls__normalize(const ls_tokenizer *t, const uint8_t **text, size_t *bytes, ls_string hold[2])
{
    const struct {
        bool set, ascii; /* the step is set; it may change ASCII characters */
        ls_status (*step)(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_string *out);
    } steps[] = {{t->rules.clean || t->rules.chinese, true, clean},
                 {t->rules.strip, false, strip},
                 {t->lowercase, true, lower},
                 {t->rules.nfc, false, nfc},
                 {t->rules.marks, t->rules.prepend, spaces}};
    for (size_t i = 0, next = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!steps[i].set || (!steps[i].ascii && is_ascii(*text, *bytes))) continue;
        hold[next].bytes = 0;
        LS_TRY(steps[i].step(t, *text, *bytes, &hold[next]));
        *text  = (const uint8_t *)hold[next].data;
        *bytes = hold[next].bytes;
        next   = !next;
    }
    return LS_OK;
}

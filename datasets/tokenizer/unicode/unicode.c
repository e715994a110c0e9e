/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8, Unicode character classes, GPT-2's word boundaries, and GPT-2's characters for bytes.
 *
 * Ill-formed UTF-8 is cut as the Unicode Standard recommends (Unicode 16, section 3.9, "maximal subparts"), so that the
 * number of U+FFFD is the same as in Python.
 */
#include "datasets/tokenizer/unicode/unicode.h"

#include <pthread.h>
#include <string.h>

#include "datasets/tokenizer/growable.h"

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static uint8_t        class_of[LS_UNICODE_END], flags_of[LS_UNICODE_END];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
#define X(name, first, last) {first, last, LS_UNICODE_##name},
#define L(first, last, step, distance)
    static const struct {
        uint32_t first, last;
        uint8_t class;
    } ranges[] = {
#include "datasets/tokenizer/unicode/unicode_ranges.h"
    };
#undef X
#undef L
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        memset(class_of + ranges[i].first, ranges[i].class, ranges[i].last - ranges[i].first + 1);
#define F(name, first, last) {first, last, LS_FLAG_##name},
    static const struct {
        uint32_t first, last;
        uint8_t  flag;
    } flagged[] = {
#include "datasets/tokenizer/unicode/unicode_flags.h"
    };
#undef F
    for (size_t i = 0; i < sizeof flagged / sizeof *flagged; i++)
        for (uint32_t c = flagged[i].first; c <= flagged[i].last; c++) flags_of[c] |= flagged[i].flag;
}

const uint8_t *ls__unicode_classes(void)
{
    pthread_once(&filled, fill);
    return class_of;
}

const uint8_t *ls__unicode_flags(void)
{
    pthread_once(&filled, fill);
    return flags_of;
}

/* ---- small letters ----------------------------------------------------------------------------------------------- */

/* Returns the small letter of a character, or the character itself if it has none. */
static uint32_t small_letter(uint32_t c)
{
#define X(name, first, last)
#define L(first, last, step, distance) {first, last, step, distance},
    static const struct {
        uint32_t first, last;
        int32_t  step, distance;
    } run[] = {
#include "datasets/tokenizer/unicode/unicode_ranges.h"
    };
#undef X
#undef L
    int low = 0, high = (int)(sizeof run / sizeof *run) - 1;
    while (low < high) { /* the first run that does not end before c */
        int middle = (low + high) / 2;
        if (run[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    bool has_one = c >= run[low].first && c <= run[low].last && (c - run[low].first) % (uint32_t)run[low].step == 0;
    return has_one ? c + (uint32_t)run[low].distance : c;
}

ls_status ls__utf8_lower(const uint8_t *text, size_t bytes, ls_string *out)
{
    LS_TRY(ls__string_reserve(out, bytes + bytes / 2 + 8)); /* U+0130 and U+023A become 3 bytes from 2 */
    uint8_t *at = (uint8_t *)out->data + out->bytes;
    for (size_t i = 0; i < bytes;) {
        uint32_t code;
        i += ls__utf8_valid_next(text + i, &code);
        if (code == LS_DOTTED_I) {
            at += ls__utf8_put(at, 'i');
            at += ls__utf8_put(at, 0x307); /* combining dot above */
        } else
            at += ls__utf8_put(at, small_letter(code));
    }
    *at        = 0;
    out->bytes = (size_t)(at - (uint8_t *)out->data);
    return LS_OK;
}

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------- */

size_t ls__utf8_next(const uint8_t *s, size_t bytes, uint32_t *code)
{
    unsigned lead = s[0], low = 0x80, high = 0xBF;
    size_t   length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    *code           = LS_UTF8_INVALID;
    if (length == 1) *code = lead;
    if (length < 2) return 1;
    /* Restrict the second byte where the first one would allow overlong forms, surrogates, or codes above 10FFFF. */
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xBF)
        if (i == bytes || s[i] < low || s[i] > high) return i;
    return ls__utf8_valid_next(s, code);
}

size_t ls__utf8_put(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6) out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)((0xF00u >> n & 0xF0u) | code);
    return n;
}

size_t ls__utf8_valid(const uint8_t *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        uint64_t eight = UINT64_MAX;
        uint32_t code;
        if (bytes - i >= 8) memcpy(&eight, text + i, 8);
        if ((eight & UINT64_C(0x8080808080808080)) == 0) { /* eight ASCII characters */
            i += 8;
            continue;
        }
        size_t n = ls__utf8_next(text + i, bytes - i, &code);
        if (code == LS_UTF8_INVALID) return i;
        i += n;
    }
    return bytes;
}

ls_status ls__utf8_clean(const uint8_t *text, size_t bytes, ls_string *out, int64_t *replaced)
{
    while (bytes > 0) {
        uint32_t code;
        size_t   n = ls__utf8_valid(text, bytes);
        LS_TRY(ls__string_append(out, text, n));
        if (n < bytes) {
            n += ls__utf8_next(text + n, bytes - n, &code);
            LS_TRY(ls__string_append(out, "\xEF\xBF\xBD", 3));
            ++*replaced;
        }
        text += n;
        bytes -= n;
    }
    return LS_OK;
}

/* ---- characters for bytes ---------------------------------------------------------------------------------------- */

/* True if the byte's own Latin-1 character is printable, so that it stands for the byte. */
static bool is_printable(int byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD); }

uint32_t ls__byte_char(int byte)
{
    uint32_t code = 256;
    if (is_printable(byte)) return (uint32_t)byte;
    for (int b = 0; b < byte; b++) code += !is_printable(b);
    return code;
}

int ls__char_byte(uint32_t code)
{
    if (code < 256) return is_printable((int)code) ? (int)code : -1;
    for (int b = 0; b < 256 && code >= 256; b++)
        if (!is_printable(b) && code-- == 256) return b;
    return -1;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Returns the end of the characters of one class that begin at `at`. */
static size_t end_of_class(const uint8_t *classes, const uint8_t *s, size_t bytes, size_t at, unsigned class)
{
    while (at < bytes) {
        uint32_t code;
        size_t   n = ls__utf8_valid_next(s + at, &code);
        if (classes[code] != class) break;
        at += n;
    }
    return at;
}

/* Returns the length of the contraction at s ('s 't 'm 'd 're 've 'll), or 0. */
static size_t contraction(const uint8_t *s, size_t bytes)
{
    if (bytes >= 2 && memchr("stmd", s[1], 4)) return 2;
    if (bytes < 3) return 0;
    return (s[1] == 'l' && s[2] == 'l') || (s[2] == 'e' && (s[1] == 'r' || s[1] == 'v')) ? 3 : 0;
}

size_t ls__word(const uint8_t *classes, const uint8_t *s, size_t bytes)
{
    uint32_t code;
    size_t   n = s[0] == '\'' ? contraction(s, bytes) : 0, last = 0, at = 0;
    if (n) return n;
    if (s[0] == ' ' && bytes > 1) {
        n = ls__utf8_valid_next(s + 1, &code);
        if (classes[code] != LS_UNICODE_SPACE) return end_of_class(classes, s, bytes, 1 + n, classes[code]);
    }
    n = ls__utf8_valid_next(s, &code);
    if (classes[code] != LS_UNICODE_SPACE) return end_of_class(classes, s, bytes, n, classes[code]);
    /* A run of white space ends before its last character, which belongs to the next word, unless it has only one. */
    for (; at < bytes; last = at, at += n) {
        n = ls__utf8_valid_next(s + at, &code);
        if (classes[code] != LS_UNICODE_SPACE) return last ? last : at;
    }
    return bytes;
}

/* Returns the length of the contraction at s, in capitals or small letters, or 0.  U+017F is a small s. */
static size_t any_contraction(const uint8_t *s, size_t bytes)
{
    uint8_t small[3] = {'\''};
    if (bytes >= 3 && s[1] == 0xC5 && s[2] == 0xBF) return 3;
    for (size_t i = 1; i < 3 && i < bytes; i++) small[i] = s[i] >= 'A' && s[i] <= 'Z' ? s[i] + ('a' - 'A') : s[i];
    return contraction(small, bytes < 3 ? bytes : 3);
}

static bool ends_line(uint32_t code) { return code == '\n' || code == '\r'; }

/* White space: to its last newline; else to the end of the text; else before its last character, if it has several. */
static size_t word_of_space(const uint8_t *classes, const uint8_t *s, size_t bytes)
{
    size_t at = 0, last = 0, lines = 0;
    for (size_t n; at < bytes; at += n) {
        uint32_t code;
        n = ls__utf8_valid_next(s + at, &code);
        if (classes[code] != LS_UNICODE_SPACE) break;
        last = at;
        if (ends_line(code)) lines = at + n;
    }
    return lines ? lines : at < bytes && last ? last : at;
}

size_t ls__word_cl100k(const uint8_t *classes, int digits, const uint8_t *s, size_t bytes)
{
    uint32_t code, next = 0;
    size_t   n = s[0] == '\'' ? any_contraction(s, bytes) : 0;
    if (n) return n;
    n                    = ls__utf8_valid_next(s, &code);
    const size_t then    = n < bytes ? ls__utf8_valid_next(s + n, &next) : 0;
    const unsigned class = classes[code], after = then ? classes[next] : LS_UNICODE_SPACE;
    if (class == LS_UNICODE_LETTER) return end_of_class(classes, s, bytes, n, LS_UNICODE_LETTER);
    if (class == LS_UNICODE_NUMBER) {
        for (; digits > 1 && n < bytes; digits--) {
            const size_t one = ls__utf8_valid_next(s + n, &code);
            if (classes[code] != LS_UNICODE_NUMBER) break;
            n += one;
        }
        return n;
    }
    if (!ends_line(code) && after == LS_UNICODE_LETTER)
        return end_of_class(classes, s, bytes, n + then, LS_UNICODE_LETTER);
    if (class == LS_UNICODE_OTHER || (code == ' ' && after == LS_UNICODE_OTHER)) {
        n = end_of_class(classes, s, bytes, n, LS_UNICODE_OTHER);
        while (n < bytes && ends_line(s[n])) n++;
        return n;
    }
    return word_of_space(classes, s, bytes);
}

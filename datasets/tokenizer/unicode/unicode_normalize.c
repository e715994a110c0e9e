/* SPDX-License-Identifier: Apache-2.0
 *
 * NFD and NFC (Unicode Standard Annex 15) with the tables of Hugging Face's library.
 *
 * A text is cut into segments: a character that combines with no character before it (it lacks LS_FLAG_JOINS) and the
 * characters up to the next one of this kind.  The characters of a segment are decomposed, runs of marks are sorted by
 * their combining classes, and for NFC the characters are composed again.  Most segments are one character that does
 * not change.
 */
#include "datasets/tokenizer/unicode/unicode_normalize.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/tokenizer/growable.h"

/* Hangul syllables decompose by a formula: the Unicode Standard, section 3.12. */
enum { HANGUL = 0xAC00, LEADS = 0x1100, VOWELS = 0x1161, TAILS = 0x11A7, SYLLABLES = 11172, VOWEL = 21, TAIL = 28 };

typedef struct decomposition {
    uint32_t code, first, second; /* second 0: there is one character */
    bool     again;               /* the two characters compose to `code` */
} decomposition;

static const decomposition table[] = {
#define C(first, last, class)
#define D(code, first, second, again) {code, first, second, again},
#include "datasets/tokenizer/unicode/unicode_decompositions.h"
#undef C
#undef D
};
enum { DECOMPOSITIONS = sizeof table / sizeof *table };

/* ---- look-up ----------------------------------------------------------------------------------------------------- */

static const decomposition *decomposition_of(uint32_t code)
{
    size_t low = 0, high = DECOMPOSITIONS;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (table[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < DECOMPOSITIONS && table[low].code == code ? &table[low] : NULL;
}

static uint64_t class_of(uint32_t code)
{
    static const struct {
        uint32_t first, last, class;
    } range[] = {
#define C(first, last, class) {first, last, class},
#define D(code, first, second, again)
#include "datasets/tokenizer/unicode/unicode_decompositions.h"
#undef C
#undef D
    };
    size_t low = 0, high = sizeof range / sizeof *range;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (range[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof range / sizeof *range && code >= range[low].first ? range[low].class : 0;
}

static const decomposition *composition[DECOMPOSITIONS]; /* those that compose again, by first and second */
static size_t               compositions;
static pthread_once_t       sorted = PTHREAD_ONCE_INIT;

static int by_pair(const void *x, const void *y)
{
    const decomposition *p = *(const decomposition *const *)x, *q = *(const decomposition *const *)y;
    if (p->first != q->first) return p->first < q->first ? -1 : 1;
    return p->second < q->second ? -1 : p->second > q->second;
}

static void sort_compositions(void)
{
    for (size_t i = 0; i < DECOMPOSITIONS; i++)
        if (table[i].again) composition[compositions++] = &table[i];
    qsort(composition, compositions, sizeof *composition, by_pair);
}

/* Returns the character that two characters compose to; 0: none. */
static uint32_t compose(uint32_t first, uint32_t second)
{
    const decomposition key = {.first = first, .second = second}, *p = &key, **found;
    if (first >= LEADS && first < LEADS + 19 && second >= VOWELS && second < VOWELS + VOWEL)
        return HANGUL + ((first - LEADS) * VOWEL + second - VOWELS) * TAIL;
    if (first >= HANGUL && first < HANGUL + SYLLABLES && (first - HANGUL) % TAIL == 0 && second > TAILS &&
        second < TAILS + TAIL)
        return first + second - TAILS;
    pthread_once(&sorted, sort_compositions);
    found = bsearch(&p, composition, compositions, sizeof *composition, by_pair);
    return found ? (*found)->code : 0;
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

/* The decomposed characters of a segment.  An item is class << 56 | index << 21 | code, so that sorting items of a run
 * of marks by value is stable. */
typedef struct segment {
    uint64_t *item;
    size_t    count, room;
} segment;

static uint32_t code_at(const segment *s, size_t i) { return (uint32_t)(s->item[i] & 0x1FFFFF); }
static unsigned class_at(const segment *s, size_t i) { return (unsigned)(s->item[i] >> 56); }

static ls_status push(segment *s, uint32_t code)
{
    if (s->count == s->room) {
        size_t    room = s->room ? 2 * s->room : 64;
        uint64_t *item = realloc(s->item, room * sizeof *item);
        LS_CHECK(item, LS_ERR_ENV, "text: out of memory for %zu combining characters", room);
        s->item = item;
        s->room = room;
    }
    s->item[s->count] = class_of(code) << 56 | (uint64_t)s->count << 21 | code;
    s->count++;
    return LS_OK;
}

static ls_status push_decomposed(segment *s, uint32_t code)
{
    const decomposition *d = code < 0xC0 ? NULL : decomposition_of(code);
    if (code >= HANGUL && code < HANGUL + SYLLABLES) {
        const uint32_t n = code - HANGUL;
        LS_TRY(push(s, LEADS + n / (VOWEL * TAIL)));
        LS_TRY(push(s, VOWELS + n % (VOWEL * TAIL) / TAIL));
        return n % TAIL ? push(s, TAILS + n % TAIL) : LS_OK;
    }
    if (!d) return push(s, code);
    LS_TRY(push_decomposed(s, d->first)); /* the depth is that of the table: at most 4 */
    return d->second ? push_decomposed(s, d->second) : LS_OK;
}

static int by_value(const void *x, const void *y)
{
    const uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;
    return p < q ? -1 : p > q;
}

static void sort_marks(segment *s)
{
    for (size_t i = 0, end; i < s->count; i = end) {
        for (end = i + 1; class_at(s, i) && end < s->count && class_at(s, end);) end++;
        if (end > i + 1) qsort(s->item + i, end - i, sizeof *s->item, by_value);
    }
}

static void compose_segment(segment *s)
{
    size_t   starter = SIZE_MAX, n = 0;
    unsigned last = 0; /* class of the last character behind the starter that did not compose; 0: none */
    for (size_t i = 0; i < s->count; i++) {
        const unsigned class = class_at(s, i);
        const uint32_t whole =
            starter != SIZE_MAX && (n == starter + 1 || last < class) ? compose(code_at(s, starter), code_at(s, i)) : 0;
        if (whole) {
            s->item[starter] = whole;
            continue;
        }
        if (!class) starter = n;
        last         = class;
        s->item[n++] = s->item[i];
    }
    s->count = n;
}

static ls_status put_segment(segment *s, bool composes, uint8_t without, const uint8_t *flags, ls_string *out)
{
    sort_marks(s);
    if (composes) compose_segment(s);
    LS_TRY(ls__string_reserve(out, 4 * s->count));
    for (size_t i = 0; i < s->count; i++)
        if (!(flags[code_at(s, i)] & without))
            out->bytes += ls__utf8_put((uint8_t *)out->data + out->bytes, code_at(s, i));
    out->data[out->bytes] = 0;
    s->count              = 0;
    return LS_OK;
}

/* Returns the length of the segment at the start of a text, and counts its characters. */
static size_t segment_of(const uint8_t *text, size_t bytes, const uint8_t *flags, uint32_t *first, size_t *chars)
{
    size_t at = ls__utf8_valid_next(text, first);
    for (*chars = 1; at < bytes; ++*chars) {
        uint32_t     code;
        const size_t n = ls__utf8_valid_next(text + at, &code);
        if (!(flags[code] & LS_FLAG_JOINS)) break;
        at += n;
    }
    return at;
}

static ls_status normalize(const uint8_t *text, size_t bytes, bool composes, uint8_t without, ls_string *out)
{
    const uint8_t *flags  = ls__unicode_flags();
    segment        s      = {0};
    ls_status      status = ls__string_reserve(out, bytes);
    for (size_t i = 0, n; i < bytes && status == LS_OK; i += n) {
        uint32_t first;
        size_t   chars;
        n = segment_of(text + i, bytes - i, flags, &first, &chars);
        if (chars == 1 && (first < 0xC0 || (composes && !(flags[first] & LS_FLAG_CHANGES)))) {
            if (!(flags[first] & without)) status = ls__string_append(out, text + i, n);
            continue;
        }
        for (size_t k = 0; k < n && status == LS_OK;) {
            uint32_t code;
            k += ls__utf8_valid_next(text + i + k, &code);
            status = push_decomposed(&s, code);
        }
        if (status == LS_OK) status = put_segment(&s, composes, without, flags, out);
    }
    free(s.item);
    return status;
}

ls_status ls__utf8_nfd(const uint8_t *text, size_t bytes, uint8_t without, ls_string *out)
{
    return normalize(text, bytes, false, without, out);
}

ls_status ls__utf8_nfc(const uint8_t *text, size_t bytes, ls_string *out)
{
    return normalize(text, bytes, true, 0, out);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties and small letters of characters.
 *
 * Both come from tables in the source: a score must not depend on the machine's locale or on its version of Unicode.
 */
#include "launch/score/score_unicode.h"

#include <pthread.h>

#include "datasets/tokenizer/growable.h"

enum { SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, DOTTED_I = 0x130, DOT_ABOVE = 0x307 };

static uint8_t        properties[LS_UNICODE_END];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
#define X(name, first, last) {first, last, LS_CHAR_##name},
#define L(first, last, step, distance)
    static const struct {
        uint32_t first, last;
        uint8_t  property;
    } ranges[] = {
#include "launch/score/score_unicode_ranges.h"
    };
#undef X
#undef L
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        for (uint32_t c = ranges[i].first; c <= ranges[i].last; c++) properties[c] |= ranges[i].property;
}

const uint8_t *ls__char_properties(void)
{
    pthread_once(&filled, fill);
    return properties;
}

/* Returns the small letter of a character, or the character itself if it has none. */
static int32_t small_letter(int32_t c)
{
#define X(name, first, last)
#define L(first, last, step, distance) {first, last, step, distance},
    static const struct {
        int32_t first, last, step, distance;
    } run[] = {
#include "launch/score/score_unicode_ranges.h"
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
    bool has_one = c >= run[low].first && c <= run[low].last && (c - run[low].first) % run[low].step == 0;
    return has_one ? c + run[low].distance : c;
}

/* Whether the next character in a direction (1, -1) that is not ignorable is cased. */
static bool cased_beyond(const ls_tokens *text, int64_t at, int direction)
{
    for (at += direction; at >= 0 && at < text->count; at += direction)
        if (!(properties[text->id[at]] & LS_CHAR_IGNORABLE)) return properties[text->id[at]] & LS_CHAR_CASED;
    return false;
}

ls_status ls__score_lower(ls_tokens *text, ls_tokens *spare)
{
    ls__char_properties();
    spare->count = 0;
    LS_TRY(ls__tokens_reserve(spare, 2 * text->count));
    int32_t *out = spare->id;
    for (int64_t i = 0; i < text->count; i++) {
        int32_t c = text->id[i];
        if (c == SIGMA)
            *out++ = cased_beyond(text, i, -1) && !cased_beyond(text, i, 1) ? FINAL_SIGMA : SMALL_SIGMA;
        else
            *out++ = c == DOTTED_I ? 'i' : small_letter(c);
        if (c == DOTTED_I) *out++ = DOT_ABOVE;
    }
    spare->count    = out - spare->id;
    ls_tokens other = *text;
    *text           = *spare;
    *spare          = other;
    return LS_OK;
}

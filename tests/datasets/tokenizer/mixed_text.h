/* SPDX-License-Identifier: Apache-2.0
 * Lines of many scripts, emoji, control characters and invalid UTF-8, computed by the formula of
 * tests/golden/make_tokenizer.py. */
#ifndef TESTS_DATASETS_MIXED_TEXT_H
#define TESTS_DATASETS_MIXED_TEXT_H

#include <stdint.h>
#include <string.h>

#include "datasets/tokenizer/unicode/unicode.h"

enum { MIXED_LINES = 10000, MIXED_LINE_BYTES = 512 };

static const struct {
    uint32_t first, last;
} mixed_range[] = {{0x61, 0x7A},      {0x41, 0x5A},     {0x30, 0x39},       {0x21, 0x2F},       {0x20, 0x20},
                   {0x00, 0x1F},      {0x7F, 0x9F},     {0xC0, 0x52F},      {0x590, 0xDFF},     {0x660, 0x669},
                   {0x1C80, 0x1C8F},  {0x2000, 0x200A}, {0x2150, 0x218F},   {0x3040, 0x30FF},   {0x4E00, 0x9FFF},
                   {0xAC00, 0xD7A3},  {0xFE00, 0xFFFF}, {0x10000, 0x1FFFF}, {0x1F300, 0x1FAFF}, {0x80, 0xD7FF},
                   {0xE000, 0x10FFFF}};
static const char *const mixed_word[] = {
    " the",
    "and",
    "'s",
    "'ll",
    "'re",
    "'S",
    "'",
    " '",
    "don't",
    "l'",
    "  ",
    "\r\n",
    "\t",
    "\n\n",
    " K\xc3\xb6nig",
    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91\xa6",
    "\xc2\xa0",
    "\xe3\x80\x80 ",
    "\xc2\x85",
    " \xe2\x80\xa8",
    "e\xcc\x81"};
static const char *const mixed_broken[] = {"\xc0\x80",
                                           "\xed\xa0\x80",
                                           "\xed\xbf\xbf",
                                           "\xf4\x90\x80\x80",
                                           "\xf8\x88\x80\x80\x80",
                                           "\xe0\x9f\xbf",
                                           "\xf0\x8f\xbf\xbf",
                                           "\xc3",
                                           "\xe2\x82",
                                           "\xf0\x9f\x98",
                                           "\xf0\x9f",
                                           "\xff",
                                           "\xfe",
                                           "\x80",
                                           "\xbf\xbf",
                                           "\xe2\x82\xc3",
                                           "\xef\xbf\xbd"};
enum {
    MIXED_RANGES = sizeof mixed_range / sizeof *mixed_range,
    MIXED_WORDS  = sizeof mixed_word / sizeof *mixed_word,
    MIXED_BROKEN = sizeof mixed_broken / sizeof *mixed_broken
};

static inline uint32_t mixed_draw(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

/* Writes line `index` and its "\n"; returns their length in bytes. */
static inline size_t mixed_line(uint32_t index, char line[MIXED_LINE_BYTES])
{
    uint32_t state = (index + 1) * 2654435769u, atoms = 1 + mixed_draw(&state, 16);
    size_t   at = 0;
    for (uint32_t a = 0; a < atoms; a++) {
        uint32_t    kind = mixed_draw(&state, MIXED_RANGES + 4), times = 1 + mixed_draw(&state, 5);
        const char *text = NULL;
        if (kind < MIXED_RANGES)
            while (times-- > 0)
                at += ls__utf8_put((uint8_t *)line + at,
                                   mixed_range[kind].first +
                                       mixed_draw(&state, mixed_range[kind].last - mixed_range[kind].first + 1));
        else if (kind < MIXED_RANGES + 2)
            text = mixed_word[mixed_draw(&state, MIXED_WORDS)];
        else if (kind < MIXED_RANGES + 3)
            text = mixed_broken[mixed_draw(&state, MIXED_BROKEN)];
        else
            while (times-- > 0) line[at++] = (char)(0x80 + mixed_draw(&state, 0x80));
        if (!text) continue;
        memcpy(line + at, text, strlen(text));
        at += strlen(text);
    }
    line[at++] = '\n';
    return at;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A short run of the fuzz target tests/fuzz/fuzz_recipe.c without a fuzzer: the built-in recipes with pseudorandom cuts
 * and insertions from a fixed seed. */
#define LS_FUZZ_REPLAY
#include "tests/fuzz/fuzz_recipe.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "launch/recipe/builtin_recipes.h"

static uint32_t random_state = 1;

/* Returns a pseudorandom number below `below`. */
static uint32_t draw(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

/* Texts to insert: delimiters of YAML, refused YAML features, and invalid UTF-8. */
static const char *const pieces[] = {
    "\t",   ": ",   "- ",   "{",   "}",     "[",    "]",        "\n  ",  "\n",          "&a ",      "*a",
    "!!x ", "\"",   "'",    "|\n", "#",     "0",    "-1",       "1e999", "99999999999", "kernel: ", "{kernel: -3}",
    "\xff", "\xc3", "null", "~",   "---\n", "<<: ", "layers: ", "relu",  "\\x00"};
enum { PIECES = sizeof pieces / sizeof *pieces, ROOM = 1 << 13 };

static size_t change(char *text, size_t bytes)
{
    uint32_t at  = draw((uint32_t)bytes + 1);
    size_t   cut = draw(4) ? 0 : draw((uint32_t)(bytes - at) + 1) % 20;
    memmove(text + at, text + at + cut, bytes - at - cut);
    bytes -= cut;
    const char *piece = pieces[draw(PIECES)];
    size_t      more  = strlen(piece);
    if (draw(3) == 0) more = 0;
    if (bytes + more > ROOM) return bytes;
    memmove(text + at + more, text + at, bytes - at);
    memcpy(text + at, piece, more);
    return bytes + more;
}

static void test_replay(void **state)
{
    static const char *const overrides[] = {
        "",   "optim.lr=0.1",    "model.layers=[flatten, linear: {out: 10}]", "schedule.milestones=[1,2",
        "x=", "train.batch=\xff"};
    static char text[ROOM + 64];
    for (const ls_recipe_text *t = ls__recipes; t->name; t++)
        for (int i = 0; i < 400; i++) {
            size_t      bytes    = strlen(t->text);
            const char *override = overrides[draw(sizeof overrides / sizeof *overrides)];
            memcpy(text, t->text, bytes);
            for (uint32_t n = draw(4); n-- > 0;) bytes = change(text, bytes);
            text[bytes] = 0;
            memcpy(text + bytes + 1, override, strlen(override));
            fuzz_recipe((const uint8_t *)text, bytes + 1 + strlen(override));
        }
    fuzz_recipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

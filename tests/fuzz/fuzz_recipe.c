/* SPDX-License-Identifier: Apache-2.0
 * Recipes: the bytes up to the first zero are the file, the other bytes are an override of the command line.  An
 * accepted recipe is printed and read back to the same hash, and its model is built. */
#include <stdio.h>
#include <string.h>

#include "launch/recipe/recipe.h"
#include "tests/fuzz/fuzz.h"

/* Returns the text of the recipe as ls_recipe_print writes it; to be freed. */
static char *recipe_written(const ls_recipe *r, size_t *bytes)
{
    char *text = NULL;
    FILE *out  = open_memstream(&text, bytes);
    fuzz_expect(out != NULL);
    ls_recipe_print(r, out);
    fclose(out);
    return text;
}

FUZZ_TARGET(recipe)
{
    const uint8_t *zero   = bytes ? memchr(data, 0, bytes) : NULL;
    size_t         length = zero ? (size_t)(zero - data) : bytes, rest = zero ? bytes - length - 1 : 0, written;
    char           word[4096] = "", *override[] = {word};
    ls_recipe     *r, *again;
    if (rest >= sizeof word) rest = sizeof word - 1;
    if (zero) memcpy(word, zero + 1, rest);

    ls_status status = ls_recipe_parse(&r, (const char *)data, length, "fuzz.yaml", rest > 0, override);
    fuzz_status(status);
    fuzz_expect((status == LS_OK) == (r != NULL));
    if (status != LS_OK) return;
    char *text = recipe_written(r, &written);
    fuzz_expect(ls_recipe_parse(&again, text, written, "again.yaml", 0, NULL) == LS_OK);
    fuzz_expect(!strcmp(r->hash, again->hash) && !strcmp(r->full_hash, again->full_hash));
    ls_graph  *g = ls_graph_new();
    ls_tensor *logits;
    fuzz_status(ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 1, 28, 28),
                                &(ls_recipe_output){10, "class", "images"}, &logits));
    ls_graph_free(g);
    ls_recipe_free(again);
    ls_recipe_free(r);
    free(text);
}

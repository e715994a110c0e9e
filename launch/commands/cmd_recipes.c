/* SPDX-License-Identifier: Apache-2.0
 * `lockstep recipes`: ls, cat, cp, layers, keys. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "launch/commands/command_table.h"
#include "launch/recipe/recipe.h"
#include "launch/recipe/builtin_recipes.h"

/* Prints a recipe's name and the first line of its comment after the licence. */
static void print_summary(const ls_recipe_text *t)
{
    const char *line = t->text;
    while (line && *line == '#' && strstr(line, "SPDX") && strstr(line, "SPDX") < strchr(line, '\n'))
        line = strchr(line, '\n') + 1;
    int length = *line == '#' ? (int)strcspn(line + 2, "\n") : 0;
    printf("%-24s %.*s\n", t->name, length, length ? line + 2 : "");
}

static ls_status copy(const ls_recipe_text *t, const char *path)
{
    FILE *out = fopen(path, "wx");
    LS_CHECK(out, LS_ERR_ENV, "%s: cannot create the file: %s%s", path, strerror(errno),
             errno == EEXIST ? LS_HINT "name another file: recipes cp NAME FILE" : "");
    bool bad = fputs(t->text, out) < 0;
    bad |= fclose(out) != 0;
    if (bad) {
        int why = errno;
        remove(path);
        return LS_FAIL(LS_ERR_ENV, "%s: cannot write the recipe: %s", path, strerror(why));
    }
    printf("%s\n", path);
    return LS_OK;
}

static ls_status list(int argc, char **argv)
{
    static ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    for (const ls_recipe_text *t = ls__recipes; t->name; t++) print_summary(t);
    return LS_OK;
}

static ls_status cat(int argc, char **argv)
{
    static ls_args        args;
    const ls_recipe_text *t;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls__recipe_find(&t, args.positional[0]));
    fputs(t->text, stdout);
    return LS_OK;
}

static ls_status cp(int argc, char **argv)
{
    static ls_args        args;
    const ls_recipe_text *t;
    char                  path[512];
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls__recipe_find(&t, args.positional[0]));
    snprintf(path, sizeof path, "%s.yaml", t->name);
    return copy(t, args.positionals > 1 ? args.positional[1] : path);
}

static ls_status layers(int argc, char **argv)
{
    static ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    ls_recipe_print_layers(stdout);
    return LS_OK;
}

static ls_status keys(int argc, char **argv)
{
    static ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    ls_recipe_print_keys(stdout);
    return LS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

const ls_command ls__command_recipes_ls     = {"recipes ls", "", "list the built-in recipes", .run = list};
const ls_command ls__command_recipes_cat    = {"recipes cat", "NAME", "print a built-in recipe", .run = cat};
const ls_command ls__command_recipes_cp     = {"recipes cp", "NAME [FILE]",
                                               "copy a built-in recipe to a file; default NAME.yaml", .run = cp};
const ls_command ls__command_recipes_layers = {
    "recipes layers", "", "list the models and layers that a recipe can name, with their attributes", .run = layers};
const ls_command ls__command_recipes_keys = {"recipes keys", "", "list every key of a recipe: type, default, meaning",
                                             .run = keys};

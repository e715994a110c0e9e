/* SPDX-License-Identifier: Apache-2.0
 * `lockstep recipes`: ls, cat, cp, layers, keys. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "launch/commands/command_table.h"
#include "launch/recipe/recipe.h"
#include "launch/recipe/builtin_recipes.h"

/* The first line of a recipe's comment that is not the licence's. */
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
    LS_CHECK(out, LS_ERR_ENV, "%s: could not make the file: %s%s", path, strerror(errno),
             errno == EEXIST ? LS_HINT "give another name: recipes cp NAME FILE" : "");
    bool bad = fputs(t->text, out) < 0;
    bad |= fclose(out) != 0;
    if (bad) {
        int why = errno;
        remove(path);
        return LS_FAIL(LS_ERR_ENV, "%s: could not write the recipe: %s", path, strerror(why));
    }
    printf("%s\n", path);
    return LS_OK;
}

ls_status ls__recipes_command(int argc, char **argv)
{
    const ls_recipe_text *t = NULL;
    ls_args               args;
    char                  path[512];
    LS_TRY(ls_args_parse(&args, argc, argv));
    if (!strcmp(argv[1], "ls")) {
        for (t = ls__recipes; t->name; t++) print_summary(t);
    } else if (!strcmp(argv[1], "keys")) {
        ls_recipe_print_keys(stdout);
    } else if (!strcmp(argv[1], "layers")) {
        ls_recipe_print_layers(stdout);
    } else {
        LS_TRY(ls__recipe_find(&t, args.positional[0]));
        if (!strcmp(argv[1], "cat"))
            fputs(t->text, stdout);
        else {
            snprintf(path, sizeof path, "%s.yaml", t->name);
            LS_TRY(copy(t, args.positionals > 1 ? args.positional[1] : path));
        }
    }
    return LS_OK;
}

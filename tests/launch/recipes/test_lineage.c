/* SPDX-License-Identifier: Apache-2.0
 * The table of launch/recipes/README.md: each command has words that the program accepts, recipes that load with their
 * keys, and runs that a row above has made.  test_lineage_slow.c runs the commands. */
#include "tests/launch/recipes/lineage_table.h"

#include "launch/commands/command_table.h"
#include "launch/lockstep.h"

enum { MOST_WORDS = 32 };

static lineage_row table[MOST_ROWS];
static int         rows;

/* Splits a command at spaces outside single quotes, which it removes. */
static int words_of(const char *command, char *buffer, char **word)
{
    int n = 0;
    for (const char *at = command; *at;) {
        bool quotes = false;
        assert_true(n < MOST_WORDS);
        for (word[n++] = buffer; *at && (quotes || *at != ' '); at++)
            if (*at == '\'')
                quotes = !quotes;
            else
                *buffer++ = *at;
        *buffer++ = 0;
        while (*at == ' ') at++;
    }
    return n;
}

/* Splits "NAME,key=value,..." into the name and its keys. */
static int own_keys(char *word, char **key)
{
    int n = 0;
    for (char *comma = strchr(word, ','); comma; comma = strchr(comma + 1, ',')) {
        *comma   = 0;
        key[n++] = comma + 1;
    }
    return n;
}

static bool is_run(const char *word) { return !strncmp(word, "runs/", 5); }

static const char *run_of(const ls_args *a, const char *recipe)
{
    static char path[CELL];
    const char *given = NULL;
    for (int i = 0; i < a->overrides; i++)
        if (!strncmp(a->override[i], "run.dir=", 8)) given = a->override[i] + 8;
    snprintf(path, sizeof path, "%s%s", given ? given : "runs/", given ? "" : recipe);
    return path;
}

/* Whether the row makes the run. */
static bool makes(const lineage_row *row, const char *run)
{
    static ls_args a;
    char           buffer[CELL], *word[MOST_WORDS], path[CELL];
    const int      n = words_of(row->command, buffer, word);
    assert_int_equal(ls_args_parse(&a, n - 1, word + 1), LS_OK);
    if (!strcmp(a.command->name, "train")) return !strcmp(run_of(&a, a.positional[0]), run);
    if (strcmp(a.command->name, "compare") != 0) return false;
    for (int i = 1; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s-1", ls_args_option(&a, "dir") ? ls_args_option(&a, "dir") : "runs/compare",
                 word[i]);
        if (!strcmp(path, run)) return true;
    }
    return false;
}

/* Loads a recipe with its own keys and those of the command. */
static void load(const lineage_row *row, const char *word, const ls_args *a)
{
    char       recipe[CELL], *key[2 * MOST_WORDS];
    ls_recipe *r;
    snprintf(recipe, sizeof recipe, "%s", word);
    int n = own_keys(recipe, key);
    for (int i = 0; i < a->overrides; i++)
        if (!memchr(a->override[i], ',', strcspn(a->override[i], "="))) key[n++] = a->override[i];
    if (ls_recipe_load(&r, recipe, n, key) != LS_OK) fail_msg("%s: %s", row->command, ls_error_message());
    ls_recipe_free(r);
}

static void check(int i)
{
    static ls_args a;
    char           buffer[CELL], *word[MOST_WORDS];
    const int      n = words_of(table[i].command, buffer, word);
    if (n < 3 || strcmp(word[0], "lockstep") != 0) fail_msg("%s: expected a command of lockstep", table[i].command);
    if (ls_args_parse(&a, n - 1, word + 1) != LS_OK) fail_msg("%s: %s", table[i].command, ls_error_message());
    if (!table[i].shows) fail_msg("%s: expected an output or a picture to look at", table[i].command);
    for (int k = 0; k < a.positionals; k++) {
        bool made = false;
        for (int above = 0; above < i && !made; above++) made = makes(&table[above], a.positional[k]);
        if (is_run(a.positional[k]) && !made) fail_msg("%s: no row above makes the run", table[i].command);
        if (!is_run(a.positional[k])) load(&table[i], a.positional[k], &a);
    }
    for (int k = 0; k < a.overrides; k++)
        if (memchr(a.override[k], ',', strcspn(a.override[k], "="))) load(&table[i], a.override[k], &a);
}

static void commands_are_accepted(void **state)
{
    (void)state;
    assert_true(rows > 20);
    for (int i = 0; i < rows; i++) check(i);
}

/* A row of another form would be left out. */
static void each_row_has_four_columns(void **state)
{
    (void)state;
    int         n    = 0;
    const char *text = text_of(LOCKSTEP_SOURCE "/launch/recipes/README.md");
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) n += *line == '|';
    assert_int_equal(n, rows + 2); /* the head and its rule */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands_are_accepted),
                                       cmocka_unit_test(each_row_has_four_columns)};
    rows                            = lineage_table(table);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

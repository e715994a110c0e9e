/* SPDX-License-Identifier: Apache-2.0
 * Reading, checking and printing the values of recipe keys, by the table of recipe_schema.c. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/recipe/recipe_internal.h"

static const char *const *key_words(const ls_key *k) { return k->kind == LS_KEY_MODEL ? ls__model_names() : k->words; }

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool ls__read_int(const ls_yaml *y, int64_t *value)
{
    if (y->kind != LS_YAML_SCALAR || y->quoted) return false;
    const char *digits = y->text + (*y->text == '-' || *y->text == '+');
    if (!*digits || digits[strspn(digits, "0123456789")]) return false;
    errno  = 0;
    *value = strtoll(y->text, NULL, 10);
    return errno == 0;
}

bool ls__read_float(const ls_yaml *y, double *value)
{
    if (y->kind != LS_YAML_SCALAR || y->quoted || !*y->text || y->text[strspn(y->text, "0123456789.eE+-")])
        return false;
    char *end;
    *value = strtod(y->text, &end);
    return !*end && isfinite(*value);
}

/* Reads a number of bytes, with an optional unit: 8GiB, 1.5 GB, 4096. */
static bool read_bytes(const ls_yaml *y, int64_t *value)
{
    static const struct {
        const char *name;
        double      bytes;
    } units[] = {
        {"", 1},     {"B", 1},    {"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1e12 * 1.099511627776},
        {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9},   {"TB", 1e12}};
    char  *end = NULL;
    double number;
    if (y->kind != LS_YAML_SCALAR || !strspn(y->text, "0123456789.")) return false;
    number = strtod(y->text, &end);
    while (*end == ' ') end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].name) && isfinite(number)) {
            *value = (int64_t)fmin(number * units[i].bytes, 9e15);
            return true;
        }
    return false;
}

bool ls__read_bool(const ls_yaml *y, bool *value)
{
    if (y->kind != LS_YAML_SCALAR || y->quoted || (strcmp(y->text, "true") != 0 && strcmp(y->text, "false") != 0))
        return false;
    *value = *y->text == 't';
    return true;
}

static const char *words_list(ls_arena *arena, const char *const *words)
{
    const char *list = "";
    for (int i = 0; words[i]; i++) list = ls_arena_printf(arena, "%s%s%s", list, i ? ", " : "", words[i]);
    return list;
}

/* Messages leave out upper bounds from here on, except for a value above such a bound (above_hidden_bound). */
#define UNREACHED 1e6

static const char *range(ls_arena *arena, const char *noun, double low, double high)
{
    if (high >= UNREACHED) return ls_arena_printf(arena, "%s of at least %g", noun, low);
    return ls_arena_printf(arena, "%s from %g to %.9g", noun, low, high);
}

const char *ls__key_expects(ls_arena *arena, const ls_key *k)
{
    switch (k->kind) {
    case LS_KEY_INT:
    case LS_KEY_INT32:
        return ls_arena_printf(arena, "%s%s%s", k->words ? words_list(arena, k->words) : "", k->words ? ", or " : "",
                               range(arena, "a whole number", k->low, k->high));
    case LS_KEY_BYTES:
        return "a number of bytes, such as 8GiB, 512MiB or 4096";
    case LS_KEY_FLOAT:
        return range(arena, "a number", k->low, k->high);
    case LS_KEY_BOOL:
        return "true or false";
    case LS_KEY_STRING:
        return "a text";
    case LS_KEY_ENUM:
    case LS_KEY_MODEL:
        return ls_arena_printf(arena, "one of %s", words_list(arena, key_words(k)));
    case LS_KEY_STRINGS:
        return ls_arena_printf(arena, "a list of 1 to %g names, like [x, y]", k->high);
    case LS_KEY_INTS:
        return ls_arena_printf(arena, "a list of at most %g increasing whole numbers, like [100, 200]", k->high);
    case LS_KEY_FLOATS:
        return ls_arena_printf(arena, "a list of two numbers from %g to %g, like [0.9, 0.999]", k->low, k->high);
    case LS_KEY_REALS:
        return ls_arena_printf(arena, "a list of 1 to %g numbers, like [0.5, 0.5, 0.5]", k->high);
    case LS_KEY_LAYERS:
        return ls_arena_printf(arena, "a list of at most %g layers", k->high);
    case LS_KEY_OPTIONS:
        return "a map of the model's options, like {hidden: 256}";
    case LS_KEY_GROUPS:
        return ls_arena_printf(arena, "a list of at most %g maps {params, lr_scale, weight_decay}", k->high);
    case LS_KEY_PHASES:
        return ls_arena_printf(arena, "a list of at most %g maps of keys, like [{optim.lr: 0.1}, {optim.lr: 0.01}]",
                               k->high);
    }
    return "";
}

static bool set_ints(const ls_key *k, void *at, const ls_yaml *list)
{
    int64_t *values = at, value;
    int      n      = 0;
    if (list->kind != LS_YAML_LIST) return false;
    memset(values, 0, ((size_t)k->high + 1) * sizeof *values);
    for (const ls_yaml *y = list->first; y; y = y->next) {
        if (n >= (int)k->high || !ls__read_int(y, &value) || value < (int64_t)k->low || (n && value <= values[n - 1]))
            return false;
        values[n++] = value;
    }
    return true;
}

static bool set_floats(const ls_key *k, void *at, const ls_yaml *list)
{
    double value[2];
    int    n = 0;
    if (list->kind != LS_YAML_LIST) return false;
    for (const ls_yaml *y = list->first; y; y = y->next, n++)
        if (n == 2 || !ls__read_float(y, &value[n]) || value[n] < k->low || value[n] > k->high) return false;
    if (n != 2) return false;
    for (int i = 0; i < 2; i++) ((float *)at)[i] = (float)value[i];
    return true;
}

static bool set_reals(const ls_key *k, ls_reals *at, const ls_yaml *list)
{
    double value;
    *at = (ls_reals){0};
    if (list->kind != LS_YAML_LIST) return false;
    for (const ls_yaml *y = list->first; y; y = y->next) {
        if (at->count == (int)k->high || !ls__read_float(y, &value)) return false;
        at->value[at->count++] = (float)value;
    }
    return at->count > 0;
}

/* One name, or a list of names without repetition. */
static bool set_strings(const ls_key *k, const char **at, const ls_yaml *y)
{
    int n = 0;
    memset(at, 0, ((size_t)k->high + 1) * sizeof *at);
    if (y->kind == LS_YAML_MAP) return false;
    for (const ls_yaml *part = y->kind == LS_YAML_LIST ? y->first : y; part; part = part->next) {
        if (n >= (int)k->high || part->kind != LS_YAML_SCALAR || ls__yaml_is_null(part)) return false;
        for (int i = 0; i < n; i++)
            if (!strcmp(at[i], part->text)) return false;
        at[n++] = part->text;
        if (y->kind != LS_YAML_LIST) break;
    }
    return n > 0;
}

static int find_word(const char *const *words, const ls_yaml *y)
{
    if (words == ls__optim_texts && y->kind == LS_YAML_SCALAR && !strcmp(y->text, "nesterov")) return LS_OPTIM_NAG;
    for (int i = 0; y->kind == LS_YAML_SCALAR && words[i]; i++)
        if (!strcmp(words[i], y->text)) return i;
    return -1;
}

/* Stores the value `y` of a key in the recipe; false when the key does not accept it. */
static bool set_value(ls_recipe *r, const ls_key *k, const ls_yaml *y)
{
    void   *at = (char *)r + k->offset;
    int64_t whole;
    double  real;
    int     word;
    switch (k->kind) {
    case LS_KEY_INT:
        if (k->words && (word = find_word(k->words, y)) >= 0) {
            *(int64_t *)at = word;
            return true;
        }
        if (!ls__read_int(y, &whole) || (double)whole < k->low || (double)whole > k->high) return false;
        *(int64_t *)at = whole;
        return true;
    case LS_KEY_INT32:
        if (!ls__read_int(y, &whole) || (double)whole < k->low || (double)whole > k->high) return false;
        *(int *)at = (int)whole;
        return true;
    case LS_KEY_BYTES:
        if (!read_bytes(y, &whole) || (double)whole < k->low || (double)whole > k->high) return false;
        *(int64_t *)at = whole;
        return true;
    case LS_KEY_FLOAT:
        if (!ls__read_float(y, &real) || real < k->low || real > k->high) return false;
        *(float *)at = (float)real;
        return true;
    case LS_KEY_BOOL:
        return ls__read_bool(y, at);
    case LS_KEY_STRING:
        if (y->kind != LS_YAML_SCALAR) return false;
        *(const char **)at = y->text;
        return true;
    case LS_KEY_ENUM:
        if ((word = find_word(key_words(k), y)) < 0) return false;
        memcpy(at, &word, sizeof word); /* enums have the size of an int */
        return true;
    case LS_KEY_MODEL:
        if ((word = find_word(key_words(k), y)) < 0) return false;
        *(const char **)at = key_words(k)[word];
        return true;
    case LS_KEY_INTS:
        return set_ints(k, at, y);
    case LS_KEY_STRINGS:
        return set_strings(k, at, y);
    case LS_KEY_FLOATS:
        return set_floats(k, at, y);
    case LS_KEY_REALS:
        return set_reals(k, at, y);
    case LS_KEY_LAYERS:
    case LS_KEY_OPTIONS:
    case LS_KEY_GROUPS:
    case LS_KEY_PHASES:
        return false; /* lists and maps, which recipe_layers.c reads */
    }
    return false;
}

/* Whether `y` is a number above an upper bound that `range` leaves out. */
static bool above_hidden_bound(const ls_key *k, const ls_yaml *y)
{
    bool number = k->kind == LS_KEY_INT || k->kind == LS_KEY_INT32 || k->kind == LS_KEY_FLOAT;
    return number && k->high >= UNREACHED && y->kind == LS_YAML_SCALAR && strtod(y->text, NULL) > k->high;
}

ls_status ls__key_set(ls_recipe *r, const ls_key *k, const ls_yaml *value, const char *place)
{
    if (k->kind == LS_KEY_LAYERS) return ls__layers_set(r, value, place);
    if (k->kind == LS_KEY_OPTIONS) return ls__options_set(r, value, place);
    if (k->kind == LS_KEY_GROUPS) return ls__groups_set(r, value, place);
    if (k->kind == LS_KEY_PHASES) return ls__phases_set(r, value, place);
    if (set_value(r, k, value)) return LS_OK;
    const char *const *words = key_words(k);
    const char        *near  = NULL;
    if (words && value->kind == LS_YAML_SCALAR) {
        int n = 0;
        while (words[n]) n++;
        near = ls_nearest(value->text, n, words);
    }
    const char *hint     = near ? ls_arena_printf(r->arena, LS_HINT "did you mean '%s'?", near) : "";
    const char *expected = above_hidden_bound(k, value) ? ls_arena_printf(r->arena, "at most %.16g", k->high)
                                                        : ls__key_expects(r->arena, k);
    return LS_FAIL(LS_ERR_USAGE, "%s: expected %s, found %s%s", place, expected, ls__yaml_describe(r->arena, value),
                   hint);
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* Prints the shortest text that reads back as the same float: 0.05, not 0.0500000007. */
static void print_float(FILE *out, float x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    fputs(text, out);
}

bool ls__key_print(const ls_recipe *r, const ls_key *k, FILE *out)
{
    const void     *at    = (const char *)r + k->offset;
    const int64_t  *whole = at;
    const ls_reals *reals = at;
    const char     *text;
    int             word;
    switch (k->kind) {
    case LS_KEY_INT:
        for (int i = 0; k->words && k->words[i]; i++)
            if (*whole == i) return fputs(k->words[i], out) >= 0;
        fprintf(out, "%lld", (long long)*whole);
        return true;
    case LS_KEY_BYTES:
        fprintf(out, "%lld", (long long)*whole);
        return true;
    case LS_KEY_INT32:
        fprintf(out, "%d", *(const int *)at);
        return true;
    case LS_KEY_FLOAT:
        print_float(out, *(const float *)at);
        return true;
    case LS_KEY_BOOL:
        fputs(*(const bool *)at ? "true" : "false", out);
        return true;
    case LS_KEY_STRING:
    case LS_KEY_MODEL:
        if (!(text = *(const char *const *)at)) return false;
        ls__yaml_print_string(out, text);
        return true;
    case LS_KEY_ENUM:
        memcpy(&word, at, sizeof word);
        fputs(k->words[word], out);
        return true;
    case LS_KEY_INTS:
        if (!*whole) return false;
        for (int i = 0; whole[i]; i++) fprintf(out, "%s%lld", i ? ", " : "[", (long long)whole[i]);
        fputs("]", out);
        return true;
    case LS_KEY_FLOATS:
        fputs("[", out);
        print_float(out, ((const float *)at)[0]);
        fputs(", ", out);
        print_float(out, ((const float *)at)[1]);
        fputs("]", out);
        return true;
    case LS_KEY_REALS:
        if (!reals->count) return false;
        for (int i = 0; i < reals->count; i++) {
            fputs(i ? ", " : "[", out);
            print_float(out, reals->value[i]);
        }
        fputs("]", out);
        return true;
    case LS_KEY_STRINGS:
        if (!*(const char *const *)at) return false;
        for (const char *const *name = at; *name; name++) {
            fputs(name == at ? "[" : ", ", out);
            ls__yaml_print_string(out, *name);
        }
        fputs("]", out);
        return true;
    case LS_KEY_LAYERS:
        if (!r->model.layers.count) return false;
        ls__layers_print(r, out);
        return true;
    case LS_KEY_OPTIONS:
        if (!r->model.options.attributes) return false;
        ls__options_print(r, out);
        return true;
    case LS_KEY_GROUPS:
        if (!r->optim.group[0].glob) return false;
        ls__groups_print(r, out);
        return true;
    case LS_KEY_PHASES:
        if (!r->train.phases) return false;
        ls__phases_print(r, out);
        return true;
    }
    return false;
}

void ls_recipe_print_keys(FILE *out)
{
    static const char *const kinds[] = {
        [LS_KEY_INT] = "int",     [LS_KEY_INT32] = "int",   [LS_KEY_FLOAT] = "float",  [LS_KEY_BOOL] = "bool",
        [LS_KEY_STRING] = "text", [LS_KEY_ENUM] = "word",   [LS_KEY_MODEL] = "word",   [LS_KEY_INTS] = "list",
        [LS_KEY_FLOATS] = "list", [LS_KEY_REALS] = "list",  [LS_KEY_STRINGS] = "list", [LS_KEY_LAYERS] = "list",
        [LS_KEY_OPTIONS] = "map", [LS_KEY_GROUPS] = "list", [LS_KEY_PHASES] = "list"};
    ls_arena *arena;
    if (ls_arena_new(&arena, "recipe keys") != LS_OK) return;
    for (const ls_key *k = ls__keys; k->path; k++) {
        if (k > ls__keys && strncmp(k->path, k[-1].path, strcspn(k->path, ".") + 1) != 0) fputc('\n', out);
        fprintf(out, "%-32s %-6s %-9s %s", k->path, kinds[k->kind], k->fallback ? k->fallback : "-", k->help);
        if (key_words(k)) fprintf(out, ": %s", words_list(arena, key_words(k)));
        fputc('\n', out);
    }
    ls_arena_free(arena);
}

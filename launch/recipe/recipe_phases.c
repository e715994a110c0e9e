/* SPDX-License-Identifier: Apache-2.0
 * The recipe key train.phases: a list of maps of keys, each kept as overrides, "optim.lr=0.1". */
#include <stdlib.h>
#include <string.h>

#include "launch/recipe/recipe_internal.h"

/* Prints a value as flow YAML; a plain scalar stays plain, so that it is read back with the same kind. */
static void print_value(const ls_yaml *y, FILE *out)
{
    if (y->kind == LS_YAML_SCALAR) {
        if (y->quoted)
            ls__yaml_print_string(out, y->text);
        else
            fputs(y->text, out);
        return;
    }
    fputc(y->kind == LS_YAML_LIST ? '[' : '{', out);
    for (const ls_yaml *part = y->first; part; part = part->next) {
        if (part != y->first) fputs(", ", out);
        if (y->kind == LS_YAML_MAP) fprintf(out, "%s: ", part->key);
        print_value(part, out);
    }
    fputc(y->kind == LS_YAML_LIST ? ']' : '}', out);
}

/* The value of a key as an override takes it: that of a text key literally. */
static ls_status value_text(ls_recipe *r, const ls_key *k, const ls_yaml *y, const char **value)
{
    char  *text  = NULL;
    size_t bytes = 0;
    if (k->kind == LS_KEY_STRING && y->kind == LS_YAML_SCALAR) {
        *value = y->text;
        return LS_OK;
    }
    FILE *out = open_memstream(&text, &bytes);
    LS_CHECK(out, LS_ERR_ENV, "train.phases: no memory");
    print_value(y, out);
    fclose(out);
    *value = ls_arena_strdup(r->arena, text);
    free(text);
    return LS_OK;
}

static ls_status add_key(ls_recipe *r, ls_recipe_phase *phase, const char *key, const ls_yaml *y, const char *place)
{
    static const char *const fixed[] = {"run.name", "run.dir", "train.phases", "model.pretrained", "data.path"};
    const int                k       = ls__key_find(key);
    const char              *value   = NULL;
    ls_recipe                scratch = *r; /* reports a bad value at its place */
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        LS_CHECK(strcmp(key, fixed[i]) != 0, LS_ERR_USAGE, "%s: expected a key that a phase can set, found %s", place,
                 key);
    if (k < 0) {
        const char *near = ls__key_nearest(r->arena, key);
        return LS_FAIL(LS_ERR_USAGE, "%s: unknown key '%s'" LS_HINT "%s%s", place, key,
                       near ? "did you mean " : "`lockstep recipes keys` lists them all", near ? near : "");
    }
    LS_CHECK(phase->keys < LS_MAX_PHASE_KEYS, LS_ERR_USAGE, "%s: expected at most %d keys in a phase, found more",
             place, LS_MAX_PHASE_KEYS);
    LS_TRY(ls__key_set(&scratch, &ls__keys[k], y, ls_arena_printf(r->arena, "%s: %s", place, key)));
    LS_TRY(value_text(r, &ls__keys[k], y, &value));
    phase->key[phase->keys++] = ls_arena_printf(r->arena, "%s=%s", key, value);
    return LS_OK;
}

static ls_status add_keys(ls_recipe *r, ls_recipe_phase *phase, const char *path, const ls_yaml *map, const char *place)
{
    for (const ls_yaml *y = map->first; y; y = y->next) {
        const char *key = *path ? ls_arena_printf(r->arena, "%s.%s", path, y->key) : y->key;
        if (ls__key_find(key) < 0 && ls__key_is_section(key) && y->kind == LS_YAML_MAP)
            LS_TRY(add_keys(r, phase, key, y, place));
        else
            LS_TRY(add_key(r, phase, key, y, place));
    }
    return LS_OK;
}

ls_status ls__phases_set(ls_recipe *r, const ls_yaml *list, const char *place)
{
    const ls_key *k = &ls__keys[ls__key_find("train.phases")];
    LS_CHECK(list->kind == LS_YAML_LIST, LS_ERR_USAGE, "%s: expected %s, found %s", place, ls__key_expects(r->arena, k),
             ls__yaml_describe(r->arena, list));
    r->train.phase  = ls_arena_alloc(r->arena, (size_t)(k->high + 1) * sizeof *r->train.phase);
    r->train.phases = 0;
    for (const ls_yaml *y = list->first; y; y = y->next) {
        const char *at = ls_arena_printf(r->arena, "%s[%d]", place, r->train.phases);
        LS_CHECK(r->train.phases < (int)k->high, LS_ERR_USAGE, "%s: expected at most %g phases, found more", place,
                 k->high);
        LS_CHECK(y->kind == LS_YAML_MAP && y->first, LS_ERR_USAGE,
                 "%s: expected a map of keys, like {optim.lr: 0.1, train.epochs: 2}, found %s", at,
                 ls__yaml_describe(r->arena, y));
        LS_TRY(add_keys(r, &r->train.phase[r->train.phases++], "", y, at));
    }
    return LS_OK;
}

void ls__phases_print(const ls_recipe *r, FILE *out)
{
    for (int i = 0; i < r->train.phases; i++) {
        fputs(i ? ", {" : "[{", out);
        for (int j = 0; j < r->train.phase[i].keys; j++) {
            const char *text = r->train.phase[i].key[j], *value = strchr(text, '=') + 1;
            char        key[128];
            snprintf(key, sizeof key, "%.*s", (int)(value - 1 - text), text);
            fprintf(out, "%s%s: ", j ? ", " : "", key);
            if (ls__keys[ls__key_find(key)].kind == LS_KEY_STRING)
                ls__yaml_print_string(out, value);
            else
                fputs(value, out);
        }
        fputc('}', out);
    }
    fputc(']', out);
}

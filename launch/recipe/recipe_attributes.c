/* SPDX-License-Identifier: Apache-2.0
 * Attributes of layers, blocks and models: the texts of a recipe, read into the members of a struct by its table of
 * fields. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/enum_text.h"
#include "launch/recipe/recipe_internal.h"

static const ls_field init_fields[] = {
    {"mean", LS_FIELD_FLOAT, offsetof(ls_init, mean)},
    {"std", LS_FIELD_FLOAT, offsetof(ls_init, std)},
    {"low", LS_FIELD_FLOAT, offsetof(ls_init, low)},
    {"high", LS_FIELD_FLOAT, offsetof(ls_init, high)},
    {"value", LS_FIELD_FLOAT, offsetof(ls_init, value)},
    {"gain", LS_FIELD_FLOAT, offsetof(ls_init, gain)},
    {"fan_out", LS_FIELD_BOOL, offsetof(ls_init, fan_out)},
    {"fan", LS_FIELD_INT64, offsetof(ls_init, fan)},
    {0},
};

/* Names of initialisers, in the order of ls_init_kind after LS_INIT_DEFAULT. */
const char *const ls__init_names[] = LS_ENUM_TEXTS(LS_INIT_LIST);
enum { INITS = LS_ENUM_COUNT(LS_INIT_LIST) };

static ls_status bad_value(const ls_recipe_layer *layer, const ls_recipe_attribute *a, const char *expected)
{
    return LS_FAIL(LS_ERR_USAGE, "%s: %s: %s: expected %s, found '%.60s'", a->where, layer->op, a->name, expected,
                   a->text);
}

static ls_status unknown_attribute(const ls_recipe_layer *layer, const ls_recipe_attribute *a, const ls_field *fields,
                                   bool named)
{
    const char *known[64] = {NULL};
    int         n         = 0;
    char        list[512] = "";
    if (named) known[n++] = "name";
    for (const ls_field *f = fields; f && f->name && n < 64; f++) known[n++] = f->name;
    for (int i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", known[i]);
    const char *near = ls_nearest(a->name, n, known);
    if (near)
        return LS_FAIL(LS_ERR_USAGE, "%s: %s has no attribute '%s'" LS_HINT "did you mean '%s'?", a->where, layer->op,
                       a->name, near);
    return LS_FAIL(LS_ERR_USAGE, "%s: %s has no attribute '%s'" LS_HINT "it has: %s", a->where, layer->op, a->name,
                   n ? list : "none");
}

static ls_status set_init(const ls_recipe_layer *layer, const ls_recipe_attribute *a, ls_init *init)
{
    const char *near = ls_nearest(a->text, INITS, ls__init_names);
    for (int i = 0; i < INITS; i++)
        if (!strcmp(ls__init_names[i], a->text)) {
            init->kind = (ls_init_kind)(LS_INIT_DEFAULT + 1 + i);
            return LS_OK;
        }
    LS_TRY(bad_value(layer, a, near ? near : "an initialiser, like kaiming_uniform or {kind: normal, std: 0.02}"));
    return LS_OK;
}

/* Reads dimensions: integers separated by spaces or commas, "16 -1". */
static ls_status set_dims(const ls_recipe_layer *layer, const ls_recipe_attribute *a, ls_dims *dims)
{
    const char *expected = "up to 6 whole numbers, like '16 -1'";
    char       *end;
    *dims = (ls_dims){0};
    for (const char *at = a->text; *(at += strspn(at, " ,"));) {
        int64_t dim = strtoll(at, &end, 10);
        if (end == at || dims->rank == LS_MAX_DIMS) return bad_value(layer, a, expected);
        dims->dim[dims->rank++] = dim;
        at                      = end;
    }
    return dims->rank ? LS_OK : bad_value(layer, a, expected);
}

static ls_status set_choice(const ls_recipe_layer *layer, const ls_recipe_attribute *a, const char *const *choices,
                            int *value)
{
    char list[256] = "one of";
    for (int i = 0; choices[i]; i++) {
        if (!strcmp(choices[i], a->text)) {
            *value = i;
            return LS_OK;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s %s", i ? "," : "", choices[i]);
    }
    return bad_value(layer, a, list);
}

static ls_status set_field(const ls_recipe_layer *layer, const ls_recipe_attribute *a, const ls_field *f, void *args)
{
    ls_yaml scalar = {.text = a->text};
    int64_t whole;
    double  real;
    void   *at = (char *)args + f->offset;
    switch (f->kind) {
    case LS_FIELD_INT:
        if (!ls__read_int(&scalar, &whole) || whole < INT_MIN || whole > INT_MAX)
            return bad_value(layer, a, "a whole number");
        *(int *)at = (int)whole;
        return LS_OK;
    case LS_FIELD_INT64:
        for (int i = 0; f->choices && f->choices[i]; i++)
            if (!strcmp(f->choices[i], a->text)) {
                *(int64_t *)at = -1 - i;
                return LS_OK;
            }
        if (!ls__read_int(&scalar, &whole)) return bad_value(layer, a, "a whole number");
        *(int64_t *)at = whole;
        return LS_OK;
    case LS_FIELD_FLOAT:
        if (!ls__read_float(&scalar, &real) || real < -3e38 || real > 3e38) return bad_value(layer, a, "a number");
        *(float *)at = (float)real;
        return LS_OK;
    case LS_FIELD_BOOL:
        if (strcmp(a->text, "true") != 0 && strcmp(a->text, "false") != 0) return bad_value(layer, a, "true or false");
        *(bool *)at = *a->text == 't';
        return LS_OK;
    case LS_FIELD_INIT:
        return set_init(layer, a, at);
    case LS_FIELD_DIMS:
        return set_dims(layer, a, at);
    case LS_FIELD_CHOICE:
        return set_choice(layer, a, f->choices, at);
    }
    return bad_value(layer, a, "an attribute that recipes can set");
}

const ls_field *ls__field_find(const ls_field *fields, const char *name, size_t length)
{
    for (const ls_field *f = fields; f && f->name; f++)
        if (strlen(f->name) == length && !strncmp(f->name, name, length)) return f;
    return NULL;
}

ls_status ls__attributes_set(const ls_recipe_layer *layer, const ls_field *fields, void *args, const char **name)
{
    for (int i = 0; i < layer->attributes; i++) {
        const ls_recipe_attribute *a      = &layer->attribute[i];
        size_t                     length = strcspn(a->name, ".");
        if (name && !strcmp(a->name, "name")) {
            LS_CHECK(*a->text, LS_ERR_USAGE, "%s: %s: name: expected a name, found nothing", a->where, layer->op);
            *name = a->text;
            continue;
        }
        const ls_field *f = ls__field_find(fields, a->name, length);
        if (!f || (a->name[length] && f->kind != LS_FIELD_INIT))
            return unknown_attribute(layer, a, fields, name != NULL);
        if (!a->name[length]) {
            LS_TRY(set_field(layer, a, f, args));
            continue;
        }
        ls_init        *init = (ls_init *)((char *)args + f->offset); /* "weight_init.std" */
        const char     *part = a->name + length + 1;
        const ls_field *g    = ls__field_find(init_fields, part, strlen(part));
        if (!strcmp(part, "kind"))
            LS_TRY(set_init(layer, a, init));
        else if (g)
            LS_TRY(set_field(layer, a, g, init));
        else
            return unknown_attribute(layer, a, init_fields, false);
    }
    return LS_OK;
}

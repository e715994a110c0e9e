/* SPDX-License-Identifier: Apache-2.0
 * The recipe keys with nested values: model.layers, model.options and optim.groups. */
#include <stdlib.h>
#include <string.h>

#include "launch/recipe/recipe_internal.h"

static bool from_override(const ls_yaml *y) { return !strcmp(y->where, "command line"); }

/* Returns the beginning of a message about entry i (from 0) of a list: its place in the file, or the override and the
 * index. */
static const char *at_entry(ls_recipe *r, const char *key, const char *place, const ls_yaml *y, int i)
{
    if (from_override(y)) return ls_arena_printf(r->arena, "%s: [%d]", place, i);
    return ls_arena_printf(r->arena, "%s: %s[%d]", y->where, key, i);
}

static int length_of(const ls_yaml *list)
{
    int n = 0;
    for (const ls_yaml *y = list->first; y; y = y->next) n++;
    return n;
}

static ls_status check_list(ls_recipe *r, const char *key, const ls_yaml *list, const char *place)
{
    const ls_key *k = &ls__keys[ls__key_find(key)];
    LS_CHECK(list->kind == LS_YAML_LIST && length_of(list) <= (int)k->high, LS_ERR_USAGE, "%s: expected %s, found %s",
             place, ls__key_expects(r->arena, k),
             list->kind == LS_YAML_LIST ? ls_arena_printf(r->arena, "%d", length_of(list))
                                        : ls__yaml_describe(r->arena, list));
    return LS_OK;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static const char *const joins[] = {[LS_JOIN_CONCAT] = "concat", [LS_JOIN_ADD] = "add", NULL};

static const ls_field repeat_fields[] = {{"times", LS_FIELD_INT, offsetof(ls_layer_block_args, times)}, {0}};
static const ls_field branch_fields[] = {
    {"join", LS_FIELD_CHOICE, offsetof(ls_layer_block_args, join), .choices = joins},
    {0},
};

const ls_layer_block ls__layer_blocks[] = {
    {LS_BLOCK_REPEAT, "repeat", .first = "layers", .fields = repeat_fields},
    {LS_BLOCK_RESIDUAL, "residual", .first = "layers", .second = "shortcut"},
    {LS_BLOCK_BRANCH, "branch", .first = "paths", .paths = true, .fields = branch_fields},
    {0},
};

static const ls_layer_block *find_block(const char *name)
{
    const ls_layer_block *b = ls__layer_blocks;
    while (b->name && strcmp(b->name, name) != 0) b++;
    return b->name ? b : NULL;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static int count_scalars(const ls_yaml *map)
{
    int n = 0;
    for (const ls_yaml *y = map->first; y; y = y->next) n += y->kind == LS_YAML_MAP ? count_scalars(y) : 1;
    return n;
}

/* Returns the text of an attribute: a scalar, or the scalars of a list separated by spaces; NULL for another node. */
static const char *attribute_text(ls_recipe *r, const ls_yaml *y)
{
    const char *text = NULL;
    if (y->kind == LS_YAML_SCALAR) return ls__yaml_is_null(y) ? NULL : y->text;
    for (const ls_yaml *part = y->first; part; part = part->next) {
        if (y->kind != LS_YAML_LIST || part->kind != LS_YAML_SCALAR || ls__yaml_is_null(part)) return NULL;
        text = ls_arena_printf(r->arena, "%s%s%s", text ? text : "", text ? " " : "", part->text);
    }
    return text;
}

/* Whether `key` names a list of layers of the block. */
static bool is_list(const ls_layer_block *b, const char *key)
{
    return b && (!strcmp(key, b->first) || (b->second && !strcmp(key, b->second)));
}

static ls_status add_attributes(ls_recipe *r, ls_recipe_layer *layer, const char *prefix, const ls_yaml *map,
                                const char *place)
{
    for (const ls_yaml *y = map->first; y; y = y->next) {
        const char *name = ls_arena_printf(r->arena, "%s%s", prefix, y->key);
        if (is_list(layer->block, name)) continue;
        if (y->kind == LS_YAML_MAP) {
            LS_TRY(add_attributes(r, layer, ls_arena_printf(r->arena, "%s.", name), y, place));
            continue;
        }
        const char *at = from_override(y) ? place : y->where, *text = attribute_text(r, y);
        LS_CHECK(text, LS_ERR_USAGE, "%s: %s: expected a value for %s, found %s", at, layer->op, name,
                 ls__yaml_describe(r->arena, y));
        layer->attribute[layer->attributes++] = (ls_recipe_attribute){name, text, at};
    }
    return LS_OK;
}

/* Splits "recipe.yaml:3:5" into file and line. */
static ls_where where_of(ls_recipe *r, const char *text)
{
    char *file      = ls_arena_strdup(r->arena, text), *colon;
    int   number[2] = {0, 0};
    for (int i = 0; i < 2 && (colon = strrchr(file, ':')); i++) {
        number[i] = atoi(colon + 1);
        *colon    = 0;
    }
    return (ls_where){file, number[1]};
}

static ls_status set_list(ls_recipe *r, ls_layer_list *list, const ls_yaml *y, const char *key, const char *place);

/* Reads the lists of layers of a block. */
static ls_status set_lists(ls_recipe *r, ls_recipe_layer *layer, const ls_yaml *body, const char *place)
{
    const ls_layer_block *b     = layer->block;
    const ls_yaml        *first = NULL, *second = NULL;
    for (const ls_yaml *y = body ? body->first : NULL; y; y = y->next) {
        if (!strcmp(y->key, b->first)) first = y;
        if (b->second && !strcmp(y->key, b->second)) second = y;
    }
    LS_CHECK(first && first->kind == LS_YAML_LIST && first->first, LS_ERR_USAGE,
             "%s: %s: expected the key %s with a list of %s, found %s", place, b->name, b->first,
             b->paths ? "paths, each a list of layers" : "layers", first ? ls__yaml_describe(r->arena, first) : "none");
    layer->lists = b->paths ? length_of(first) : 1 + (b->second != NULL);
    layer->list  = ls_arena_alloc(r->arena, (size_t)layer->lists * sizeof *layer->list);
    if (!b->paths) LS_TRY(set_list(r, &layer->list[0], first, b->first, place));
    if (second) LS_TRY(set_list(r, &layer->list[1], second, b->second, place));
    int i = 0;
    for (const ls_yaml *y = first->first; b->paths && y; y = y->next, i++)
        LS_TRY(set_list(r, &layer->list[i], y, b->first, at_entry(r, b->first, place, y, i)));
    return LS_OK;
}

/* Reads an entry of a list of layers: a name, "relu", a name with attributes, "conv2d: {out: 6, kernel: 5}", or a
 * block. */
static ls_status set_layer(ls_recipe *r, ls_recipe_layer *layer, const ls_yaml *y, const char *place)
{
    const ls_yaml *body = NULL;
    if (y->kind == LS_YAML_SCALAR && !ls__yaml_is_null(y)) {
        layer->op = y->text;
    } else {
        LS_CHECK(y->kind == LS_YAML_MAP && y->first && !y->first->next, LS_ERR_USAGE,
                 "%s: expected a layer, like 'relu' or 'conv2d: {out: 6, kernel: 5}', found %s%s", place,
                 ls__yaml_describe(r->arena, y),
                 y->kind == LS_YAML_MAP && y->first ? " of several keys" LS_HINT
                                                      "put a layer's attributes in braces, or indent them further"
                                                    : "");
        layer->op = y->first->key;
        body      = y->first;
    }
    layer->where = from_override(y) ? place : y->where;
    layer->at    = where_of(r, y->where);
    layer->block = find_block(layer->op);
    if (layer->block) LS_TRY(set_lists(r, layer, body, layer->where));
    if (!body || ls__yaml_is_null(body)) return LS_OK;
    LS_CHECK(body->kind == LS_YAML_MAP, LS_ERR_USAGE, "%s: %s: expected its attributes as a map, found %s", place,
             layer->op, ls__yaml_describe(r->arena, body));
    layer->attribute = ls_arena_alloc(r->arena, ((size_t)count_scalars(body) + 1) * sizeof *layer->attribute);
    return add_attributes(r, layer, "", body, place);
}

static ls_status set_list(ls_recipe *r, ls_layer_list *list, const ls_yaml *y, const char *key, const char *place)
{
    LS_CHECK(y->kind == LS_YAML_LIST, LS_ERR_USAGE, "%s: expected a list of layers for %s, found %s", place, key,
             ls__yaml_describe(r->arena, y));
    list->count = length_of(y);
    list->layer = ls_arena_alloc(r->arena, ((size_t)list->count + 1) * sizeof *list->layer);
    int i       = 0;
    for (const ls_yaml *entry = y->first; entry; entry = entry->next, i++)
        LS_TRY(set_layer(r, &list->layer[i], entry, at_entry(r, key, place, entry, i)));
    return LS_OK;
}

ls_status ls__layers_set(ls_recipe *r, const ls_yaml *list, const char *place)
{
    LS_TRY(check_list(r, "model.layers", list, place));
    return set_list(r, &r->model.layers, list, "model.layers", place);
}

/* Prints the text of an attribute as YAML: numbers, true and false plain, all else in quotes, so that it is read back
 * unchanged. */
static void print_attribute(const char *text, FILE *out)
{
    double  number;
    ls_yaml scalar = {.text = text};
    if (ls__read_float(&scalar, &number) || !strcmp(text, "true") || !strcmp(text, "false"))
        fputs(text, out);
    else
        ls__yaml_print_string(out, text);
}

static void print_list(const ls_layer_list *list, const char *separator, FILE *out);

/* Prints the attributes and the lists of a layer as a map. */
static void print_attributes(const ls_recipe_layer *layer, FILE *out)
{
    const char *before = "";
    fputc('{', out);
    for (int i = 0; i < layer->attributes; i++, before = ", ") {
        fputs(before, out);
        ls__yaml_print_string(out, layer->attribute[i].name);
        fputs(": ", out);
        print_attribute(layer->attribute[i].text, out);
    }
    for (int i = 0; i < layer->lists; i++, before = ", ") {
        const ls_layer_block *b = layer->block;
        if (!b->paths && i && !layer->list[i].count) continue;
        if (b->paths)
            fprintf(out, i ? ", " : "%s%s: [", before, b->first);
        else
            fprintf(out, "%s%s: ", before, i ? b->second : b->first);
        print_list(&layer->list[i], ", ", out);
        if (b->paths && i == layer->lists - 1) fputc(']', out);
    }
    fputc('}', out);
}

static void print_list(const ls_layer_list *list, const char *separator, FILE *out)
{
    fputc('[', out);
    for (int i = 0; i < list->count; i++) {
        fprintf(out, "%s{", i ? separator : "");
        ls__yaml_print_string(out, list->layer[i].op);
        fputs(": ", out);
        print_attributes(&list->layer[i], out);
        fputc('}', out);
    }
    fputc(']', out);
}

void ls__layers_print(const ls_recipe *r, FILE *out) { print_list(&r->model.layers, ",\n           ", out); }

/* ---- options of a named model ------------------------------------------------------------------------------------ */

/* Merges a map into model.options: an option of the same name is replaced, other options stay.  So an override,
 * model.options={hidden: 64}, changes one option of the file. */
ls_status ls__options_set(ls_recipe *r, const ls_yaml *map, const char *place)
{
    const ls_recipe_layer *old = &r->model.options;
    ls_recipe_layer        now = {
               .op = "model.options", .where = from_override(map) ? place : map->where, .at = where_of(r, map->where)};
    LS_CHECK(map->kind == LS_YAML_MAP, LS_ERR_USAGE,
             "%s: expected a map of the model's options, like {hidden: 256}, found %s", place,
             ls__yaml_describe(r->arena, map));
    now.attribute =
        ls_arena_alloc(r->arena, ((size_t)count_scalars(map) + (size_t)old->attributes + 1) * sizeof *now.attribute);
    LS_TRY(add_attributes(r, &now, "", map, place));
    int given = now.attributes;
    for (int i = 0; i < old->attributes; i++) {
        bool replaced = false;
        for (int j = 0; j < given; j++) replaced |= !strcmp(old->attribute[i].name, now.attribute[j].name);
        if (!replaced) now.attribute[now.attributes++] = old->attribute[i];
    }
    r->model.options = now;
    return LS_OK;
}

void ls__options_print(const ls_recipe *r, FILE *out) { print_attributes(&r->model.options, out); }

/* ---- parameter groups -------------------------------------------------------------------------------------------- */

static ls_status set_group(ls_recipe *r, ls_param_group *group, const ls_yaml *map, const char *place)
{
    static const char *const known[] = {"params", "lr_scale", "weight_decay", "adamw"};
    LS_CHECK(map->kind == LS_YAML_MAP, LS_ERR_USAGE,
             "%s: expected a map {params, lr_scale, weight_decay, adamw}, found %s", place,
             ls__yaml_describe(r->arena, map));
    *group = (ls_param_group){.lr_scale = 1, .weight_decay = -1};
    for (const ls_yaml *y = map->first; y; y = y->next) {
        const char *found = ls__yaml_describe(r->arena, y);
        double      value = 0;
        if (!strcmp(y->key, "params")) {
            LS_CHECK(y->kind == LS_YAML_SCALAR && *y->text, LS_ERR_USAGE,
                     "%s: params: expected a glob on names, like '*.bias', found %s", place, found);
            group->glob = y->text;
            continue;
        }
        if (!strcmp(y->key, "adamw")) {
            LS_CHECK(ls__read_bool(y, &group->adamw), LS_ERR_USAGE, "%s: adamw: expected true or false, found %s",
                     place, found);
            continue;
        }
        bool scale = !strcmp(y->key, "lr_scale");
        if (!scale && strcmp(y->key, "weight_decay") != 0) {
            const char *near = ls_nearest(y->key, 4, known);
            return LS_FAIL(LS_ERR_USAGE,
                           "%s: unknown key '%s'" LS_HINT "expected params, lr_scale, weight_decay or adamw%s%s", place,
                           y->key, near ? ": did you mean " : "", near ? near : "");
        }
        LS_CHECK(ls__read_float(y, &value) && value >= 0 && value <= 1e6, LS_ERR_USAGE,
                 "%s: %s: expected a number from 0 to 1e6, found %s", place, y->key, found);
        *(scale ? &group->lr_scale : &group->weight_decay) = (float)value;
    }
    LS_CHECK(group->glob, LS_ERR_USAGE, "%s: expected the key params: a glob on names of parameters, like '*.bias'",
             place);
    return LS_OK;
}

ls_status ls__groups_set(ls_recipe *r, const ls_yaml *list, const char *place)
{
    int i = 0;
    LS_TRY(check_list(r, "optim.groups", list, place));
    memset(r->optim.group, 0, sizeof r->optim.group);
    for (const ls_yaml *y = list->first; y; y = y->next, i++)
        LS_TRY(set_group(r, &r->optim.group[i], y, at_entry(r, "optim.groups", place, y, i)));
    return LS_OK;
}

void ls__groups_print(const ls_recipe *r, FILE *out)
{
    for (int i = 0; i < LS_MAX_PARAM_GROUPS && r->optim.group[i].glob; i++) {
        const ls_param_group *g = &r->optim.group[i];
        fputs(i ? ", {params: " : "[{params: ", out);
        ls__yaml_print_string(out, g->glob);
        fprintf(out, ", lr_scale: %.9g, weight_decay: %.9g%s}", (double)g->lr_scale, (double)g->weight_decay,
                g->adamw ? ", adamw: true" : "");
    }
    fputc(']', out);
}

/* SPDX-License-Identifier: Apache-2.0
 * Loads a recipe (a built-in one or a file), merges it with the command line, checks and hashes it, and writes it as
 * YAML. */
#include "launch/recipe/recipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/optim/schedule.h"
#include "launch/recipe/recipe_internal.h"
#include "launch/recipe/builtin_recipes.h"

/* ---- setting keys ------------------------------------------------------------------------------------------------ */

/* Keys with PyTorch's names, and other names for them that an error message answers with PyTorch's. */
static const struct {
    const char *former, *key;
} renamed[] = {
    {"optim.beta1", "optim.betas"},
    {"optim.beta2", "optim.betas"},
    {"optim.initial", "optim.initial_accumulator_value"},
    {"schedule.start", "schedule.start_factor (onecycle: schedule.div_factor)"},
    {"schedule.end", "schedule.end_factor (onecycle: schedule.final_div_factor)"},
    {"schedule.total", "schedule.total_steps"},
    {"schedule.every", "schedule.step_size"},
    {"schedule.peak_at", "schedule.pct_start"},
};

static ls_status unknown_key(ls_recipe *r, const char *place, const char *path)
{
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (!strcmp(path, renamed[i].former))
            return LS_FAIL(LS_ERR_USAGE, "%s: unknown key '%s'" LS_HINT "it is named %s", place, path, renamed[i].key);
    const char *near = ls__key_nearest(r->arena, path);
    if (near) return LS_FAIL(LS_ERR_USAGE, "%s: unknown key '%s'" LS_HINT "did you mean '%s'?", place, path, near);
    return LS_FAIL(LS_ERR_USAGE, "%s: unknown key '%s'" LS_HINT "`lockstep recipes keys` lists them all", place, path);
}

/* Sets the keys of a map.  `path`: the section that the map belongs to, "" at the top level. */
static ls_status set_map(ls_recipe *r, const ls_yaml *map, const char *path)
{
    for (const ls_yaml *y = map->first; y; y = y->next) {
        const char *key = *path ? ls_arena_printf(r->arena, "%s.%s", path, y->key) : y->key;
        int         k   = ls__key_find(key);
        if (k >= 0) {
            LS_CHECK(!r->where[k], LS_ERR_USAGE, "%s: the key '%s' is given twice; first at %s", y->key_where, key,
                     r->where[k]);
            r->where[k] = y->where;
            if (!ls__yaml_is_null(y))
                LS_TRY(ls__key_set(r, &ls__keys[k], y, ls_arena_printf(r->arena, "%s: %s", y->where, key)));
        } else if (ls__key_is_section(key)) {
            if (ls__yaml_is_null(y)) continue;
            LS_CHECK(y->kind == LS_YAML_MAP, LS_ERR_USAGE, "%s: %s: expected a map of keys, found %s", y->where, key,
                     ls__yaml_describe(r->arena, y));
            LS_TRY(set_map(r, y, key));
        } else {
            return unknown_key(r, y->key_where, key);
        }
    }
    return LS_OK;
}

static ls_status set_defaults(ls_recipe *r)
{
    for (const ls_key *k = ls__keys; k->path; k++) {
        ls_yaml value = {.text = k->fallback};
        if (k->fallback) LS_TRY(ls__key_set(r, k, &value, "default"));
    }
    return LS_OK;
}

#define OPTIONS "model.options."

/* Applies an override, "optim.lr=0.1".  The value of a text key is taken literally; other values are parsed as YAML,
 * which allows lists. */
static ls_status set_override(ls_recipe *r, const char *word)
{
    const char *equals = strchr(word, '=');
    LS_CHECK(equals && equals != word, LS_ERR_USAGE, "command line: %s: expected key=value, like optim.lr=0.1", word);
    const char *key = ls_arena_printf(r->arena, "%.*s", (int)(equals - word), word), *text = equals + 1;
    const char *place  = ls_arena_printf(r->arena, "command line: %.200s%s", word, strlen(word) > 200 ? "..." : "");
    const char *option = strncmp(key, OPTIONS, strlen(OPTIONS)) ? "" : key + strlen(OPTIONS);
    if (*option) { /* model.options.layers=6 is model.options={layers: 6} */
        key  = "model.options";
        text = ls_arena_printf(r->arena, "{%s: %s}", option, text);
    }
    int      k     = ls__key_find(key);
    ls_yaml *value = NULL, plain = {.text = ls_arena_strdup(r->arena, text), .where = "command line"};
    if (k < 0 && ls__key_is_section(key))
        return LS_FAIL(LS_ERR_USAGE, "%s: '%s' is a section: expected one of its keys, like %s.%s", place, key, key,
                       "key=value");
    if (k < 0) return unknown_key(r, place, key);
    r->where[k] = "command line";
    if (ls__keys[k].kind == LS_KEY_STRINGS && !*text) { /* data.classes= means all classes */
        *(const char **)((char *)r + ls__keys[k].offset) = NULL;
        r->where[k]                                      = NULL;
    } else if (ls__keys[k].kind == LS_KEY_STRING) {
        if (*text || ls__keys[k].fallback)
            value = &plain;
        else
            *(const char **)((char *)r + ls__keys[k].offset) = NULL;
    } else {
        ls_status   status  = ls__yaml_read(&value, r->arena, text, strlen(text), NULL);
        const char *problem = ls_error_message();
        LS_CHECK(status == LS_OK, LS_ERR_USAGE, "%s: expected %s%s%s", place, ls__key_expects(r->arena, &ls__keys[k]),
                 !strncmp(problem, "command line: ", 14) ? ": " : "; ",
                 problem + (!strncmp(problem, "command line: ", 14) ? 14 : 0));
        if (!value) value = &plain;
    }
    return value ? ls__key_set(r, &ls__keys[k], value, place) : LS_OK;
}

/* ---- checks of several keys -------------------------------------------------------------------------------------- */

static const char *where_of(const ls_recipe *r, const char *key) { return r->where[ls__key_find(key)]; }

static bool from_command_line(const ls_recipe *r, const char *key)
{
    return where_of(r, key) && !strcmp(where_of(r, key), "command line");
}

/* Decides between model.name and model.layers: the one on the command line replaces the one in the file. */
static ls_status choose_model(ls_recipe *r, const char *file)
{
    bool named = from_command_line(r, "model.name"), listed = from_command_line(r, "model.layers");
    if (r->model.name && r->model.layers.count && named != listed) {
        if (named)
            r->model.layers.count = 0;
        else
            r->model.name = NULL;
    }
    LS_CHECK(!r->model.name || !r->model.layers.count, LS_ERR_USAGE,
             "%s: model.name and model.layers exclude each other" LS_HINT "model.name is at %s",
             where_of(r, "model.layers"), where_of(r, "model.name"));
    LS_CHECK(r->model.name || r->model.layers.count || r->model.pretrained, LS_ERR_USAGE,
             "%s: expected a model, found neither model.name nor model.layers nor model.pretrained", file);
    return LS_OK;
}

/* Returns whether a key is a setting of optimizers or schedules. */
static bool is_setting(const ls_key *k)
{
    return k->offset >= offsetof(ls_recipe, optim) && k->offset < offsetof(ls_recipe, optim) + sizeof(ls_optim) &&
           k->kind != LS_KEY_ENUM;
}

/* Returns whether the chosen optimizer or schedule has a setting. */
static bool has_setting(const ls_recipe *r, const ls_key *k)
{
    const size_t schedule = offsetof(ls_recipe, optim.schedule), end = schedule + sizeof(ls_schedule);
    if (k->offset >= schedule && k->offset < end) return ls__schedule_has(r->optim.schedule.kind, k->offset - schedule);
    return ls__optim_has(r->optim.kind, k->offset - offsetof(ls_recipe, optim));
}

static size_t setting_bytes(const ls_key *k)
{
    switch (k->kind) {
    case LS_KEY_INT:
        return sizeof(int64_t);
    case LS_KEY_BOOL:
        return sizeof(bool);
    case LS_KEY_FLOATS:
        return sizeof(float[2]);
    case LS_KEY_INTS:
        return sizeof(int64_t[LS_MAX_MILESTONES]);
    case LS_KEY_GROUPS:
        return sizeof(ls_param_group[LS_MAX_PARAM_GROUPS]);
    default:
        return sizeof(float);
    }
}

/* Sets the settings that the recipe leaves out to the defaults of its optimizer and schedule.  If the command line
 * chooses another optimizer or schedule, drops the settings in the recipe's file that this one does not have, and notes
 * them in r->note. */
static void complete_settings(ls_recipe *r)
{
    ls_optim optim    = ls_optim_default(r->optim.kind);
    optim.schedule    = ls_schedule_default(r->optim.schedule.kind);
    const bool chosen = from_command_line(r, "optim.name") || from_command_line(r, "schedule.name");
    for (const ls_key *k = ls__keys; k->path; k++) {
        const char *where = where_of(r, k->path);
        if (!is_setting(k) || !where) continue;
        if (chosen && !has_setting(r, k) && strcmp(where, "command line") != 0) {
            r->note =
                ls_arena_printf(r->arena, "%s%s%s (%s)", r->note ? r->note : "", r->note ? ", " : "", k->path, where);
            continue;
        }
        const size_t at = k->offset - offsetof(ls_recipe, optim);
        memcpy((char *)&optim + at, (char *)&r->optim + at, setting_bytes(k));
    }
    r->optim = optim;
    if (r->note)
        r->note = ls_arena_printf(r->arena, "settings without effect with optim.name=%s, schedule.name=%s: %s",
                                  ls__optim_texts[optim.kind], ls__schedule_texts[optim.schedule.kind], r->note);
}

static ls_status check_together(ls_recipe *r, const char *file)
{
    complete_settings(r);
    LS_TRY(choose_model(r, file));
    LS_TRY(ls__model_check(r));
    LS_CHECK(!r->trainer.shards || r->trainer.shards <= r->train.batch, LS_ERR_USAGE,
             "%s: train.shards: expected at most train.batch = %lld, found %lld" LS_HINT
             "a shard is at least one sample",
             ls_recipe_where(r, "train.shards"), (long long)r->train.batch, (long long)r->trainer.shards);
    LS_CHECK(r->train.epochs || r->train.max_steps, LS_ERR_USAGE,
             "%s: train.epochs: expected at least 1, or train.max_steps, found 0 of both",
             ls_recipe_where(r, "train.epochs"));
    LS_CHECK(!r->train.patience || r->checkpoint.best, LS_ERR_USAGE,
             "%s: train.patience: expected checkpoint.best=true, because the run goes back to that checkpoint",
             ls_recipe_where(r, "train.patience"));
    LS_CHECK(!r->train.patience || r->eval.every || r->eval.every_steps, LS_ERR_USAGE,
             "%s: train.patience: expected evaluations, found eval.every=0 and eval.every_steps=0",
             ls_recipe_where(r, "train.patience"));
    LS_CHECK(r->optim.schedule.kind != LS_SCHEDULE_MULTISTEP || r->optim.schedule.milestones[0], LS_ERR_USAGE,
             "%s: schedule.name: multistep needs schedule.milestones" LS_HINT "for example: milestones: [1000, 2000]",
             ls_recipe_where(r, "schedule.name"));
    LS_CHECK(!r->run.dir || *r->run.dir, LS_ERR_USAGE, "%s: run.dir: expected a folder, found nothing",
             ls_recipe_where(r, "run.dir"));
    LS_CHECK(*r->data.path, LS_ERR_USAGE, "%s: data.path: expected a dataset, found nothing",
             ls_recipe_where(r, "data.path"));
    LS_CHECK(!r->run.name || (*r->run.name && !strchr(r->run.name, '/') && *r->run.name != '.'), LS_ERR_USAGE,
             "%s: run.name: expected a name without '/', found '%s'" LS_HINT "run.dir takes a path",
             ls_recipe_where(r, "run.name"), r->run.name);
    for (ls_param_group *g = r->optim.group; g->glob; g++)
        if (g->weight_decay < 0) g->weight_decay = r->optim.weight_decay;
    if (!r->run.name) r->run.name = r->name;
    if (!r->run.dir) r->run.dir = ls_arena_printf(r->arena, "runs/%s", r->run.name);
    if (ls_optim_check(&r->optim) != LS_OK) return LS_FAIL(LS_ERR_USAGE, "%s: %s", file, ls_error_message());
    return LS_OK;
}

/* ---- hash and text ----------------------------------------------------------------------------------------------- */

static void print_hash(char hash[33], const char *text, size_t bytes)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text, bytes));
    for (size_t i = 0; i < sizeof canonical.digest; i++) snprintf(hash + 2 * i, 3, "%02x", canonical.digest[i]);
}

static ls_status hash_of(const ls_recipe *r, bool all, char hash[33])
{
    char  *text  = NULL;
    size_t bytes = 0;
    FILE  *out   = open_memstream(&text, &bytes);
    LS_CHECK(out, LS_ERR_ENV, "%s: no memory for the hash of the recipe: %s", r->name, strerror(errno));
    for (const ls_key *k = ls__keys; k->path; k++) {
        if (!all && !k->bits) continue;
        fprintf(out, "%s: ", k->path);
        ls__key_print(r, k, out);
        fputc('\n', out);
    }
    fclose(out);
    print_hash(hash, text, bytes);
    free(text);
    return LS_OK;
}

/* Prints the headings of the sections of `path` that `before`, the key printed last, is not in.  Returns the depth of
 * the key: the number of its sections. */
static int print_sections(const char *before, const char *path, FILE *out)
{
    int depth = 0;
    for (const char *at = path, *dot; (dot = strchr(at, '.')); at = dot + 1, depth++)
        if (strncmp(before, path, (size_t)(dot - path) + 1) != 0)
            fprintf(out, "%*s%.*s:\n", 2 * depth, "", (int)(dot - at), at);
    return depth;
}

static ls_status hash(ls_recipe *r)
{
    LS_TRY(hash_of(r, false, r->hash));
    return hash_of(r, true, r->full_hash);
}

void ls_recipe_print(const ls_recipe *r, FILE *out)
{
    const char *before = "";
    for (const ls_key *k = ls__keys; k->path; k++) {
        char  *text  = NULL;
        size_t bytes = 0;
        FILE  *value = open_memstream(&text, &bytes);
        if (!value) return;
        bool has = (!is_setting(k) || has_setting(r, k)) && ls__key_print(r, k, value);
        fclose(value);
        if (has) {
            const int   depth = print_sections(before, k->path, out);
            const char *dot   = strrchr(k->path, '.');
            fprintf(out, "%*s%s: %s\n", 2 * depth, "", dot ? dot + 1 : k->path, text);
            before = k->path;
        }
        free(text);
    }
}

ls_status ls_recipe_write(const ls_recipe *r, const char *path)
{
    FILE *out = fopen(path, "w");
    LS_CHECK(out, LS_ERR_ENV, "%s: could not write the recipe: %s", path, strerror(errno));
    fprintf(out, "# Recipe '%s' as merged with its command line.\n", r->name);
    ls_recipe_print(r, out);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (!failed) return LS_OK;
    int error = errno;
    remove(path); /* an incomplete recipe must not remain */
    return LS_FAIL(LS_ERR_ENV, "%s: could not write the recipe: %s", path, strerror(error));
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static const char *base_name(ls_arena *arena, const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
    return ls_arena_printf(arena, "%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base);
}

static ls_status fill(ls_recipe *r, const char *text, size_t bytes, const char *file, int overrides,
                      char *const *override)
{
    ls_yaml *root;
    r->name  = base_name(r->arena, file);
    r->where = ls_arena_alloc(r->arena, (size_t)ls__key_count() * sizeof *r->where);
    LS_TRY(set_defaults(r));
    LS_TRY(ls__yaml_read(&root, r->arena, text, bytes, file));
    LS_CHECK(root && !ls__yaml_is_null(root), LS_ERR_USAGE, "%s: expected a recipe, found an empty file", file);
    LS_CHECK(root->kind == LS_YAML_MAP, LS_ERR_USAGE,
             "%s: expected a map of keys, found %s" LS_HINT "`lockstep recipes cat lenet5-digits` shows one",
             root->where, ls__yaml_describe(r->arena, root));
    LS_TRY(set_map(r, root, ""));
    for (int i = 0; i < overrides; i++) LS_TRY(set_override(r, override[i]));
    LS_TRY(check_together(r, file));
    return hash(r);
}

ls_status ls_recipe_set(ls_recipe *r, int overrides, char *const *override)
{
    for (int i = 0; i < overrides; i++) LS_TRY(set_override(r, override[i]));
    return hash(r);
}

ls_status ls_recipe_parse(ls_recipe **recipe, const char *text, size_t bytes, const char *file, int overrides,
                          char *const *override)
{
    ls_arena *arena;
    *recipe = NULL;
    LS_TRY(ls_arena_new(&arena, "recipe"));
    ls_recipe *r     = ls_arena_alloc(arena, sizeof *r);
    r->arena         = arena;
    ls_status status = fill(r, text, bytes, file, overrides, override);
    if (status != LS_OK) {
        ls_arena_free(arena);
        return status;
    }
    *recipe = r;
    return LS_OK;
}

void ls_recipe_free(ls_recipe *r)
{
    if (r) ls_arena_free(r->arena);
}

static ls_status load_file(ls_recipe **r, const char *path, int overrides, char *const *override)
{
    enum { ROOM = (256 << 10) + 2 }; /* more than the YAML reader accepts, so that it refuses larger files */
    FILE *in = fopen(path, "r");
    LS_CHECK(in, LS_ERR_USAGE,
             "%s: expected a recipe: %s" LS_HINT "`lockstep recipes ls` lists those that come with the program", path,
             strerror(errno));
    char     *text   = malloc(ROOM);
    ls_status status = LS_OK;
    size_t    bytes  = text ? fread(text, 1, ROOM, in) : 0;
    if (!text)
        status = LS_FAIL(LS_ERR_ENV, "%s: no memory to read the recipe", path);
    else if (ferror(in))
        status = LS_FAIL(LS_ERR_USAGE, "%s: could not read the recipe: %s", path, strerror(errno));
    fclose(in);
    if (status == LS_OK) status = ls_recipe_parse(r, text, bytes, path, overrides, override);
    free(text);
    return status;
}

static bool ends_in(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && !strcmp(text + n - m, ending);
}

ls_status ls__recipe_find(const ls_recipe_text **found, const char *name)
{
    enum { ROOM = 256 };
    const char *known[ROOM];
    int         n = 0;
    for (const ls_recipe_text *t = ls__recipes; t->name; t++) {
        if (!strcmp(t->name, name)) {
            *found = t;
            return LS_OK;
        }
        if (n < ROOM) known[n++] = t->name;
    }
    const char *near = ls_nearest(name, n, known);
    if (near) return LS_FAIL(LS_ERR_USAGE, "recipe '%s' does not exist" LS_HINT "did you mean '%s'?", name, near);
    return LS_FAIL(LS_ERR_USAGE,
                   "recipe '%s' does not exist" LS_HINT
                   "`lockstep recipes ls` lists the built-in recipes; a file is given by its path, as ./%s.yaml",
                   name, name);
}

ls_status ls_recipe_load(ls_recipe **r, const char *recipe, int overrides, char *const *override)
{
    const ls_recipe_text *t = NULL;
    *r                      = NULL;
    if (strchr(recipe, '/') || ends_in(recipe, ".yaml") || ends_in(recipe, ".yml"))
        return load_file(r, recipe, overrides, override);
    LS_TRY(ls__recipe_find(&t, recipe));
    return ls_recipe_parse(r, t->text, strlen(t->text), t->name, overrides, override);
}

const char *ls_recipe_where(const ls_recipe *r, const char *key)
{
    int k = ls__key_find(key);
    return k >= 0 && r->where[k] ? r->where[k] : "default";
}

const char *ls_recipe_first_key(const ls_recipe *r, const char *section)
{
    for (int k = 0; ls__keys[k].path; k++)
        if (r->where[k] && !strncmp(ls__keys[k].path, section, strlen(section))) return ls__keys[k].path;
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 * Internal interface of the recipe's files: the YAML tree and the table of keys. */
#ifndef LS_LAUNCH_RECIPE_RECIPE_INTERNAL_H
#define LS_LAUNCH_RECIPE_RECIPE_INTERNAL_H

#include "launch/recipe/recipe.h"

/* ---- YAML (recipe_yaml.c) ---------------------------------------------------------------------------------------- */

typedef enum ls_yaml_kind { LS_YAML_SCALAR, LS_YAML_LIST, LS_YAML_MAP } ls_yaml_kind;

typedef struct ls_yaml ls_yaml;
struct ls_yaml {
    ls_yaml_kind kind;
    const char  *text;   /* scalar */
    bool         quoted; /* scalar */
    const char  *where;  /* "file:line:column", or "command line" */
    const char  *key;    /* within a map  */
    const char  *key_where;
    ls_yaml     *first, *next; /* children of a list or map, in order */
};

/* Parses one YAML document into a tree.  `file` NULL: the text is the value of an override.  An empty document gives
 * *root = NULL. */
ls_status ls__yaml_read(ls_yaml **root, ls_arena *arena, const char *text, size_t bytes, const char *file);

/* Returns whether a node is an unquoted null, ~ or nothing. */
bool ls__yaml_is_null(const ls_yaml *y);

/* Describes a node for the part "found ..." of a message: "a list", "a map", or the scalar in quotes, shortened. */
const char *ls__yaml_describe(ls_arena *arena, const ls_yaml *y);

/* Writes text as a double-quoted YAML scalar. */
void ls__yaml_print_string(FILE *out, const char *text);

/* ---- the schema (recipe_schema.c) -------------------------------------------------------------------------------- */

typedef enum ls_key_kind {
    LS_KEY_INT,     /* int64_t                        */
    LS_KEY_INT32,   /* int                            */
    LS_KEY_FLOAT,   /* float                          */
    LS_KEY_BOOL,    /* bool                           */
    LS_KEY_STRING,  /* const char *, may be NULL      */
    LS_KEY_ENUM,    /* int, the place in `words`      */
    LS_KEY_MODEL,   /* const char *, one of the core's models */
    LS_KEY_INTS,    /* int64_t[high], ended by 0      */
    LS_KEY_FLOATS,  /* float[2]                       */
    LS_KEY_STRINGS, /* const char *[high + 1], ended by NULL */
    LS_KEY_LAYERS,  /* ls_recipe.model.layer          */
    LS_KEY_OPTIONS, /* ls_recipe.model.options        */
    LS_KEY_GROUPS,  /* ls_recipe.optim.group          */
} ls_key_kind;

typedef struct ls_key {
    const char        *path; /* "optim.lr"                                                               */
    ls_key_kind        kind;
    size_t             offset;    /* in ls_recipe                                                             */
    double             low, high; /* numbers: both included; lists: high is the most entries                  */
    const char        *fallback;  /* the default, as in a recipe; NULL: none                                  */
    bool               bits;      /* part of the hash that a continued run must share                         */
    const char *const *words;     /* enums: ended by NULL */
    const char        *help;
} ls_key;

extern const ls_key ls__keys[]; /* ended by a NULL path */
int                 ls__key_count(void);

extern const char *const ls__optim_texts[], *const ls__schedule_texts[]; /* names by kind, ended by NULL */

/* Returns the index of a key, or -1. */
int ls__key_find(const char *path);

/* Returns whether `path` is a section of the schema: "optim". */
bool ls__key_is_section(const char *path);

/* Returns the known key that is nearest to an unknown path, or NULL. */
const char *ls__key_nearest(ls_arena *arena, const char *path);

/* Sets key `k` from a YAML value.  Error messages begin with `place`: "file:3:9: optim.lr", "command line: optim.lr=x". */
ls_status ls__key_set(ls_recipe *r, const ls_key *k, const ls_yaml *value, const char *place);

/* Prints the value of a key as YAML; false when the key has no value (a NULL string, an empty list). */
bool ls__key_print(const ls_recipe *r, const ls_key *k, FILE *out);

/* Describes the accepted values of a key for messages: "a whole number from 1 to 64", "one of sgd, adam". */
const char *ls__key_expects(ls_arena *arena, const ls_key *k);

/* ---- lists (recipe_layers.c) -------------------------------------------------------------------------------------- */

ls_status ls__layers_set(ls_recipe *r, const ls_yaml *list, const char *place);
void      ls__layers_print(const ls_recipe *r, FILE *out);
ls_status ls__options_set(ls_recipe *r, const ls_yaml *map, const char *place);
void      ls__options_print(const ls_recipe *r, FILE *out);
ls_status ls__groups_set(ls_recipe *r, const ls_yaml *list, const char *place);
void      ls__groups_print(const ls_recipe *r, FILE *out);

/* Reads a YAML scalar as a number; false when it is not one: quoted, not finite, or outside int64_t. */
bool ls__read_int(const ls_yaml *y, int64_t *value);
bool ls__read_float(const ls_yaml *y, double *value);

/* ---- models (recipe_model.c) ------------------------------------------------------------------------------------- */

/* Returns the names of the models in core/models, ended by NULL. */
const char *const *ls__model_names(void);

/* Checks that every layer, model, attribute and option of the recipe exists and that each value has the right kind. */
ls_status ls__model_check(const ls_recipe *r);

#endif

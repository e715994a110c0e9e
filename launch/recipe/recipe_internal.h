/* SPDX-License-Identifier: Apache-2.0
 * Internal interface of the recipe's files: the YAML tree and the table of keys. */
#ifndef LS_LAUNCH_RECIPE_RECIPE_INTERNAL_H
#define LS_LAUNCH_RECIPE_RECIPE_INTERNAL_H

#include "core/graph/op.h"
#include "launch/recipe/recipe.h"

/* ---- YAML (recipe_yaml.c) ---------------------------------------------------------------------------------------- */

typedef enum ls_yaml_kind { LS_YAML_SCALAR, LS_YAML_LIST, LS_YAML_MAP } ls_yaml_kind;

typedef struct ls_yaml ls_yaml;
struct ls_yaml {
    ls_yaml_kind kind;
    const char  *text;         /* text of a scalar                                           */
    bool         quoted;       /* the scalar is in quotes                                    */
    const char  *where;        /* place of the value: "file:line:column", or "command line"  */
    const char  *key;          /* key of the value in its map; NULL outside maps             */
    const char  *key_where;    /* place of the key                                           */
    ls_yaml     *first, *next; /* first child of a list or map; next sibling                 */
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

/* Kinds of keys, with the type of the member of ls_recipe. */
typedef enum ls_key_kind {
    LS_KEY_INT,     /* int64_t                                   */
    LS_KEY_INT32,   /* int                                       */
    LS_KEY_BYTES,   /* int64_t, such as 512MiB                   */
    LS_KEY_FLOAT,   /* float                                     */
    LS_KEY_BOOL,    /* bool                                      */
    LS_KEY_STRING,  /* const char *, NULL: unset                 */
    LS_KEY_ENUM,    /* int or enum, the index in ls_key.words    */
    LS_KEY_MODEL,   /* const char *, the name of a model         */
    LS_KEY_INTS,    /* int64_t[high + 1], ended by 0             */
    LS_KEY_FLOATS,  /* float[2]                                  */
    LS_KEY_REALS,   /* ls_reals                                  */
    LS_KEY_STRINGS, /* const char *[high + 1], ended by NULL     */
    LS_KEY_LAYERS,  /* ls_recipe.model.layers                    */
    LS_KEY_OPTIONS, /* ls_recipe.model.options                   */
    LS_KEY_GROUPS,  /* ls_recipe.optim.group                     */
    LS_KEY_PHASES,  /* ls_recipe.train.phase                     */
} ls_key_kind;

typedef struct ls_key {
    const char        *path; /* section and key: "optim.lr"                                            */
    ls_key_kind        kind;
    size_t             offset;    /* offset of the member in ls_recipe, bytes                               */
    double             low, high; /* inclusive range of a number; of a list, high is the largest length     */
    const char        *fallback;  /* default, as written in a recipe; NULL: unset                           */
    bool               bits;      /* the value is part of ls_recipe.hash                                    */
    const char *const *words;     /* accepted words of an enum, or names of 0, 1, ... of an int; ended by NULL */
    const char        *help;      /* help text                                                              */
} ls_key;

extern const ls_key ls__keys[]; /* ended by a NULL path */
int                 ls__key_count(void);

/* Names of optimizers and schedules in the order of their enumerators, ended by NULL. */
extern const char *const ls__optim_texts[], *const ls__schedule_texts[];

/* Returns the index of a key, or -1. */
int ls__key_find(const char *path);

/* Returns whether `path` is a section of the schema: "optim". */
bool ls__key_is_section(const char *path);

/* Returns the known key that is nearest to an unknown path, or NULL. */
const char *ls__key_nearest(ls_arena *arena, const char *path);

/* Sets key `k` from a YAML value.  Error messages begin with `place`: "file:3:9: optim.lr", "command line:
 * optim.lr=x". */
ls_status ls__key_set(ls_recipe *r, const ls_key *k, const ls_yaml *value, const char *place);

/* Prints the value of a key as YAML; false when the key has no value (a NULL string, an empty list). */
bool ls__key_print(const ls_recipe *r, const ls_key *k, FILE *out);

/* Describes the accepted values of a key for messages: "a whole number from 1 to 64", "one of sgd, adam". */
const char *ls__key_expects(ls_arena *arena, const ls_key *k);

/* ---- blocks (recipe_layers.c) ----------------------------------------------------------------------------------- */

/* An entry of model.layers that holds layers. */
typedef struct ls_layer_block {
    enum { LS_BLOCK_REPEAT, LS_BLOCK_RESIDUAL, LS_BLOCK_BRANCH } kind;
    const char     *name;
    const char     *first, *second; /* keys of its lists of layers; `second` may be absent, or NULL  */
    bool            paths;          /* `first` is a list of lists                                    */
    const ls_field *fields;         /* its attributes, members of ls_layer_block_args; NULL: none          */
} ls_layer_block;
extern const ls_layer_block ls__layer_blocks[]; /* ended by a NULL name */

typedef struct ls_layer_block_args {
    int times; /* repetitions */
    int join;  /* index in ls__joins */
} ls_layer_block_args;

enum { LS_JOIN_CONCAT, LS_JOIN_ADD };

/* ---- attributes (recipe_attributes.c) --------------------------------------------------------------------------- */

/* Stores the attributes of a layer in `args`, a struct with the members `fields`.  The attribute "name" goes to `name`;
 * without `name` (NULL), it is an attribute like others. */
ls_status ls__attributes_set(const ls_recipe_layer *layer, const ls_field *fields, void *args, const char **name);

/* Returns the field whose name is the first `length` characters of `name`, or NULL. */
const ls_field *ls__field_find(const ls_field *fields, const char *name, size_t length);

extern const char *const ls__init_names[]; /* of initialisers, from the second of ls_init_kind on; ended by NULL */

/* ---- lists (recipe_layers.c) ------------------------------------------------------------------------------------ */

/* Set and print model.layers, model.options and optim.groups, as ls__key_set and ls__key_print do for other keys. */
ls_status ls__layers_set(ls_recipe *r, const ls_yaml *list, const char *place);
void      ls__layers_print(const ls_recipe *r, FILE *out);
ls_status ls__options_set(ls_recipe *r, const ls_yaml *map, const char *place);
void      ls__options_print(const ls_recipe *r, FILE *out);
ls_status ls__groups_set(ls_recipe *r, const ls_yaml *list, const char *place);
void      ls__groups_print(const ls_recipe *r, FILE *out);

/* The same for train.phases (recipe_phases.c). */
ls_status ls__phases_set(ls_recipe *r, const ls_yaml *list, const char *place);
void      ls__phases_print(const ls_recipe *r, FILE *out);

/* Reads a YAML scalar as a number or as true or false; false when it is not one: quoted, not finite, or outside
 * int64_t. */
bool ls__read_int(const ls_yaml *y, int64_t *value);
bool ls__read_float(const ls_yaml *y, double *value);
bool ls__read_bool(const ls_yaml *y, bool *value);

/* ---- models (recipe_model.c) ------------------------------------------------------------------------------------- */

/* Returns the names of the models in core/models, ended by NULL. */
const char *const *ls__model_names(void);

/* Checks that every layer, model, attribute and option of the recipe exists and that each value has the right kind. */
ls_status ls__model_check(const ls_recipe *r);

#endif

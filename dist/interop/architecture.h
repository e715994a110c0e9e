/* SPDX-License-Identifier: Apache-2.0
 *
 * How a model exchanges weights with Hugging Face's transformers: one row per architecture, in one file per row
 * (dist/interop/arch_gpt2.c).  Not public.
 */
#ifndef LS_DIST_INTEROP_ARCHITECTURE_H
#define LS_DIST_INTEROP_ARCHITECTURE_H

#include <jansson.h>

#include "core/graph/graph.h"

/* ---- config.json ------------------------------------------------------------------------------------------------- */

typedef enum ls_config_kind {
    LS_CONFIG_TEXT, /* a text; NULL is written as null */
    LS_CONFIG_LIST, /* a list of one text */
    LS_CONFIG_INT,
    LS_CONFIG_REAL,
    LS_CONFIG_BOOL,
} ls_config_kind;

/* One key of config.json, and the value that it has in the files of an architecture. */
typedef struct ls_config_entry {
    const char    *key;
    ls_config_kind kind;
    const char    *text;     /* value of a text or list */
    const char    *same;     /* another text with the same meaning, NULL: none                               */
    int64_t        whole;    /* value of an integer; 0 or 1 for a boolean */
    double         real;     /* value of a real number */
    bool           checked;  /* a file with another value belongs to another model                           */
    bool           required; /* a file without the key belongs to another model as well */
    const char    *option;   /* option of the model that sets the value, NULL: none; of a boolean, its negation */
} ls_config_entry;

enum { LS_CONFIG_ENTRIES = 32 }; /* most keys of an architecture */

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* A tensor of a file that repeats a parameter. */
typedef struct ls_tied_tensor {
    const char *name, *param;
} ls_tied_tensor;

/* A tensor of a file that is no parameter, such as a causal mask: its name ends with `ending`, and the model has the
 * parameter whose name ends with `sibling` instead. */
typedef struct ls_buffer_tensor {
    const char *ending, *sibling;
} ls_buffer_tensor;

/* The tensors of a file that hold a parameter: its rows, one tensor after the other.  `*` in the names stands for the
 * number of a layer.  With three tensors, they are those of queries, keys and values; with two, they have equally many
 * rows. */
enum { LS_PARTS = 3 };
typedef struct ls_name_row {
    const char *param, *stored[LS_PARTS];
    const char *whole; /* name of the parameter as one tensor in another library; NULL: none */
    int         ones;  /* dims of 1 that the tensors have before the others */
    bool        head;  /* of a head that files may lack: it then keeps its initial values */
} ls_name_row;

/* ---- an architecture --------------------------------------------------------------------------------------------- */

/* Lists end with NULL, or with a row of NULL. */
typedef struct ls_architecture {
    const char        *model;       /* name of the model function: of ls__graph_model, and model.name of a recipe */
    const char *const *model_types; /* values of "model_type" in config.json                                */
    const void        *smallest;    /* arguments of a small model of this kind: the keys for reading config.json  */
    const char        *prefix;      /* prefix of parameter names, which files may lack */
    const char *const *transposed;  /* endings of the names of matrices that files hold transposed, in x out (Conv1D) */
    const ls_tied_tensor   *tied;
    const ls_buffer_tensor *buffers;
    /* Sets the entries of config.json for a model with these arguments (ls_gpt_args for "gpt"); returns how many. */
    int (*config)(const void *args, ls_config_entry entries[LS_CONFIG_ENTRIES]);
    /* (instead of config) Reads config.json into arguments, and makes the config.json of arguments, NULL if no
     * model_type has them. */
    ls_status (*read)(const char *path, const json_t *config, void *args);
    json_t *(*write)(const void *args);
    /* (optional) Names in files, ended by a row of NULL, and the rows of the tensors of queries, keys and values. */
    const ls_name_row *(*names)(const void *args);
    void (*qkv_rows)(const void *args, int64_t rows[LS_PARTS]);
    bool images; /* the model classifies images */
} ls_architecture;

extern const ls_architecture ls__arch_gpt2, ls__arch_decoder, ls__arch_encoder, ls__arch_vit;

/* Returns the architecture of the model that the graph holds, or NULL. */
const ls_architecture *ls__architecture_of(const ls_graph *g);

/* Returns the architecture of a model_type, or NULL; an unknown model_type lists the known ones in `known`. */
const ls_architecture *ls__architecture_of_type(const char *model_type, char known[256]);

/* Returns whether files hold this parameter transposed. */
bool ls__is_stored_transposed(const ls_architecture *a, const ls_tensor *param);

#endif

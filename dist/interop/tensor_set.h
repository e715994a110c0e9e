/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors in safetensors files: one file, or a folder with one or several.  Not public.
 *
 *     ls_tensor_set set;
 *     LS_TRY(ls__tensor_set_open(&set, path));                reads and checks every header; no values yet
 *     ls_stored *e = ls__tensor_set_find(&set, "w");
 *     status = ls__stored_read(e, at, n, out);                reads values, widened to float32
 *     ls__tensor_set_close(&set);                             also after an error of open
 */
#ifndef LS_DIST_INTEROP_TENSOR_SET_H
#define LS_DIST_INTEROP_TENSOR_SET_H

#include <jansson.h>

#include "core/base/arena.h"
#include "core/core.h"

enum {
    LS_STORED_RANK   = 32, /* most dimensions of a tensor                            */
    LS_STORED_PREFIX = 8   /* bytes at the start of a file: the length of the header */
};

/* Type of the values of a tensor. */
typedef struct ls_stored_type {
    const char *name;
    int         bytes;                                    /* of a value                                         */
    void (*widen)(float *out, const void *in, size_t n);  /* NULL: may be in a file, but cannot be a parameter */
    void (*narrow)(void *out, const float *in, size_t n); /* rounds to nearest, ties to even; NULL: is not written */
} ls_stored_type;

/* Returns the type of this name that can be written, or NULL. */
const ls_stored_type *ls__stored_type_named(const char *name);

struct ls_tensor_file;

/* A tensor in a file. */
typedef struct ls_stored {
    const char                  *name;
    const struct ls_tensor_file *file;
    const ls_stored_type        *type;
    int                          rank;
    int64_t                      dim[LS_STORED_RANK], numel;
    int64_t                      begin, end; /* range of its values, bytes after the header  */
    bool                         wanted;     /* a parameter is read from this tensor         */
} ls_stored;

typedef struct ls_tensor_file {
    const char *path;
    int         fd;
    int64_t     bytes;   /* size of the file                      */
    int64_t     data_at; /* position of the values: after the header */
    json_t     *header;
    ls_stored  *stored;
    int         count;
} ls_tensor_file;

typedef struct ls_tensor_set {
    const char     *path;
    ls_arena       *arena;
    ls_tensor_file *file;
    int             files;
    ls_stored     **stored; /* tensors of all files */
    int             count;
    json_t         *by_name; /* index in `stored` by name */
} ls_tensor_set;

/* Opens a file, or a folder with model.safetensors, or one with model.safetensors.index.json and the files that it
 * names. */
ls_status ls__tensor_set_open(ls_tensor_set *set, const char *path);
void      ls__tensor_set_close(ls_tensor_set *set);

/* Returns the tensor of this name, or NULL. */
ls_stored *ls__tensor_set_find(const ls_tensor_set *set, const char *name);

/* Opens one file and reads its header (dist/interop/safetensors_file.c). */
ls_status ls__tensor_file_open(ls_tensor_file *f, const char *path, ls_arena *arena);
void      ls__tensor_file_close(ls_tensor_file *f);

/* Reads elements [at, at + n), widened to float32. */
ls_status ls__stored_read(const ls_stored *e, int64_t at, int64_t n, float *out);

/* Prints a shape: "2 x 3". */
const char *ls__stored_shape(char text[256], int rank, const int64_t *dim);

#endif

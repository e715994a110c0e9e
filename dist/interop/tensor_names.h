/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tensor of a file belongs to which parameter of a model, by the names of its architecture.  Not public.
 *
 * Files of PyTorch may have a prefix before every name, from the module that wraps the model ("module.").
 */
#ifndef LS_DIST_INTEROP_TENSOR_NAMES_H
#define LS_DIST_INTEROP_TENSOR_NAMES_H

#include "core/graph/params.h"
#include "dist/dist.h"
#include "dist/interop/architecture.h"
#include "dist/interop/tensor_set.h"

/* A tensor that holds rows of a parameter. */
typedef struct ls_part {
    char    name[256];
    int64_t rows;
    int     ones; /* dims of 1 before the others */
} ls_part;

/* Sets *part to the one tensor that holds a parameter in another library; false: there is none. */
bool ls__param_whole(const ls_graph *g, const ls_tensor *param, ls_part *part);

/* Returns whether a parameter is of a head that files of its architecture may lack. */
bool ls__param_of_head(const ls_graph *g, const ls_tensor *param);

/* Sets the tensors in which files hold a parameter of the graph, by the names of its architecture; returns how many. */
int ls__param_parts(const ls_graph *g, const ls_tensor *param, ls_part part[LS_PARTS]);

/* Returns the tensor with the name of a parameter or part, or NULL.  The tensor has this name, its name in the ResNet
 * of transformers, that name without the prefix of the architecture, or the name of a tied tensor. */
ls_stored *ls__stored_of_param(const ls_architecture *a, const ls_tensor_set *set, const char *param);

/* Returns the slot of the parameter that a tied tensor repeats, or -1. */
int ls__slot_of_tied(const ls_architecture *a, const ls_params *params, const char *name);

/* ls_safetensors_load with options. */
ls_status ls__safetensors_load(const char *path, ls_params *params, bool partial, const ls_pretrained_options *options);

/* Sets `stored` to the name of a parameter in another library; false: it has none. */
typedef bool (*ls_naming)(const char *param, char *stored, size_t room);

/* How ls__safetensors_save_as differs from ls_safetensors_save. */
typedef struct ls_saving {
    ls_naming             naming; /* the names of another library; NULL: those of the parameters */
    const ls_stored_type *type;   /* of all tensors; NULL: F32, or that of the tensor in `like` */
    const ls_tensor_set  *like;   /* NULL: none */
} ls_saving;
ls_status ls__safetensors_save_as(const char *path, ls_params *params, const ls_metadata *metadata,
                                  const ls_saving *how);

/* Returns whether a tensor is no parameter, such as a causal mask or the number of batches of a batch norm, and is
 * ignored. */
bool ls__is_buffer(const ls_architecture *a, const ls_params *params, const ls_tensor_set *set, const char *name);

#endif

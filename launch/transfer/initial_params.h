/* SPDX-License-Identifier: Apache-2.0
 *
 * Which parameters of a run are trained, and which values they begin with: model.freeze and model.pretrained.
 * Functions are not collective. */
#ifndef LS_LAUNCH_TRANSFER_INITIAL_PARAMS_H
#define LS_LAUNCH_TRANSFER_INITIAL_PARAMS_H

#include "datasets/datasets.h"
#include "launch/recipe/recipe.h"

/* Sets model.name and model.options of a recipe that has neither, nor layers, to those of the config.json in
 * model.pretrained, so that the run's recipe.yaml holds them.  Prints them if `prints`. */
ls_status ls_adopt_model(ls_recipe *r, bool prints);

/* Sets data.size, data.interpolation, data.mean and data.std, where the recipe leaves them out, to the values that
 * model.pretrained states about its images, so that the run's recipe.yaml holds them.  Prints them if `prints`. */
ls_status ls_adopt_input(ls_recipe *recipe, bool prints);

/* A model of which parameters are frozen or loaded. */
typedef struct ls_initial_model {
    const ls_recipe       *recipe;
    ls_graph              *graph;
    const ls_tensor       *logits; /* NULL: a language model, which often ties its last layer to its embedding */
    const ls_dataset_info *data;
    ls_arena              *memory; /* of the results */
} ls_initial_model;

/* Sets the names of the weight and the bias of the last layer, NULL: none. */
void ls_head_of(const ls_initial_model *m, const char *head[2]);

/* Freezes the parameters that model.freeze names. */
ls_status ls_freeze_initial(const ls_initial_model *m);

/* Loads model.pretrained into the parameters.  *table lists the tensors (NULL: nothing is loaded).  Prints a summary if
 * `prints`. */
ls_status ls_load_initial(const ls_initial_model *m, ls_params *params, bool prints, const char **table);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Built-in recipes: the files of launch/recipes, embedded into the program by launch/cmake/recipes.cmake. */
#ifndef LS_LAUNCH_RECIPE_BUILTIN_RECIPES_H
#define LS_LAUNCH_RECIPE_BUILTIN_RECIPES_H

#include "core/base/status.h"

typedef struct ls_recipe_text {
    const char *name, *text;
} ls_recipe_text;

extern const ls_recipe_text ls__recipes[]; /* ended by a NULL name */

/* Finds a built-in recipe by name.  LS_ERR_USAGE: no such recipe; the message names the nearest. */
ls_status ls__recipe_find(const ls_recipe_text **found, const char *name);

#endif

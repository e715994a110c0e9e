/* SPDX-License-Identifier: Apache-2.0
 * The recipes of launch/recipes, embedded into the program by launch/cmake/recipes.cmake. */
#ifndef LS_LAUNCH_RECIPES_H
#define LS_LAUNCH_RECIPES_H

typedef struct ls_recipe_text {
    const char *name, *text;
} ls_recipe_text;

extern const ls_recipe_text ls__recipes[]; /* ended by a NULL name */

#endif

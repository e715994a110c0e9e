/* SPDX-License-Identifier: Apache-2.0
 * The options of image files as text: in HDF5 attributes, in data.json and on the command line. */
#include <string.h>

#include "datasets/datasets.h"

enum { VALUES = 2 };

static const struct {
    const char *name, *value[VALUES]; /* values in the order of the enumerators */
} options[] = {
    {"interpolation", {"bilinear", "bicubic"}},
    {"fit", {"stretch", "crop"}},
    {"orientation", {"upright", "stored"}},
};

const char *ls_image_option_name(int i)
{
    return i >= 0 && i < (int)(sizeof options / sizeof *options) ? options[i].name : NULL;
}

const char *ls_image_option_text(const ls_image_options *o, int i)
{
    const int value[] = {o->interpolation, o->fit, o->as_stored};
    return options[i].value[value[i]];
}

bool ls_image_option_set(ls_image_options *o, int i, const char *text)
{
    int v = 0;
    while (v < VALUES && strcmp(text, options[i].value[v]) != 0) v++;
    if (v == VALUES) return false;
    if (i == 0) o->interpolation = v;
    if (i == 1) o->fit = v;
    if (i == 2) o->as_stored = v;
    return true;
}

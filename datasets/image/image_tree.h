/* SPDX-License-Identifier: Apache-2.0
 * Lists the image files of a tree of folders, one folder per class.  Internal. */
#ifndef LS_DATASETS_IMAGE_IMAGE_TREE_H
#define LS_DATASETS_IMAGE_IMAGE_TREE_H

#include "datasets/files/dataset.h"

enum { LS_TREE_TRAIN, LS_TREE_VALID, LS_TREE_TEST, LS_TREE_SPLITS };
extern const char *const ls__tree_split[LS_TREE_SPLITS]; /* "train", "valid", "test" */

typedef struct ls_tree_file {
    const char *path;
    int32_t     label;
    int         split;
} ls_tree_file;

typedef struct ls_image_tree {
    ls_arena     *arena;
    int64_t       files, capacity;
    ls_tree_file *file; /* by split, class and name */
    int           classes;
    const char  **class_name;
    const char ***sorted;              /* pointers to class_name, by name                               */
    bool          has[LS_TREE_SPLITS]; /* the split has a folder                                        */
    int64_t       hidden, loose;       /* names with a leading dot; files beside the class folders      */
} ls_image_tree;

/* Lists the files below `folder`, and below `test` (NULL: none).  `folder` holds the classes of the split train, or the
 * folders train and valid, val or test with the classes.  classes: a file with one name a line, in the order of the
 * labels; NULL: the folders of train, sorted bytewise.  All splits use this list; LS_ERR_DATA for a folder that is not
 * in it.  Also after an error the caller frees the tree. */
ls_status ls__image_tree_read(ls_image_tree *t, const char *folder, const char *test, const char *classes);
void      ls__image_tree_free(ls_image_tree *t);

#endif

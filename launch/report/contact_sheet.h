/* SPDX-License-Identifier: Apache-2.0
 *
 * A contact sheet: a picture with rows of images, each with a line of text below it.
 *
 *     ls_sheet s;
 *     LS_TRY(ls_sheet_open(&s, &info, 2, 12));                    2 rows of 12 images of the dataset's size
 *     ls_sheet_draw(&s, 0, 3, pixels, "seven");                   row 0, column 3
 *     LS_TRY(ls_sheet_write(&s, "digits.png"));                   frees the sheet
 */
#ifndef LS_LAUNCH_REPORT_CONTACT_SHEET_H
#define LS_LAUNCH_REPORT_CONTACT_SHEET_H

#include "datasets/datasets.h"
#include "launch/recipe/recipe.h"

typedef struct ls_sheet {
    int      channels, image_height, image_width; /* of the images                   */
    int      cell, cell_height, cell_width;       /* of their place in the picture   */
    int      height, width;                       /* of the picture                  */
    uint8_t *rgb;
} ls_sheet;

/* Makes an empty sheet for images of the size and channels in *info. */
ls_status ls_sheet_open(ls_sheet *s, const ls_dataset_info *info, int rows, int columns);

/* Draws an image (channels x height x width bytes) and its text.  Letters are A to Z, digits and -_./ */
void ls_sheet_draw(ls_sheet *s, int row, int column, const uint8_t *pixels, const char *text);

/* Writes the sheet as a PNG file and frees it, also after an error. */
ls_status ls_sheet_write(ls_sheet *s, const char *path);
void      ls_sheet_close(ls_sheet *s);

/* Draws what samples of the training split become in consecutive epochs of a recipe from `epoch` on, as
 * data.augment, train.seed and train.batch change them.  png NULL: next to the dataset.  Prints what it has drawn. */
ls_status ls_sheet_augmented(const ls_recipe *r, int64_t epoch, const char *png);

#endif

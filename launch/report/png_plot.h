/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures with text, as PNG: heat maps and line plots on one page.
 *
 *     ls_png *p;
 *     LS_TRY(ls_png_new(&p, 800, 600));                         pixels, (0, 0) at the top left
 *     ls_png_text(p, 20, 30, &(ls_png_font){.size = 18, .bold = true}, "Attention");
 *     ls_png_heat(p, &(ls_heat){.x = 20, .y = 60, .width = 640, .height = 640, .rows = 64, .cols = 64, .value = w,
 * .high = 1}); status = ls_png_save(p, "attention.png"); ls_png_free(p);
 */
#ifndef LS_LAUNCH_REPORT_PNG_PLOT_H
#define LS_LAUNCH_REPORT_PNG_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

enum { LS_PNG_MOST = 20000 }; /* pixels of a side */

typedef struct ls_png ls_png;

ls_status ls_png_new(ls_png **p, double width, double height);
/* Writes a temporary file, which then takes the name. */
ls_status ls_png_save(ls_png *p, const char *path);
void      ls_png_free(ls_png *p); /* NULL is allowed */

/* How text stands: `align` -1 begins at x, 0 is centred there, 1 ends there; y is the middle of its height.  upright:
 * from below. */
typedef struct ls_png_font {
    double size;
    int    align;
    bool   bold, faint, upright;
} ls_png_font;
void ls_png_text(ls_png *p, double x, double y, const ls_png_font *font, const char *format, ...) LS_PRINTF(5, 6);
/* Pixels that a text is wide. */
double ls_png_text_width(ls_png *p, const ls_png_font *font, const char *text);

/* A filled rectangle, in the colour of line `which`. */
void ls_png_box(ls_png *p, double x, double y, double width, double height, int which);

/* Colours: from dark to light (matplotlib's viridis), or from blue over white to red, for values of two signs. */
typedef enum ls_colours { LS_COLOURS_VIRIDIS, LS_COLOURS_SIGNED } ls_colours;

/* A matrix, rows x cols, scaled to width x height. */
typedef struct ls_heat {
    double       x, y, width, height;
    int64_t      rows, cols;
    const float *value;
    double       low, high; /* values of the first and the last colour                           */
    ls_colours   colours;
    bool         root;  /* colours go with the square root: small values can be told apart    */
    bool         lower; /* what stands right of the diagonal is left white: keys not to be seen */
} ls_heat;
void ls_png_heat(ls_png *p, const ls_heat *heat);
/* The colours of a heat map with their values, as a bar that stands at x, y. */
void ls_png_colours(ls_png *p, const ls_heat *heat, double x, double y, double width, double height);

/* Lines over one axis. */
typedef struct ls_png_line {
    const char   *name; /* NULL: not named below the axis                                    */
    int           n;
    const double *x, *y;  /* y that is NaN, or not above 0 on a logarithmic axis, is left out */
    int           colour; /* 0 and on                                                         */
    bool          points; /* points alone                                                     */
} ls_png_line;

typedef struct ls_lines {
    double             x, y, width, height;
    const char        *title, *x_name;
    bool               log_x, log_y; /* powers of 2, of 10                      */
    double             least, most;  /* of y; both 0: of the lines              */
    int                count;
    const ls_png_line *line;
} ls_lines;
void ls_png_lines(ls_png *p, const ls_lines *lines);

#endif

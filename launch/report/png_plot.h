/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws text, heat maps and line plots on one page and saves it as PNG.
 *
 *     ls_png *p;
 *     LS_TRY(ls_png_new(&p, 800, 600));                         pixels, (0, 0) at the top left
 *     ls_png_text(p, 20, 30, &(ls_png_font){.size = 18, .bold = true}, "Attention");
 *     ls_png_heat(p, &(ls_heat){.x = 20, .y = 60, .width = 640, .height = 640,
 *                               .rows = 64, .cols = 64, .value = w, .high = 1});
 *     status = ls_png_save(p, "attention.png");
 *     ls_png_free(p);
 */
#ifndef LS_LAUNCH_REPORT_PNG_PLOT_H
#define LS_LAUNCH_REPORT_PNG_PLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/status.h"

enum { LS_PNG_MOST = 20000 }; /* largest width and height, pixels */

typedef struct ls_png ls_png;

/* Creates a white page of width x height pixels. */
ls_status ls_png_new(ls_png **p, double width, double height);
/* Writes the page as PNG to a stream. */
ls_status ls_png_write(ls_png *p, FILE *f);
/* Saves the page, atomically. */
ls_status ls_png_save(ls_png *p, const char *path);
void      ls_png_free(ls_png *p); /* NULL is allowed */

/* Font and position of text.  align: -1: text starts at x; 0: it is centred on x; 1: it ends at x.  y: the middle of
 * its height.  upright: rotated by 90 degrees, read from below. */
typedef struct ls_png_font {
    double size;
    int    align;
    bool   bold, faint, upright;
} ls_png_font;
void ls_png_text(ls_png *p, double x, double y, const ls_png_font *font, const char *format, ...) LS_PRINTF(5, 6);
/* Returns the width of a text, pixels. */
double ls_png_text_width(ls_png *p, const ls_png_font *font, const char *text);

/* Draws a filled rectangle in the colour of line `which`. */
void ls_png_box(ls_png *p, double x, double y, double width, double height, int which);

/* Colour maps: matplotlib's viridis, from dark to light; or blue, white, red for negative, zero, positive values. */
typedef enum ls_colours { LS_COLOURS_VIRIDIS, LS_COLOURS_SIGNED } ls_colours;

/* A heat map: a matrix of rows x cols, scaled to width x height. */
typedef struct ls_heat {
    double         x, y, width, height;
    int64_t        rows, cols;
    const float   *value;
    const uint8_t *rgb;       /* colours of the cells, rows x cols x 3; NULL: from their values */
    double         low, high; /* values of the first and the last colour */
    ls_colours     colours;
    bool           root;  /* colour by the square root of the value, which separates small values */
    bool           lower; /* leave cells right of the diagonal white: masked keys */
} ls_heat;
void ls_png_heat(ls_png *p, const ls_heat *heat);
/* Draws the colours of a heat map with their values as a vertical bar at x, y. */
void ls_png_colours(ls_png *p, const ls_heat *heat, double x, double y, double width, double height);

/* A line of a line plot. */
typedef struct ls_png_line {
    const char   *name; /* name in the legend; NULL: none */
    int           n;
    const double *x, *y;  /* points; a y of NaN, or of at most 0 on a logarithmic axis, is left out */
    int           colour; /* index of the colour, from 0 */
    bool          points; /* draw points instead of a line */
} ls_png_line;

typedef struct ls_lines {
    double             x, y, width, height;
    const char        *title, *x_name;
    bool               log_x, log_y; /* logarithmic axes, with ticks at powers of 2 (x) and 10 (y) */
    double             first, last;  /* range of the x axis; both 0: from the lines */
    double             least, most;  /* range of the y axis; both 0: from the lines */
    const ls_heat     *back;         /* heat map behind the lines, which fills the plot; NULL: none */
    int                count;
    const ls_png_line *line;
} ls_lines;
void ls_png_lines(ls_png *p, const ls_lines *lines);
/* Number of rows of the legend, which begins 50 pixels below the plot. */
enum { LS_PNG_LEGEND_ROW = 22 }; /* height of a row, pixels */
int ls_png_legend_rows(ls_png *p, const ls_lines *lines);

#endif

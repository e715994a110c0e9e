/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes line charts as inline SVG, for report.html.  They need no script: the style sheet shows the values under the
 * pointer.  Colours and fonts come from the style sheet as well (classes s0, s1, ... of series; variables --grid, ...).
 */
#ifndef LS_LAUNCH_REPORT_SVG_CHART_H
#define LS_LAUNCH_REPORT_SVG_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { LS_MAX_SERIES = 4 };

typedef struct ls_series {
    const char   *name;
    int64_t       n;
    const double *x, *y; /* x increasing; a y of NaN is a gap           */
    bool          raw;   /* draw the values faint and a smoothed line over them */
    bool          dots;  /* mark each point                        */
} ls_series;

typedef struct ls_svg_chart {
    const char *title;
    const char *format;    /* printf format of one double: "%.4f", "%.2f %%"; NULL: whole number, "12,345" */
    const char *x_name;    /* name of the x axis: "step"                                     */
    double      x_max;     /* right end of the x axis                                        */
    bool        from_zero; /* the y axis starts at 0                                         */
    bool        log_scale; /* logarithmic y axis if the values span more than a factor of 20 */
    double      most;      /* upper limit of the y axis; 0: none                             */
    int         count;
    ls_series   series[LS_MAX_SERIES];
} ls_svg_chart;

/* Writes the chart as a <figure>.  Long series are thinned to the width of the picture. */
void ls_svg_chart_write(FILE *f, const ls_svg_chart *c);

/* Writes text with the characters that are markup in HTML escaped. */
void ls_html(FILE *f, const char *text);

#endif

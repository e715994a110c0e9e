/* SPDX-License-Identifier: Apache-2.0
 *
 * Line charts as inline SVG, for report.html.  No script: what the pointer stands on is shown by the style sheet alone.
 * Colours and fonts come from the page (classes s0, s1, ... of series; variables --grid, --muted, ...).
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
    const double *x, *y; /* x increasing; y that is NaN is a gap                                        */
    bool          raw;   /* noisy: drawn faint, with a smoothed line over it                            */
    bool          dots;  /* few points that count one by one                                            */
} ls_series;

typedef struct ls_svg_chart {
    const char *title;
    const char *format;    /* of a value, for one double: "%.4f", "%.2f %%"; NULL: whole, "12,345"        */
    const char *x_name;    /* "step"                                                                     */
    double      x_max;     /* right end of the axis                                                      */
    bool        from_zero; /* the axis starts at 0                                                       */
    bool        log_scale; /* logarithmic when the values span more than a factor of 20                  */
    double      most;      /* no tick above this; 0: no limit                                            */
    int         count;
    ls_series   series[LS_MAX_SERIES];
} ls_svg_chart;

/* Writes the chart as a <figure>.  Long series are thinned to the width of the picture. */
void ls_svg_chart_write(FILE *f, const ls_svg_chart *c);

/* Writes text with what HTML would take for markup escaped. */
void ls_html(FILE *f, const char *text);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes report.html: a run on one page, in one file.  The curves come from metrics.jsonl; the caller adds all other
 * contents as figures and tables.
 *
 *     ls_report *r;
 *     LS_TRY(ls_report_new(&r, "lenet5-digits", "LeNet-5 on digits", "finished"));
 *     ls_report_figure(r, "Test accuracy", "98.91 %%");
 *     ls_report_table(r, "Model", "Layer|Output|Parameters");
 *     ls_report_row(r, "conv1|6 x 28 x 28|156");
 *     status = ls_report_write(r, "runs/x/metrics.jsonl", "runs/x/report.html");
 *     ls_report_free(r);
 */
#ifndef LS_LAUNCH_REPORT_REPORT_HTML_H
#define LS_LAUNCH_REPORT_REPORT_HTML_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/status.h"

typedef struct ls_report ls_report;

/* state: "running", "finished", "stopped", "diverged", ... */
ls_status ls_report_new(ls_report **r, const char *title, const char *subtitle, const char *state);
void      ls_report_free(ls_report *r); /* NULL is allowed */

/* Adds one of the large numbers at the top. */
void ls_report_figure(ls_report *r, const char *name, const char *format, ...) LS_PRINTF(3, 4);

/* Adds a small text below the figure added last. */
void ls_report_figure_note(ls_report *r, const char *format, ...) LS_PRINTF(2, 3);

/* Begins a table.  heads: the titles of its columns, separated by '|'; "": a list of names and values.  wide: the table
 * takes the full width of the page. */
void ls_report_table(ls_report *r, const char *title, const char *heads, int wide);
/* Adds a row to the table begun last; cells are separated by '|'. */
void ls_report_row(ls_report *r, const char *format, ...) LS_PRINTF(2, 3);

/* Adds a section of HTML after the curves; the text must outlive the report. */
void ls_report_section(ls_report *r, const char *html);

/* Writes the page to `path`, atomically, with the curves of the file `metrics`.  Includes the pictures that `lockstep
 * explain` has written to the same folder. */
ls_status ls_report_write(const ls_report *r, const char *metrics, const char *path);

/* Replaces the pictures in the report.html of a run directory by those that the directory holds.  *shown: the directory
 * has a report. */
ls_status ls_report_show(const char *folder, bool *shown);
/* Writes bytes in base64. */
void ls_html_base64(FILE *f, const void *data, size_t bytes);
/* Writes the pictures of a run directory as the part of the page between its curves and its tables. */
void ls__report_pictures(FILE *f, const char *folder);

extern const char *const ls__report_css[]; /* lines of launch/report/report.css, ended by NULL */

#endif

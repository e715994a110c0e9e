/* SPDX-License-Identifier: Apache-2.0
 *
 * report.html: a run on one page, in one file.  The curves come from metrics.jsonl; everything else is handed over as
 * figures and tables.
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

/* One of the large figures at the top. */
void ls_report_figure(ls_report *r, const char *name, const char *format, ...) LS_PRINTF(3, 4);

/* Begins a table; columns are parted by '|'.  No heads (""): a list of names and values.  wide: the full width of the
 * page. */
void ls_report_table(ls_report *r, const char *title, const char *heads, int wide);
/* A row of it, cells parted by '|'. */
void ls_report_row(ls_report *r, const char *format, ...) LS_PRINTF(2, 3);

/* Writes the page: to a temporary file that then takes the name.  Pictures that `lockstep explain` left beside it are
 * part of it. */
ls_status ls_report_write(const ls_report *r, const char *metrics, const char *path);

/* Puts the pictures that lie in the run's folder into its report.html, in the place of those that it has; *shown: there
 * is one. */
ls_status ls_report_show(const char *folder, bool *shown);
void      ls__report_pictures(FILE *f, const char *folder);

#endif

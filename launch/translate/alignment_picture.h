/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures of alignments: a row for each token of a translation, a column for each token of its source, as figure 3 of
 * Bahdanau, Cho & Bengio 2014. */
#ifndef LS_LAUNCH_TRANSLATE_ALIGNMENT_PICTURE_H
#define LS_LAUNCH_TRANSLATE_ALIGNMENT_PICTURE_H

#include <stdio.h>

#include "launch/report/png_plot.h"
#include "launch/run/run_setup.h"

/* Draws the weights of a translation, which ls_run_translate has computed, with a title and a line of text below it;
 * title NULL: neither. */
ls_status ls_alignment_draw(ls_png **plot, const ls_run *run, const ls_translated *t, const char *title,
                            const char *text, ls_arena *memory);

/* Prints them with characters. */
void ls_alignment_print(FILE *f, const ls_run *run, const ls_translated *t, ls_arena *memory);

/* Writes a section of report.html on rank 0: translations of pairs of the held-out split, and their alignments if the
 * model has attention.  Sets run->examined.  Collective. */
ls_status ls_examine_translation(ls_run *run);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Alignments: which words of a line the words of its translation come from, by the weights of attention.
 *
 * Words are separated by white space.  The weight of target word t on source word s is the sum over the tokens of s of
 * the mean over the tokens of t of their weights.  The end tokens of both sides are the last row and the last column.
 */
#ifndef LS_LAUNCH_TRANSLATE_ALIGNMENT_H
#define LS_LAUNCH_TRANSLATE_ALIGNMENT_H

#include <stdio.h>

#include "core/base/arena.h"
#include "launch/run/run_setup.h"

typedef struct ls_alignment {
    int64_t rows, cols; /* words of the translation and of the line, and 1 each for the end token */
    float  *weight;     /* rows x cols; the sum of a row is at most 1, less where tokens are white space alone */
} ls_alignment;

/* Computes the alignment of a translation that ls_run_translate with `weights` has made.  An empty line has 1 x 1. */
void ls_alignment_of(ls_alignment *a, const ls_run *run, const ls_translated *t, ls_arena *memory);

/* The source word with the greatest weight for a target word; -1: the end token has a greater weight. */
int64_t ls_alignment_link(const ls_alignment *a, int64_t word);

/* Sets *text to a translation in which each <unk> is replaced by the source word with the greatest weight, as in the
 * line. */
ls_status ls_alignment_replace(const ls_alignment *a, const ls_run *run, const ls_translated *t, const char *line,
                               ls_string *text);

/* Writes the links in Pharaoh format, "0-0 1-2": pairs source-target, in the order of the target; or the weights of all
 * rows, "0.9812,0.0100,0.0088 ..." */
void ls_alignment_write(const ls_alignment *a, bool weights, FILE *f);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run says while it goes on, to stderr: a bar with rate and time left on a terminal, a plain line now and then
 * elsewhere (a file, a pipe, a batch system).  NO_COLOR (https://no-color.org) and TERM=dumb are respected.
 *
 *     ls_bar bar;
 *     ls_bar_open(&bar, rank == 0);
 *     for (...) ls_bar_update(&bar, &(ls_bar_state){.step = step, .steps = steps, ...});
 *     ls_bar_say(&bar, "epoch %d: test accuracy %.2f %%", ...);          a line that stays
 *     ls_bar_close(&bar);
 */
#ifndef LS_LAUNCH_RUN_PROGRESS_H
#define LS_LAUNCH_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "core/base/clock.h"
#include "core/base/status.h"

typedef struct ls_bar_state {
    const char *what;          /* "train", "test"                           */
    int64_t     step, steps;   /* done, of; steps 0: unknown                */
    int64_t     epoch, epochs; /* counted from 1; epochs 0: unknown         */
    double      loss;          /* NaN: not shown                            */
    double      samples_per_s; /* NaN: not shown                            */
    const char *unit;          /* of what is counted a second; NULL: samples */
    double      seconds_left;  /* NaN: not shown                            */
} ls_bar_state;

typedef struct ls_bar {
    bool   speaks; /* this rank is the one that does       */
    bool   terminal;
    bool   color;
    bool   drawn;    /* a bar stands in the current line     */
    int    width;    /* columns                              */
    double last;     /* when it was drawn, seconds           */
    double interval; /* least time between two drawings      */
} ls_bar;

/* A bar of a rank that does not speak does nothing. */
void ls_bar_open(ls_bar *b, bool speaks);
/* Draws when the last drawing is old enough: 10 a second on a terminal, a line every 5 s elsewhere. */
void ls_bar_update(ls_bar *b, const ls_bar_state *s);
/* A line that stays, above the bar. */
void ls_bar_say(ls_bar *b, const char *format, ...) LS_PRINTF(2, 3);
void ls_bar_close(ls_bar *b);

/* Whether the user sees stderr on a terminal, and how wide it is (80 when that is unknown).  Under mpirun a rank's own
 * stderr is a pipe or a pseudo-terminal of mpirun's, so the parent's is looked at. */
bool ls_on_terminal(int *width);
/* Whether to colour: a terminal, and neither NO_COLOR nor TERM=dumb. */
bool ls_use_color(void);
/* Seconds of a clock that never goes back. */

/* ---- for tests ---- */

/* The bar as text of at most `width` columns. */
void ls__bar_text(char *out, size_t room, const ls_bar_state *s, int width, bool color);

#endif

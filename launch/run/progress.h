/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress of a run on stderr: on a terminal a bar with rate and remaining time, else (a file, a pipe, a batch system)
 * a plain line every few seconds.  Respects NO_COLOR (https://no-color.org) and TERM=dumb.
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
    int64_t     step, steps;   /* steps done; steps of the run, 0: unknown     */
    int64_t     epoch, epochs; /* counted from 1; epochs 0: unknown         */
    double      loss;          /* NaN: not shown                            */
    double      samples_per_s; /* NaN: not shown                            */
    const char *unit;          /* unit of samples_per_s: "tokens"; NULL: no unit is shown */
    double      seconds_left;  /* NaN: not shown                            */
} ls_bar_state;

typedef struct ls_bar {
    bool   prints; /* this rank prints                    */
    bool   terminal;
    bool   color;
    bool   drawn;    /* the current line of the terminal shows the bar */
    int    width;    /* columns                              */
    double last;     /* time of the last drawing, ls__clock_s()        */
    double interval; /* shortest time between two drawings, seconds    */
} ls_bar;

/* Opens the bar.  prints: this rank prints; on other ranks all functions do nothing. */
void ls_bar_open(ls_bar *b, bool prints);
/* Draws at most 10 times a second on a terminal, and a line every 5 s elsewhere. */
void ls_bar_update(ls_bar *b, const ls_bar_state *s);
/* Prints a line above the bar. */
void ls_bar_say(ls_bar *b, const char *format, ...) LS_PRINTF(2, 3);
void ls_bar_close(ls_bar *b);

/* Returns whether stderr is a terminal, and sets its width, 80 columns when unknown.  Under mpirun a rank's own stderr
 * is a pipe of mpirun; then the stderr of the parent process counts. */
bool ls_on_terminal(int *width);
/* Returns whether to use colours: on a terminal, unless NO_COLOR or TERM=dumb is set. */
bool ls_use_color(void);

/* ---- for tests ---- */

/* Writes the bar as text of at most `width` columns. */
void ls__bar_text(char *out, size_t room, const ls_bar_state *s, int width, bool color);

#endif

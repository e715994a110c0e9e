/* SPDX-License-Identifier: Apache-2.0
 * Formats counts and durations; reads the name of the processor. */
#ifndef LS_LAUNCH_REPORT_UNIT_TEXT_H
#define LS_LAUNCH_REPORT_UNIT_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Returns "Example CPU 9000" from /proc/cpuinfo; "" when it names no model. */
const char *ls_processor_name(void);

/* Writes a duration: "0:07", "12:34", "1:02:03", "3 d 04 h". */
void ls__time_text(char *out, size_t room, double seconds);
/* Writes a count with thousands separators: "12,345". */
void ls__count_text(char *out, size_t room, int64_t n);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The table of launch/recipes/README.md: topic, command, time, output or picture.  A row is one command; the texts in
 * backquotes of its last column are files that the command writes, or parts of its output. */
#ifndef LS_TESTS_LAUNCH_RECIPES_LINEAGE_TABLE_H
#define LS_TESTS_LAUNCH_RECIPES_LINEAGE_TABLE_H

#include "tests/launch/run_program.h"

enum { MOST_ROWS = 64, MOST_SHOWN = 8, CELL = 1024 };

typedef struct lineage_row {
    char command[CELL]; /* "lockstep train lenet5-mnist" */
    int  shows;
    char shown[MOST_SHOWN][CELL]; /* "runs/lenet5-mnist/report.html", "test accuracy 99.1" */
} lineage_row;

/* Copies the text of the next pair of backquotes before `end`.  Returns the place behind it, NULL: there is none. */
static inline const char *quoted(const char *from, const char *end, char *text)
{
    const char *begin = memchr(from, '`', (size_t)(end - from));
    const char *close = begin ? memchr(begin + 1, '`', (size_t)(end - begin - 1)) : NULL;
    if (!close) return NULL;
    assert_true(close - begin - 1 < CELL);
    snprintf(text, CELL, "%.*s", (int)(close - begin - 1), begin + 1);
    return close + 1;
}

/* Reads a line "| topic | `command` | time | output |".  Returns false if it is another one. */
static inline bool lineage_row_of(const char *line, const char *end, lineage_row *row)
{
    const char *cell[6] = {0};
    int         cells   = 0;
    *row                = (lineage_row){0};
    for (const char *at = line; at < end && cells < 6; at++)
        if (*at == '|') cell[cells++] = at + 1;
    if (cells != 5 || *line != '|' || !quoted(cell[1], cell[2], row->command)) return false;
    for (const char *at = cell[3]; row->shows < MOST_SHOWN && (at = quoted(at, end, row->shown[row->shows]));)
        row->shows++;
    return true;
}

/* Reads the rows of the table.  Returns their number. */
static inline int lineage_table(lineage_row *row)
{
    int         rows = 0;
    const char *text = text_of(LOCKSTEP_SOURCE "/launch/recipes/README.md");
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        assert_true(rows < MOST_ROWS);
        rows += lineage_row_of(line, end, &row[rows]);
    }
    return rows;
}

#endif

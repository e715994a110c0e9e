/* SPDX-License-Identifier: Apache-2.0
 * Fills the report of a run, and lists the layers of a model as rows of a table. */
#ifndef LS_LAUNCH_REPORT_REPORT_TABLES_H
#define LS_LAUNCH_REPORT_REPORT_TABLES_H

#include "core/graph/graph.h"
#include "launch/run/run_setup.h"

/* State of a run at its last evaluation or its end. */
typedef struct ls_summary {
    const char *status; /* "running", "finished", "stopped", "diverged", "failed"                    */
    int64_t     step;
    ls_scores   scores;     /* of the last evaluation                    */
    char        digest[17]; /* of the parameters, 16 hexadecimal digits  */
    double      wall_s, samples_per_s;
    uint64_t    planned_bytes, peak_bytes; /* memory; the maximum over all ranks */
} ls_summary;

/* Writes report.html from the run, its summary and the curves in metrics.jsonl. */
ls_status ls_run_report(const ls_run *run, const ls_summary *s, const char *metrics, const char *path);

/* One node of the graph as a table row. */
typedef struct ls_layer_row {
    const char      *name, *op;
    const ls_tensor *out;
    int64_t          parameters; /* parameters that no earlier row has counted */
    double           flops;      /* forward, per sample                        */
} ls_layer_row;
/* Lists the nodes of the run's graph in *rows, in the memory of `memory`.  Returns their number. */
int ls_layer_rows(const ls_run *run, ls_arena *memory, ls_layer_row **rows);

/* Repetition of a block of rows, as the blocks of a Transformer: equal but for numbers in names. */
typedef struct ls_layer_run {
    int  rows, times; /* rows of one block; repetitions: 1, or at least 3 */
    char last[64];    /* name of the last block: "transformer.h.11"       */
} ls_layer_run;
/* Returns the repetition that starts at row `at` of the n rows. */
ls_layer_run ls_layer_run_of(const ls_layer_row *rows, int n, int at);

#endif

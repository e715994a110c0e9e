/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulates a step on many ranks: the time of instructions is measured on this machine, the time of messages is
 * computed (dist/comm/costmodel.h).  Used by `lockstep explain --link` (launch/bench/explain_link.c) and `lockstep
 * bench`. */
#ifndef LS_LAUNCH_BENCH_SIMULATE_H
#define LS_LAUNCH_BENCH_SIMULATE_H

#include "dist/comm/costmodel.h"
#include "launch/commands/command_table.h"
#include "launch/run/run_setup.h"

/* Reads a link "RATE,LATENCY[,TIME[,BURST]]", such as "10Gbit,20us" or "1Gbit,20us,5us,70kB".  TIME: processor time of
 * a message, default 5us.  BURST: bytes that pass at once after a pause, default 0. */
ls_status ls_link_read(const char *text, ls_link *link);

typedef enum ls_part { LS_PART_FORWARD, LS_PART_BACKWARD, LS_PART_SUM, LS_PART_UPDATE, LS_PARTS } ls_part;

/* One instruction: its computing time, and the waiting time for messages after it. */
typedef struct ls_simulated_instr {
    const char *name;
    ls_part     part;
    double      bytes; /* size of an all-reduce                 */
    double      computes_s, waits_s;
} ls_simulated_instr;

typedef struct ls_simulated {
    int                 ranks;
    int64_t             batch, rows; /* samples of all ranks; of the rank with most of them */
    double              step_s, waits_s;
    double              computes_s[LS_PARTS];
    double              bytes; /* bytes that the rank sends in a step */
    int64_t             messages;
    int                 instrs;
    ls_simulated_instr *instr;
} ls_simulated;

typedef struct ls_simulation {
    ls_run *job; /* a run with recipe, data and graph */
    ls_link link;
    double  slower;       /* time of an instruction on the simulated machine relative to this one */
    int64_t bucket_bytes; /* 0: as in the recipe                                                  */
    int     steps;        /* number of measured steps                                             */
} ls_simulation;

/* Simulates the recipe's batch divided among `ranks` ranks (strong scaling). */
ls_status ls_simulate(const ls_simulation *s, int ranks, ls_simulated *out);
/* Simulates `rows` samples in `shards` shards on each of `ranks` ranks (weak scaling). */
ls_status ls_simulate_share(const ls_simulation *s, int ranks, int64_t rows, int shards, ls_simulated *out);

/* One simulated rank, step by step.  ls_simulated_rank_step: *seconds is the time of a step on this rank's part of the
 * batch. */
typedef struct ls_simulated_rank ls_simulated_rank;
ls_status   ls_simulated_rank_new(ls_simulated_rank **r, const ls_simulation *s, int rank, int ranks, int64_t batch,
                                  int shards);
ls_status   ls_simulated_rank_step(ls_simulated_rank *r, const ls_batch *share, double *seconds);
ls_trainer *ls_simulated_rank_trainer(ls_simulated_rank *r);
void        ls_simulated_rank_free(ls_simulated_rank *r); /* NULL is allowed */

/* Runs `lockstep explain RECIPE --ranks N --link RATE,LATENCY`. */
ls_status ls__explain_link(ls_run *j, const ls_args *args);

#endif

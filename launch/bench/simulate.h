/* SPDX-License-Identifier: Apache-2.0
 *
 * A step on many ranks, from times measured here and links that are computed (dist/comm/costmodel.h): `lockstep explain
 * --link`. launch/bench/simulate.c measures, launch/bench/explain_link.c says and draws what came out. */
#ifndef LS_LAUNCH_BENCH_SIMULATE_H
#define LS_LAUNCH_BENCH_SIMULATE_H

#include "dist/comm/costmodel.h"
#include "launch/commands/command_table.h"
#include "launch/run/run_setup.h"

/* "10Gbit,20us"; "10Gbit,20us,1us" with the processor's time for a message, 5us when it is not said;
 * "1Gbit,20us,5us,70kB" with a burst. */
ls_status ls_link_read(const char *text, ls_link *link);

typedef enum ls_part { LS_PART_FORWARD, LS_PART_BACKWARD, LS_PART_SUM, LS_PART_UPDATE, LS_PARTS } ls_part;

/* An instruction: how long it computes, then waits for messages. */
typedef struct ls_simulated_instr {
    const char *name;
    ls_part     part;
    double      bytes; /* of a sum                             */
    double      computes_s, waits_s;
} ls_simulated_instr;

typedef struct ls_simulated {
    int                 ranks;
    int64_t             batch, rows; /* of all ranks; of the one with most   */
    double              step_s, waits_s;
    double              computes_s[LS_PARTS];
    double              bytes; /* sent by a rank in a step             */
    int64_t             messages;
    int                 instrs;
    ls_simulated_instr *instr;
} ls_simulated;

typedef struct ls_simulation {
    ls_run *job; /* with recipe, data and graph; ranks as the data are to be shared out */
    ls_link link;
    double  slower;       /* what is measured here takes so many times as long there             */
    int64_t bucket_bytes; /* 0: as the recipe has it                                             */
    int     steps;        /* that are measured                                                   */
} ls_simulation;

/* The recipe's batch on `ranks` ranks. */
ls_status ls_simulate(const ls_simulation *s, int ranks, ls_simulated *out);
/* `rows` samples in `shards` shards on each of `ranks` ranks. */
ls_status ls_simulate_share(const ls_simulation *s, int ranks, int64_t rows, int shards, ls_simulated *out);

/* One rank, step by step, to be compared with a real one: the seconds of a step of this rank's share of the batch. */
typedef struct ls_simulated_rank ls_simulated_rank;
ls_status   ls_simulated_rank_new(ls_simulated_rank **r, const ls_simulation *s, int rank, int ranks, int64_t batch,
                                  int shards);
ls_status   ls_simulated_rank_step(ls_simulated_rank *r, const ls_batch *share, double *seconds);
ls_trainer *ls_simulated_rank_trainer(ls_simulated_rank *r);
void        ls_simulated_rank_free(ls_simulated_rank *r); /* NULL is allowed */

/* lockstep explain RECIPE --ranks N --link RATE,LATENCY */
ls_status ls__explain_link(ls_run *j, const ls_args *args);

#endif

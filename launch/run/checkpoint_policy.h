/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint policy: when a run takes checkpoints, and what they cost.
 *
 * A run takes a checkpoint at the end of each epoch.  In between it takes one every checkpoint.every steps, or as
 * often as checkpoint.budget allows: the total cost of checkpoints stays below that part of the run's time.  The cost
 * of a checkpoint is the time that the run waits for it, plus the slowdown of the steps during which it is written.
 */
#ifndef LS_LAUNCH_RUN_CHECKPOINT_POLICY_H
#define LS_LAUNCH_RUN_CHECKPOINT_POLICY_H

#include "launch/run/metrics.h"
#include "launch/run/progress.h"
#include "launch/run/run_setup.h"

typedef struct ls_checkpoint_policy {
    ls_run    *run;
    ls_saver  *saver;
    ls_events *events; /* of rank 0; NULL: no events are written                                   */
    ls_bar    *bar;
    ls_status  pending;            /* error of rank 0's log, which the caller reports to all ranks              */
    int64_t    begun;              /* step of the last checkpoint that was started; -1: none                   */
    int64_t    good;               /* step of the last checkpoint that was published; -1: none                 */
    bool       failing;            /* the last checkpoint failed, and a warning was printed                    */
    bool       slow;               /* the checkpoint takes unusually long, and a warning was printed           */
    double     opened_at, last_at; /* start of the run, and of its last checkpoint, on ls__clock_s() */
    double     waited_s;           /* total time that the run has waited for checkpoints                    */
    double     reported_s;         /* waited_s when the last checkpoint was published                       */
    double     usual_s;            /* mean duration of a step during which no checkpoint is written         */
    int        usual_steps;        /* number of steps in that mean; 0: none yet                             */
    double     slower_s;           /* slowdown of the steps during which the last checkpoint was written    */
    double     cost_s;             /* cost of the last checkpoint; before the first one an estimate         */
    double     worst_s;            /* largest cost of the last few checkpoints                              */
    double     spent_s;            /* total cost                                                            */
    double     publish_s;          /* from start to publication of the last checkpoint; at first an estimate */
    int        count;              /* checkpoints that this process has published                           */
} ls_checkpoint_policy;

/* step: steps that the run has done; found: it continues from a checkpoint.  Collective. */
ls_status ls_checkpoint_policy_open(ls_checkpoint_policy *s, ls_run *run, const char *folder, int64_t step, bool found);
void      ls_checkpoint_policy_close(ls_checkpoint_policy *s); /* a second call does nothing */

/* Flags that this rank sends with a step: its part of the last checkpoint is written; a checkpoint is due. */
enum { LS_CHECKPOINT_POLICY_WRITTEN, LS_CHECKPOINT_POLICY_DUE, LS_CHECKPOINT_POLICY_VOTES };
uint32_t ls_checkpoint_policy_votes(ls_checkpoint_policy *s);

/* Records the duration of a training step. */
void ls_checkpoint_policy_step(ls_checkpoint_policy *s, double seconds);
/* Publishes the checkpoint that all ranks have written.  Collective. */
ls_status ls_checkpoint_policy_publish(ls_checkpoint_policy *s);
/* Takes a checkpoint of this state, unless there is one of this step.  Collective. */
ls_status ls_checkpoint_policy_take(ls_checkpoint_policy *s, const ls_progress *at);
/* Logs the published and the failed checkpoints, on rank 0. */
void ls_checkpoint_policy_report(ls_checkpoint_policy *s, double wall_s);
/* Waits until the last checkpoint is published; LS_ERR_ENV when it cannot be.  Collective. */
ls_status ls_checkpoint_policy_finish(ls_checkpoint_policy *s, double wall_s);
/* The same, but a checkpoint that cannot be written is only a warning.  LS_ERR_ENV when the communicator is broken.
 * Collective. */
ls_status ls_checkpoint_policy_settle(ls_checkpoint_policy *s, double wall_s);

/* Returns the time from now until a checkpoint started now is published, seconds. */
double ls_checkpoint_policy_need(const ls_checkpoint_policy *s);

#endif

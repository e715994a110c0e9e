/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoints of a run: when they are taken, what they cost, and what is said of them.
 *
 * Between the epochs' ends they are taken every checkpoint.every steps, or as often as checkpoint.budget allows: so
 * that all of them together have taken no more than that part of the run's time.  What one takes is the time in which
 * the run waited for it, and what the steps beside which it was written took longer than others.
 */
#ifndef LS_LAUNCH_RUN_CHECKPOINT_POLICY_H
#define LS_LAUNCH_RUN_CHECKPOINT_POLICY_H

#include "launch/run/metrics.h"
#include "launch/run/progress.h"
#include "launch/run/run_setup.h"

typedef struct ls_checkpoint_policy {
    ls_run    *run;
    ls_saver  *saver;
    ls_events *events; /* rank 0's; NULL: not written                           */
    ls_bar    *bar;
    ls_status  pending;            /* of rank 0's metrics, for the caller to take           */
    int64_t    begun, good;        /* steps of the last that was begun, and published; -1   */
    bool       failing;            /* the last one was not, and that was said               */
    bool       slow;               /* it takes very long, and that was said                 */
    double     opened_at, last_at; /* when the run began, and its last checkpoint    */
    double     waited_s;           /* in which the run waited for all of them so far        */
    double     told_s;             /* the same, when one was published last                 */
    double     calm_s;             /* a step beside which nothing is written                */
    int        calm_steps;         /* the mean of so many; 0: none yet                      */
    double     slower_s;           /* what steps took longer while the last one was written */
    double     cost_s;             /* of the last one; at first a guess                     */
    double     worst_s;            /* of the last few                                       */
    double     spent_s;            /* on all of them                                        */
    double     whole_s;            /* from the last one's beginning until it was published; at first a guess */
    int        count;              /* published by this process                             */
} ls_checkpoint_policy;

/* step: where the run stands; found: in a checkpoint that it continues from.  Collective. */
ls_status ls_checkpoint_policy_open(ls_checkpoint_policy *s, ls_run *run, const char *folder, int64_t step, bool found);
void      ls_checkpoint_policy_close(ls_checkpoint_policy *s); /* may be called twice */

/* What this rank votes for with a step, a bit each: it has written its part of the last one; one is due. */
enum { LS_CHECKPOINT_POLICY_WRITTEN, LS_CHECKPOINT_POLICY_DUE, LS_CHECKPOINT_POLICY_VOTES };
uint32_t ls_checkpoint_policy_votes(ls_checkpoint_policy *s);

/* A step of training has taken so long. */
void ls_checkpoint_policy_step(ls_checkpoint_policy *s, double seconds);
/* Publishes what all ranks have written; before another one is taken.  Collective. */
ls_status ls_checkpoint_policy_publish(ls_checkpoint_policy *s);
/* Takes a checkpoint of this state of the run, unless there is one of this step; `wall_s` is for the log.  Collective.
 */
ls_status ls_checkpoint_policy_take(ls_checkpoint_policy *s, const ls_progress *at);
/* Rank 0 writes and says what has become of them. */
void ls_checkpoint_policy_report(ls_checkpoint_policy *s, double wall_s);
/* Waits until the last one is published; LS_ERR_ENV where it is not.  Collective. */
ls_status ls_checkpoint_policy_finish(ls_checkpoint_policy *s, double wall_s);
/* The same, where older ones will do: one that could not be written is a warning.  LS_ERR_ENV when the communicator is
 * broken.  Collective. */
ls_status ls_checkpoint_policy_settle(ls_checkpoint_policy *s, double wall_s);

/* How long it takes until a checkpoint that is taken now is there. */
double ls_checkpoint_policy_need(const ls_checkpoint_policy *s);

#endif

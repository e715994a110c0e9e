/* SPDX-License-Identifier: Apache-2.0
 * Output of a training: metrics.jsonl, progress on stderr, report.html.  Used by launch/run/train_loop.c. */
#ifndef LS_LAUNCH_RUN_TRAIN_LOG_H
#define LS_LAUNCH_RUN_TRAIN_LOG_H

#include "core/base/clock.h"
#include "launch/report/report_tables.h"
#include "launch/report/trace.h"
#include "launch/run/checkpoint_policy.h"
#include "launch/run/metrics.h"
#include "launch/run/progress.h"
#include "launch/run/run_directory.h"
#include "launch/run/run_setup.h"
#include "launch/run/straggler.h"

/* Durations of a training, seconds. */
typedef struct ls_train_clock {
    double wall_before;      /* of the interrupted parts that this run continues */
    double began;            /* ls__clock_s() at the start                            */
    double trained_s;        /* in steps                                         */
    double trained;          /* samples of these steps                           */
    double logged_s, logged; /* the same since the last event "step"             */
    double step_s;           /* of a step, smoothed                              */
} ls_train_clock;

/* The last evaluation. */
typedef struct ls_train_evaluation {
    int64_t   step; /* -1: none so far */
    ls_scores scores;
} ls_train_evaluation;

/* The evaluation with the lowest loss, and the evaluations since (train.patience). */
typedef struct ls_train_best {
    double  loss;
    int64_t step; /* -1: none so far */
    int64_t since;
} ls_train_best;

/* Files and console; rank 0 only. */
typedef struct ls_train_output {
    ls_events *events;
    ls_bar     bar;
    ls_summary summary;
    double     report_at;   /* ls__clock_s() when report.html was last written        */
    bool       log_waits;   /* the user was told that the disk is full           */
    bool       files_begun; /* an error from here on leaves the run's files      */
} ls_train_output;

typedef struct ls_training {
    ls_run              *run;
    ls_run_directory     directory;
    ls_loader           *loader;
    ls_trace            *trace;
    bool                 brief;   /* no examination at the end */
    ls_progress          at;      /* position of the run; epochs counted from 0                */
    ls_metrics           metrics; /* of the last step                                          */
    ls_status            pending; /* error of this rank since the last step                    */
    ls_checkpoint_policy checkpoints;
    ls_train_clock       clock;
    ls_train_evaluation  evaluation;
    ls_train_best        best;
    ls_train_output      output;
    ls_rank_times       *rank_times; /* of all ranks, since `epoch_mark`                       */
    ls_rank_times_mark   epoch_mark;
    int64_t              rolled_to; /* step of the checkpoint that the last rollback loaded; -1 */
    int64_t              rolled_at; /* step at which it happened; -1                            */
} ls_training;

/* Seconds since the run began, interruptions not counted. */
double ls_train_wall(const ls_training *t);
/* Records an error of rank 0's files until the next step sends it to all ranks. */
void ls_train_keep_error(ls_training *t, ls_status status);

/* Append an event to metrics.jsonl. */
void      ls_train_log_start(ls_training *t);
void      ls_train_log_step(ls_training *t);
void      ls_train_log_evaluation(ls_training *t, const ls_dataset_info *split);
ls_status ls_train_log_end(ls_training *t);

/* Write to stderr: the progress bar, the line before the first step, the line after an evaluation. */
void ls_train_show_progress(ls_training *t);
void ls_train_show_start(ls_training *t, bool continues);
void ls_train_show_evaluation(ls_training *t, const ls_dataset_info *split);

/* Updates the summary.  Collective. */
ls_status ls_train_summarize(ls_training *t, const char *status);
/* Updates the summary of rank 0 alone, after an error. */
void      ls_train_summarize_root(ls_training *t, const char *status);
ls_status ls_train_write_report(ls_training *t);

#endif

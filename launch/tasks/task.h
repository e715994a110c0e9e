/* SPDX-License-Identifier: Apache-2.0
 *
 * Tasks: what a run trains.  A task is one row: its inputs, model builder, loss, metrics, and what the console, the
 * log, the report and `lockstep predict` show.  launch/tasks/task_table.c lists the rows; launch/tasks/README.md
 * shows how to add one.
 *
 * A run's task follows from its dataset: the first row of the table that accepts the dataset's description.
 */
#ifndef LS_LAUNCH_TASKS_TASK_H
#define LS_LAUNCH_TASKS_TASK_H

#include <jansson.h>

#include "datasets/datasets.h"
#include "launch/recipe/recipe.h"
#include "launch/lockstep.h"

typedef struct ls_report ls_report;

/* Contents of data.json. */
typedef struct ls_dataset_card {
    ls_dataset_info info;
    ls_scaler      *scaler; /* normalisation of arrays; NULL for other data */
} ls_dataset_card;

/* One metric besides the loss.  Formats are printf formats of one double; a value of NaN is not shown. */
typedef struct ls_task_metric {
    const char *key;      /* name in metrics.jsonl: "bits_per_byte"                                            */
    const char *label;    /* name on stdout and in the report: "bits per byte"; NULL: in metrics.jsonl only    */
    const char *console;  /* format of the line after an evaluation: "bits/byte %.3f"; NULL: not in that line   */
    const char *result;   /* format on stdout: "%.4f"                                                          */
    const char *figure;   /* format of a figure in the report; NULL: as `result`                               */
    double      scale;    /* factor before printing; 0: 1; 100 for percentages                                 */
    bool        of_split; /* the label follows the split's name, and the line precedes the loss: "test accuracy" */
    bool        higher_is_better; /* direction of improvement                                                 */
    bool        is_share;         /* share of the samples: shown with its 95 % interval                       */
    /* Chart in the report; the first metric with a title and at least one value is drawn. */
    const char *chart;     /* title: "Accuracy on held-out samples"; NULL: none                               */
    double      chart_max; /* top of the axis; 0: from the values                                             */
    bool        log_scale;
} ls_task_metric;

/* Accuracy: the label has the largest logit.  ls_score_accuracy computes it as metric 0. */
#define LS_ACCURACY_METRIC(samples)                                                                                    \
    {                                                                                                                  \
        .key = "accuracy", .label = "accuracy", .console = "accuracy %6.2f %%", .result = "%.2f %%", .scale = 100,     \
        .of_split = true, .higher_is_better = true, .is_share = true, .chart = "Accuracy on held-out " samples,        \
        .chart_max = 100                                                                                               \
    }

/* Sums over the samples of an evaluation, from which a task computes its scores. */
typedef struct ls_score_sums {
    int64_t       samples;
    double        loss, weight; /* sum of loss x weight, sum of weights; their quotient is the mean loss */
    double        correct;      /* samples whose largest logit is the label's; NaN without logits        */
    const double *extra;        /* sums of what sample_scores has returned, in its order                 */
} ls_score_sums;

typedef struct ls_task {
    const char           *name;        /* "image classification"                                                   */
    const char           *data;        /* what the dataset holds, for messages: "images"                           */
    const char           *card;        /* "kind" in data.json                                                      */
    const char           *unit;        /* what rates count: "samples", "tokens"                                    */
    const char           *split_title; /* held-out split in the report: "Test", "Validation"                       */
    const char           *use;         /* hint for commands that do not fit the task: "`lockstep predict` ..."     */
    const ls_task_metric *metric;      /* ended by one without a key                                               */

    /* Whether the task trains on such a dataset. */
    bool (*accepts)(const ls_dataset_info *info);
    /* (optional) Opens a split of the dataset at `path` where the recipe asks for this task; *opened is false, and the
     * status LS_OK, when it does not. */
    ls_status (*open)(ls_dataset **d, const ls_recipe *r, const char *path, const char *split, bool *opened);
    /* (optional) Prepares an opened dataset as the recipe says, e.g. the context length of text. */
    ls_status (*prepare)(ls_dataset *d, const ls_recipe *r);
    /* (optional) Normalises the open splits of a run; not collective. */
    ls_status (*normalise)(ls_run *run);
    /* (optional) Describes the recipe's dataset without opening it, for `explain` and `bench`: shapes, classes.  False
     * when the recipe does not determine them. */
    bool (*describe_unopened)(const ls_recipe *r, ls_dataset_info *info);
    /* (optional) Units of a sample, e.g. the tokens of a window; default 1. */
    int64_t (*units)(const ls_dataset_info *info);
    /* (optional) Units of a whole split, for `lockstep data verify`; default its samples. */
    int64_t (*split_units)(const ls_dataset_info *info);
    /* Describes a sample: "1 x 28 x 28 in 10 classes"; `samples` names many of them: "samples of". */
    void (*sample_text)(const ls_dataset_info *info, char *text, size_t bytes);
    const char *samples_text; /* between the counts and the sample: "samples of"                               */
    /* LS_ERR_DATA when two splits of a dataset do not fit together. */
    ls_status (*check_splits)(const ls_dataset_info *a, const ls_dataset_info *b);

    /* Adds inputs, model and loss to run->graph: sets run->loss and, for accuracy, run->logits and run->label. */
    ls_status (*build)(ls_run *run);

    /* (optional) Numbers that each sample of an evaluation adds to ls_score_sums.extra, computed from the model's
     * output (run->logits) for that sample. */
    int (*extras)(const ls_run *run);
    void (*sample_scores)(const ls_run *run, const ls_batch *batch, int64_t row, const float *output, double *extra);
    /* Computes scores->metric from the sums. */
    void (*score)(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores);
    /* (optional) Computes scores that need more than the losses, e.g. of generated text.  Collective. */
    ls_status (*further_scores)(ls_run *run, ls_dataset *split, ls_scores *scores);

    /* The dataset card data.json: writes the task's fields, reads them (false: something is missing or invalid), and
     * (optional) checks that a dataset fits the card of the run that it continues. */
    ls_status (*write_card)(json_t *json, const ls_dataset_card *card);
    bool (*read_card)(const json_t *json, ls_dataset_card *card, ls_arena *memory);
    ls_status (*check_card)(const char *folder, const ls_dataset_info *card, const ls_dataset_info *info);
    /* (optional) Writes further files of the dataset into the run directory, e.g. tokenizer.json. */
    ls_status (*save_files)(const ls_dataset_info *info, const char *folder);
    /* (optional) Checks files beside the dataset's, e.g. tokenizer.json. */
    ls_status (*verify_files)(const ls_dataset_info *info);

    /* (optional) Examines the model at the end of a training, and sets run->examined.  Collective. */
    ls_status (*examine)(ls_run *run);
    /* Adds rows about the dataset to the report's table "Data". */
    void (*report_data)(ls_report *report, const ls_run *run);
    /* (optional) Predicts the samples of the given files; called on every rank. */
    ls_status (*predict)(ls_run *run, const ls_predict_options *options);
} ls_task;

extern const ls_task *const ls__tasks[]; /* ended by NULL */
extern const ls_task        ls__task_image_classification, ls__task_language_model, ls__task_array_regression,
    ls__task_array_classification, ls__task_translation, ls__task_text_classification, ls__task_text_regression,
    ls__task_masked_language_model;

/* Returns the task of a dataset. */
const ls_task *ls_task_of(const ls_dataset_info *info);
/* Returns the task whose data.json has this "kind"; the first of the table when there is none. */
const ls_task *ls_task_of_card(const char *kind);

/* The `score` of a classification. */
void ls_score_accuracy(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores);

/* Units of a sample, of a split: tokens, or samples. */
int64_t ls_task_units(const ls_task *task, const ls_dataset_info *info);
int64_t ls_task_split_units(const ls_task *task, const ls_dataset_info *info);
/* Number of metrics. */
int ls_task_metrics(const ls_task *task);

/* Computes the 95 % interval of a share of n samples (Wilson 1927). */
void ls_share_interval(double share, int64_t n, double *low, double *high);

/* Scores of a run that has not been evaluated. */
ls_scores ls_scores_none(void);
/* Writes the metrics for the line after an evaluation: "accuracy  98.91 %". */
void ls_scores_console(const ls_task *task, const ls_scores *scores, char *text, size_t bytes);
/* Prints loss and metrics to stdout, one per line: "test accuracy  98.91 %". */
void ls_scores_print(const ls_task *task, const char *split, const ls_scores *scores);
/* Adds loss and metrics to the figures at the top of the report. */
void ls_scores_report(const ls_task *task, const ls_scores *scores, ls_report *report);
/* Adds loss and metrics to an event of metrics.jsonl; a value that is not known is null. */
void ls_scores_write(const ls_task *task, const ls_scores *scores, json_t *event);
/* Reads them back; keeps the scores whose key the event does not have. */
void ls_scores_read(const ls_task *task, ls_scores *scores, const json_t *event);

#endif

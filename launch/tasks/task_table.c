/* SPDX-License-Identifier: Apache-2.0
 * The table of tasks, and scores as text. */
#include <math.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "launch/report/report_html.h"
#include "launch/tasks/task.h"

const ls_task *const ls__tasks[] = {
    &ls__task_image_classification, &ls__task_masked_language_model, &ls__task_language_model,
    &ls__task_translation,          &ls__task_array_classification,  &ls__task_array_regression,
    &ls__task_text_classification,  &ls__task_text_regression,       NULL,
};

const ls_task *ls_task_of(const ls_dataset_info *info)
{
    for (const ls_task *const *task = ls__tasks; *task; task++)
        if ((*task)->accepts(info)) return *task;
    return ls__tasks[0];
}

const ls_task *ls_task_of_card(const char *kind)
{
    for (const ls_task *const *task = ls__tasks; kind && *task; task++)
        if (!strcmp((*task)->card, kind)) return *task;
    return ls__tasks[0];
}

int64_t ls_task_units(const ls_task *task, const ls_dataset_info *info) { return task->units ? task->units(info) : 1; }

int64_t ls_task_split_units(const ls_task *task, const ls_dataset_info *info)
{
    return task->split_units ? task->split_units(info) : info->count;
}

void ls_score_accuracy(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores)
{
    (void)run;
    (void)split;
    scores->metric[0] = sums->correct / (double)sums->samples;
}

int ls_task_metrics(const ls_task *task)
{
    int n = 0;
    while (n < LS_TASK_METRICS && task->metric[n].key) n++;
    return n;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

void ls_share_interval(double share, int64_t n, double *low, double *high)
{
    const double z = 1.959963984540054, count = (double)n, widen = 1 + z * z / count;
    const double centre = (share + z * z / (2 * count)) / widen,
                 half   = z / widen * sqrt(share * (1 - share) / count + z * z / (4 * count * count));
    *low                = n ? fmax(centre - half, 0) : 0;
    *high               = n ? fmin(centre + half, 1) : 1;
}

ls_scores ls_scores_none(void)
{
    ls_scores scores = {.loss = NAN};
    for (int i = 0; i < LS_TASK_METRICS; i++) scores.metric[i] = NAN;
    return scores;
}

static double scaled(const ls_task_metric *m, double value) { return m->scale ? m->scale * value : value; }

void ls_scores_console(const ls_task *task, const ls_scores *scores, char *text, size_t bytes)
{
    *text = 0;
    for (int i = 0; i < ls_task_metrics(task); i++) {
        const ls_task_metric *m    = &task->metric[i];
        size_t                used = strlen(text);
        if (!m->console || isnan(scores->metric[i]) || used + 2 > bytes) continue;
        if (used) text[used++] = ' ';
        snprintf(text + used, bytes - used, m->console, scaled(m, scores->metric[i]));
    }
    for (size_t n = strlen(text); n && text[n - 1] == ' '; n--) text[n - 1] = 0;
}

/* Calls `each` for the loss and every metric that is shown, in the order of the output. */
static void for_each_score(const ls_task *task, const ls_scores *scores, void *context,
                           void (*each)(void *context, const ls_task_metric *m, double value))
{
    static const ls_task_metric loss = {.key = "loss", .label = "loss", .result = "%.4f", .of_split = true};
    for (int before = 1; before >= 0; before--) {
        for (int i = 0; i < ls_task_metrics(task); i++) {
            const ls_task_metric *m = &task->metric[i];
            if (m->of_split == before && m->label && !isnan(scores->metric[i]))
                each(context, m, scaled(m, scores->metric[i]));
        }
        if (before && !isnan(scores->loss)) each(context, &loss, scores->loss);
    }
}

/* The 95 % interval of a metric that is a share: "98.68 to 99.10 %". */
static void interval_text(const ls_task_metric *m, double value, int64_t samples, char *text, size_t bytes)
{
    const double scale = scaled(m, 1);
    double       low, high;
    ls_share_interval(value / scale, samples, &low, &high);
    snprintf(text, bytes, "%.2f to ", scale * low);
    snprintf(text + strlen(text), bytes - strlen(text), m->result, scale * high);
}

/* The place to which scores are written. */
typedef struct destination {
    const char *split; /* name of the split in labels */
    int64_t     samples;
    ls_report  *report; /* NULL: stdout */
} destination;

static void print_score(void *context, const ls_task_metric *m, double value)
{
    const destination *to = context;
    char               name[LS_SPLIT_NAME + 64];
    snprintf(name, sizeof name, "%s%s%s", m->of_split ? to->split : "", m->of_split ? " " : "", m->label);
    printf("%-14s ", name);
    printf(m->result, value);
    putchar('\n');
    if (!m->is_share) return;
    interval_text(m, value, to->samples, name, sizeof name);
    printf("%-14s %s\n", "95 % interval", name);
}

void ls_scores_print(const ls_task *task, const char *split, const ls_scores *scores)
{
    for_each_score(task, scores, &(destination){.split = split, .samples = scores->samples}, print_score);
}

static void add_figure(void *context, const ls_task_metric *m, double value)
{
    const destination *to = context;
    char               name[128], text[64];
    snprintf(name, sizeof name, "%s%s%s", m->of_split ? to->split : "", m->of_split ? " " : "", m->label);
    name[0] = (char)toupper((unsigned char)name[0]);
    snprintf(text, sizeof text, m->figure ? m->figure : m->result, value);
    ls_report_figure(to->report, name, "%s", text);
    if (!m->is_share) return;
    interval_text(m, value, to->samples, text, sizeof text);
    ls_report_figure_note(to->report, "95 %% interval %s", text);
}

void ls_scores_report(const ls_task *task, const ls_scores *scores, ls_report *report)
{
    const destination to = {.split = task->split_title, .samples = scores->samples, .report = report};
    for_each_score(task, scores, (void *)(uintptr_t)&to, add_figure);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

void ls_scores_write(const ls_task *task, const ls_scores *scores, json_t *event)
{
    json_object_set_new(event, "loss", number(scores->loss));
    json_object_set_new(event, "samples", scores->samples ? json_integer(scores->samples) : json_null());
    for (int i = 0; i < ls_task_metrics(task); i++)
        json_object_set_new(event, task->metric[i].key, number(scores->metric[i]));
}

static void read_number(const json_t *event, const char *key, double *value)
{
    const json_t *found = json_object_get(event, key);
    if (found) *value = json_is_number(found) ? json_number_value(found) : NAN;
}

void ls_scores_read(const ls_task *task, ls_scores *scores, const json_t *event)
{
    const json_t *samples = json_object_get(event, "samples");
    read_number(event, "loss", &scores->loss);
    if (samples) scores->samples = json_integer_value(samples);
    for (int i = 0; i < ls_task_metrics(task); i++) read_number(event, task->metric[i].key, &scores->metric[i]);
}

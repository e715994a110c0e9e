/* SPDX-License-Identifier: Apache-2.0
 * Output of a training: see launch/run/train_log.h. */
#include "launch/run/train_log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "dist/trainer/trainer.h"
#include "launch/report/unit_text.h"
#include "launch/tasks/task.h"

double ls_train_wall(const ls_training *t) { return t->clock.wall_before + ls__clock_s() - t->clock.began; }

void ls_train_keep_error(ls_training *t, ls_status status)
{
    if (t->pending == LS_OK) t->pending = status;
}

static double rate(double samples, double seconds) { return seconds > 0 ? samples / seconds : NAN; }

static void digest_text(char out[17], uint64_t digest) { snprintf(out, 17, "%016llx", (unsigned long long)digest); }

/* Units per sample: tokens of a text sample, 1 for other data. */
static double units(const ls_training *t) { return (double)ls_task_units(t->run->task, &t->run->data); }

/* ---- metrics.jsonl ----------------------------------------------------------------------------------------------- */

void ls_train_log_start(ls_training *t)
{
    const ls_run *run       = t->run;
    const bool    is_bf16   = run->recipe->train.precision == LS_BF16;
    const char   *precision = is_bf16 ? ls__dtype_name(LS_BF16) : NULL;
    double        bucket_s;
    int64_t       bucket     = ls__trainer_bucket(run->trainer, &bucket_s);
    int64_t       parameters = ls_params_total(ls_trainer_params(run->trainer));
    ls_train_keep_error(
        t, ls_events_write(
               t->output.events, "{s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:I, s:s, s:s*, s:s*}",
               "event", "start", "step", (json_int_t)t->at.step, "version", LS_VERSION, "recipe", run->recipe->name,
               "recipe_hash", run->recipe->hash, "data", run->recipe->data.path, "samples",
               (json_int_t)run->train_count, "steps", (json_int_t)run->total_steps, "parameters",
               (json_int_t)parameters, "ranks", run->ranks, "threads", run->threads, "bucket_bytes", (json_int_t)bucket,
               "isa", ls_isa_name(ls_isa_current()), "precision", precision, "products", run->products_text));
}

/* A full disk does not end a run: the log waits in memory until there is space again. */
static void warn_of_full_disk(ls_training *t)
{
    const char *problem = ls_events_problem(t->output.events);
    if (problem && !t->output.log_waits)
        ls_bar_say(&t->output.bar,
                   "lockstep: warning: %s: cannot write: %s; training continues, and the log waits in memory" LS_HINT
                   "free some space",
                   ls_run_directory_file(&t->directory, "metrics.jsonl"), problem);
    if (!problem && t->output.log_waits) ls_bar_say(&t->output.bar, "metrics.jsonl could be written again");
    t->output.log_waits = problem != NULL;
}

void ls_train_log_step(ls_training *t)
{
    char            digest[17], unit_key[64];
    const ls_task  *task    = t->run->task;
    ls_train_clock *clock   = &t->clock;
    double          samples = rate(clock->logged, clock->logged_s);
    snprintf(unit_key, sizeof unit_key, "%s_per_s", task->unit);
    digest_text(digest, ls_trainer_digest(t->run->trainer));
    ls_train_keep_error(t,
                        ls_events_write(t->output.events, "{s:s, s:I, s:I, s:o, s:o, s:o, s:o*, s:s}", "event", "step",
                                        "step", (json_int_t)t->at.step, "epoch", (json_int_t)t->at.epoch + 1, "loss",
                                        ls_events_number(t->metrics.loss), "lr", ls_events_number(t->metrics.lr),
                                        "samples_per_s", ls_events_number(samples), unit_key,
                                        task->units ? ls_events_number(samples * units(t)) : NULL, "digest", digest));
    clock->logged = clock->logged_s = 0;
    warn_of_full_disk(t);
}

void ls_train_log_evaluation(ls_training *t, const ls_dataset_info *split)
{
    json_t *event = json_pack("{s:s, s:I, s:I, s:s}", "event", "eval", "step", (json_int_t)t->at.step, "epoch",
                              (json_int_t)t->at.epoch + 1, "split", split->split);
    ls_scores_write(t->run->task, &t->evaluation.scores, event);
    json_object_set_new(event, "wall_s", ls_events_number(t->output.summary.wall_s));
    ls_train_keep_error(t, ls_events_put(t->output.events, event));
}

ls_status ls_train_log_end(ls_training *t)
{
    const ls_summary *s = &t->output.summary;
    json_t *event = json_pack("{s:s, s:s, s:I}", "event", "end", "status", s->status, "step", (json_int_t)s->step),
           *rest  = json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:i, s:i, s:s}", "digest", s->digest, "wall_s",
                              ls_events_number(s->wall_s), "waited_s", ls_events_number(t->checkpoints.waited_s),
                              "samples_per_s", ls_events_number(s->samples_per_s), "planned_bytes",
                              (json_int_t)s->planned_bytes, "resident_peak_bytes", (json_int_t)s->peak_bytes, "ranks",
                              t->run->ranks, "threads", t->run->threads, "isa", ls_isa_name(ls_isa_current()));
    ls_scores_write(t->run->task, &t->evaluation.scores, event);
    json_object_update(event, rest);
    json_decref(rest);
    LS_TRY(ls_events_put(t->output.events, event));
    return ls_events_flush(t->output.events);
}

/* ---- stderr ------------------------------------------------------------------------------------------------------ */

void ls_train_show_progress(ls_training *t)
{
    const ls_run *run = t->run;
    ls_bar_update(&t->output.bar,
                  &(ls_bar_state){.what          = "epoch",
                                  .step          = t->at.step,
                                  .steps         = run->total_steps,
                                  .epoch         = t->at.epoch + 1,
                                  .epochs        = run->recipe->train.epochs,
                                  .loss          = t->metrics.loss,
                                  .samples_per_s = rate((double)run->recipe->train.batch * units(t), t->clock.step_s),
                                  .unit          = run->task->units ? run->task->unit : NULL,
                                  .seconds_left  = t->clock.step_s * (double)(run->total_steps - t->at.step)});
}

void ls_train_show_start(ls_training *t, bool continues)
{
    ls_run    *run     = t->run;
    const bool is_bf16 = run->recipe->train.precision == LS_BF16;
    char       parameters[32], steps[32];
    double     bucket_s;
    int64_t    bucket = ls__trainer_bucket(run->trainer, &bucket_s);
    ls__count_text(parameters, sizeof parameters, ls_params_total(ls_trainer_params(run->trainer)));
    ls__count_text(steps, sizeof steps, run->total_steps);
    ls_bar_say(&t->output.bar, "%s: %s parameters, %s steps, %d rank%s x %d thread%s, %s%s", t->directory.path,
               parameters, steps, run->ranks, run->ranks == 1 ? "" : "s", run->threads, run->threads == 1 ? "" : "s",
               ls_isa_name(ls_isa_current()), is_bf16 ? ", bfloat16" : "");
    if (is_bf16 && ls_isa_bf16_lack())
        ls_bar_say(&t->output.bar, "note: train.precision=bfloat16: %s", ls_isa_bf16_lack());
    if (run->products) ls_bar_say(&t->output.bar, "matrix products: %s", run->products_text);
    if (bucket_s > 0)
        ls_bar_say(&t->output.bar, "inter-host all-reduce: buckets of %.2f MiB, %.1f ms each when measured",
                   (double)bucket / (1 << 20), 1e3 * bucket_s);
    size_t      part;
    const char *whole = run->ranks > 1 ? ls__trainer_gradient_whole(run->trainer, &part) : NULL;
    if (whole) ls_bar_say(&t->output.bar, "gradients are not partitioned: %s", whole);
    if (continues) ls_bar_say(&t->output.bar, "continues after step %lld", (long long)t->at.step);
}

void ls_train_show_evaluation(ls_training *t, const ls_dataset_info *split)
{
    const ls_summary *s = &t->output.summary;
    char              steps[32], speed[32], scores[128];
    ls__count_text(steps, sizeof steps, t->at.step);
    ls__count_text(speed, sizeof speed, t->clock.trained_s > 0 ? llround(s->samples_per_s * units(t)) : 0);
    ls_scores_console(t->run->task, &t->evaluation.scores, scores, sizeof scores);
    ls_bar_say(&t->output.bar, "epoch %-3lld step %-9s train loss %-9.4f %s loss %-9.4f %s   %s %s/s",
               (long long)t->at.epoch + 1, steps, t->metrics.loss, split->split, t->evaluation.scores.loss, scores,
               speed, t->run->task->unit);
}

/* ---- summary and report ------------------------------------------------------------------------------------------ */

void ls_train_summarize_root(ls_training *t, const char *status)
{
    ls_summary *s    = &t->output.summary;
    s->status        = status;
    s->step          = t->at.step;
    s->wall_s        = ls_train_wall(t);
    s->planned_bytes = ls_trainer_planned_bytes(t->run->trainer);
    s->peak_bytes    = ls_trainer_peak_bytes(t->run->trainer);
    if (t->clock.trained_s > 0) s->samples_per_s = rate(t->clock.trained, t->clock.trained_s);
    digest_text(s->digest, ls_trainer_digest(t->run->trainer));
    s->scores = t->evaluation.scores;
}

ls_status ls_train_summarize(ls_training *t, const char *status)
{
    ls_summary *s = &t->output.summary;
    ls_train_summarize_root(t, status);
    LS_TRY(ls_run_maximum(t->run, s->planned_bytes, &s->planned_bytes));
    return ls_run_maximum(t->run, s->peak_bytes, &s->peak_bytes);
}

ls_status ls_train_write_report(ls_training *t)
{
    t->output.report_at = ls__clock_s();
    return ls_run_report(t->run, &t->output.summary, ls_run_directory_file(&t->directory, "metrics.jsonl"),
                         ls_run_directory_file(&t->directory, "report.html"));
}

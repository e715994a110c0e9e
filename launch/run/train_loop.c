/* SPDX-License-Identifier: Apache-2.0
 *
 * The training loop: epochs of steps with evaluations, checkpoints and metrics.
 *
 * An event on one rank (an error of its loader, a full disk, a signal) is sent with the gradients of the next step
 * (dist/trainer/trainer.h).  After that step all ranks know of it and take the same branch.
 */
#include "launch/run/train_loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/io/atomic_file.h"
#include "dist/trainer/trainer.h"
#include "launch/data/dataset_card.h"
#include "launch/run/evaluate.h"
#include "launch/run/open_model.h"
#include "launch/run/stop_signals.h"
#include "launch/run/train_log.h"
#include "launch/tasks/task.h"
#include "launch/transfer/export_text_model.h"

/* Bits of the flags that a rank sends with each step: those of the checkpoint policy, then one for each reason to stop
 * the run after this step. */
enum { VOTE_STOP = LS_CHECKPOINT_POLICY_VOTES };
_Static_assert(VOTE_STOP + LS_STOPS - LS_STOP_TERM <= LS_CONTROL_FLAGS, "a bit for each reason to stop");

/* ---- evaluation and checkpoints ---------------------------------------------------------------------------------- */

static ls_status evaluate(ls_training *t)
{
    enum { REPORT_S = 20 }; /* least seconds between two reports of a running run */
    ls_run *run = t->run;
    if (t->evaluation.step == t->at.step) return LS_OK;
    LS_TRY(ls_run_evaluate_split(run, run->test, &t->evaluation.scores));
    t->evaluation.step = t->at.step;
    LS_TRY(ls_train_summarize(t, "running"));
    if (!run->is_root) return LS_OK;
    ls_dataset_info split = ls_dataset_info_of(run->test);
    ls_train_log_evaluation(t, &split);
    ls_train_show_evaluation(t, &split);
    if (ls__clock_s() - t->output.report_at > REPORT_S && ls_train_write_report(t) != LS_OK)
        ls_bar_say(&t->output.bar, "lockstep: warning: no new report: %s", ls_error_message());
    return LS_OK;
}

/* Takes the loss of an evaluation.  A loss that is not finite is no improvement. */
static void take_loss(ls_train_best *best, double loss, int64_t step)
{
    if (isfinite(loss) && (best->step < 0 || loss < best->loss))
        *best = (ls_train_best){loss, step, 0};
    else
        best->since++;
}

/* Whether train.patience ends the run. */
static bool is_exhausted(const ls_training *t)
{
    const int64_t patience = t->run->recipe->train.patience;
    return patience && t->best.since >= patience;
}

/* Whether the run has trained its last step. */
static bool is_at_end(const ls_training *t) { return t->at.step >= t->run->total_steps || is_exhausted(t); }

static ls_status save_checkpoint(ls_training *t)
{
    t->at.loss = t->evaluation.step == t->at.step ? t->evaluation.scores.loss : NAN;
    LS_TRY_IN_PHASE(t->run, LS_PHASE_CHECKPOINT, "saving a checkpoint",
                    ls_checkpoint_policy_take(&t->checkpoints, &t->at));
    return LS_OK;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* Returns the flags that this rank adds to the next step's all-reduce.  A stop requested after this call takes effect
 * one step later. */
static ls_step_flags step_flags(ls_training *t)
{
    /* A continued run trains at least one step, however little time it has. */
    double need_s = t->clock.trained > 0 ? ls_checkpoint_policy_need(&t->checkpoints) + 3 * t->clock.step_s : -INFINITY;
    ls_stop_reason stop = ls_stop_requested(need_s);
    return (ls_step_flags){t->pending, ls_checkpoint_policy_votes(&t->checkpoints) |
                                           (stop ? 1u << (VOTE_STOP + stop - LS_STOP_TERM) : 0)};
}

/* Returns the first reason to stop for which any rank has voted. */
static ls_stop_reason stop_of(const ls_step_flag_counts *all)
{
    for (ls_stop_reason why = LS_STOP_TERM; why < LS_STOPS; why++)
        if (all->control[VOTE_STOP + why - LS_STOP_TERM]) return why;
    return LS_STOP_NONE;
}

static void account(ls_train_clock *clock, double seconds, double samples)
{
    clock->trained_s += seconds;
    clock->trained += samples;
    clock->logged_s += seconds;
    clock->logged += samples;
    clock->step_s = clock->step_s > 0 ? 0.98 * clock->step_s + 0.02 * seconds : seconds;
}

/* Logs how long each rank computed and waited in the epoch that ends, and names a straggler.  Collective. */
static ls_status compare_ranks(ls_training *t)
{
    ls_run *run = t->run;
    char    text[2048];
    if (run->ranks == 1) return LS_OK;
    LS_TRY(ls_run_rank_times(run, &t->epoch_mark, t->rank_times));
    if (!run->is_root) return LS_OK;
    ls_train_keep_error(t,
                        ls_rank_times_write(t->output.events, t->rank_times, run->ranks, t->at.step, t->at.epoch + 1));
    if (!ls_straggler_matters(t->rank_times, run->ranks)) return LS_OK;
    ls_straggler_print(t->rank_times, run->ranks, t->at.epoch + 1, text, sizeof text);
    ls_bar_say(&t->output.bar, "%s", text);
    return LS_OK;
}

/* Evaluates and checkpoints after the last step of an epoch, and at the multiples of eval.every_steps and
 * checkpoint.every. */
static ls_status epoch_and_step_hooks(ls_training *t, bool epoch_ends)
{
    const ls_recipe *r   = t->run->recipe;
    bool             due = epoch_ends && r->eval.every && (t->at.epoch + 1) % r->eval.every == 0;
    if (epoch_ends) LS_TRY(compare_ranks(t));
    due |= r->eval.every_steps && t->at.step % r->eval.every_steps == 0;
    if (due) {
        LS_TRY(evaluate(t));
        take_loss(&t->best, t->evaluation.scores.loss, t->at.step);
    }
    bool save = epoch_ends || (r->checkpoint.every && t->at.step % r->checkpoint.every == 0);
    if (r->train.patience) save = (save || t->best.step == t->at.step) && !is_at_end(t); /* see restore_best */
    if (save) LS_TRY(save_checkpoint(t));
    if (epoch_ends) ls_rank_times_begin(t->run, &t->epoch_mark);
    return LS_OK;
}

/* Loads the newest checkpoint after a step that diverged, and continues with the next batch; the failed step counts.
 * Returns the error instead when the same checkpoint, or the step before, has been rolled back already: nothing would
 * change.  Collective. */
static ls_status roll_back(ls_training *t)
{
    ls_run     *run = t->run;
    ls_progress back;
    bool        found;
    ls_error    why = ls_error_save(LS_ERR_DIVERGED);
    LS_TRY(ls_checkpoint_policy_settle(&t->checkpoints, ls_train_wall(t)));
    LS_TRY(ls_checkpoint_load(run->trainer, ls_run_directory_file(&t->directory, "checkpoints"), &back, &found));
    if (!found || back.step == t->rolled_to || t->at.step == t->rolled_at) return ls_error_restore(&why);
    t->rolled_to    = back.step;
    t->rolled_at    = t->at.step + 1;
    t->metrics.step = t->at.step + 1;
    t->metrics.loss = NAN;
    ls__trainer_set_steps(run->trainer, t->metrics.step);
    if (run->is_root)
        ls_bar_say(&t->output.bar, "%.*s: back to the checkpoint of step %lld", (int)strcspn(why.message, ";\n"),
                   why.message, (long long)back.step);
    return LS_OK;
}

/* Trains one step; returns the flags of all ranks and the time that it took. */
static ls_status train_step(ls_training *t, ls_step_flag_counts *all, ls_position *position)
{
    ls_run  *run = t->run;
    ls_batch batch;
    double   began = ls__clock_s();
    ls_run_phase_begin(run, LS_PHASE_DATA, "next batch", t->at.step + 1);
    bool more = ls_loader_next(t->loader, &batch);
    ls_run_phase_end(run);
    if (!more)
        ls_train_keep_error(t, ls_loader_status(t->loader) != LS_OK
                                   ? ls_loader_status(t->loader)
                                   : LS_FAIL(LS_ERR_FAILED, "loader: ended before the last step of the run"));
    ls_step_flags mine   = step_flags(t);
    ls_status     status = ls__trainer_step(run->trainer, more ? &batch : NULL, &mine, all, &t->metrics);
    if (status == LS_ERR_DIVERGED && run->recipe->trainer.on_nan == LS_ON_NAN_ROLLBACK) status = roll_back(t);
    LS_TRY(status);
    LS_TRY(ls_trace_step(t->trace));
    double seconds = ls__clock_s() - began;
    account(&t->clock, seconds, (double)batch.global_rows);
    ls_checkpoint_policy_step(&t->checkpoints, seconds);
    *position    = ls_loader_position(t->loader);
    t->at.step   = t->metrics.step;
    t->at.epoch  = position->epoch;
    t->at.sample = position->sample;
    return LS_OK;
}

static ls_status train_steps(ls_training *t, ls_stop_reason *stop)
{
    ls_run             *run = t->run;
    ls_step_flag_counts all;
    ls_position         position;
    ls_rank_times_begin(run, &t->epoch_mark);
    while (!is_at_end(t) && !*stop) {
        LS_TRY(train_step(t, &all, &position));
        if (run->is_root) {
            if (t->at.step % run->recipe->log.every == 0 || t->at.step == run->total_steps) ls_train_log_step(t);
            ls_train_show_progress(t);
        }
        *stop = stop_of(&all);
        if (all.control[LS_CHECKPOINT_POLICY_WRITTEN] == run->ranks)
            LS_TRY(ls_checkpoint_policy_publish(&t->checkpoints));
        LS_TRY(epoch_and_step_hooks(t, position.epoch_ends));
        if (all.control[LS_CHECKPOINT_POLICY_DUE] && !*stop && !(run->recipe->train.patience && is_at_end(t)))
            LS_TRY(save_checkpoint(t));
        ls_checkpoint_policy_report(&t->checkpoints, ls_train_wall(t));
        ls_train_keep_error(t, t->checkpoints.pending);
    }
    return LS_OK;
}

/* ---- setup ------------------------------------------------------------------------------------------------------- */

/* Takes what metrics.jsonl records of the part that is continued. */
static void take_past_event(const json_t *event, void *data)
{
    ls_training *t    = data;
    ls_summary  *s    = &t->output.summary;
    double       step = ls_events_real(event, "step", INFINITY);
    if (step > (double)t->at.step) return;
    t->clock.wall_before = fmax(t->clock.wall_before, ls_events_real(event, "wall_s", 0));
    if (ls_events_is(event, "eval")) {
        t->evaluation.step = (int64_t)step;
        take_loss(&t->best, ls_events_real(event, "loss", NAN), (int64_t)step);
    }
    if (!ls_events_is(event, "eval") && !ls_events_is(event, "end")) return;
    ls_scores_read(t->run->task, &t->evaluation.scores, event);
    if (!ls_events_is(event, "end")) return;
    const char *status = json_string_value(json_object_get(event, "status")),
               *digest = json_string_value(json_object_get(event, "digest"));
    if (!status || strcmp(status, "finished") != 0 || step < (double)t->at.step) return;
    s->status        = "finished";
    s->step          = t->at.step;
    s->wall_s        = t->clock.wall_before;
    s->samples_per_s = ls_events_real(event, "samples_per_s", NAN);
    s->scores        = t->evaluation.scores;
    snprintf(s->digest, sizeof s->digest, "%s", digest ? digest : "");
}

/* Reads metrics.jsonl on rank 0 and broadcasts what all ranks need.  Collective. */
static ls_status read_past(ls_training *t)
{
    struct past {
        ls_train_evaluation evaluation;
        ls_train_best       best;
        int                 finished;
    } past;
    ls_run   *run    = t->run;
    ls_status status = LS_OK;
    if (run->is_root)
        status = ls_events_read(ls_run_directory_file(&t->directory, "metrics.jsonl"), take_past_event, t);
    LS_TRY_COLLECTIVE(run, status);
    past = (struct past){t->evaluation, t->best, t->output.summary.status != NULL};
    LS_TRY(ls_comm_bcast(run->comm, &past, sizeof past, 0));
    t->evaluation = past.evaluation;
    t->best       = past.best;
    if (past.finished) t->output.summary.status = "finished";
    return LS_OK;
}

static ls_status load_checkpoint(ls_training *t, bool *found)
{
    ls_run *run = t->run;
    LS_TRY(ls_checkpoint_load(run->trainer, ls_run_directory_file(&t->directory, "checkpoints"), &t->at, found));
    if (!*found) {
        t->at = (ls_progress){.seed = (uint64_t)run->recipe->train.seed};
        return LS_OK;
    }
    LS_CHECK(strcmp(t->at.recipe_hash, run->recipe->hash) == 0, LS_ERR_USAGE,
             "%s: holds a run of another recipe (hash %s, expected %s)" LS_HINT
             "--fresh removes that run and starts over; run.dir=DIR chooses another folder",
             t->directory.path, t->at.recipe_hash, run->recipe->hash);
    uint64_t loaded = ls_trainer_digest(run->trainer);
    LS_CHECK(loaded == t->at.digest, LS_ERR_DATA,
             "%s: the parameters of the checkpoint of step %lld have the digest %016llx, expected %016llx" LS_HINT
             "--fresh starts over",
             t->directory.path, (long long)t->at.step, (unsigned long long)loaded, (unsigned long long)t->at.digest);
    const int  isa     = ls_isa_find(t->at.isa);
    const bool is_bf16 = run->recipe->train.precision == LS_BF16;
    if (run->is_root && (isa < 0 || ls_isa_bits((ls_isa)isa, is_bf16) != ls_isa_bits(ls_isa_current(), is_bf16)))
        fprintf(stderr,
                "lockstep: warning: the run continues with instruction set %s, but started with %s: its bits will "
                "differ from those of an uninterrupted run (LOCKSTEP_ISA=%s keeps them)\n",
                ls_isa_name(ls_isa_current()), t->at.isa, t->at.isa);
    return LS_OK;
}

/* Opens the files of rank 0. */
static ls_status open_files(ls_training *t, bool found)
{
    ls_run        *run  = t->run;
    const ls_task *task = run->task;
    if (found) LS_TRY(ls_dataset_card_check(t->directory.path, &run->data, run->memory));
    if (task->save_files) LS_TRY(task->save_files(&run->data, t->directory.path));
    LS_TRY(ls_recipe_write(run->recipe, ls_run_directory_file(&t->directory, "recipe.yaml")));
    LS_TRY(ls_dataset_card_write(ls_run_directory_file(&t->directory, "data.json"),
                                 &(ls_dataset_card){run->data, run->scaler}, run->memory));
    if (run->loading && !found)
        LS_TRY(
            ls__file_save(ls_run_directory_file(&t->directory, "pretrained.tsv"), run->loading, strlen(run->loading)));
    LS_TRY(ls_events_open(&t->output.events, ls_run_directory_file(&t->directory, "metrics.jsonl"),
                          found ? t->at.step : -1));
    ls_train_log_start(t);
    LS_TRY(t->pending);
    return ls_events_flush(t->output.events);
}

/* Opens the run directory and continues the run in it, if there is one.  Collective. */
static ls_status open_directory(ls_training *t, const ls_train_options *options, bool *found)
{
    ls_run *run = t->run;
    ls_run_directory_name(&t->directory, run->recipe);
    LS_TRY_COLLECTIVE(run, run->is_root ? ls_run_directory_open(&t->directory, run->recipe, options->fresh) : LS_OK);
    LS_TRY(ls_run_watch(run, ls_run_directory_file(&t->directory, "logs")));
    LS_TRY_IN_PHASE(run, LS_PHASE_CHECKPOINT, "loading a checkpoint", load_checkpoint(t, found));
    snprintf(t->at.recipe_hash, sizeof t->at.recipe_hash, "%s", run->recipe->hash);
    snprintf(t->at.isa, sizeof t->at.isa, "%s", ls_isa_name(ls_isa_current()));
    if (*found) LS_TRY(read_past(t));
    return LS_OK;
}

static ls_status train_setup(ls_training *t, const ls_train_options *options, bool *finished)
{
    ls_run *run = t->run;
    bool    found;
    t->rank_times = ls_arena_alloc(run->memory, sizeof *t->rank_times * (size_t)run->ranks);
    LS_TRY(open_directory(t, options, &found));
    *finished = found && is_at_end(t) && t->output.summary.status;
    if (*finished) return LS_OK;
    LS_TRY(ls_trace_open(&t->trace, run, options->trace, options->trace_steps));
    t->clock.began = t->output.report_at = ls__clock_s();
    LS_TRY_COLLECTIVE(run, run->is_root ? open_files(t, found) : LS_OK);
    LS_TRY_COLLECTIVE(run, ls_loader_new(&t->loader, run->train, .batch = run->recipe->train.batch,
                                         .shards = run->shards, .ranks = run->ranks, .rank = run->rank,
                                         .seed = (uint64_t)run->recipe->train.seed, .epoch = t->at.epoch,
                                         .sample = t->at.sample, .threads = ls_run_loader_threads(run)));
    LS_TRY(ls_checkpoint_policy_open(&t->checkpoints, run, ls_run_directory_file(&t->directory, "checkpoints"),
                                     t->at.step, found));
    t->checkpoints.bar    = &t->output.bar;
    t->checkpoints.events = t->output.events;
    ls_bar_open(&t->output.bar, run->is_root && !options->quiet);
    t->output.files_begun = true;
    if (run->is_root) ls_train_show_start(t, found);
    return LS_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* With train.patience: loads the checkpoint of the best evaluation, if it is not that of the last step, which has no
 * checkpoint yet.  The position of the run stays at its end.  Collective. */
static ls_status restore_best(ls_training *t)
{
    ls_run     *run = t->run;
    ls_progress there;
    if (!run->recipe->train.patience || t->best.step < 0 || t->best.step == t->at.step) return LS_OK;
    LS_TRY(ls_checkpoint_policy_finish(&t->checkpoints, ls_train_wall(t)));
    LS_TRY(ls_checkpoint_read(run->trainer,
                              ls_arena_printf(run->memory, "%s/step-%08lld",
                                              ls_run_directory_file(&t->directory, "checkpoints"),
                                              (long long)t->best.step),
                              &there));
    ls__trainer_set_steps(run->trainer, t->at.step);
    t->evaluation.step = -1;
    if (run->is_root)
        ls_bar_say(&t->output.bar, "%s step %lld; back to the parameters of step %lld, with the lowest loss",
                   is_exhausted(t) ? "train.patience: stopped after" : "at the end,", (long long)t->at.step,
                   (long long)t->best.step);
    return LS_OK;
}

static ls_status save_model(ls_training *t)
{
    LS_TRY(t->pending);
    return ls_run_save_model(t->run, ls_run_directory_file(&t->directory, "model.safetensors"));
}

/* Examines the model for the report.  An error here is a warning: the run has its results.  Collective. */
static ls_status examine(ls_training *t)
{
    ls_run *run = t->run;
    if (!run->task->examine || t->brief) return LS_OK;
    LS_TRY(ls_run_swap_average(run));
    const ls_status status = run->task->examine(run);
    if (status != LS_OK && run->is_root)
        ls_bar_say(&t->output.bar, "lockstep: warning: a report without its section about the results: %s",
                   ls_error_message());
    return ls_run_swap_average(run);
}

/* Writes the results of a run that has reached its last step.  Collective. */
static ls_status write_results(ls_training *t)
{
    ls_run *run = t->run;
    bool    written;
    LS_TRY(evaluate(t));
    LS_TRY(restore_best(t));
    LS_TRY(evaluate(t));
    LS_TRY(save_checkpoint(t));
    LS_TRY(ls_checkpoint_policy_finish(&t->checkpoints, ls_train_wall(t)));
    LS_TRY(ls_train_summarize(t, "finished"));
    LS_TRY(ls_run_swap_average(run));
    ls_status status = ls_comm_agree(run->comm, run->is_root ? save_model(t) : LS_OK);
    LS_TRY(ls_run_swap_average(run));
    LS_TRY(status);
    LS_TRY(examine(t));
    if (!run->is_root) return LS_OK;
    LS_TRY(ls_hf_config_save(ls_run_directory_file(&t->directory, "config.json"), run->graph, &written));
    LS_TRY(ls_copy_generation_files(run, ls_run_directory_file(&t->directory, "")));
    LS_TRY(ls_train_log_end(t));
    LS_TRY(ls_train_write_report(t));
    ls_bar_close(&t->output.bar);
    return LS_OK;
}

/* Writes log and report of a run that ends early, on rank 0, as far as possible.  Returns the error that ended it. */
static ls_status end_early(ls_training *t, ls_status status)
{
    ls_error why = ls_error_save(status);
    ls_train_summarize_root(t, status == LS_STOPPED ? "stopped" : status == LS_ERR_DIVERGED ? "diverged" : "failed");
    if (ls_train_log_end(t) == LS_OK) ls_train_write_report(t);
    ls_bar_close(&t->output.bar);
    return ls_error_restore(&why);
}

/* Saves the progress after an error of the data, which has changed no parameter.  Returns that error.  Collective. */
static ls_status save_before_data_error(ls_training *t, ls_status status)
{
    ls_error why = ls_error_save(status);
    if (t->clock.trained > 0 && save_checkpoint(t) == LS_OK &&
        ls_checkpoint_policy_finish(&t->checkpoints, ls_train_wall(t)) == LS_OK && t->run->is_root)
        ls_bar_say(&t->output.bar, "step %lld is saved; once the data are valid, the same command line continues",
                   (long long)t->at.step);
    return ls_error_restore(&why);
}

/* Publishes the last good checkpoint after divergence.  A failure here does not replace that error.  Collective. */
static ls_status save_before_divergence(ls_training *t, ls_status status)
{
    ls_error why = ls_error_save(status);
    (void)ls_checkpoint_policy_settle(&t->checkpoints, ls_train_wall(t));
    return ls_error_restore(&why);
}

static ls_status finish_run(ls_training *t)
{
    ls_run *run = t->run;
    ls_run_phase_begin(run, LS_PHASE_REPORT, "writing the results", 0);
    ls_status status = write_results(t);
    ls_run_phase_end(run);
    status = ls_comm_agree(run->comm, status);
    return status == LS_ERR_DATA ? save_before_data_error(t, status) : status;
}

static ls_status train_loop(ls_training *t)
{
    ls_stop_reason stop   = LS_STOP_NONE;
    ls_status      status = train_steps(t, &stop);
    if (status == LS_OK && !stop) return finish_run(t);
    if (status == LS_ERR_DIVERGED) return save_before_divergence(t, status);
    if (status == LS_ERR_DATA) return save_before_data_error(t, status);
    LS_TRY(status);
    LS_TRY(save_checkpoint(t));
    LS_TRY(ls_checkpoint_policy_finish(&t->checkpoints, ls_train_wall(t)));
    ls_train_keep_error(t, t->checkpoints.pending);
    LS_TRY_COLLECTIVE(t->run, t->pending);
    return LS_FAIL(LS_STOPPED, "stopped by %s after step %lld; the same command line continues",
                   ls_stop_reason_text(stop), (long long)t->at.step);
}

static void give_result(const ls_training *t, bool finished, ls_train_result *result)
{
    const ls_summary *s = &t->output.summary;
    *result             = (ls_train_result){.was_finished  = finished,
                                            .step          = t->at.step,
                                            .wall_s        = s->wall_s,
                                            .samples_per_s = s->samples_per_s,
                                            .digest        = ls_trainer_digest(t->run->trainer),
                                            .scores        = t->evaluation.scores,
                                            .directory     = ls_arena_strdup(t->run->memory, t->directory.path)};
}

ls_status ls_run_setup(ls_run *run)
{
    LS_TRY_IN_PHASE(run, LS_PHASE_START, "opening the data", ls_run_data(run, LS_SPLITS_BOTH));
    LS_TRY_IN_PHASE(run, LS_PHASE_START, "choosing matrix products", ls_run_products(run));
    LS_TRY_IN_PHASE(run, LS_PHASE_START, "building the model", ls_run_graph(run));
    LS_TRY_IN_PHASE(run, LS_PHASE_START, "making the trainer", ls_run_trainer(run));
    return LS_OK;
}

ls_status ls_run_train(ls_run *run, const ls_train_options *options, ls_train_result *result)
{
    static const ls_train_options defaults = {0};
    ls_training                  *t;
    bool                          finished = false;
    LS_CHECK(!run->recipe->train.phases, LS_ERR_USAGE,
             "%s: train.phases: expected one run, found %d phases" LS_HINT "`lockstep train` trains them",
             ls_recipe_where(run->recipe, "train.phases"), run->recipe->train.phases);
    t = calloc(1, sizeof *t);
    LS_CHECK(t, LS_ERR_ENV, "run: no memory");
    if (!options) options = &defaults;
    t->run       = run;
    t->brief     = options->brief;
    t->rolled_to = t->rolled_at = -1;
    t->evaluation               = (ls_train_evaluation){.step = -1, .scores = ls_scores_none()};
    t->best.step                = -1;
    t->output.summary           = (ls_summary){.scores = ls_scores_none(), .samples_per_s = NAN};
    t->directory.lock           = -1;
    if (options->handle_signals)
        ls_stop_signals_install(options->max_hours > 0 ? options->max_hours : run->recipe->train.max_hours,
                                run->is_root);
    ls_status status = train_setup(t, options, &finished);
    if (status == LS_OK && !finished) {
        status = ls_trace_close(t->trace, train_loop(t));
        if (status != LS_OK && run->is_root) status = end_early(t, status);
    } else if (status != LS_OK && !t->output.files_begun && run->is_root) {
        ls_run_directory_abandon(&t->directory);
    }
    if (status == LS_OK && result) give_result(t, finished, result);
    ls_bar_close(&t->output.bar);
    ls_loader_free(t->loader);
    ls_checkpoint_policy_close(&t->checkpoints);
    ls_events_close(t->output.events);
    ls_run_directory_close(&t->directory);
    free(t);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * lockstep train: epochs of steps, with evaluation, checkpoints and metrics in between.
 *
 * Whatever happens on one rank only (an error of its loader, a full disk, a signal) goes with its gradients into the
 * sum of the next step (dist/trainer/trainer.h); after it all of them know, and go the same way.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/trainer/trainer.h"
#include "launch/commands/cmd_data.h"
#include "launch/run/metrics.h"
#include "launch/run/straggler.h"
#include "launch/run/progress.h"
#include "launch/run/run_setup.h"
#include "launch/run/checkpoint_policy.h"
#include "launch/run/stop_signals.h"
#include "launch/run/trace.h"

/* The bits of the word that a rank sends with each step: those of checkpoints, then why it would end the run after this
 * step. */
enum { VOTE_STOP = LS_CHECKPOINT_POLICY_VOTES };
_Static_assert(VOTE_STOP + LS_STOPS - LS_STOP_TERM <= LS_VOTES, "a bit for each reason to stop");

typedef struct training {
    ls_run               job;
    ls_run_directory     folder;
    ls_events           *events; /* rank 0                                             */
    ls_loader           *loader;
    ls_trace            *trace;
    ls_bar               bar;
    ls_progress          at;    /* where the run stands; epochs counted from 0        */
    ls_rank_times       *paces; /* of all ranks: where their time went, since ...     */
    ls_rank_times_mark   mark;  /* ... the epoch began                                */
    ls_checkpoint_policy saves;
    int64_t              judged;  /* step of the last evaluation; -1                    */
    int64_t rolled_to, rolled_at; /* the checkpoint that the last step which diverged led back to, and that step; -1 */
    ls_summary summary;
    ls_metrics metrics;     /* of the last step                                   */
    ls_status  pending;     /* what went wrong on this rank since the last step   */
    double     wall_before; /* seconds of what is continued                       */
    double     began;
    double     trained_s; /* seconds in steps, and samples in them              */
    double     trained;
    double     logged_s, logged; /* the same since the last line of the log         */
    double     pace;             /* seconds a step, smoothed                           */
    double     report_at;        /* when the report was last written                   */
    bool       begun;            /* from here on an error leaves the run's files       */
    bool       log_waits;        /* for space on the disk, and that was said           */
} training;

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Keeps an error of rank 0's files until all ranks can hear of it. */
static void keep(training *t, ls_status status)
{
    if (t->pending == LS_OK) t->pending = status;
}

static double wall(const training *t) { return t->wall_before + ls_now() - t->began; }

static double rate(double samples, double seconds) { return seconds > 0 ? samples / seconds : NAN; }

static void digest_text(char out[17], uint64_t digest) { snprintf(out, 17, "%016llx", (unsigned long long)digest); }

static void write_start(training *t)
{
    const ls_run *j = &t->job;
    double        bucket_s;
    int64_t       bucket = ls__trainer_bucket(j->trainer, &bucket_s);
    keep(t, ls_events_write(t->events, "{s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:I, s:s}", "event",
                            "start", "step", (json_int_t)t->at.step, "version", LS_VERSION, "recipe", j->recipe->name,
                            "recipe_hash", j->recipe->hash, "data", j->recipe->data.path, "samples",
                            (json_int_t)j->train_count, "steps", (json_int_t)j->total_steps, "parameters",
                            (json_int_t)ls_params_total(ls_trainer_params(j->trainer)), "ranks", j->ranks, "threads",
                            j->threads, "bucket_bytes", (json_int_t)bucket, "isa", ls_isa_name(ls_isa_current())));
}

/* A full disk does not end a run: its log waits, and may be whole again. */
static void tell_of_log(training *t)
{
    const char *problem = ls_events_problem(t->events);
    if (problem && !t->log_waits)
        ls_bar_say(&t->bar,
                   "lockstep: warning: %s: cannot write: %s; the run goes on, and its log waits in memory" LS_HINT
                   "free some space",
                   ls_run_directory_file(&t->folder, "metrics.jsonl"), problem);
    if (!problem && t->log_waits) ls_bar_say(&t->bar, "metrics.jsonl could be written again");
    t->log_waits = problem != NULL;
}

static void write_step(training *t)
{
    char    digest[17];
    int64_t tokens = ls_run_tokens(&t->job);
    digest_text(digest, ls_trainer_digest(t->job.trainer));
    keep(t, ls_events_write(t->events, "{s:s, s:I, s:I, s:o, s:o, s:o, s:o*, s:s}", "event", "step", "step",
                            (json_int_t)t->at.step, "epoch", (json_int_t)t->at.epoch + 1, "loss",
                            ls_events_number(t->metrics.loss), "lr", ls_events_number(t->metrics.lr), "samples_per_s",
                            ls_events_number(rate(t->logged, t->logged_s)), "tokens_per_s",
                            tokens ? ls_events_number(rate(t->logged, t->logged_s) * (double)tokens) : NULL, "digest",
                            digest));
    t->logged = t->logged_s = 0;
    tell_of_log(t);
}

/* The last line: how it ended. */
static ls_status write_end(training *t)
{
    const ls_summary *s = &t->summary;
    LS_TRY(ls_events_write(t->events, "{s:s, s:s, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:i, s:i, s:s}", "event",
                           "end", "status", s->status, "step", (json_int_t)s->step, "loss", ls_events_number(s->loss),
                           "accuracy", ls_events_number(s->accuracy), "digest", s->digest, "wall_s",
                           ls_events_number(s->wall_s), "waited_s", ls_events_number(t->saves.waited_s),
                           "samples_per_s", ls_events_number(s->samples_per_s), "planned_bytes",
                           (json_int_t)s->planned_bytes, "resident_peak_bytes", (json_int_t)s->peak_bytes, "ranks",
                           t->job.ranks, "threads", t->job.threads, "isa", ls_isa_name(ls_isa_current())));
    return ls_events_flush(t->events);
}

/* Brings the summary up to date.  Collective. */
static ls_status summarize(training *t, const char *status)
{
    ls_summary *s = &t->summary;
    s->status     = status;
    s->step       = t->at.step;
    s->wall_s     = wall(t);
    if (t->trained_s > 0) s->samples_per_s = rate(t->trained, t->trained_s);
    digest_text(s->digest, ls_trainer_digest(t->job.trainer));
    LS_TRY(ls_run_most(&t->job, ls_trainer_planned_bytes(t->job.trainer), &s->planned_bytes));
    return ls_run_most(&t->job, ls_trainer_peak_bytes(t->job.trainer), &s->peak_bytes);
}

static ls_status write_report(training *t)
{
    t->report_at = ls_now();
    return ls_run_report(&t->job, &t->summary, ls_run_directory_file(&t->folder, "metrics.jsonl"),
                         ls_run_directory_file(&t->folder, "report.html"));
}

/* ---- evaluation and checkpoints ---------------------------------------------------------------------------------- */

static void write_eval(training *t, const ls_dataset_info *test)
{
    const ls_summary *s    = &t->summary;
    bool              text = test->kind == LS_DATA_TEXT;
    keep(t, ls_events_write(t->events, "{s:s, s:I, s:I, s:s, s:o, s:o, s:o*, s:o*, s:o}", "event", "eval", "step",
                            (json_int_t)t->at.step, "epoch", (json_int_t)t->at.epoch + 1, "split", test->split, "loss",
                            ls_events_number(s->loss), "accuracy", ls_events_number(s->accuracy), "perplexity",
                            text ? ls_events_number(ls_perplexity(s->loss)) : NULL, "bits_per_byte",
                            text ? ls_events_number(ls_bits_per_byte(test, s->loss)) : NULL, "wall_s",
                            ls_events_number(s->wall_s)));
}

static void say_eval(training *t, const ls_dataset_info *test)
{
    const ls_summary *s = &t->summary;
    char              steps[32], speed[32], scores[96];
    int64_t           tokens = ls_run_tokens(&t->job);
    ls__count_text(steps, sizeof steps, t->at.step);
    ls__count_text(speed, sizeof speed,
                   t->trained_s > 0 ? llround(s->samples_per_s * (double)(tokens ? tokens : 1)) : 0);
    if (!tokens)
        snprintf(scores, sizeof scores, "accuracy %6.2f %%", 100 * s->accuracy);
    else if (test->bytes)
        snprintf(scores, sizeof scores, "perplexity %-8.3f bits/byte %.3f", ls_perplexity(s->loss),
                 ls_bits_per_byte(test, s->loss));
    else
        snprintf(scores, sizeof scores, "perplexity %.3f", ls_perplexity(s->loss));
    ls_bar_say(&t->bar, "epoch %-3lld step %-9s train loss %-9.4f %s loss %-9.4f %s   %s %s/s",
               (long long)t->at.epoch + 1, steps, t->metrics.loss, test->split, s->loss, scores, speed,
               tokens ? "tokens" : "samples");
}

static ls_status evaluate(training *t)
{
    enum { REPORT_S = 20 }; /* a report of a run that goes on, no more often than this */
    ls_summary *s = &t->summary;
    if (t->judged == t->at.step) return LS_OK;
    LS_TRY(ls_run_evaluate(&t->job, t->job.test, &s->loss, &s->accuracy));
    t->judged = t->at.step;
    LS_TRY(summarize(t, "running"));
    if (!t->job.first) return LS_OK;
    ls_dataset_info test = ls_dataset_info_of(t->job.test);
    write_eval(t, &test);
    say_eval(t, &test);
    if (ls_now() - t->report_at > REPORT_S && write_report(t) != LS_OK)
        ls_bar_say(&t->bar, "lockstep: warning: no new report: %s", ls_error_message());
    return LS_OK;
}

static ls_status save(training *t)
{
    t->at.loss = t->judged == t->at.step ? t->summary.loss : NAN;
    return LS_IN_PHASE(&t->job, LS_PHASE_CHECKPOINT, "saving a checkpoint",
                       ls_checkpoint_policy_take(&t->saves, &t->at));
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* What this rank tells the others with the step that comes.  Without its vote the run ends no sooner than after the
 * step after that one. */
static ls_step_flags word_of(training *t)
{
    double         need = t->trained > 0 ? ls_checkpoint_policy_need(&t->saves) + 3 * t->pace
                                         : -INFINITY; /* a run that is continued gets on, however short its time */
    ls_stop_reason stop = ls_stop_requested(need);
    return (ls_step_flags){t->pending, ls_checkpoint_policy_votes(&t->saves) |
                                           (stop ? 1u << (VOTE_STOP + stop - LS_STOP_TERM) : 0)};
}

static ls_stop_reason stop_of(const ls_tally *all)
{
    for (ls_stop_reason why = LS_STOP_TERM; why < LS_STOPS; why++)
        if (all->votes[VOTE_STOP + why - LS_STOP_TERM]) return why;
    return LS_STOP_NONE;
}

static void show(training *t)
{
    ls_run *j      = &t->job;
    int64_t tokens = ls_run_tokens(j);
    ls_bar_update(&t->bar, &(ls_bar_state){.what   = "epoch",
                                           .step   = t->at.step,
                                           .steps  = j->total_steps,
                                           .epoch  = t->at.epoch + 1,
                                           .epochs = j->recipe->train.epochs,
                                           .loss   = t->metrics.loss,
                                           .samples_per_s =
                                               rate((double)(j->recipe->train.batch * (tokens ? tokens : 1)), t->pace),
                                           .unit         = tokens ? "tokens" : NULL,
                                           .seconds_left = t->pace * (double)(j->total_steps - t->at.step)});
}

static void account(training *t, double seconds, double samples)
{
    t->trained_s += seconds;
    t->trained += samples;
    t->logged_s += seconds;
    t->logged += samples;
    t->pace = t->pace > 0 ? 0.98 * t->pace + 0.02 * seconds : seconds;
}

/* How long each rank was busy in the epoch that ends.  Collective. */
static ls_status compare_ranks(training *t)
{
    ls_run *j = &t->job;
    char    text[2048];
    if (j->ranks == 1) return LS_OK;
    LS_TRY(ls_run_rank_times(j, &t->mark, t->paces));
    if (!j->first) return LS_OK;
    keep(t, ls_rank_times_write(t->events, t->paces, j->ranks, t->at.step, t->at.epoch + 1));
    if (!ls_straggler_matters(t->paces, j->ranks)) return LS_OK;
    ls_straggler_print(t->paces, j->ranks, t->at.epoch + 1, text, sizeof text);
    ls_bar_say(&t->bar, "%s", text);
    return LS_OK;
}

/* After the last batch of an epoch, and where eval.every_steps and checkpoint.every say so. */
static ls_status milestones(training *t, bool epoch_ends)
{
    const ls_recipe *r     = t->job.recipe;
    bool             judge = epoch_ends && r->eval.every && (t->at.epoch + 1) % r->eval.every == 0;
    if (epoch_ends) LS_TRY(compare_ranks(t));
    if (judge || (r->eval.every_steps && t->at.step % r->eval.every_steps == 0)) LS_TRY(evaluate(t));
    if (epoch_ends || (r->checkpoint.every && t->at.step % r->checkpoint.every == 0)) LS_TRY(save(t));
    if (epoch_ends) ls_rank_times_begin(&t->job, &t->mark);
    return LS_OK;
}

/* The step that failed counts, but the parameters are those of the newest checkpoint; the run goes on with the next
 * batch.  Not twice to the same one, and not twice in a row: nothing that lasts was learned in between.  Collective. */
static ls_status roll_back(training *t)
{
    ls_run     *j = &t->job;
    ls_progress back;
    bool        found;
    char        message[4096], trace[4096];
    snprintf(message, sizeof message, "%s", ls_error_message());
    snprintf(trace, sizeof trace, "%s", ls_error_trace());
    LS_TRY(ls_checkpoint_policy_settle(&t->saves, wall(t)));
    LS_TRY(ls_checkpoint_load(j->trainer, ls_run_directory_file(&t->folder, "checkpoints"), &back, &found));
    if (!found || back.step == t->rolled_to || t->at.step == t->rolled_at)
        return ls_error_set(LS_ERR_DIVERGED, message, trace);
    t->rolled_to    = back.step;
    t->rolled_at    = t->at.step + 1;
    t->metrics.step = t->at.step + 1;
    t->metrics.loss = NAN;
    ls__trainer_set_steps(j->trainer, t->metrics.step);
    if (j->first)
        ls_bar_say(&t->bar, "%.*s: back to the checkpoint of step %lld", (int)strcspn(message, ";\n"), message,
                   (long long)back.step);
    return LS_OK;
}

static ls_status train_steps(training *t, ls_stop_reason *stop)
{
    ls_run  *j = &t->job;
    ls_batch batch;
    ls_tally all;
    ls_rank_times_begin(j, &t->mark);
    while (t->at.step < j->total_steps && !*stop) {
        double began = ls_now();
        ls_run_begins(j, LS_PHASE_DATA, "next batch", t->at.step + 1);
        bool more = ls_loader_next(t->loader, &batch);
        ls_run_ends(j, LS_OK);
        if (!more)
            keep(t, ls_loader_status(t->loader) != LS_OK ? ls_loader_status(t->loader)
                                                         : LS_FAIL(LS_ERR_FAILED, "the loader ended before the run"));
        ls_step_flags mine   = word_of(t);
        ls_status     status = ls__trainer_step(j->trainer, more ? &batch : NULL, &mine, &all, &t->metrics);
        if (status == LS_ERR_DIVERGED && j->recipe->train.on_nan == LS_ON_NAN_ROLLBACK) status = roll_back(t);
        LS_TRY(status);
        LS_TRY(ls_trace_step(t->trace));
        double took = ls_now() - began;
        account(t, took, (double)batch.global_rows);
        ls_checkpoint_policy_step(&t->saves, took);
        ls_position position = ls_loader_position(t->loader);
        t->at.step           = t->metrics.step;
        t->at.epoch          = position.epoch;
        t->at.sample         = position.sample;
        if (j->first) {
            if (t->at.step % j->recipe->log.every == 0 || t->at.step == j->total_steps) write_step(t);
            show(t);
        }
        *stop = stop_of(&all);
        if (all.votes[LS_CHECKPOINT_POLICY_WRITTEN] == j->ranks) LS_TRY(ls_checkpoint_policy_publish(&t->saves));
        LS_TRY(milestones(t, position.epoch_ends));
        if (all.votes[LS_CHECKPOINT_POLICY_DUE] && !*stop) LS_TRY(save(t));
        ls_checkpoint_policy_report(&t->saves, wall(t));
        keep(t, t->saves.pending);
    }
    return LS_OK;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static void print_result(const training *t)
{
    const ls_summary *s = &t->summary;
    char              steps[32], speed[32], time[32];
    ls_dataset_info   test   = ls_dataset_info_of(t->job.test);
    int64_t           tokens = ls_run_tokens(&t->job);
    ls__count_text(steps, sizeof steps, s->step);
    ls__count_text(speed, sizeof speed, llround(s->samples_per_s * (double)(tokens ? tokens : 1)));
    ls__time_text(time, sizeof time, s->wall_s);
    if (!isnan(s->loss)) ls_print_scores(&test, s->loss, s->accuracy);
    printf("steps          %s in %s, %s %s/s\n", steps, time, speed, tokens ? "tokens" : "samples");
    printf("digest         %s\n", s->digest);
    printf("run            %s\n", t->folder.path);
    printf("model          %s\n", ls_run_directory_file(&t->folder, "model.safetensors"));
    printf("report         %s\n", ls_run_directory_file(&t->folder, "report.html"));
}

/* What metrics.jsonl says of the part that is continued. */
static void take_past(const json_t *event, void *data)
{
    training   *t    = data;
    ls_summary *s    = &t->summary;
    double      step = ls_events_real(event, "step", INFINITY);
    if (step > (double)t->at.step) return;
    t->wall_before = fmax(t->wall_before, ls_events_real(event, "wall_s", 0));
    if (ls_events_is(event, "eval")) t->judged = (int64_t)step;
    if (!ls_events_is(event, "eval") && !ls_events_is(event, "end")) return;
    s->loss     = ls_events_real(event, "loss", NAN);
    s->accuracy = ls_events_real(event, "accuracy", NAN);
    if (!ls_events_is(event, "end")) return;
    const char *status = json_string_value(json_object_get(event, "status")),
               *digest = json_string_value(json_object_get(event, "digest"));
    if (!status || strcmp(status, "finished") != 0 || step < (double)t->at.step) return;
    s->status        = "finished";
    s->step          = t->at.step;
    s->wall_s        = t->wall_before;
    s->samples_per_s = ls_events_real(event, "samples_per_s", NAN);
    snprintf(s->digest, sizeof s->digest, "%s", digest ? digest : "");
}

/* Rank 0 looks into the files; all ranks learn what they need of it. */
static ls_status read_past(training *t)
{
    struct past {
        int64_t judged;
        double  loss, accuracy;
        int     finished;
    } past = {0};
    ls_status status =
        t->job.first ? ls_events_read(ls_run_directory_file(&t->folder, "metrics.jsonl"), take_past, t) : LS_OK;
    LS_TRY_COLLECTIVE(&t->job, status);
    past = (struct past){t->judged, t->summary.loss, t->summary.accuracy, t->summary.status != NULL};
    LS_TRY(ls_comm_bcast(t->job.comm, &past, sizeof past, 0));
    t->judged           = past.judged;
    t->summary.loss     = past.loss;
    t->summary.accuracy = past.accuracy;
    if (past.finished) t->summary.status = "finished";
    return LS_OK;
}

static ls_status load_checkpoint(training *t, bool *found)
{
    ls_run *j = &t->job;
    LS_TRY(ls_checkpoint_load(j->trainer, ls_run_directory_file(&t->folder, "checkpoints"), &t->at, found));
    if (!*found) {
        t->at = (ls_progress){.seed = (uint64_t)j->recipe->train.seed};
        return LS_OK;
    }
    LS_CHECK(strcmp(t->at.recipe_hash, j->recipe->hash) == 0, LS_ERR_USAGE,
             "%s holds a run of another recipe (hash %s there, %s here)" LS_HINT
             "--fresh forgets that run and starts over; run.dir=DIR puts this one elsewhere",
             t->folder.path, t->at.recipe_hash, j->recipe->hash);
    char loaded[17], saved[17];
    digest_text(loaded, ls_trainer_digest(j->trainer));
    digest_text(saved, t->at.digest);
    LS_CHECK(strcmp(loaded, saved) == 0, LS_ERR_DATA,
             "%s: the parameters of the checkpoint of step %lld have the digest %s, expected %s" LS_HINT
             "--fresh starts over",
             t->folder.path, (long long)t->at.step, loaded, saved);
    if (j->first && strcmp(t->at.isa, ls_isa_name(ls_isa_current())) != 0)
        fprintf(stderr,
                "lockstep: this run was computed with the instruction set %s until now and goes on with %s: its bits "
                "will differ from those of a run "
                "that was not interrupted (LOCKSTEP_ISA=%s keeps them)\n",
                t->at.isa, ls_isa_name(ls_isa_current()), t->at.isa);
    return LS_OK;
}

/* A run of text keeps its tokenizer: its model then writes where the data are not. */
static ls_status keep_tokenizer(const training *t)
{
    ls_tokenizer *tokenizer;
    if (t->job.data.kind != LS_DATA_TEXT) return LS_OK;
    LS_TRY(ls_data_tokenizer(&tokenizer, &t->job.data));
    ls_status status = tokenizer ? ls_tokenizer_save(tokenizer, t->folder.path) : LS_OK;
    ls_tokenizer_free(tokenizer);
    return status;
}

/* The files of rank 0 that stay open. */
static ls_status open_files(training *t, bool found)
{
    if (found) LS_TRY(ls_dataset_card_check(t->folder.path, &t->job.data, t->job.memory));
    LS_TRY(keep_tokenizer(t));
    LS_TRY(ls_recipe_write(t->job.recipe, ls_run_directory_file(&t->folder, "recipe.yaml")));
    LS_TRY(ls_dataset_card_write(ls_run_directory_file(&t->folder, "data.json"), &t->job.data));
    LS_TRY(ls_events_open(&t->events, ls_run_directory_file(&t->folder, "metrics.jsonl"), found ? t->at.step : -1));
    write_start(t);
    LS_TRY(t->pending);
    return ls_events_flush(t->events);
}

static ls_status begin(training *t, const ls_args *args, bool *finished)
{
    ls_run *j = &t->job;
    bool    found;
    LS_TRY(LS_IN_PHASE(j, LS_PHASE_START, "opening the data", ls_run_data(j, LS_SPLITS_BOTH)));
    LS_TRY(LS_IN_PHASE(j, LS_PHASE_START, "building the model", ls_run_graph(j)));
    LS_TRY(LS_IN_PHASE(j, LS_PHASE_START, "making the trainer", ls_run_trainer(j)));
    t->paces = ls_arena_alloc(j->memory, sizeof *t->paces * (size_t)j->ranks);
    ls_run_directory_name(&t->folder, j->recipe);
    LS_TRY_COLLECTIVE(j, j->first ? ls_run_directory_open(&t->folder, j->recipe, ls_args_option(args, "fresh") != NULL)
                                  : LS_OK);
    LS_TRY(ls_run_watch(j, ls_run_directory_file(&t->folder, "logs")));
    LS_TRY(LS_IN_PHASE(j, LS_PHASE_CHECKPOINT, "loading a checkpoint", load_checkpoint(t, &found)));
    snprintf(t->at.recipe_hash, sizeof t->at.recipe_hash, "%s", j->recipe->hash);
    snprintf(t->at.isa, sizeof t->at.isa, "%s", ls_isa_name(ls_isa_current()));
    if (found) LS_TRY(read_past(t));
    *finished = found && t->at.step >= j->total_steps && t->summary.status;
    if (*finished) return LS_OK;
    LS_TRY(ls_trace_open(&t->trace, j, args));
    t->began = t->report_at = ls_now();
    LS_TRY_COLLECTIVE(j, j->first ? open_files(t, found) : LS_OK);
    LS_TRY_COLLECTIVE(j, ls_loader_new(&t->loader, j->train, .batch = j->recipe->train.batch, .shards = j->shards,
                                       .ranks = j->ranks, .rank = j->rank, .seed = (uint64_t)j->recipe->train.seed,
                                       .epoch = t->at.epoch, .sample = t->at.sample));
    LS_TRY(
        ls_checkpoint_policy_open(&t->saves, j, ls_run_directory_file(&t->folder, "checkpoints"), t->at.step, found));
    t->saves.bar    = &t->bar;
    t->saves.events = t->events;
    ls_bar_open(&t->bar, j->first);
    t->begun = true;
    if (!j->first) return LS_OK;
    char parameters[32], steps[32];
    ls__count_text(parameters, sizeof parameters, ls_params_total(ls_trainer_params(j->trainer)));
    ls__count_text(steps, sizeof steps, j->total_steps);
    ls_bar_say(&t->bar, "%s: %s parameters, %s steps, %d rank%s x %d thread%s, %s", t->folder.path, parameters, steps,
               j->ranks, j->ranks == 1 ? "" : "s", j->threads, j->threads == 1 ? "" : "s",
               ls_isa_name(ls_isa_current()));
    double  bucket_s;
    int64_t bucket = ls__trainer_bucket(j->trainer, &bucket_s);
    if (bucket_s > 0)
        ls_bar_say(&t->bar, "sums between hosts: buckets of %.2f MiB, %.1f ms each when they were tried",
                   (double)bucket / (1 << 20), 1e3 * bucket_s);
    size_t      part;
    const char *whole = j->ranks > 1 ? ls__trainer_gradient_whole(j->trainer, &part) : NULL;
    if (whole) ls_bar_say(&t->bar, "gradients are whole: %s", whole);
    if (found) ls_bar_say(&t->bar, "continues after step %lld", (long long)t->at.step);
    return LS_OK;
}

/* The run is through: the result, in every form. */
static ls_status complete(training *t)
{
    ls_run *j = &t->job;
    LS_TRY(evaluate(t));
    LS_TRY(save(t));
    LS_TRY(ls_checkpoint_policy_finish(&t->saves, wall(t)));
    LS_TRY(summarize(t, "finished"));
    if (!j->first) return LS_OK;
    LS_TRY(t->pending);
    bool written;
    LS_TRY(ls_safetensors_save(ls_run_directory_file(&t->folder, "model.safetensors"), ls_trainer_params(j->trainer)));
    LS_TRY(ls_hf_config_save(ls_run_directory_file(&t->folder, "config.json"), j->graph, &written));
    LS_TRY(write_end(t));
    LS_TRY(write_report(t));
    ls_bar_close(&t->bar);
    print_result(t);
    return LS_OK;
}

/* The run ends early; what rank 0 can still write, it writes, and the first error is the one that counts. */
static ls_status end_early(training *t, ls_status why)
{
    char message[4096], trace[4096];
    snprintf(message, sizeof message, "%s", ls_error_message());
    snprintf(trace, sizeof trace, "%s", ls_error_trace());
    t->summary.status = why == LS_STOPPED ? "stopped" : why == LS_ERR_DIVERGED ? "diverged" : "failed";
    t->summary.step   = t->at.step;
    t->summary.wall_s = wall(t);
    digest_text(t->summary.digest, ls_trainer_digest(t->job.trainer));
    t->summary.planned_bytes = ls_trainer_planned_bytes(t->job.trainer);
    t->summary.peak_bytes    = ls_trainer_peak_bytes(t->job.trainer);
    if (t->trained_s > 0) t->summary.samples_per_s = rate(t->trained, t->trained_s);
    if (write_end(t) == LS_OK) write_report(t);
    ls_bar_close(&t->bar);
    return ls_error_set(why, message, trace);
}

/* Bad data have touched no parameter: what was learned before they were met is kept.  Collective. */
static ls_status keep_work(training *t, ls_status why)
{
    char message[4096], trace[4096];
    snprintf(message, sizeof message, "%s", ls_error_message());
    snprintf(trace, sizeof trace, "%s", ls_error_trace());
    if (t->trained > 0 && save(t) == LS_OK && ls_checkpoint_policy_finish(&t->saves, wall(t)) == LS_OK && t->job.first)
        ls_bar_say(&t->bar, "step %lld is kept; once the data are sound, the same command line continues",
                   (long long)t->at.step);
    return ls_error_set(why, message, trace);
}

/* What was good before is still worth having; where it cannot be written, that is not why the run ends.  Collective. */
static ls_status keep_older(training *t, ls_status why)
{
    char message[4096], trace[4096];
    snprintf(message, sizeof message, "%s", ls_error_message());
    snprintf(trace, sizeof trace, "%s", ls_error_trace());
    (void)ls_checkpoint_policy_settle(&t->saves, wall(t));
    return ls_error_set(why, message, trace);
}

static ls_status go(training *t)
{
    ls_stop_reason stop   = LS_STOP_NONE;
    ls_status      status = train_steps(t, &stop);
    if (status == LS_OK && !stop) {
        status = ls_comm_agree(t->job.comm, LS_IN_PHASE(&t->job, LS_PHASE_REPORT, "writing the results", complete(t)));
        return status == LS_ERR_DATA ? keep_work(t, status) : status;
    }
    if (status == LS_ERR_DIVERGED) return keep_older(t, status);
    if (status == LS_ERR_DATA) return keep_work(t, status);
    LS_TRY(status);
    LS_TRY(save(t));
    LS_TRY(ls_checkpoint_policy_finish(&t->saves, wall(t)));
    keep(t, t->saves.pending);
    LS_TRY_COLLECTIVE(&t->job, t->pending);
    return LS_FAIL(LS_STOPPED, "stopped by %s after step %lld; the same command line continues",
                   ls_stop_reason_text(stop), (long long)t->at.step);
}

/* Hours until the run stops: of the option, or else of the recipe; 0: no limit. */
static ls_status take_hours(const ls_args *args, const ls_recipe *r, double *hours)
{
    const char *text = ls_args_option(args, "max-hours");
    char       *end;
    *hours = text ? strtod(text, &end) : r->train.max_hours;
    LS_CHECK(!text || (end != text && !*end && *hours > 0 && *hours <= 1e6), LS_ERR_USAGE,
             "--max-hours: expected hours, more than 0, found '%s'", text);
    return LS_OK;
}

ls_status ls__train_command(int argc, char **argv)
{
    training *t = calloc(1, sizeof *t);
    ls_args   args;
    ls_status status;
    bool      finished = false;
    double    hours;
    LS_CHECK(t, LS_ERR_ENV, "no memory for a run");
    t->judged    = -1;
    t->rolled_to = t->rolled_at = -1;
    t->summary                  = (ls_summary){.loss = NAN, .accuracy = NAN, .samples_per_s = NAN};
    t->folder.lock              = -1;
    LS_TRY_GOTO(status, ls_run_start(&t->job, &args, argc, argv), done);
    LS_TRY_GOTO(status, ls_run_recipe(&t->job, args.positional[0], args.overrides, args.override), done);
    LS_TRY_GOTO(status, take_hours(&args, t->job.recipe, &hours), done);
    ls_stop_signals_install(hours, t->job.first);
    LS_TRY_GOTO(status, begin(t, &args, &finished), done);
    if (finished) {
        if (t->job.first) {
            fprintf(stderr, "%s: this run is finished; more train.epochs prolong it, --fresh starts over\n",
                    t->folder.path);
            print_result(t);
        }
        goto done;
    }
    status = ls_trace_close(t->trace, go(t));
    if (status != LS_OK && t->job.first) status = end_early(t, status);
done:
    if (status != LS_OK && !t->begun && t->job.first) ls_run_directory_abandon(&t->folder);
    ls_bar_close(&t->bar);
    ls_loader_free(t->loader);
    ls_checkpoint_policy_close(&t->saves);
    ls_events_close(t->events);
    ls_run_directory_close(&t->folder);
    ls_run_free(&t->job, status);
    free(t);
    return status;
}

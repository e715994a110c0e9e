/* SPDX-License-Identifier: Apache-2.0
 * Checkpoint policy: see launch/run/checkpoint_policy.h. */
#include "launch/run/checkpoint_policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"

#define DECAY 0.9 /* of the largest cost with each checkpoint: a large cost counts for about ten checkpoints */

ls_status ls_checkpoint_policy_open(ls_checkpoint_policy *s, ls_run *run, const char *folder, int64_t step, bool found)
{
    /* Estimates before the first checkpoint: bytes per second of a slow disk and of a copy; floats per parameter. */
    enum { SLOW_DISK = 50000000, COPY = 1000000000, NUMBERS = 3 };
    const ls_recipe *r     = run->recipe;
    double           bytes = (double)ls_params_total(ls_trainer_params(run->trainer)) * NUMBERS * sizeof(float);
    s->run                 = run;
    s->begun               = step;
    s->good                = found ? step : -1;
    s->opened_at = s->last_at = ls__clock_s();
    s->publish_s              = 0.02 + bytes / SLOW_DISK;
    s->cost_s = s->worst_s = 0.005 + bytes / COPY;
    return ls_saver_new(&s->saver, run->trainer, .folder = folder,
                        .keep    = {(int)r->checkpoint.keep_last, r->checkpoint.keep_every, r->checkpoint.best},
                        .writers = (int)r->checkpoint.writers, .background = r->checkpoint.background);
}

void ls_checkpoint_policy_close(ls_checkpoint_policy *s)
{
    ls_saver_free(s->saver);
    s->saver = NULL;
}

/* Returns whether a checkpoint is due by the budget.  Rank 0's clock decides for all ranks. */
static bool is_due(ls_checkpoint_policy *s)
{
    const ls_recipe *r = s->run->recipe;
    if (!s->run->is_root || r->checkpoint.every || r->checkpoint.budget <= 0 || !ls_saver_idle(s->saver)) return false;
    double now = ls__clock_s();
    /* This checkpoint and that of the epoch's end; the end of the run waits for the last one. */
    double next = 2 * s->worst_s + s->publish_s;
    return now - s->last_at >= r->checkpoint.seconds &&
           s->spent_s + next <= r->checkpoint.budget * (now - s->opened_at);
}

uint32_t ls_checkpoint_policy_votes(ls_checkpoint_policy *s)
{
    return (uint32_t)ls_saver_written(s->saver) << LS_CHECKPOINT_POLICY_WRITTEN | (uint32_t)is_due(s)
                                                                                      << LS_CHECKPOINT_POLICY_DUE;
}

void ls_checkpoint_policy_step(ls_checkpoint_policy *s, double seconds)
{
    enum { MEAN_STEPS = 200 }; /* length of the running mean */
    if (!ls_saver_idle(s->saver)) {
        s->slower_s += s->usual_steps ? seconds - s->usual_s : 0;
        return;
    }
    if (s->usual_steps < MEAN_STEPS) s->usual_steps++;
    s->usual_s += (seconds - s->usual_s) / s->usual_steps;
}

static void waited(ls_checkpoint_policy *s, double since) { s->waited_s += ls__clock_s() - since; }

ls_status ls_checkpoint_policy_publish(ls_checkpoint_policy *s)
{
    double before = ls__clock_s();
    LS_TRY(ls_saver_publish(s->saver));
    waited(s, before);
    return LS_OK;
}

/* Before the checkpoint, compares the parameters of all ranks by their digest. */
ls_status ls_checkpoint_policy_take(ls_checkpoint_policy *s, const ls_progress *at)
{
    double before = ls__clock_s();
    if (s->begun == at->step) return LS_OK;
    ls_progress progress = *at;
    char        digest[17];
    progress.digest = ls_trainer_digest(s->run->trainer);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)progress.digest);
    const char *names[] = {"parameters"}, *values[] = {digest};
    LS_TRY(ls_comm_same(s->run->comm, 1, names, values));
    if (progress.sample == s->run->train_count) { /* the end of an epoch is the beginning of the next */
        progress.epoch++;
        progress.sample = 0;
    }
    s->last_at = before;
    s->begun   = at->step;
    s->slow    = false;
    LS_TRY(ls_saver_begin(s->saver, &progress));
    waited(s, before);
    return LS_OK;
}

static void report_failure(ls_checkpoint_policy *s, const ls_saver_news *news)
{
    char older[64] = "no checkpoint exists yet";
    if (s->good >= 0) snprintf(older, sizeof older, "the newest is that of step %lld", (long long)s->good);
    if (!s->failing)
        ls_bar_say(s->bar,
                   "lockstep: warning: the checkpoint of step %lld could not be written; training continues, %s: %s",
                   (long long)news->step, older, news->message);
    s->failing = true;
}

static void report_success(ls_checkpoint_policy *s, const ls_saver_news *news, double wall_s)
{
    char path[64], digest[17];
    if (s->failing) ls_bar_say(s->bar, "the checkpoint of step %lld could be written again", (long long)news->step);
    if (*news->message)
        ls_bar_say(s->bar, "lockstep: warning: the checkpoint of step %lld was written, but: %s", (long long)news->step,
                   news->message);
    s->failing    = false;
    s->good       = news->step;
    s->publish_s  = news->seconds;
    s->cost_s     = s->waited_s - s->reported_s + s->slower_s;
    s->worst_s    = fmax(s->cost_s, s->worst_s * DECAY);
    s->reported_s = s->waited_s;
    s->spent_s    = fmax(0, s->spent_s + s->cost_s);
    s->slower_s   = 0;
    s->count++;
    if (!s->events) return;
    snprintf(path, sizeof path, "checkpoints/step-%08lld", (long long)news->step);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)news->digest);
    ls_status status =
        ls_events_write(s->events, "{s:s, s:I, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "event", "checkpoint", "step",
                        (json_int_t)news->step, "path", path, "digest", digest, "bytes", (json_int_t)news->bytes,
                        "seconds", ls_events_number(news->seconds), "waited_s", ls_events_number(s->waited_s), "cost_s",
                        ls_events_number(s->cost_s), "wall_s", ls_events_number(wall_s));
    if (s->pending == LS_OK) s->pending = status;
}

/* Warns of a checkpoint that takes unusually long.  Training continues. */
static void report_slow(ls_checkpoint_policy *s)
{
    enum { LONG_S = 300, TIMES = 10 };
    double seconds = ls__clock_s() - s->last_at;
    if (s->slow || ls_saver_idle(s->saver) || seconds < fmax(LONG_S, TIMES * s->publish_s)) return;
    ls_bar_say(
        s->bar,
        "lockstep: warning: the checkpoint of step %lld has been under way for %.0f s; training continues, without "
        "further checkpoints until this one is written" LS_HINT "check the disk or the file server of run.dir",
        (long long)s->begun, seconds);
    s->slow = true;
}

void ls_checkpoint_policy_report(ls_checkpoint_policy *s, double wall_s)
{
    ls_saver_news news;
    if (!s->run->is_root) return;
    report_slow(s);
    while (ls_saver_news_next(s->saver, &news)) {
        if (news.status == LS_OK)
            report_success(s, &news, wall_s);
        else
            report_failure(s, &news);
    }
}

ls_status ls_checkpoint_policy_finish(ls_checkpoint_policy *s, double wall_s)
{
    double    before = ls__clock_s();
    ls_status status = ls_saver_finish(s->saver);
    waited(s, before);
    if (status == LS_OK) ls_checkpoint_policy_report(s, wall_s); /* else the caller prints the error */
    return status;
}

ls_status ls_checkpoint_policy_settle(ls_checkpoint_policy *s, double wall_s)
{
    ls_status status = ls_checkpoint_policy_finish(s, wall_s);
    if (s->run->comm->broken) return status;
    if (status != LS_OK) ls_checkpoint_policy_report(s, wall_s);
    return LS_OK;
}

double ls_checkpoint_policy_need(const ls_checkpoint_policy *s)
{
    return s->count ? 2 * s->publish_s : 1 + s->publish_s;
}

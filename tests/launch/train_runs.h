/* SPDX-License-Identifier: Apache-2.0
 * Short training runs by command line, their interruption by kill, and the comparison of their digests. */
#ifndef LS_TESTS_LAUNCH_TRAIN_RUNS_H
#define LS_TESTS_LAUNCH_TRAIN_RUNS_H

#include <jansson.h>

#include "tests/launch/run_program.h"

/* The default run: 22 steps in two epochs.  It has 650 samples and a batch of 60, so the last batch of an epoch is
 * short, and the 8 virtual shards are unequal.  A test of another recipe defines RUN and STEPS before it includes this
 * file. */
#ifndef RUN
#define RUN                                                                                                            \
    "train lenet5-digits data.train_count=650 data.test_count=100 train.batch=60 train.epochs=2 log.every=1 "          \
    "checkpoint.every=4 "
#define STEPS 22
#endif

static inline int set_up(void **state)
{
    folder_enter();
    return 0;
}

static inline int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* ---- reading metrics.jsonl --------------------------------------------------------------------------------------- */

/* Returns all events of metrics.jsonl in order; fails on a line that is not an event. */
static json_t *events_of(const char *run_dir)
{
    char    path[128], line[4096];
    json_t *all = json_array();
    snprintf(path, sizeof path, "%s/metrics.jsonl", run_dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *event = json_loads(line, 0, NULL);
        if (!json_is_object(event) || !json_is_string(json_object_get(event, "event")))
            fail_msg("%s: a line is not an event: %s", path, line);
        json_array_append_new(all, event);
    }
    fclose(f);
    return all;
}

static const char *string(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text ? text : "";
}

/* Returns the digests of the step events, "1:e33fa10f9cef1978 2:72bb..."; fails unless each step occurs once, in
 * order. */
static char *digests_of(const char *run_dir)
{
    json_t *all  = events_of(run_dir), *event;
    char   *text = calloc(1, 1 << 16);
    size_t  i, used = 0;
    int     last = 0;
    json_array_foreach(all, i, event)
    {
        if (strcmp(string(event, "event"), "step") != 0) continue;
        int step = (int)json_integer_value(json_object_get(event, "step"));
        if (step != last + 1) fail_msg("%s: step %d comes after step %d", run_dir, step, last);
        last = step;
        assert_int_equal(strlen(string(event, "digest")), 16);
        used += (size_t)snprintf(text + used, (1 << 16) - used, "%d:%s ", step, string(event, "digest"));
    }
    json_decref(all);
    return text;
}

static char *reference; /* digests of an uninterrupted run */

static inline void make_reference(void)
{
    if (reference) return;
    int code = run(RUN "run.dir=reference");
    if (code) fail_msg("exit code %d\n%s", code, text_of("err"));
    reference = digests_of("reference");
    assert_int_equal(count_of(reference, ":"), STEPS);
}

static inline void must_be_like_reference(const char *run_dir, const char *what)
{
    char *digests = digests_of(run_dir);
    if (strcmp(digests, reference) != 0) fail_msg("%s: other digests\n%s\nexpected\n%s", what, digests, reference);
    free(digests);
}

static int interrupted; /* number of runs that the kill ended before their last step */

/* Starts a run in the directory "killed", and sends `signal` to its last rank when metrics.jsonl has the event of
 * `step`. */
static inline void kill_at(int step, int ranks, const char *signal)
{
    char program[512];
    snprintf(program, sizeof program,
             "$P " RUN "run.dir=killed & p=$!; while kill -0 $p 2>/dev/null && ! grep -q '\"step\":%d,\"epoch\"' "
             "killed/metrics.jsonl 2>/dev/null; do sleep 0.01; done; "
             "test ${OMPI_COMM_WORLD_RANK:-0} = %d && kill -%s $p; wait $p",
             step, ranks ? ranks - 1 : 0, signal);
    run_with("", (run_options){.ranks = ranks, .program = program});
    interrupted += strstr(text_of("killed/metrics.jsonl"), "\"event\":\"end\"") == NULL;
}

static inline void continue_on(int ranks)
{
    char what[64];
    snprintf(what, sizeof what, "continued on %d ranks", ranks);
    int code = run(RUN "run.dir=killed", .ranks = ranks);
    if (code) fail_msg("%s: exit code %d\n%s", what, code, text_of("err"));
    must_be_like_reference("killed", what);
}

#endif

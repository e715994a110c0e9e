/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks that a run has the same digests for all combinations of ranks, threads, ZeRO stage, micro-batches, bucket
 * size, overlap of communication, and placement of ranks on hosts.  Each row is one combination and continues the run
 * of the row before, so that resuming is tested as well.  The digest of each step must equal that of an uninterrupted
 * run on one rank. */
#ifndef LS_TESTS_LAUNCH_RUN_MATRIX_H
#define LS_TESTS_LAUNCH_RUN_MATRIX_H

#include "tests/launch/run_program.h"

enum { FACTORS = 7, MOST_VALUES = 5, STEPS_OF_ROW = 2, MOST_ROWS = 4096 };
enum { RANKS, THREADS, ZERO, ACCUMULATE, BUCKET, OVERLAP, PLACE };

static const struct {
    const char *key;
    int         values;
    const char *value[MOST_VALUES];
} factor[FACTORS] = {
    {"ranks", 5, {"1", "2", "3", "4", "8"}},
    {"threads", 3, {"1", "2", "3"}},
    {"train.zero", 3, {"0", "1", "2"}},
    {"train.accumulate", 2, {"1", "4"}},
    {"train.bucket_bytes", 3, {"65536", "1048576", "26214400"}},
    {"train.overlap", 3, {"poll", "thread", "off"}},
    {"train.window",
     3,
     {"auto", "off", "hosts"}}, /* one host with shared memory, one host with messages, four hosts of the test bed */
};

typedef struct row {
    int value[FACTORS];
} row;

static const char *value_of(const row *r, int f) { return factor[f].value[r->value[f]]; }

static bool test_bed;

/* Returns whether a row is possible and differs from other rows: four hosts need a multiple of four ranks, and settings
 * of messages between ranks have no effect on one rank or in shared memory. */
static bool makes_sense(const row *r)
{
    int  ranks = atoi(value_of(r, RANKS));
    bool hosts = r->value[PLACE] == 2, messages = r->value[PLACE] > 0;
    if (hosts && (!test_bed || ranks % 4)) return false;
    if (ranks == 1 && r->value[PLACE]) return false;
    return messages || r->value[OVERLAP] == 0;
}

static inline int all_rows(row *out)
{
    int n = 0;
    for (row r = {{0}};;) {
        if (makes_sense(&r)) out[n++] = r;
        int f = 0;
        while (f < FACTORS && ++r.value[f] == factor[f].values) r.value[f++] = 0;
        if (f == FACTORS) return n;
    }
}

/* Selects a small set of rows that contains every possible pair of values of two factors.  Greedy: adds the row with
 * the largest number of new pairs. */
static inline int covering_rows(const row *all, int n, row *out)
{
    static bool met[FACTORS][MOST_VALUES][FACTORS][MOST_VALUES];
    int         rows = 0;
    memset(met, 0, sizeof met);
    for (;;) {
        int best = -1, most = 0;
        for (int i = 0; i < n; i++) {
            int fresh = 0;
            for (int f = 0; f < FACTORS; f++)
                for (int g = f + 1; g < FACTORS; g++) fresh += !met[f][all[i].value[f]][g][all[i].value[g]];
            if (fresh > most) most = fresh, best = i;
        }
        if (best < 0) return rows;
        for (int f = 0; f < FACTORS; f++)
            for (int g = f + 1; g < FACTORS; g++) met[f][all[best].value[f]][g][all[best].value[g]] = true;
        out[rows++] = all[best];
    }
}

static void prepare_text(void)
{
    FILE *text = fopen("text.txt", "w"), *recipe = fopen("gpt.yaml", "w");
    assert_true(text && recipe);
    for (int i = 0; i < 400; i++)
        fprintf(text, "%d green bottles hanging on the wall, and if one green bottle should fall\n", 400 - i);
    fputs("data: {path: ./data}\n"
          "model: {name: gpt, options: {layers: 2, heads: 2, width: 64, context: 16, dropout: 0.1}}\n"
          "train: {batch: 32, epochs: 1000}\noptim: {name: adamw, lr: 0.002, clip_norm: 1}\n",
          recipe);
    fclose(text);
    fclose(recipe);
    assert_int_equal(run("data import text text.txt data"), 0);
}

/* Batch norm over groups of 2 samples.  A virtual shard of the last batch, which has 10 samples, has one or none. */
static void prepare_cnn(void)
{
    FILE *recipe = fopen("cnn.yaml", "w");
    assert_non_null(recipe);
    fputs("data: {path: digits, train_count: 650, test_count: 64}\n"
          "model:\n  norm_over: 2\n  layers:\n"
          "    - conv2d: {name: conv1, out: 8, kernel: 3, stride: 2, no_bias: true}\n    - batch_norm: {name: bn1}\n"
          "    - relu\n"
          "    - conv2d: {name: conv2, out: 16, kernel: 3, stride: 2}\n    - batch_norm: {name: bn2, no_affine: true}\n"
          "    - relu\n    - flatten\n    - linear: {name: fc, out: 10}\n"
          "train: {batch: 64, epochs: 1000}\noptim: {name: momentum, lr: 0.05}\n",
          recipe);
    fclose(recipe);
}

static inline int prepare(void **state)
{
    folder_enter();
    prepare_cnn();
    test_bed = run_with("", (run_options){.program = LOCKSTEP_SOURCE "/cluster/testbed --check"}) != 4;
    if (!test_bed) print_message("no test bed here: %s", text_of("err"));
    prepare_text();
    return 0;
}

static inline int finish(void **state)
{
    folder_leave();
    return 0;
}

/* Reads the final digest that `lockstep train` has printed. */
static void last_digest(const char *dir, char digest[17])
{
    const char *at = strstr(text_of("out"), "digest");
    if (!at || sscanf(at, "digest %16s", digest) != 1) fail_msg("%s: no digest in the output: %s", dir, text_of("err"));
}

/* Reads the digest of each step from metrics.jsonl: that of step s is at offset 17 * s. */
static char *digests_by_step(const char *metrics, int steps)
{
    char *all = calloc((size_t)steps + 1, 17), *line = NULL;
    FILE *file = fopen(metrics, "r");
    assert_non_null(all);
    assert_non_null(file);
    for (size_t room = 0; getline(&line, &room, file) > 0;) {
        const char *step = strstr(line, "\"event\":\"step\",\"step\":"), *digest = strstr(line, "\"digest\":\"");
        int         s = step ? atoi(step + strlen("\"event\":\"step\",\"step\":")) : 0;
        if (step && digest && s >= 1 && s <= steps) memcpy(all + 17 * s, digest + strlen("\"digest\":\""), 16);
    }
    free(line);
    fclose(file);
    return all;
}

static void run_row(const char *recipe, const row *r, int steps, const char *expected)
{
    char command[1024], what[512], digest[17];
    bool hosts = r->value[PLACE] == 2;
    int  ranks = atoi(value_of(r, RANKS));
    snprintf(what, sizeof what, "%s train.max_steps=%d run.dir=chain %s=%s %s=%s %s=%s %s=%s %s=%s", recipe, steps,
             factor[ZERO].key, value_of(r, ZERO), factor[ACCUMULATE].key, value_of(r, ACCUMULATE), factor[BUCKET].key,
             value_of(r, BUCKET), factor[OVERLAP].key, value_of(r, OVERLAP), factor[PLACE].key,
             hosts ? "auto" : value_of(r, PLACE));
    if (hosts)
        snprintf(command, sizeof command, LOCKSTEP_SOURCE "/cluster/testbed --hosts 4 --ranks %d -- $P train %s",
                 ranks / 4, what);
    int code =
        hosts ? run_with("", (run_options){.program = command, .threads = atoi(value_of(r, THREADS)), .seconds = 100})
              : run_with("", (run_options){.program = (snprintf(command, sizeof command, "$P train %s", what), command),
                                           .ranks   = ranks == 1 ? 0 : ranks,
                                           .threads = atoi(value_of(r, THREADS)),
                                           .seconds = 100});
    if (code)
        fail_msg("%d ranks x %s threads%s: %s: exit code %d\n%s", ranks, value_of(r, THREADS),
                 hosts ? " on 4 hosts" : "", what, code, text_of("err"));
    last_digest("chain", digest);
    if (strcmp(digest, expected) != 0)
        fail_msg("%d ranks x %s threads%s: %s: digest %s, expected %s", ranks, value_of(r, THREADS),
                 hosts ? " on 4 hosts" : "", what, digest, expected);
}

static inline void check_rows(const char *recipe, const row *rows, int n)
{
    char line[1024];
    int  steps = n * STEPS_OF_ROW;
    snprintf(line, sizeof line, "train %s log.every=1 run.dir=whole train.max_steps=%d", recipe, steps);
    assert_int_equal(run(line, .seconds = 3000), 0);
    char *expected = digests_by_step("whole/metrics.jsonl", steps);
    for (int i = 0; i < n; i++)
        run_row(recipe, &rows[i], (i + 1) * STEPS_OF_ROW, expected + 17 * (i + 1) * STEPS_OF_ROW);
    print_message("%d rows, %d steps, one digest for each step\n", n, steps);
    free(expected);
    assert_int_equal(system("rm -rf chain whole"), 0);
}

#define LENET                                                                                                          \
    "lenet5-digits data.train_count=640 data.test_count=64 train.epochs=1000 train.shards=32 schedule.name=constant "  \
    "eval.every=0"
#define CNN                                                                                                            \
    "cnn-mnist data.path=digits data.train_count=640 data.test_count=64 train.epochs=1000 train.shards=32 "            \
    "schedule.name=constant eval.every=0"
#define GPT "./gpt.yaml train.shards=32 eval.every=0"

#endif

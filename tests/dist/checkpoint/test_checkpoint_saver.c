/* SPDX-License-Identifier: Apache-2.0
 * */
/* ranks: 1 2 3 4 */
/* labels: io */
/* Checkpoints written in the background: by several ranks, from a partitioned state, and with a writer that fails;
 * retention and links. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/dist/checkpoint/checkpoint_model.h"
#include "tests/dist/mpi_test.h"

static char folder[64];

static int new_folder(void **state)
{
    strcpy(folder, "/tmp/lockstep-saver-XXXXXX");
    ls_status made = the_rank() == 0 && !mkdtemp(folder) ? LS_FAIL(LS_ERR_ENV, "no folder") : LS_OK;
    return ls_comm_agree(comm, made) != LS_OK || ls_comm_bcast(comm, folder, sizeof folder, 0) != LS_OK;
}

static int remove_folder(void **state)
{
    char command[128];
    if (ls_comm_barrier(comm) != LS_OK) return 1;
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (the_rank() == 0 && system(command) != 0) return 1;
    return ls_comm_barrier(comm) != LS_OK;
}

/* Compares the sorted names in the folder `inner` of the folder ("": in the folder itself). */
static void expect_entries(const char *inner, const char *expected)
{
    struct dirent **entry;
    char            text[1024] = "", path[128];
    assert_ok(ls_comm_barrier(comm));
    snprintf(path, sizeof path, "%s/%s", folder, inner);
    int n = scandir(path, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (strcmp(entry[i]->d_name, ".") != 0 && strcmp(entry[i]->d_name, "..") != 0) {
            strcat(text, entry[i]->d_name);
            strcat(text, " ");
        }
        free(entry[i]);
    }
    free(entry);
    assert_string_equal(text, expected);
    assert_ok(ls_comm_barrier(comm)); /* no rank changes the folder before all ranks have read it */
}

static ls_progress at_step(int64_t step, double loss)
{
    return (ls_progress){.step = step, .isa = "v3", .digest = 7, .loss = loss};
}

/* Exchanges ls_saver_written between ranks, as a run does at each step, until all have written; then publishes. */
static void until_written(ls_saver *s)
{
    for (bool all = false; !all; usleep(200)) {
        int32_t mine = ls_saver_written(s), every[8];
        assert_ok(ls_comm_allgather(comm, &mine, every, sizeof mine));
        all = true;
        for (int r = 0; r < the_size(); r++) all &= every[r] != 0;
    }
    assert_ok(ls_saver_publish(s));
}

/* Waits for the next news on rank 0. */
static ls_saver_news next_news(ls_saver *s)
{
    ls_saver_news news = {0};
    while (!ls_saver_idle(s)) usleep(200);
    assert_true(ls_saver_news_next(s, &news));
    return news;
}

static void expect_loaded(float scale, int64_t step)
{
    model       m;
    ls_progress p;
    bool        found;
    model_make(&m, 0);
    assert_ok(ls__checkpoint_load(comm, &m.state, folder, &p, &found));
    assert_true(found && model_is(&m, scale));
    assert_int_equal(p.step, step);
}

static ls_saver *make(model *m, ls_saver_options o)
{
    ls_saver *s;
    o.folder     = folder;
    o.background = true;
    assert_ok(ls__saver_new(&s, comm, &m->state, NULL, &o));
    return s;
}

/* The checkpoint has the values of the step at which it was begun, although the run changes them meanwhile. */
static void test_values_of_its_step(void **state)
{
    model       m;
    ls_progress p = at_step(5, NAN);
    model_make(&m, 2);
    ls_saver *s = make(&m, (ls_saver_options){.writers = 3});
    assert_false(ls_saver_written(s));
    assert_ok(ls_saver_begin(s, &p));
    model_fill(&m, 3);
    until_written(s);
    assert_false(ls_saver_written(s));
    if (the_rank() == 0) {
        ls_saver_news news = next_news(s);
        assert_int_equal(news.step, 5);
        assert_int_equal(news.status, LS_OK);
        assert_string_equal(news.message, "");
        assert_true(news.bytes > (3 * W + B) * 4 && news.digest == 7);
        assert_false(ls_saver_news_next(s, &news));
    }
    assert_ok(ls_saver_finish(s));
    expect_entries("", "latest step-00000005 ");
    expect_entries("latest", the_size() >= 3   ? "manifest.xxh64 part-0000.h5 part-0001.h5 part-0002.h5 "
                             : the_size() == 2 ? "manifest.xxh64 part-0000.h5 part-0001.h5 "
                                               : "manifest.xxh64 part-0000.h5 ");
    expect_loaded(2, 5);
    ls_saver_free(s);
}

/* A checkpoint is begun before the previous one is published. */
static void test_one_after_the_other(void **state)
{
    model m;
    model_make(&m, 1);
    ls_saver *s = make(&m, (ls_saver_options){.writers = 2, .keep = {.last = 2}});
    for (int step = 1; step <= 4; step++) {
        ls_progress p = at_step(step, NAN);
        model_fill(&m, (float)step);
        assert_ok(ls_saver_begin(s, &p));
    }
    assert_ok(ls_saver_finish(s));
    ls_saver_free(s);
    expect_entries("", "latest step-00000003 step-00000004 ");
    expect_loaded(4, 4);
}

/* ZeRO: a state that was saved in partitions is read whole, and in other partitions. */
static void test_partitions(void **state)
{
    model       m, whole;
    ls_progress p = at_step(9, NAN), found;
    char        path[128];
    model_make(&m, 0);
    model_divide(&m, 4, the_rank(), the_size());
    ls_saver *s = make(&m, (ls_saver_options){.writers = 1}); /* every rank writes its own partition anyway */
    assert_ok(ls_saver_begin(s, &p));
    assert_ok(ls_saver_finish(s));
    ls_saver_free(s);
    expect_loaded(4, 9);
    snprintf(path, sizeof path, "%s/step-00000009", folder);
    model_make(&whole, 0);
    if (the_rank() == 0) {
        assert_ok(ls__checkpoint_read(NULL, &whole.state, path, &found));
        assert_true(model_is(&whole, 4));
    }
    model_make(&m, 0);
    model_divide(&m, 0, the_size() - 1 - the_rank(), the_size());
    assert_ok(ls__checkpoint_read(comm, &m.state, path, &found));
    assert_true(model_is(&m, 4));
}

/* The disk of one rank is full.  All ranks continue, the older checkpoint stays, no partial one is left, and the next
 * checkpoint succeeds. */
static void test_writer_fails(void **state)
{
    struct rlimit old;
    model         m;
    ls_progress   first = at_step(1, NAN), second = at_step(2, NAN), third = at_step(3, NAN);
    model_make(&m, 1);
    ls_saver *s = make(&m, (ls_saver_options){.writers = the_size()});
    assert_ok(ls_saver_begin(s, &first));
    until_written(s);
    if (the_rank() == 0) assert_int_equal(next_news(s).status, LS_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    if (the_rank() == the_size() - 1) setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, old.rlim_max});
    model_fill(&m, 2);
    assert_ok(ls_saver_begin(s, &second));
    until_written(s);
    if (the_rank() == 0) {
        ls_saver_news news = next_news(s);
        assert_int_equal(news.status, LS_ERR_ENV);
        assert_int_equal(news.step, 2);
        assert_non_null(strstr(news.message, "File too large"));
        assert_non_null(strstr(news.message, "hint: "));
    }
    assert_fails(ls_saver_finish(s), LS_ERR_ENV, "File too large");
    setrlimit(RLIMIT_FSIZE, &old);
    expect_entries("", "latest step-00000001 ");
    expect_loaded(1, 1);
    model_fill(&m, 3);
    assert_ok(ls_saver_begin(s, &third));
    assert_ok(ls_saver_finish(s));
    expect_entries("", "latest step-00000001 step-00000003 ");
    expect_loaded(3, 3);
    ls_saver_free(s);
}

/* A rank that does not see the folder (no shared file system) writes nothing. */
static void test_unseen_folder(void **state)
{
    model       m;
    ls_progress p = at_step(1, NAN);
    ls_saver   *s;
    char        mine[96];
    model_make(&m, 6);
    snprintf(mine, sizeof mine, the_rank() == 1 ? "%s/elsewhere" : "%s", folder);
    ls_saver_options o = {.folder = mine, .background = true, .writers = the_size()};
    assert_ok(ls__saver_new(&s, comm, &m.state, NULL, &o));
    assert_ok(ls_saver_begin(s, &p));
    assert_ok(ls_saver_finish(s));
    ls_saver_free(s);
    expect_entries("latest", the_size() == 4   ? "manifest.xxh64 part-0000.h5 part-0001.h5 part-0002.h5 "
                             : the_size() == 3 ? "manifest.xxh64 part-0000.h5 part-0001.h5 "
                                               : "manifest.xxh64 part-0000.h5 ");
    expect_loaded(6, 1);
    model_divide(&m, 1, the_rank(), the_size());
    if (the_size() > 1)
        assert_fails(ls__saver_new(&s, comm, &m.state, NULL, &o), LS_ERR_ENV, "file system that all hosts share");
}

static void test_retention(void **state)
{
    static const double loss[] = {3, 1.5, 2, NAN, 1.75, 2, 1.5};
    model               m;
    model_make(&m, 1);
    ls_saver *s = make(&m, (ls_saver_options){.keep = {.last = 2, .every = 30, .best = true}});
    for (int i = 0; i < 7; i++) {
        ls_progress p = at_step(10 * (i + 1), loss[i]);
        assert_ok(ls_saver_begin(s, &p));
        assert_ok(ls_saver_finish(s));
        assert_int_equal(ls__checkpoint_linked(folder, "latest"), 10 * (i + 1));
        assert_int_equal(ls__checkpoint_linked(folder, "best"),
                         i ? 20 : 10); /* a later checkpoint with the same loss does not become the best */
        assert_ok(ls_comm_barrier(comm));
    }
    ls_saver_free(s);
    expect_entries("", "best latest step-00000020 step-00000030 step-00000060 step-00000070 ");
    if (the_rank() == 0)
        assert_ok(ls_checkpoint_prune(folder, &(ls_checkpoint_retention){.last = 1, .best = true}, true, NULL, NULL));
    expect_entries("", "best latest step-00000020 step-00000030 step-00000060 step-00000070 ");
    if (the_rank() == 0)
        assert_ok(ls_checkpoint_prune(folder, &(ls_checkpoint_retention){.last = 1, .best = true}, false, NULL, NULL));
    expect_entries("", "best latest step-00000020 step-00000070 ");
}

/* The remains of a process that was killed during a save are no checkpoint, and are removed when the next run begins.
 * */
static void test_leftovers(void **state)
{
    model m;
    char  command[256];
    model_make(&m, 1);
    snprintf(command, sizeof command,
             "cd %s && mkdir .tmp-step-00000004 .old-step-00000001 keep && touch .tmp-step-00000004/part-0000.h5 "
             "keep/x && ln -s keep .tmp-step-x",
             folder);
    if (the_rank() == 0) assert_int_equal(system(command), 0);
    assert_ok(ls_comm_barrier(comm));
    ls_saver *s;
    assert_fails(ls__saver_new(&s, comm, &m.state, NULL, &(ls_saver_options){.folder = folder}), LS_ERR_ENV,
                 ".tmp-step-x"); /* a link is not followed */
    snprintf(command, sizeof command, "%s/.tmp-step-x", folder);
    if (the_rank() == 0) assert_int_equal(unlink(command), 0);
    s = make(&m, (ls_saver_options){0});
    expect_entries("", "keep ");
    expect_entries("keep", "x ");
    ls_saver_free(s);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_values_of_its_step), TEST(test_one_after_the_other), TEST(test_partitions), TEST(test_writer_fails),
        TEST(test_unseen_folder),      TEST(test_retention),           TEST(test_leftovers),
    };
    return run_on_ranks(argc, argv, tests);
}

/* SPDX-License-Identifier: Apache-2.0
 * */
/* ranks: 1 2 3 4 */
/* labels: io */
/* Checkpoints on 1 to 4 ranks: round trips, damaged files, other models, full disks and pruning.  All ranks get the
 * same result. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dist/checkpoint/checkpoint_load.h"
#include "dist/checkpoint/checkpoint_saver.h"
#include "tests/dist/mpi_test.h"

/* A model of two parameters: the first has two optimizer states, the second is frozen. */
enum { W = 6, B = 3, ARRAYS = 4 };
typedef struct model {
    float          w[W], b[B], m[W], v[W];
    ls_state_array array[ARRAYS];
    ls_state       state;
} model;

static const int64_t                 w_dims[] = {2, 3}, b_dims[] = {3}, other_dims[] = {3, 2};
static const char                   *state_names[] = {"exp_avg", "exp_avg_sq"};
static char                          folder[64];
static const ls_checkpoint_retention all; /* keeps all checkpoints */
#define LENGTH(x) (sizeof(x) / sizeof *(x))

static void set_up(model *m, float scale)
{
    *m          = (model){.state = {.arrays = ARRAYS, .array = m->array, .states = 2, .state_name = state_names}};
    m->array[0] = (ls_state_array){"conv1.weight", NULL, 2, w_dims, W, m->w};
    m->array[1] = (ls_state_array){"conv1.bias", NULL, 1, b_dims, B, m->b};
    m->array[2] = (ls_state_array){"conv1.weight", "exp_avg", 2, w_dims, W, m->m};
    m->array[3] = (ls_state_array){"conv1.weight", "exp_avg_sq", 2, w_dims, W, m->v};
    for (int i = 0; i < ARRAYS; i++)
        for (int k = 0; k < m->array[i].count; k++) m->array[i].data[k] = scale * (float)(100 * i + k + 1);
}

static ls_progress progress_at(int64_t step)
{
    return (ls_progress){.step        = step,
                         .epoch       = 3,
                         .sample      = 77,
                         .seed        = 0xfedcba9876543210u,
                         .recipe_hash = "0123456789abcdef0123456789abcdef",
                         .isa         = "v3",
                         .digest      = 0xdeadbeefcafef00du};
}

static void expect_progress(const ls_progress *p, int64_t step)
{
    ls_progress q = progress_at(step);
    assert_true(p->step == q.step && p->epoch == q.epoch && p->sample == q.sample && p->seed == q.seed &&
                p->digest == q.digest);
    assert_string_equal(p->recipe_hash, q.recipe_hash);
    assert_string_equal(p->isa, q.isa);
}

static int new_folder(void **state)
{
    strcpy(folder, "/tmp/lockstep-checkpoint-XXXXXX");
    ls_status made = the_rank() == 0 && !mkdtemp(folder) ? LS_FAIL(LS_ERR_ENV, "no folder") : LS_OK;
    return ls_comm_agree(comm, made) != LS_OK || ls_comm_bcast(comm, folder, sizeof folder, 0) != LS_OK;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (the_rank() == 0 && system(command) != 0) return 1;
    return ls_comm_barrier(comm) != LS_OK;
}

static void save_as(float scale, int64_t step, int keep)
{
    model       m;
    ls_progress p = progress_at(step);
    set_up(&m, scale);
    assert_ok(ls__checkpoint_save(comm, &m.state, folder, &p, &(ls_checkpoint_retention){.last = keep}));
}

/* Loads the newest intact checkpoint, and compares it. */
static void expect_loaded(float scale, int64_t step)
{
    model       m, expected;
    ls_progress p;
    bool        found;
    set_up(&m, 0);
    set_up(&expected, scale);
    assert_ok(ls__checkpoint_load(comm, &m.state, folder, &p, &found));
    assert_true(found);
    expect_progress(&p, step);
    for (int i = 0; i < ARRAYS; i++)
        assert_memory_equal(m.array[i].data, expected.array[i].data, (size_t)m.array[i].count * sizeof(float));
}

static void expect_entries(const char *expected)
{
    struct dirent **entry;
    char            text[512] = "";
    int             n         = scandir(folder, &entry, NULL, alphasort);
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

/* Runs a shell command in the folder, on rank 0. */
static void shell(const char *format, ...)
{
    char    command[1024], full[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(full, sizeof full, "cd %s && %s", folder, command);
    ls_status done = the_rank() == 0 && system(full) != 0 ? LS_FAIL(LS_ERR_ENV, "%s failed", full) : LS_OK;
    assert_ok(ls_comm_agree(comm, done));
}

/* ---- intact checkpoints ------------------------------------------------------------------------------------------ */

static void test_round_trip(void **state)
{
    save_as(1.5f, 128, 0);
    expect_entries("latest step-00000128 ");
    expect_loaded(1.5f, 128);
}

static void test_none_yet(void **state)
{
    model       m;
    ls_progress p;
    bool        found = true;
    char        missing[128];
    set_up(&m, 1);
    assert_ok(ls__checkpoint_load(comm, &m.state, folder, &p, &found));
    assert_false(found);
    snprintf(missing, sizeof missing, "%s/none", folder);
    found = true;
    assert_ok(ls__checkpoint_load(comm, &m.state, missing, &p, &found));
    assert_false(found);
    assert_true(m.w[0] == 1);
}

static void test_newest_and_pruning(void **state)
{
    for (int step = 10; step <= 50; step += 10) save_as((float)step, step, 3);
    expect_entries("latest step-00000030 step-00000040 step-00000050 ");
    expect_loaded(50, 50);
    /* A run that continues from step 30 (because later checkpoints were damaged, say) replaces the later ones. */
    save_as(35, 35, 0);
    expect_entries("latest step-00000030 step-00000035 ");
    expect_loaded(35, 35);
}

static void test_same_step_again(void **state)
{
    save_as(1, 7, 0);
    save_as(2, 7, 0);
    expect_entries("latest step-00000007 ");
    expect_loaded(2, 7);
}

static void test_leftovers_and_strangers(void **state)
{
    save_as(1, 7, 0);
    shell("mkdir .tmp-step-00000009 .old-step-00000003 step-1 step-0000000x best && touch "
          ".tmp-step-00000009/part-0000.h5 notes.txt");
    expect_loaded(1, 7);
    save_as(2, 8, 1);
    expect_entries("best latest notes.txt step-00000008 step-0000000x step-1 ");
}

static void test_equal_states_are_equal_files(void **state)
{
    save_as(1, 7, 0);
    shell("mkdir first && cp step-00000007/* first && sleep 1.1");
    save_as(1, 7, 0);
    shell("cmp first/part-0000.h5 step-00000007/part-0000.h5 && cmp first/manifest.xxh64 step-00000007/manifest.xxh64");
}

/* ---- damaged checkpoints ----------------------------------------------------------------------------------------- */

static const char *const damages[] = {
    "rm step-00000020/part-0000.h5",
    "rm step-00000020/manifest.xxh64",
    "truncate -s -1 step-00000020/part-0000.h5",
    "truncate -s 0 step-00000020/part-0000.h5",
    "echo >> step-00000020/part-0000.h5",
    "printf x | dd of=step-00000020/part-0000.h5 bs=1 seek=5000 conv=notrunc status=none",
    "truncate -s 0 step-00000020/manifest.xxh64",
    "printf '0123456789abcdef  part-0000.h5\\n' > step-00000020/manifest.xxh64",
    "printf ' 123456789abcdef  part-0000.h5\\n' > step-00000020/manifest.xxh64",
    "cp step-00000010/* step-00000020", /* intact, but of another step */
    "rm step-00000020/* && mkdir step-00000020/part-0000.h5",
};

static void test_damage(void **state)
{
    for (size_t i = 0; i < LENGTH(damages); i++) {
        shell("rm -rf step-*");
        save_as(1, 10, 0);
        save_as(2, 20, 0);
        shell("%s", damages[i]);
        expect_loaded(1, 10);
        if (the_rank() == 0 && strstr(ls_error_message(), folder) == NULL)
            fail_msg("%s: %s", damages[i], ls_error_message());
    }
}

static void test_all_damaged(void **state)
{
    model       m;
    ls_progress p;
    bool        found;
    set_up(&m, 1);
    save_as(1, 10, 0);
    save_as(2, 20, 0);
    shell("truncate -s 1000 step-*/part-0000.h5");
    assert_fails(ls__checkpoint_load(comm, &m.state, folder, &p, &found), LS_ERR_DATA,
                 "none of the 2 checkpoints can be read");
    assert_non_null(strstr(ls_error_message(), "step-00000020/part-0000.h5: its 1000 bytes have the checksum"));
    assert_non_null(strstr(ls_error_message(), "--fresh"));
}

/* ---- checkpoints of another model -------------------------------------------------------------------------------- */

static void fewer_arrays(model *m)
{
    m->state.arrays = 1;
    m->state.states = 0;
}
static void no_states(model *m)
{
    m->state.arrays = 2;
    m->state.states = 0;
}
static void other_state(model *m)
{
    static const char *names[] = {"exp_avg", "square_avg"};
    m->state.state_name        = names;
    m->array[3].state          = "square_avg";
}
static void other_shape(model *m) { m->array[0].dims = other_dims; }
static void other_rank(model *m) { m->array[0].rank = 1; }
static void other_name(model *m) { m->array[1].name = "conv1.gain"; }
static void trained(model *m) { m->array[3] = (ls_state_array){"conv1.bias", "exp_avg", 1, b_dims, B, m->b}; }

static const struct {
    void (*change)(model *m);
    const char *message;
} others[] = {
    {fewer_arrays, "2 parameters in the checkpoint, 1 in the model"},
    {no_states, "2 states of the optimizer in the checkpoint, this optimizer has 0"},
    {other_state, "the optimizer's 'square_avg' is not in the checkpoint"},
    {other_shape, "'conv1.weight' is 2 x 3 in the checkpoint and 3 x 2 in the model"},
    {other_rank, "'conv1.weight' is 2 x 3 in the checkpoint and 2 in the model"},
    {other_name, "the model's parameter 'conv1.gain' is not in the checkpoint"},
    {trained, "the model's parameter 'conv1.bias' is not in the checkpoint with the optimizer's exp_avg"},
};

static void test_other_models(void **state)
{
    save_as(1, 10, 0);
    save_as(1, 20, 0);
    for (size_t i = 0; i < LENGTH(others); i++) {
        model       m;
        ls_progress p;
        bool        found;
        set_up(&m, 0);
        others[i].change(&m);
        assert_fails(ls__checkpoint_load(comm, &m.state, folder, &p, &found), LS_ERR_USAGE, others[i].message);
        assert_non_null(strstr(ls_error_message(), "step-00000020: "));
        assert_non_null(strstr(ls_error_message(), "hint: "));
    }
}

/* ---- full disks -------------------------------------------------------------------------------------------------- */

/* A file size limit stops the write at different positions.  Each time all ranks get an error with its cause, no file
 * is left behind, and the older checkpoint is unchanged. */
static void test_no_space(void **state)
{
    struct rlimit old;
    model         m;
    ls_progress   p      = progress_at(20);
    int           failed = 0;
    save_as(1, 10, 0);
    set_up(&m, 2);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t limit = 0; limit < 12000; limit += 487) {
        struct rlimit small = {limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        ls_status status = ls__checkpoint_save(comm, &m.state, folder, &p, &all);
        setrlimit(RLIMIT_FSIZE, &old);
        if (status == LS_OK) break;
        failed++;
        assert_int_equal(status, LS_ERR_ENV);
        if (!strstr(ls_error_message(), "File too large")) fail_msg("at %d bytes: %s", (int)limit, ls_error_message());
        expect_entries("latest step-00000010 ");
    }
    assert_true(failed > 5);
    expect_loaded(2, 20);
}

static void test_not_a_folder(void **state)
{
    model       m;
    ls_progress p = progress_at(20);
    char        path[128];
    set_up(&m, 1);
    shell("touch file && mkdir closed && chmod 500 closed");
    snprintf(path, sizeof path, "%s/file", folder);
    assert_fails(ls__checkpoint_save(comm, &m.state, path, &p, &all), LS_ERR_ENV, "expected a folder");
    snprintf(path, sizeof path, "%s/file/checkpoints", folder);
    assert_fails(ls__checkpoint_save(comm, &m.state, path, &p, &all), LS_ERR_ENV, "Not a directory");
    snprintf(path, sizeof path, "%s/closed/checkpoints", folder);
    if (geteuid() != 0)
        assert_fails(ls__checkpoint_save(comm, &m.state, path, &p, &all), LS_ERR_ENV, "Permission denied");
}

static void test_name_with_slash(void **state)
{
    model       m;
    ls_progress p = progress_at(20);
    set_up(&m, 1);
    m.array[1].name = "a/b";
    assert_fails(ls__checkpoint_save(comm, &m.state, folder, &p, &all), LS_ERR_USAGE, "'a/b'");
    expect_entries("");
}

/* ---- one checkpoint by its path ---------------------------------------------------------------------------------- */

static void test_read_one(void **state)
{
    model       m;
    ls_progress p;
    char        path[128];
    save_as(1, 10, 0);
    save_as(2, 20, 0);
    set_up(&m, 0);
    snprintf(path, sizeof path, "%s/step-00000010", folder);
    assert_ok(ls__checkpoint_read(comm, &m.state, path, &p));
    assert_int_equal(p.step, 10);
    assert_true(m.v[5] == 306);
    snprintf(path, sizeof path, "%s/step-00000030", folder);
    assert_fails(ls__checkpoint_read(comm, &m.state, path, &p), LS_ERR_ENV, "step-00000030");
}

static void print_array(const ls_checkpoint_array *a, void *text)
{
    char line[128];
    snprintf(line, sizeof line, "%s %s %d %d %g\n", a->param, a->what, a->rank, (int)a->dim[0],
             (double)a->values[a->count - 1]);
    strcat(text, line);
}

static void test_inspect(void **state)
{
    ls_progress p;
    char        path[128], text[512] = "";
    save_as(1, 10, 0);
    snprintf(path, sizeof path, "%s/step-00000010", folder);
    assert_ok(ls_checkpoint_inspect(path, &p, print_array, text));
    expect_progress(&p, 10);
    assert_string_equal(text, "conv1.weight value 2 2 6\nconv1.bias value 1 3 103\nconv1.weight exp_avg 2 2 "
                              "206\nconv1.weight exp_avg_sq 2 2 306\n");
    assert_fails(ls_checkpoint_inspect(folder, &p, NULL, NULL), LS_ERR_ENV, "expected a checkpoint");
    assert_ok(ls_comm_barrier(comm));
}

static void print_info(const ls_checkpoint_info *info, void *text)
{
    char line[128];
    snprintf(line, sizeof line, "%d %d %d %s\n", (int)info->progress.step, info->params, info->states,
             info->problem ? "damaged" : "intact");
    strcat(text, line);
}

static void test_list(void **state)
{
    char text[512] = "", missing[128];
    save_as(1, 10, 0);
    save_as(1, 20, 0);
    save_as(1, 30, 0);
    shell("truncate -s -1 step-00000020/part-0000.h5");
    assert_ok(ls_checkpoint_list(folder, true, print_info, text));
    assert_string_equal(text, "10 2 2 intact\n0 0 0 damaged\n30 2 2 intact\n");
    snprintf(missing, sizeof missing, "%s/none", folder);
    assert_fails(ls_checkpoint_list(missing, false, print_info, text), LS_ERR_ENV,
                 "none: expected a folder of checkpoints: No such file");
    assert_ok(ls_comm_barrier(comm));
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_none_yet),
        TEST(test_newest_and_pruning),
        TEST(test_same_step_again),
        TEST(test_leftovers_and_strangers),
        TEST(test_equal_states_are_equal_files),
        TEST(test_damage),
        TEST(test_all_damaged),
        TEST(test_other_models),
        TEST(test_no_space),
        TEST(test_not_a_folder),
        TEST(test_name_with_slash),
        TEST(test_read_one),
        TEST(test_inspect),
        TEST(test_list),
    };
    return run_on_ranks(argc, argv, tests);
}

/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * The test bed of cluster/testbed: hosts that are joined by their network alone, equal bits on one host and on several,
 * exit codes and signals, and nothing left behind. */
#define RUN "train lenet5-digits data.train_count=650 data.test_count=100 train.batch=60 train.epochs=1 log.every=1 "
#define STEPS 11
#include <time.h>

#include "tests/launch/train_runs.h"

static const char *missing; /* why the test bed cannot be made on this machine; NULL: it can */

static int bed(const char *arguments)
{
    char line[4096];
    snprintf(line, sizeof line, LOCKSTEP_SOURCE "/cluster/testbed %s", arguments);
    return run_with("", (run_options){.program = line, .seconds = 100});
}

static int prepare(void **state)
{
    int code = set_up(state);
    if (bed("--check") != 4) return code;
    missing = text_of("err");
    print_message("skipped: %s", missing);
    return code;
}

static void hosts_are_separate(void **state)
{
    if (missing) skip();
    assert_int_equal(bed("--hosts 3 --ranks 2 -- sh -c 'echo $(hostname) $(cat /proc/sys/kernel/hostname) $(ip -br "
                         "addr show eth0) $(ls /dev/shm | grep -c ompi)'"),
                     0);
    const char *out = text_of("out");
    for (int h = 1; h <= 3; h++) {
        char is[64];
        snprintf(is, sizeof is, "node%d node%d eth0@", h, h);
        assert_int_equal(count_of(out, is), 2);
        snprintf(is, sizeof is, "10.77.0.%d/24", h);
        assert_int_equal(count_of(out, is), 2);
    }
}

static void the_same_bits_as_on_one_host(void **state)
{
    if (missing) skip();
    make_reference();
    assert_int_equal(bed("--hosts 4 --rate 1gbit -- $P " RUN "run.dir=hosts"), 0);
    must_be_like_reference("hosts", "4 hosts");
    assert_non_null(
        strstr(text_of("err"), "inter-host all-reduce: buckets of 0.25 MiB, ")); /* all gradients of LeNet-5 */
    assert_non_null(strstr(text_of("hosts/metrics.jsonl"), "\"bucket_bytes\":262144"));
    assert_int_equal(bed("--hosts 2 --ranks 2 --rate 1gbit -- $P " RUN "run.dir=both"), 0);
    must_be_like_reference("both", "2 hosts of 2 ranks");
}

static void the_same_bits_of_a_gpt(void **state)
{
    if (missing) skip();
    FILE *text = fopen("text.txt", "w"), *recipe = fopen("gpt.yaml", "w");
    assert_true(text && recipe);
    for (int i = 0; i < 40; i++)
        fprintf(text, "%d green bottles hanging on the wall, and if one green bottle should fall\n", 99 - i);
    fputs("data: {path: ./data}\nmodel: {name: gpt, options: {layers: 2, heads: 2, width: 16, context: 16, dropout: "
          "0.1}}\n"
          "train: {batch: 8, max_steps: 6}\noptim: {name: adamw, lr: 0.01}\nlog: {every: 1}\n",
          recipe);
    fclose(text);
    fclose(recipe);
    assert_int_equal(run("data import text text.txt data"), 0);
    assert_int_equal(run("train ./gpt.yaml run.dir=gpt.one"), 0);
    assert_int_equal(bed("--hosts 4 -- $P train ./gpt.yaml run.dir=gpt.hosts"), 0);
    char *one = digests_of("gpt.one"), *hosts = digests_of("gpt.hosts");
    assert_int_equal(count_of(one, ":"), 6);
    assert_string_equal(one, hosts);
    free(one);
    free(hosts);
}

/* Exit codes, signals, a host that is switched off, a link that is cut. */
static void the_exit_code_is_that_of_the_command(void **state)
{
    if (missing) skip();
    assert_int_equal(bed("--hosts 1 --head -- sh -c 'exit 7'"), 7);
    assert_int_equal(bed("--hosts 2 --head -- sh -c '$TESTBED_AGENT node2 hostname; $TESTBED_AGENT node3 hostname'"),
                     255);
    assert_string_equal(text_of("out"), "node2\n");
    assert_non_null(strstr(text_of("err"), "agent: node3: no such host"));
    assert_int_equal(
        bed("--hosts 1 --head -- sh -c 'trap \"exit 75\" USR1; touch ready; while :; do sleep 0.1; done' & b=$!; "
            "while [ ! -e ready ]; do sleep 0.1; done; kill -USR1 $b; wait $b"),
        75);
    /* Switching a host off kills its processes and no others. */
    assert_int_equal(bed("--hosts 2 --off 2@0.5 --head -- sh -c '$TESTBED_AGENT node2 sleep 30; echo $?; "
                         "$TESTBED_AGENT node1 echo there'"),
                     0);
    assert_string_equal(text_of("out"), "137\nthere\n");
    /* A cut link is down on the head node as well. */
    assert_int_equal(bed("--hosts 2 --cut 1@0.5 --head -- sh -c 'ip link show port1; sleep 1.5; ip link show port1; ip "
                         "link show port2'"),
                     0);
    assert_int_equal(count_of(text_of("out"), "port1@"), 2);
    assert_int_equal(count_of(text_of("out"), "state DOWN"), 1);
    assert_int_equal(count_of(text_of("out"), "state UP"), 2);
}

/* After a cut link the run ends with one error that names the host, and mpirun ends as well. */
static void a_link_is_cut(void **state)
{
    static const struct {
        const char *cut, *message;
    } rows[] = {{"--cut 2@5", "lockstep: error: host node2 (rank 1): no heartbeat for 3."},
                {"--cut 1@5", "lockstep: error: host node1 (rank 0): no heartbeat for 3."}};
    enum { DEADLINE_S = 3, END_S = 1, MPIRUN_S = 8, LATE_S = 10 }; /* LATE_S: a busy machine */
    if (missing) skip();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "--hosts 3 %s -- $P train lenet5-digits train.epochs=500 watchdog.floor_s=%d run.dir=cut --fresh",
                 rows[i].cut, DEADLINE_S);
        time_t    began = time(NULL);
        const int code  = bed(line);
        const int took  = (int)(time(NULL) - began);
        if (code != 4 || count_of(text_of("err"), "lockstep: error:") != 1 || !strstr(text_of("err"), rows[i].message))
            fail_msg("%s: exit code %d, expected 4 and one error: %s\n%s", rows[i].cut, code, rows[i].message,
                     text_of("err"));
        print_message("  %s: ended after %d s\n", rows[i].cut, took);
        if (took > 5 + DEADLINE_S + END_S + MPIRUN_S + LATE_S)
            fail_msg("%s: ended after %d s, expected at most %d s\n%s", rows[i].cut, took,
                     5 + DEADLINE_S + END_S + MPIRUN_S + LATE_S, text_of("err"));
    }
}

/* Killing the script leaves no process and no network interface. */
static void nothing_is_left(void **state)
{
    if (missing) skip();
    assert_int_equal(bed("--hosts 2 --head -- sh -c '$TESTBED_AGENT node1 sleep 987654 & touch begun; wait' & b=$!; "
                         "while [ ! -e begun ]; do sleep 0.1; done; sleep 0.5; pgrep -f 'sleep 98765[4]' > before; "
                         "kill -KILL $b; wait $b; sleep 1; "
                         "pgrep -f 'sleep 98765[4]' > after; ip link > links; true"),
                     0);
    assert_true(count_of(text_of("before"), "\n") >= 1);
    assert_string_equal(text_of("after"), "");
    assert_null(strstr(text_of("links"), "port1"));
    assert_null(strstr(text_of("links"), " lan:"));
}

static void wrong_command_lines(void **state)
{
    static const struct {
        const char *line, *message;
    } wrong[] = {{"--hosts 0 -- true", "--hosts: expected a whole number from 1 to 64, found '0'"},
                 {"--hosts two -- true", "found 'two'"},
                 {"--rate fast -- true", "--rate: expected a rate as in 1gbit"},
                 {"--latency 5 -- true", "--latency: expected a time as in 50us"},
                 {"--cut 3@1 -- true", "--cut: expected a host from 1 to 2, found 3"},
                 {"--off 1 -- true", "--off: expected HOST@SECONDS"},
                 {"--hosts", "--hosts: expected a value"},
                 {"--speed 3 -- true", "unknown option '--speed'"},
                 {"--hosts 2", "expected -- and a command"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(bed(wrong[i].line), 2);
        if (!strstr(text_of("err"), wrong[i].message)) fail_msg("%s: %s", wrong[i].line, text_of("err"));
    }
    assert_int_equal(bed("--help"), 0);
    assert_non_null(strstr(text_of("out"), "usage: cluster/testbed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_separate),     cmocka_unit_test(the_same_bits_as_on_one_host),
        cmocka_unit_test(the_same_bits_of_a_gpt), cmocka_unit_test(the_exit_code_is_that_of_the_command),
        cmocka_unit_test(a_link_is_cut),          cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(wrong_command_lines)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 900 */
/* One fault of each kind; tests/launch/test_faults_slow.c has the rest. */
#include "tests/launch/faults.h"

#define WAIT_IN_BUCKET "the others wait in all-reduce 0 (fc3.weight .. conv1.bias)"

static const fault table[] = {
    {"rank=1,step=5,at=backward,do=kill", 128 + SIGKILL, {"rank 1 on ", " was killed, process ", "in `backward` cross_entropy at step 5; " WAIT_IN_BUCKET}, true},
    {"rank=0,step=5,at=forward,do=stop", 4, {"rank 0 on ", "has been stopped (SIGSTOP) for 3.", "in `forward` conv1 (conv2d) at step 5 (kill -CONT "}},
    {"rank=1,step=6,at=data,do=hang", 4, {"rank 1 on ", "has been in `data` next batch for 3.", "at step 6 (it sleeps); the others wait in "}, true},
    {"rank=2,step=5,at=forward,do=spin", 4, {"rank 2 on ", "has been in `forward` conv1 (conv2d) for 3.", "at step 5 (it computes); " WAIT_IN_BUCKET}},
    {"rank=2,step=5,at=data,do=extra", 1, {"rank 2 on ", "is out of step with the others since collective ", "at step 5: rank 2 called barrier, the others "}},
    {"rank=1,step=4,at=checkpoint,do=shape", 1, {"rank 1 on ", "is out of step with the others since collective ", "at step 4: rank 1 called all-gather of 64, the others all-gather of 4"}},
    {"rank=1,step=3,at=backward,do=slow,ms=10", 0, {"lockstep: rank 1 will", "rank 1 on ", " was the slowest of epoch 1: "}},
};

static void each_ends_with_a_verdict(void **state) { try_faults(table, sizeof table / sizeof *table); }

static void a_fault_that_is_no_fault(void **state)
{
    static const char *const bad[] = {"do=nothing", "rank=1", "rank=x,do=kill", "at=nowhere,do=kill", "do=kill,when=now"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = run_ranks(bad[i], NULL, "bad");
        if (code != 2 || !strstr(text_of("err"), "LOCKSTEP_FAULT: expected ")) fail_msg("%s: exit code %d\n%s", bad[i], code, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_ends_with_a_verdict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fault_that_is_no_fault, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi slow */
/* timeout: 1800 */
/* Faults in all phases of a run on one host, and between hosts (LOCKSTEP_CONTROL=udp: each rank is a host). */
#include "tests/launch/run/faults.h"

static const fault places[] = {
    {"rank=0,step=5,at=data,do=kill",
     128 + SIGKILL,
     {"rank 0 on ", " was killed, process ", "in `data` next batch at step 5; the others wait in "},
     true},
    {"rank=2,at=checkpoint,do=kill",
     128 + SIGKILL,
     {"rank 2 on ", " was killed, process ", "`checkpoint` loading a checkpoint"}},
    {"rank=2,step=6,at=reduce,do=kill",
     128 + SIGKILL,
     {"rank 2 on ", " was killed, process ", "at step 6; the others wait in all-reduce 0"},
     true},
    {"rank=2,step=5,at=update,do=crash",
     128 + SIGSEGV,
     {"rank 2 on ", " crashed (SIGSEGV, invalid address)", "in `update` update at step 5"},
     true},
    {"rank=1,at=start-up,do=kill",
     128 + SIGKILL,
     {"rank 1 on ", " was killed, process ", "`start-up` opening the data"}},
    {"rank=1,at=evaluation,do=hang",
     4,
     {"rank 1 on ", "has been in `evaluation` conv1 (conv2d) for ", "the others wait in "},
     true,
     .deadline_s = 15},
    {"rank=1,at=start-up,do=hang",
     4,
     {"rank 1 on ", "has been in `start-up` opening the data for 15 s", "the others wait in "},
     .deadline_s = 15},
    {"rank=0,step=5,at=update,do=spin",
     4,
     {"rank 0 on ", "has been in `update` update for 3.",
      "at step 5 (computing); the others wait in the barrier of the host"},
     true},
    {"rank=0,at=update,do=extra",
     1,
     {"rank 0 on ", "is out of step with the others: it waits in barrier of update at step 1, which the others "
                    "have not called"}},
    {"rank=0,step=5,at=data,do=slow,ms=200", 0, {"rank 0 on ", " was the slowest of epoch 1: "}},
};

#define EACH_A_HOST .before = "export LOCKSTEP_CONTROL=udp;"

static const fault hosts[] = {
    {"rank=1,step=9,at=backward,do=kill",
     128 + SIGKILL,
     {"rank 1 on ", " was killed, process ", "last seen "},
     EACH_A_HOST},
    {"rank=0,step=9,at=backward,do=kill",
     128 + SIGKILL,
     {"rank 0 on ", " was killed (perhaps by the launcher"},
     EACH_A_HOST},
    {"rank=1,step=9,at=data,do=hang",
     4,
     {"rank 1 on ", "has been in `data` next batch for 3.", "at step 9 (sleeping); the others wait in "},
     EACH_A_HOST},
    {"rank=1,step=9,at=data,do=stop", 4, {"host ", "(rank 1): no heartbeat for 3."}, EACH_A_HOST},
    {"rank=0,step=9,at=data,do=stop", 4, {"host ", "(rank 0): no heartbeat for 3."}, EACH_A_HOST},
    {"rank=2,step=9,at=data,do=extra",
     1,
     {"rank 2 on ", "is out of step with the others", "rank 2 called barrier, the others called "},
     EACH_A_HOST},
};

static void test_all_phases(void **state) { try_faults(places, sizeof places / sizeof *places); }
static void test_between_hosts(void **state) { try_faults(hosts, sizeof hosts / sizeof *hosts); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_phases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_between_hosts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

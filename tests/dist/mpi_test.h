/* SPDX-License-Identifier: Apache-2.0
 * Main function of tests on several ranks: one communicator for the program, and an exit code common to all ranks.
 *
 *     int main(int argc, char **argv) { return run_on_ranks(argc, argv, tests); } */
#ifndef LS_TESTS_DIST_MPI_TEST_H
#define LS_TESTS_DIST_MPI_TEST_H

#include <mpi.h>

#include "dist/comm/comm.h"
#include "tests/unit.h"

static ls_comm *comm;

static inline int the_rank(void) { return ls_comm_rank(comm); }
static inline int the_size(void) { return ls_comm_size(comm); }

/* Runs the tests on every rank.  A failed assertion leaves the other ranks waiting in a collective, so MPI_Abort ends
 * them. */
#define run_on_ranks(argc, argv, tests)                                                                                \
    __extension__({                                                                                                    \
        if (ls_comm_mpi(&comm, &(argc), &(argv)) != LS_OK) {                                                           \
            fprintf(stderr, "%s\n", ls_error_message());                                                               \
            exit(1);                                                                                                   \
        }                                                                                                              \
        if (the_rank() > 0) cmocka_set_message_output(CM_OUTPUT_TAP);                                                  \
        int run_failed = cmocka_run_group_tests(tests, NULL, NULL);                                                    \
        if (run_failed) MPI_Abort(MPI_COMM_WORLD, 1);                                                                  \
        ls_comm_free(comm);                                                                                            \
        run_failed;                                                                                                    \
    })

#endif

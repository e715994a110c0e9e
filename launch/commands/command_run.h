/* SPDX-License-Identifier: Apache-2.0
 *
 * Start and end of a command that works on a run:
 *
 *     ls_run    run;
 *     ls_args   args;
 *     ls_status status = ls_command_start(&run, &args, argc, argv);
 *     if (status == LS_OK) status = work(&run, &args);
 *     ls_command_finish(&run, status);
 *     return status;
 */
#ifndef LS_LAUNCH_COMMANDS_COMMAND_RUN_H
#define LS_LAUNCH_COMMANDS_COMMAND_RUN_H

#include "launch/commands/command_table.h"
#include "launch/run/run_setup.h"

/* Starts MPI where a launcher started this process, parses the arguments on every rank and starts the run. */
ls_status ls_command_start(ls_run *run, ls_args *args, int argc, char **argv);

/* Prints the error, if any, then frees the run and its communicator.  The error comes first because mpirun may end a
 * process soon after MPI has ended in all of them. */
void ls_command_finish(ls_run *run, ls_status status);

#endif

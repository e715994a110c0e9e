/* SPDX-License-Identifier: Apache-2.0
 * Start and end of a command that works on a run: see launch/commands/command_run.h. */
#include "launch/commands/command_run.h"

#include "dist/comm/launcher.h"

/* Opens the communicator.  *comm is NULL after an error before the ranks are connected. */
static ls_status connect(ls_comm **comm, ls_args *args, int argc, char **argv)
{
    const ls_launcher l = ls__launcher();
    LS_TRY(ls__launcher_check(0));
    const bool alone = l.kind == LS_LAUNCHER_NONE || !l.wired;
    LS_TRY(alone ? ls_comm_self(comm) : ls_comm_mpi(comm, NULL, NULL));
    return ls_comm_agree(*comm, ls_args_parse(args, argc, argv));
}

ls_status ls_command_start(ls_run *run, ls_args *args, int argc, char **argv)
{
    ls_comm *comm    = NULL;
    *run             = (ls_run){0};
    ls_status status = connect(&comm, args, argc, argv);
    if (status == LS_OK) status = ls_run_start(run, comm);
    run->comm = comm;
    return status;
}

void ls_command_finish(ls_run *run, ls_status status)
{
    ls_comm *comm = run->comm;
    if (ls_comm_prints_error(comm, status)) ls_error_print(status);
    ls_run_close(run);
    ls_comm_free(comm);
}

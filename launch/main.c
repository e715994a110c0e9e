/* SPDX-License-Identifier: Apache-2.0
 * The lockstep program.  Runs the command line and ends the process with its exit code; launch/commands/command_table.c
 * lists the commands. */
#include <stdlib.h>

#include "launch/commands/command_table.h"

int main(int argc, char **argv) { exit(ls_command_line_main(argc, argv)); }

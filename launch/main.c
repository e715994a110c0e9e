/* SPDX-License-Identifier: Apache-2.0
 * The lockstep program.  What it can do stands in the table of launch/commands/command_table.c; this is the only place
 * that ends the process. */
#include <stdlib.h>

#include "launch/commands/command_table.h"

int main(int argc, char **argv) { exit(ls_command_line_main(argc, argv)); }

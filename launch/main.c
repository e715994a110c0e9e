/* SPDX-License-Identifier: Apache-2.0
 * The lockstep program.  What it can do stands in the table of launch/commands.c; this is the only place that ends the process. */
#include <stdlib.h>

#include "launch/commands.h"

int main(int argc, char **argv) { exit(ls_program_main(argc, argv)); }

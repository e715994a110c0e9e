/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of the program, in one table (launch/commands/command_table.c): it dispatches, it makes every --help,
 * and it names the nearest command or option when one is unknown.
 *
 *     ls_status ls__train_command(int argc, char **argv)          argv[0] is "train"; of `lockstep bench gemm -m 3`,
 * "bench"
 *     {
 *         ls_args args;
 *         LS_TRY(ls_args_parse(&args, argc, argv));               checks against the command's row of the table
 *         bool fresh = ls_args_option(&args, "fresh") != NULL;
 *         ...
 *     }
 */
#ifndef LS_LAUNCH_COMMANDS_COMMAND_TABLE_H
#define LS_LAUNCH_COMMANDS_COMMAND_TABLE_H

#include "core/base/status.h"

/* --name, or --name ARGUMENT. */
typedef struct ls_option {
    const char *name;     /* without the dashes                          */
    const char *argument; /* what stands for the value; NULL: a flag     */
    const char *text;
} ls_option;

typedef struct ls_command {
    const char      *name;      /* "train", or two words: "data import"                                     */
    const char      *arguments; /* "RECIPE [key=value ...]"; counts: WORD one, [WORD] optional, ... any number */
    const char      *text;      /* one line                                                                 */
    const char      *help;      /* (optional) paragraphs                                                    */
    const ls_option *options;   /* (optional) ended by a NULL name                                          */
    ls_status (*run)(int argc, char **argv);
} ls_command;

extern const ls_command ls__commands[]; /* ended by a NULL name */

/* One per row, or several rows with the same first word. */
ls_status ls__train_command(int argc, char **argv);
ls_status ls__eval_command(int argc, char **argv);
ls_status ls__predict_command(int argc, char **argv);
ls_status ls__generate_command(int argc, char **argv);
ls_status ls__explain_command(int argc, char **argv);
ls_status ls__data_command(int argc, char **argv);
ls_status ls__recipes_command(int argc, char **argv);
ls_status ls__ckpt_command(int argc, char **argv);
ls_status ls__bench_step(int argc, char **argv);
ls_status ls__bench_overlap(int argc, char **argv);
ls_status ls__bench_gemm(int argc, char **argv);
ls_status ls__bench_allreduce(int argc, char **argv);
ls_status ls__doctor_command(int argc, char **argv);

/* ---- arguments --------------------------------------------------------------------------------------------------- */

enum { LS_MAX_ARGS = 2048, LS_MAX_OPTIONS = 16 };

typedef struct ls_args {
    const ls_command *command;
    int               positionals; /* after the command's own words */
    char             *positional[LS_MAX_ARGS];
    int               overrides; /* "a.b=value", apart when the command's arguments say [key=value ...] */
    char             *override[LS_MAX_ARGS];
    const char       *option[LS_MAX_OPTIONS]; /* by place in command->options; NULL: not given; "" for a flag */
} ls_args;

/* Takes argv apart by the row of the command that it begins with.  LS_ERR_USAGE names what is unknown, missing or too
 * much. */
ls_status ls_args_parse(ls_args *args, int argc, char **argv);

/* The value of --name ("" for a flag), or NULL when it was not given. */
const char *ls_args_option(const ls_args *args, const char *name);

/* The value of --name as a whole number within [low, high]; `fallback` when it was not given. */
ls_status ls_args_int(const ls_args *args, const char *name, long long low, long long high, long long fallback,
                      long long *value);

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* Runs the command line, prints the error if there is one, and gives the exit code.  main() is this and nothing more.
 */
int ls_command_line_main(int argc, char **argv);

/* Prints this thread's error (message, hint; trace with --trace-errors or LOCKSTEP_TRACE=1) to stderr, once: a second
 * call for the same error prints nothing.  ls_command_line_main calls it on rank 0 only; a rank whose error the others
 * do not share calls it itself. */
void ls_error_print(ls_status status);

#endif

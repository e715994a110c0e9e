/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands (launch/commands/command_table.c).  The command line is dispatched by it, every --help is made
 * from it, and an unknown command or option gets the nearest name in it as hint.
 *
 *     ls_status ls__train_command(int argc, char **argv)          argv[0] is the first word of the command, "train"
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

/* An option: --name, or --name ARGUMENT. */
typedef struct ls_option {
    const char *name;     /* without the dashes                          */
    const char *argument; /* name of the value in the help; NULL: a flag */
    const char *text;     /* help, one line                              */
} ls_option;

typedef struct ls_command {
    const char      *name;      /* "train", or two words: "data import"                                     */
    const char      *arguments; /* arguments in the help; WORD: required, [WORD]: optional, "...": any number */
    const char      *text;      /* help, one line                                                           */
    const char      *help;      /* (optional) further paragraphs of the help                                */
    const ls_option *options;   /* (optional) ended by an option with the name NULL                         */
    ls_status (*run)(int argc, char **argv);
} ls_command;

extern const ls_command ls__commands[]; /* ended by a command with the name NULL */

/* The functions of the table.  Rows with the same first word may share one. */
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
    int         positionals; /* number of words that are neither options nor overrides, without the command itself */
    char       *positional[LS_MAX_ARGS];
    int         overrides; /* number of key=value words, of a command that takes them */
    char       *override[LS_MAX_ARGS];
    const char *option[LS_MAX_OPTIONS]; /* values, in the order of command->options; NULL: not given; "" for a flag */
} ls_args;

/* Parses argv by the row of the command that it begins with.  Returns LS_ERR_USAGE, with a message that names the word
 * at fault, if a word is unknown or missing or there is one too many. */
ls_status ls_args_parse(ls_args *args, int argc, char **argv);

/* Returns the value of --name ("" for a flag), NULL if the option was not given. */
const char *ls_args_option(const ls_args *args, const char *name);

/* Parses the value of --name as a whole number within [low, high]; sets *value to `fallback` if the option was not
 * given. */
ls_status ls_args_int(const ls_args *args, const char *name, long long low, long long high, long long fallback,
                      long long *value);

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* Runs the command line of main(), prints the error if there is one, and returns the exit code. */
int ls_command_line_main(int argc, char **argv);

/* Prints this thread's error (message, hint; trace with --trace-errors or LOCKSTEP_TRACE=1) to stderr, once: a second
 * call for the same error prints nothing.  ls_command_line_main calls it on the root rank only; a rank calls it itself
 * for an error that the other ranks do not have. */
void ls_error_print(ls_status status);

#endif

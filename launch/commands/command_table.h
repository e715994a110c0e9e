/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands (launch/commands/command_table.c).  The command line is dispatched by this table, every --help
 * is printed from it, and an unknown command or option is reported with the nearest name in it as hint.
 *
 * A command is one file that defines its descriptor, and one row of the table:
 *
 *     static ls_status hello(int argc, char **argv)               argv[0] is the first word of the command
 *     {
 *         ls_args args;
 *         LS_TRY(ls_args_parse(&args, argc, argv));               checks the arguments against the descriptor
 *         bool loud = ls_args_option(&args, "loud") != NULL;
 *         ...
 *     }
 *
 *     const ls_command ls__command_hello = {.name      = "hello",
 *                                           .arguments = "NAME",
 *                                           .text      = "print a greeting",
 *                                           .options   = LS_OPTIONS({"loud", NULL, "print in capital letters"}),
 *                                           .run       = hello};
 */
#ifndef LS_LAUNCH_COMMANDS_COMMAND_TABLE_H
#define LS_LAUNCH_COMMANDS_COMMAND_TABLE_H

#include <stddef.h>

#include "core/base/status.h"

/* An option: --name, or --name ARGUMENT. */
typedef struct ls_option {
    const char *name;     /* name without the dashes                     */
    const char *argument; /* name of the value in the help; NULL: a flag; "SRC TGT": two values, ls_args_option_at */
    const char *text;     /* help, one line                              */
} ls_option;

#define LS_OPTIONS(...) ((const ls_option[]){__VA_ARGS__, {0}})

/* Options of commands that write a trace (launch/report/trace.h). */
#define LS_TRACE_OPTIONS                                                                                               \
    {"trace", "FILE", "write a trace of all ranks, for chrome://tracing or ui.perfetto.dev; default: no trace"},       \
    {                                                                                                                  \
        "trace-steps", "A-B", "first and last traced step, counted from the start of the command; default 3-12"        \
    }

/* Option of commands that run a trained model.  Parsed by ls_precision_parse (launch/recipe/recipe.h). */
#define LS_PRECISION_OPTION                                                                                            \
    {                                                                                                                  \
        "precision", "TYPE", "type of matrix products: float32 or bfloat16; default: train.precision of the run"       \
    }

typedef struct ls_command {
    const char      *name;      /* one to three words: "train", "data inspect", "data import csv"              */
    const char      *arguments; /* arguments in the help; WORD: required, [WORD]: optional, "...": any number  */
    const char      *text;      /* help, one line                                                              */
    const char      *help;      /* (optional) further paragraphs of the help                                   */
    const ls_option *options;   /* (optional) LS_OPTIONS(...)                                                  */
    ls_status (*run)(int argc, char **argv);
} ls_command;

extern const ls_command *const ls__commands[]; /* in the order of the help, ended by NULL */

/* ---- arguments --------------------------------------------------------------------------------------------------- */

enum { LS_MAX_ARGS = 2048, LS_MAX_OPTIONS = 16 };

typedef struct ls_args {
    const ls_command *command;
    int         positionals; /* number of words that are neither options nor overrides, without the command itself */
    char       *positional[LS_MAX_ARGS];
    int         overrides; /* number of key=value words; 0 for a command that takes none */
    char       *override[LS_MAX_ARGS];
    const char *option[LS_MAX_OPTIONS]; /* values, in the order of command->options; NULL: not given; "" for a flag */
    int         given;                  /* number of options on the command line                                    */
    int         given_option[LS_MAX_ARGS]; /* their places in command->options */
    const char *given_value[LS_MAX_ARGS];
} ls_args;

/* Parses argv by the descriptor of the command that it begins with.  Returns LS_ERR_USAGE, with a message that names
 * the word at fault, if a word is unknown or missing or there is one too many. */
ls_status ls_args_parse(ls_args *args, int argc, char **argv);

/* Returns the value of --name ("" for a flag), NULL if the option was not given.  Given several times: the last one. */
const char *ls_args_option(const ls_args *args, const char *name);

/* Returns value i of an option that may be given several times; NULL: it was given at most i times. */
const char *ls_args_option_at(const ls_args *args, const char *name, int i);

/* Parses the value of --name as a whole number within [low, high]; sets *value to `fallback` if the option was not
 * given. */
ls_status ls_args_int(const ls_args *args, const char *name, long long low, long long high, long long fallback,
                      long long *value);

/* The same for a number that need not be whole. */
ls_status ls_args_real(const ls_args *args, const char *name, double low, double high, double fallback, double *value);

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* Runs the command line of main(), prints the error if there is one, and returns the exit code. */
int ls_command_line_main(int argc, char **argv);

/* Prints this thread's error (message, hint; trace with --trace-errors or LOCKSTEP_TRACE=1) to stderr, once: a second
 * call for the same error prints nothing.  ls_command_line_main calls it on the root rank only; a rank calls it itself
 * for an error that the other ranks do not have. */
void ls_error_print(ls_status status);

#endif

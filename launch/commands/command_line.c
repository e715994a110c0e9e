/* SPDX-License-Identifier: Apache-2.0
 * The command line: finds the command in the table of commands, prints --help, parses arguments, prints errors. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm/launcher.h"
#include "dist/dist.h"
#include "launch/commands/command_table.h"
#include "launch/recipe/recipe.h"

static bool trace_wanted;
static char printed[4096]; /* message that ls_error_print printed last */

/* ---- errors ------------------------------------------------------------------------------------------------------ */

void ls_error_print(ls_status status)
{
    const char *message = ls_error_message();
    if (status == LS_OK || !strcmp(printed, message)) return;
    snprintf(printed, sizeof printed, "%s", message);
    fflush(stdout);
    fprintf(stderr, "lockstep: %s%s\n",
            status == LS_STOPPED ? "" : "error: ", *message ? message : ls_status_text(status));
    const char *asked = getenv("LOCKSTEP_TRACE");
    if (trace_wanted || (asked && !strcmp(asked, "1"))) fputs(ls_error_trace(), stderr);
    fflush(stderr);
}

/* ---- finding a command ------------------------------------------------------------------------------------------- */

/* Returns the number of words of a command's name. */
static int words_of(const ls_command *c)
{
    int n = 1;
    for (const char *p = c->name; *p; p++) n += *p == ' ';
    return n;
}

/* Returns word `k` of a command's name; *length: its length, bytes. */
static const char *word_at(const ls_command *c, int k, size_t *length)
{
    const char *p = c->name;
    for (; k > 0; k--) p += strcspn(p, " ") + 1;
    *length = strcspn(p, " ");
    return p;
}

/* Returns how many words at the start of argv are the first words of this command's name. */
static int matching_words(const ls_command *c, int argc, char **argv)
{
    int n = 0;
    for (size_t length; n < argc && n < words_of(c); n++) {
        const char *word = word_at(c, n, &length);
        if (strlen(argv[n]) != length || strncmp(argv[n], word, length) != 0) break;
    }
    return n;
}

/* Returns the error for a word that is not among the known ones of its kind ("command", "option"), with the nearest
 * known word as hint. */
static ls_status unknown_word(const char *kind, const char *word, int n, const char *const *known, const char *help)
{
    const char *near = ls_nearest(word, n, known);
    if (near) return LS_FAIL(LS_ERR_USAGE, "%s '%s': unknown" LS_HINT "did you mean '%s'?", kind, word, near);
    return LS_FAIL(LS_ERR_USAGE, "%s '%s': unknown" LS_HINT "`%s` lists the known ones", kind, word, help);
}

/* Returns the error for a command whose first `depth` words are known and whose next word is missing or unknown. */
static ls_status unknown_command(int depth, int argc, char **argv)
{
    enum { ROOM = 64 };
    char        words[ROOM][32], group[96] = "lockstep", help[128], kind[128], list[512] = "";
    const char *known[ROOM];
    int         n = 0;
    for (int k = 0; k < depth; k++) snprintf(group + strlen(group), sizeof group - strlen(group), " %s", argv[k]);
    snprintf(help, sizeof help, "%s --help", group);
    for (const ls_command *const *c = ls__commands; *c && n < ROOM; c++) {
        size_t length;
        if (matching_words(*c, argc, argv) < depth) continue;
        const char *word = word_at(*c, depth, &length);
        snprintf(words[n], sizeof words[n], "%.*s", (int)length, word);
        known[n] = words[n];
        if (!n || strcmp(words[n], words[n - 1]) != 0) n++;
    }
    snprintf(kind, sizeof kind, "%s%scommand", depth ? group : "", depth ? ": " : "");
    if (argc > depth) return unknown_word(kind, argv[depth], n, known, help);
    for (int i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? " | " : "", known[i]);
    return LS_FAIL(LS_ERR_USAGE, "%s: expected one of  %s" LS_HINT "`%s` describes them", group, list, help);
}

static ls_status find_command(const ls_command **found, int argc, char **argv)
{
    int depth = 0;
    *found    = NULL;
    for (const ls_command *const *c = ls__commands; *c; c++) {
        const int n = matching_words(*c, argc, argv);
        if (n == words_of(*c)) {
            *found = *c;
            return LS_OK;
        }
        if (n > depth) depth = n;
    }
    return unknown_command(depth, argc, argv);
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

static void print_row(const ls_command *c)
{
    char line[128];
    snprintf(line, sizeof line, "%s %s", c->name, c->arguments);
    printf("  %-34s  %s\n", line, c->text);
}

static void print_option(const ls_option *o)
{
    char line[64];
    snprintf(line, sizeof line, "--%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("  %-34s  %s\n", line, o->text);
}

static void help_program(void)
{
    printf("lockstep %s: data-parallel training of neural networks on many ranks\n\nUsage: [mpirun -np N] lockstep "
           "COMMAND ...\n\n",
           LS_VERSION);
    for (const ls_command *const *c = ls__commands; *c; c++) print_row(*c);
    const ls_option everywhere[] = {
        {"help", NULL, "print the help of the program, or of a command: lockstep train --help"},
        {"version", NULL, "print the version"},
        {"trace-errors", NULL, "print the functions that an error passed through (also LOCKSTEP_TRACE=1)"}};
    printf("\nOptions\n");
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++) print_option(&everywhere[i]);
    printf("\nEnvironment\n"
           "  OMP_NUM_THREADS                     threads of each rank; default: the host's cores divided by its "
           "ranks, and "
           "at most Slurm's --cpus-per-task\n"
           "  LOCKSTEP_DATA                       folder with local copies of public datasets\n"
           "  LOCKSTEP_ISA                        instruction-set level, at most that of the processor: v2, v3, v4, "
           "v4_bf16, amx; all but v2 give equal bits, but for amx in bfloat16\n"
           "  LOCKSTEP_START_S                    seconds that MPI may take to start; default 60; 0: no limit\n"
           "  LOCKSTEP_END                        end of the job, Unix seconds: the run stops with a checkpoint before "
           "it; "
           "default: the end of the Slurm job\n"
           "  LOCKSTEP_FAULT                      for tests: injects a fault on one rank: "
           "\"rank=1,step=5,at=data,do=hang\"\n"
           "\nExit codes\n  ");
#define X(name, code, text) printf("%d %s%s", code, text, code == 75 ? "\n" : "; ");
    LS_STATUS_LIST(X)
#undef X
}

static void help_command(const ls_command *c)
{
    printf("lockstep %s %s\n\n  %s\n", c->name, c->arguments, c->text);
    if (c->options) printf("\nOptions\n");
    for (const ls_option *o = c->options; o && o->name; o++) print_option(o);
    if (c->help) printf("\n%s\n", c->help);
}

/* Prints the help of the command that argv names; of several commands if argv is the beginning of their names. */
static ls_status help(int argc, char **argv)
{
    const ls_command *found;
    int               printed_commands = 0;
    if (!argc) {
        help_program();
        return LS_OK;
    }
    for (const ls_command *const *c = ls__commands; *c; c++)
        if (matching_words(*c, argc, argv) == argc) {
            printf("%s", printed_commands++ ? "\n" : "");
            help_command(*c);
        }
    if (printed_commands) return LS_OK;
    LS_TRY(find_command(&found, argc, argv));
    help_command(found);
    return LS_OK;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static ls_status find_option(int *at, const ls_command *c, const char *word)
{
    char        dashed[LS_MAX_OPTIONS + 1][48], help_line[96];
    const char *known[LS_MAX_OPTIONS + 1];
    size_t      length = strcspn(word, "=");
    int         n      = 0;
    for (const ls_option *o = c->options; o && o->name; o++, n++) {
        if (strlen(o->name) == length && !strncmp(o->name, word, length)) {
            *at = n;
            return LS_OK;
        }
        snprintf(dashed[n], sizeof dashed[n], "--%s", o->name);
        known[n] = dashed[n];
    }
    known[n++] = "--help";
    snprintf(help_line, sizeof help_line, "lockstep %s --help", c->name);
    return unknown_word("option", word - 2, n, known, help_line);
}

/* Counts the words that a command takes: in `arguments`, WORD stands for one, [WORD] for none or one, a last "..." for
 * any number more.  *overrides: the command takes key=value words. */
static void count_expected(const char *arguments, int *least, int *most, bool *overrides)
{
    *least = *most = 0;
    *overrides     = strstr(arguments, "[key=value ...]") != NULL;
    for (const char *p = arguments; *p;) {
        size_t length = strcspn(p, " ");
        if (!strncmp(p, "[key=value", 10)) break;
        if (!strncmp(p, "...", 3))
            *most = LS_MAX_ARGS;
        else {
            *most += 1;
            *least += *p != '[';
        }
        p += length + strspn(p + length, " ");
    }
}

/* Records a value of the option at place `at`. */
static ls_status give_option(ls_args *args, int at, const char *value)
{
    LS_CHECK(args->given < LS_MAX_ARGS, LS_ERR_USAGE, "%s: expected at most %d options, found more",
             args->command->name, LS_MAX_ARGS);
    args->option[at]                 = value;
    args->given_option[args->given]  = at;
    args->given_value[args->given++] = value;
    return LS_OK;
}

/* Takes an option and its value; an argument of several words, "SRC TGT", takes as many values. */
static ls_status take_option(ls_args *args, int argc, char **argv, int *i)
{
    const ls_command *c    = args->command;
    const char       *word = argv[*i], *equals = strchr(word, '=');
    int               at = 0;
    LS_TRY(find_option(&at, c, word + 2));
    const ls_option *o = &c->options[at];
    if (!o->argument) {
        LS_CHECK(!equals, LS_ERR_USAGE, "%s: --%s: expected no value, found '%s'", c->name, o->name, equals + 1);
        return give_option(args, at, "");
    }
    for (const char *argument = o->argument; argument; argument = strchr(argument + 1, ' ')) {
        LS_CHECK((equals && argument == o->argument) || *i + 1 < argc, LS_ERR_USAGE,
                 "%s: --%s: expected %s, found the end of the line", c->name, o->name, o->argument);
        LS_TRY(give_option(args, at, equals && argument == o->argument ? equals + 1 : argv[++*i]));
    }
    return LS_OK;
}

ls_status ls_args_parse(ls_args *args, int argc, char **argv)
{
    int  least, most;
    bool overrides;
    memset(args, 0, sizeof *args);
    LS_TRY(find_command(&args->command, argc, argv));
    const ls_command *c = args->command;
    count_expected(c->arguments, &least, &most, &overrides);
    bool only_words = false;
    for (int i = words_of(c); i < argc; i++) {
        LS_CHECK(args->positionals < LS_MAX_ARGS && args->overrides < LS_MAX_ARGS, LS_ERR_USAGE,
                 "%s: expected at most %d arguments, found more", c->name, LS_MAX_ARGS);
        if (!only_words && !strcmp(argv[i], "--"))
            only_words = true;
        else if (!only_words && !strncmp(argv[i], "--", 2))
            LS_TRY(take_option(args, argc, argv, &i));
        else if (overrides && args->positionals >= least && strchr(argv[i], '='))
            args->override[args->overrides++] = argv[i];
        else
            args->positional[args->positionals++] = argv[i];
    }
    LS_CHECK(args->positionals >= least, LS_ERR_USAGE,
             "%s: expected  %s  but found %d argument%s" LS_HINT "`lockstep %s --help` describes the arguments",
             c->name, c->arguments, args->positionals, args->positionals == 1 ? "" : "s", c->name);
    LS_CHECK(args->positionals <= most, LS_ERR_USAGE, "%s: expected  %s  but found the further argument '%s'", c->name,
             *c->arguments ? c->arguments : "no argument", args->positional[most]);
    return LS_OK;
}

const char *ls_args_option(const ls_args *args, const char *name)
{
    for (int i = 0; args->command->options && args->command->options[i].name; i++)
        if (!strcmp(args->command->options[i].name, name)) return args->option[i];
    return NULL;
}

const char *ls_args_option_at(const ls_args *args, const char *name, int i)
{
    for (int k = 0; k < args->given; k++)
        if (!strcmp(args->command->options[args->given_option[k]].name, name) && i-- == 0) return args->given_value[k];
    return NULL;
}

ls_status ls_args_int(const ls_args *args, const char *name, long long low, long long high, long long fallback,
                      long long *value)
{
    const char *text = ls_args_option(args, name);
    char       *end;
    *value = fallback;
    if (!text) return LS_OK;
    *value = strtoll(text, &end, 10);
    LS_CHECK(*text && !*end && *value >= low && *value <= high, LS_ERR_USAGE,
             "%s: --%s: expected a whole number from %lld to %lld, found '%s'", args->command->name, name, low, high,
             text);
    return LS_OK;
}

ls_status ls_args_real(const ls_args *args, const char *name, double low, double high, double fallback, double *value)
{
    const char *text = ls_args_option(args, name);
    char       *end;
    *value = fallback;
    if (!text) return LS_OK;
    *value = strtod(text, &end);
    LS_CHECK(*text && !*end && *value >= low && *value <= high, LS_ERR_USAGE,
             "%s: --%s: expected a number from %g to %g, found '%s'", args->command->name, name, low, high, text);
    return LS_OK;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* Under a launcher, sends an error in this rank's command line to the other ranks, because the command line may be
 * right on some of them: these wait in their first ls_comm_agree. */
static ls_status agree_on(ls_status status)
{
    const ls_launcher l = ls__launcher();
    ls_comm          *comm;
    if (l.size < 2 || !l.wired) return status;
    const ls_error error = ls_error_save(status);
    if (ls_comm_mpi(&comm, NULL, NULL) != LS_OK) return ls_error_restore(&error);
    status = ls_comm_agree(comm, status);
    ls_comm_free(comm);
    return status;
}

static ls_status dispatch(const ls_command **c, int argc, char **argv)
{
    LS_CHECK(argc, LS_ERR_USAGE,
             "command line: expected a command, found none" LS_HINT "`lockstep --help` lists the commands");
    LS_CHECK(argv[0][0] != '-', LS_ERR_USAGE,
             "command line: expected a command, found the option '%s'" LS_HINT "`lockstep --help` lists the commands",
             argv[0]);
    LS_TRY(find_command(c, argc, argv));
    return LS_OK;
}

int ls_command_line_main(int argc, char **argv)
{
    int       n         = 0;
    bool      want_help = false, want_version = false;
    char    **words = argv + (argc > 0);
    ls_status status;
    printed[0]   = 0;
    trace_wanted = false;
    /* A write beyond the limit on file sizes (ulimit -f) returns an error, which has a message, instead of ending the
     * process. */
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--trace-errors"))
            trace_wanted = true;
        else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h") || (i == 1 && !strcmp(argv[i], "help")))
            want_help = true;
        else if (i == 1 && !strcmp(argv[i], "--version"))
            want_version = true;
        else
            words[n++] = argv[i];
    }
    words[n] = NULL;
    if (want_version) {
        printf("lockstep %s\n", LS_VERSION);
        return LS_OK;
    }
    const ls_command *c = NULL;
    if (want_help)
        status = help(n, words);
    else if ((status = dispatch(&c, n, words)) != LS_OK)
        status = agree_on(status);
    else
        status = c->run(n, words);
    if (status != LS_OK && ls__launcher_is_root()) ls_error_print(status);
    if (fflush(stdout) != 0 && status == LS_OK) {
        status = LS_FAIL(LS_ERR_ENV, "standard output: cannot write: %s" LS_HINT "is the disk full?", strerror(errno));
        ls_error_print(status);
    }
    return status;
}

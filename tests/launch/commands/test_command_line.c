/* SPDX-License-Identifier: Apache-2.0
 * leaks: foreign
 *
 * The command line, run as a program: help, arguments, mistakes, exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "launch/commands/command_table.h"

static char out[1 << 16], err[1 << 16];

static void read_all(const char *path, char *text, size_t room)
{
    FILE  *in    = fopen(path, "r");
    size_t bytes = in ? fread(text, 1, room - 1, in) : 0;
    text[bytes]  = 0;
    if (in) fclose(in);
    unlink(path);
}

/* Runs `PROGRAM arguments`, with `before` as prefix, and returns its exit code; its output is in `out` and `err`. */
static int program(const char *before, const char *arguments)
{
    char command[4096], out_path[64], err_path[64];
    snprintf(out_path, sizeof out_path, "/tmp/lockstep-out-%d", (int)getpid());
    snprintf(err_path, sizeof err_path, "/tmp/lockstep-err-%d", (int)getpid());
    snprintf(command, sizeof command, "%s %s %s >%s 2>%s", before, LOCKSTEP_PROGRAM, arguments, out_path, err_path);
    int status = system(command);
    read_all(out_path, out, sizeof out);
    read_all(err_path, err, sizeof err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define HAS(text, part)                                                                                                \
    do {                                                                                                               \
        if (!strstr(text, part)) fail_msg("expected '%s' in:\n%s", part, text);                                        \
    } while (0)

static void test_help(void **state)
{
    char arguments[128], line[128];
    assert_int_equal(program("", "--help"), 0);
    assert_string_equal(err, "");
    for (const ls_command *const *row = ls__commands; *row; row++) {
        snprintf(line, sizeof line, "  %s %s", (*row)->name, (*row)->arguments);
        HAS(out, line);
    }
    HAS(out, "75 checkpointed and stopped: signal received or time limit reached");
    for (const ls_command *const *row = ls__commands; *row; row++) {
        const ls_command *c = *row;
        snprintf(arguments, sizeof arguments, "%s --help", c->name);
        assert_int_equal(program("", arguments), 0);
        HAS(out, c->text);
        for (const ls_option *o = c->options; o && o->name; o++) HAS(out, o->text);
        assert_string_equal(err, "");
    }
    assert_int_equal(program("", "data --help"), 0);
    HAS(out, "lockstep data import");
    HAS(out, "lockstep data verify");
    assert_null(strstr(out, "lockstep recipes"));
    assert_int_equal(program("", "data import --help"), 0);
    HAS(out, "lockstep data import csv FILE OUT");
    assert_null(strstr(out, "lockstep data verify"));
    assert_int_equal(program("", "--version"), 0);
    HAS(out, "lockstep 0.");
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *arguments, *part, *hint;
    } cases[] = {
        {"", "expected a command", "lockstep --help"},
        {"trian", "command 'trian': unknown", "did you mean 'train'"},
        {"quux", "command 'quux': unknown", "lockstep --help"},
        {"data", "lockstep data: expected one of  import | fetch | train-tokenizer | inspect | verify",
         "lockstep data --help"},
        {"data inspct x", "lockstep data: command 'inspct': unknown", "did you mean 'inspect'"},
        {"data import", "lockstep data import: expected one of  images | mnist | cifar | text | pairs | labelled | csv",
         "lockstep data import --help"},
        {"data import cvs a b", "lockstep data import: command 'cvs': unknown", "did you mean 'csv'"},
        {"recipes cat", "recipes cat: expected  NAME  but found 0 arguments", "--help"},
        {"recipes cat a b", "recipes cat: expected  NAME  but found the further argument 'b'", NULL},
        {"recipes cat lenet-digits", "recipe 'lenet-digits' does not exist", "did you mean 'lenet5-digits'"},
        {"recipes cp lenet5-digits /nowhere/at/all", "/nowhere/at/all: cannot create the file", NULL},
        {"--bogus", "found the option '--bogus'", NULL},
        {"recipes ls --bogus", "option '--bogus': unknown", NULL},
        {"doctor now", "doctor: expected  no argument  but found the further argument 'now'", NULL},
        {"trian --help", "command 'trian': unknown", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = program("", cases[i].arguments);
        if (code != LS_ERR_USAGE && code != LS_ERR_ENV) fail_msg("lockstep %s: exit code %d", cases[i].arguments, code);
        assert_string_equal(out, "");
        HAS(err, cases[i].part);
        if (cases[i].hint) HAS(err, cases[i].hint);
        assert_null(strstr(err, "  at "));
        const char *again = strstr(err, "error: ") + 1;
        assert_null(strstr(again, "error: ")); /* printed once */
    }
    program("LOCKSTEP_TRACE=1", "recipes cat quux");
    HAS(err, "launch/recipe/recipe_load.c:");
    program("", "recipes cat quux --trace-errors");
    HAS(err, "launch/recipe/recipe_load.c:");
    assert_int_equal(program("", "recipes keys >/dev/full; exit $?;"), LS_ERR_ENV);
}

static void test_recipes(void **state)
{
    assert_int_equal(program("", "recipes ls"), 0);
    HAS(out, "lenet5-digits");
    HAS(out, "LeNet-5 (LeCun 1998)");
    assert_int_equal(program("", "recipes cat mlp-mnist"), 0);
    HAS(out, "name: mlp");
    assert_int_equal(program("", "recipes layers"), 0);
    HAS(out, "conv2d");
    HAS(out, "kernel: int");
    assert_null(strstr(out, "cross_entropy")); /* takes two inputs */
    assert_int_equal(program("", "recipes keys"), 0);
    HAS(out, "optim.lr ");
    HAS(out, "sgd, momentum, nag");
}

static void test_doctor(void **state)
{
    static const char *const lines[] = {
        "processor ", "instructions ", "caches ", "peak ",     "matrix products ",
        "bfloat16 ",  "OpenBLAS ",     "oneDNN ", "MPI ",      "CUDA ",
        "HDF5 ",      "memory ",       "disk ",   "/dev/shm ", "launcher         ok    none: one rank; "};
    assert_int_equal(program("", "doctor"), 0);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) HAS(out, lines[i]);
    assert_null(strstr(out, " bad "));
#if defined(__x86_64__)
    assert_int_equal(program("LOCKSTEP_ISA=v2", "doctor"), 0);
    HAS(out, "bfloat16         note ");
    HAS(out, "no AVX512_BF16");
#endif
    assert_int_equal(program("LOCKSTEP_ISA=v9", "doctor"), LS_ERR_ENV);
    HAS(out, "LOCKSTEP_ISA=v9");
    HAS(out, "what to do: unset it");
    HAS(err, "doctor: 1 check failed");
}

static void test_args(void **state)
{
    ls_args   args;
    long long n;
    char     *train[] = {"train", "r", "a.b=1", "--fresh", "c=2"};
    assert_int_equal(ls_args_parse(&args, 5, train), LS_OK);
    assert_int_equal(args.positionals, 1);
    assert_int_equal(args.overrides, 2);
    assert_string_equal(args.override[1], "c=2");
    assert_non_null(ls_args_option(&args, "fresh"));
    char *folder[] = {"train", "dir=x/r.yaml"}; /* the first word is the recipe, even with an equals sign */
    assert_int_equal(ls_args_parse(&args, 2, folder), LS_OK);
    assert_string_equal(args.positional[0], "dir=x/r.yaml");
    assert_null(ls_args_option(&args, "fresh"));
    char *flag[] = {"train", "r", "--fresh=1"};
    assert_int_equal(ls_args_parse(&args, 3, flag), LS_ERR_USAGE);
    char *predict[] = {"predict", "--top", "5", "run", "--", "--a=b.png", "c.png"};
    assert_int_equal(ls_args_parse(&args, 7, predict), LS_OK);
    assert_int_equal(args.positionals, 3);
    assert_string_equal(args.positional[1], "--a=b.png");
    assert_int_equal(ls_args_int(&args, "top", 1, 10, 3, &n), LS_OK);
    assert_int_equal(n, 5);
    assert_int_equal(ls_args_int(&args, "top", 1, 4, 3, &n), LS_ERR_USAGE);
    char *none[] = {"predict", "run", "c.png", "--top"};
    assert_int_equal(ls_args_parse(&args, 4, none), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "expected N, found the end of the line"));
    char *pairs[] = {"data", "import", "pairs", "a", "b", "--valid", "c", "d", "--test=e", "f", "out"}; /* two values */
    assert_int_equal(ls_args_parse(&args, 11, pairs), LS_OK);
    assert_int_equal(args.positionals, 3);
    assert_string_equal(args.positional[2], "out");
    for (int i = 0; i < 4; i++)
        assert_string_equal(ls_args_option_at(&args, i < 2 ? "valid" : "test", i % 2),
                            ((const char *const[]){"c", "d", "e", "f"})[i]);
    assert_int_equal(ls_args_parse(&args, 7, pairs), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "--valid: expected SRC TGT, found the end of the line"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_help), cmocka_unit_test(test_mistakes),
                                       cmocka_unit_test(test_recipes), cmocka_unit_test(test_doctor),
                                       cmocka_unit_test(test_args)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

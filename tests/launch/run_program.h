/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the program from a test by command line, in a temporary folder, with or without mpirun, with a time limit.
 *
 *     folder_enter();
 *     int code = run("train lenet5-digits run.dir=r", .ranks = 2);      stdout in the file "out", stderr in "err"
 *     folder_leave();
 */
#ifndef LS_TESTS_LAUNCH_RUN_PROGRAM_H
#define LS_TESTS_LAUNCH_RUN_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MPIRUN "mpirun --allow-run-as-root --oversubscribe --quiet --bind-to none"

static char folder[64];

static inline void folder_enter(void)
{
    strcpy(folder, "/tmp/lockstep-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    /* When a launcher has started the test, its variables must not reach the program. */
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "LOCKSTEP_ISA",         "LOCKSTEP_DATA"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("NO_COLOR", "1", 1);
}

static inline void folder_leave(void)
{
    char command[128];
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

typedef struct run_options {
    bool        given;   /* set by the macro run(), which makes all other fields optional */
    int         ranks;   /* 0: without mpirun                          */
    int         threads; /* 0: 1                                       */
    int         seconds; /* time limit, seconds; 0: 60                 */
    const char *before;  /* shell text in front of the command: "ulimit -f 8;", "LOCKSTEP_ISA=v2" */
    const char *program; /* shell command to run, with $P for the program; NULL: "$P ARGUMENTS" */
} run_options;

/* Factor of the time limits: code with sanitizers is slower. */
#if defined(__SANITIZE_ADDRESS__)
enum { SLOWNESS = 5 };
#else
enum { SLOWNESS = 1 };
#endif

/* Runs the program and returns its exit code; 124: time limit.  Under mpirun the exit codes of all ranks must be equal;
 * each is in the file code.RANK. */
#define run(arguments, ...) run_with((arguments), (run_options){.given = true, __VA_ARGS__})
static inline int run_with(const char *arguments, run_options o)
{
    char command[4096], ranks[256] = "";
    if (o.ranks)
        snprintf(ranks, sizeof ranks, MPIRUN " -np %d sh -c 'sh ./rank; echo $? > code.$OMPI_COMM_WORLD_RANK'",
                 o.ranks);
    FILE *f = fopen("rank", "w");
    assert_non_null(f);
    fprintf(f, "P=%s\n%s ", LOCKSTEP_PROGRAM, o.before ? o.before : "");
    fprintf(f, o.program ? "%s%s\n" : "$P %s%s\n", o.program ? o.program : "", arguments);
    fclose(f);
    snprintf(command, sizeof command,
             "rm -f code.*; export OMP_NUM_THREADS=%d; timeout -k 5 %d %s > out 2> err < /dev/null",
             o.threads ? o.threads : 1, (o.seconds ? o.seconds : 60) * SLOWNESS, o.ranks ? ranks : "sh ./rank");
    int status = system(command);
    assert_true(WIFEXITED(status));
    if (!o.ranks || WEXITSTATUS(status)) return WEXITSTATUS(status);
    int code = -1;
    for (int r = 0; r < o.ranks; r++) {
        char name[32];
        int  own = -2;
        snprintf(name, sizeof name, "code.%d", r);
        f = fopen(name, "r");
        if (f) {
            if (fscanf(f, "%d", &own) != 1) own = -3;
            fclose(f);
        }
        if (r == 0) code = own;
        if (own != code) fail_msg("rank %d exited with %d, rank 0 with %d", r, own, code);
    }
    return code;
}

/* Writes a file. */
static inline void save_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Returns a file as text, "" when it does not exist.  Four buffers are used in turn. */
static inline const char *text_of(const char *path)
{
    static char ring[4][1 << 20];
    static int  next;
    char       *text = ring[next++ % 4];
    FILE       *f    = fopen(path, "r");
    size_t      n    = f ? fread(text, 1, sizeof ring[0] - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    return text;
}

static inline bool exists(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0;
}

static inline int count_of(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep bench allreduce`: measures the rate of the all-reduce in shared memory, by messages, and of MPI_Allreduce.
 * The three methods alternate, so that other load on the machine affects all of them equally.  The columns are those of
 * nccl-tests.
 *
 * Each rank fills its floats with small integers, for which every order of additions gives the same exact sum; so every
 * element of every sum is compared.  After a barrier the ranks sum once; a short sum is repeated several times between
 * two clock readings, each time on the result of the time before.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "dist/allreduce/allreduce.h"
#include "launch/run/progress.h"
#include "launch/commands/command_run.h"

enum { VALUES = 16, MAX_REPEAT = 1000, MAX_CALLS = 16 };
#define ONE_CALL_BYTES (1 << 20) /* from this size on, one call is long enough for the clock */
#define MAX_BYTES ((int64_t)4 << 30)
#define MAX_EXACT 16777216.0 /* floats represent all integers up to 2^24 exactly */

typedef enum method { SHARED_MEMORY, MESSAGES, MPI, METHODS } method;
static const char *const method_names[METHODS] = {"shared memory", "messages", "MPI_Allreduce"};

typedef struct side {
    ls_shared_memory *memory; /* the floats; shared between ranks for the method SHARED_MEMORY only */
    ls_allreduce     *allreduce;
} side;

typedef struct bench {
    ls_run *run;
    int     repeat;
    int64_t from, to; /* least and largest size, bytes */
    side    side[METHODS];
    double *seconds; /* of each repetition, method by method */
    double *all;     /* seconds of each rank                 */
} bench;

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static int value_of(int rank, int64_t i) { return (int)((i * 7 + rank * 5 + i / 1000) % VALUES); }

static float *floats(const bench *b, method m) { return b->side[m].memory->own.data; }

static ls_status sum(const bench *b, method m, int64_t count)
{
    if (m == MPI) return ls__comm_mpi_allreduce(b->run->comm, floats(b, m), count);
    return ls__allreduce_run(b->side[m].allreduce, floats(b, m), (size_t)(b->to / (int64_t)sizeof(float)),
                             &(ls_allreduce_request){.range = {0, count}});
}

static int64_t count_wrong(const bench *b, method m, int64_t count, int calls)
{
    const float *x      = floats(b, m);
    int          n      = b->run->ranks;
    double       factor = pow(n, calls - 1);
    int64_t      wrong  = 0;
    for (int64_t i = 0; i < count; i++) {
        int expected = 0;
        for (int r = 0; r < n; r++) expected += value_of(r, i);
        wrong += x[i] != (float)(expected * factor);
    }
    return wrong;
}

/* Measures one repetition: *seconds is the time of a call on the slowest rank; adds the number of wrong sums to *wrong.
 */
static ls_status repeat_once(bench *b, method m, int64_t count, int calls, double *seconds, int64_t *wrong)
{
    ls_run *j = b->run;
    float  *x = floats(b, m);
    for (int64_t i = 0; i < count; i++) x[i] = (float)value_of(j->rank, i);
    LS_TRY(ls_comm_barrier(j->comm));
    double began = ls__clock_s();
    for (int i = 0; i < calls; i++) LS_TRY(sum(b, m, count));
    double mine = (ls__clock_s() - began) / calls;
    *wrong += count_wrong(b, m, count, calls);
    LS_TRY(ls_comm_allgather(j->comm, &mine, b->all, sizeof mine));
    *seconds = 0;
    for (int r = 0; r < j->ranks; r++) *seconds = b->all[r] > *seconds ? b->all[r] : *seconds;
    return LS_OK;
}

static ls_status measure(bench *b, int64_t bytes, int64_t *wrong_of_all)
{
    ls_run *j     = b->run;
    int64_t count = bytes / (int64_t)sizeof(float), wrong[METHODS] = {0};
    int     calls = 1;
    double  median[METHODS];
    while (bytes < ONE_CALL_BYTES && calls < MAX_CALLS && VALUES * pow(j->ranks, calls + 1) < MAX_EXACT) calls++;
    for (int t = -1; t < b->repeat; t++) /* repetition -1 touches the memory first; its time is not used */
        for (method m = 0; m < METHODS; m++)
            if (b->side[m].memory)
                LS_TRY(repeat_once(b, m, count, calls, &b->seconds[(t < 0 ? 0 : t) + m * b->repeat], &wrong[m]));
    for (method m = 0; m < METHODS; m++) {
        if (!b->side[m].memory) continue;
        double *s = b->seconds + m * b->repeat;
        qsort(s, (size_t)b->repeat, sizeof *s, compare);
        median[m] = s[b->repeat / 2];
        uint64_t most;
        LS_TRY(ls_run_maximum(j, (uint64_t)wrong[m], &most));
        *wrong_of_all += wrong[m] = (int64_t)most;
    }
    for (method m = 0; m < METHODS && j->is_root; m++) {
        if (!b->side[m].memory) continue;
        double rate = 1e-9 * (double)bytes / median[m];
        printf("%12lld %12lld   float    sum  %-13s %11.1f %8.2f %8.2f %7lld %8.2f\n", (long long)bytes,
               (long long)count, method_names[m], 1e6 * median[m], rate, rate * 2 * (j->ranks - 1) / j->ranks,
               (long long)wrong[m], median[MPI] / median[m]);
    }
    fflush(stdout);
    return LS_OK;
}

static ls_status make_side(bench *b, method m, ls_shared_memory_mode mode)
{
    ls_run *j     = b->run;
    int64_t count = b->to / (int64_t)sizeof(float);
    side   *s     = &b->side[m];
    LS_TRY(ls_comm_agree(j->comm, ls__allreduce_new(&s->allreduce, j->comm, j->ranks, 1, count)));
    LS_TRY(ls_comm_agree(j->comm, ls__shared_memory_new(&s->memory, j->comm, mode, (size_t)b->to, method_names[m])));
    LS_TRY(ls_comm_agree(j->comm, ls__allreduce_use_shared_memory(s->allreduce, s->memory, (size_t)count)));
    return LS_OK;
}

static void free_side(side *s)
{
    ls__allreduce_free(s->allreduce);
    ls__shared_memory_free(s->memory);
    *s = (side){0};
}

static ls_status run_sizes(bench *b)
{
    ls_run *j     = b->run;
    int64_t wrong = 0;
    b->seconds    = ls_arena_alloc(j->memory, sizeof *b->seconds * (size_t)(b->repeat * METHODS));
    b->all        = ls_arena_alloc(j->memory, sizeof *b->all * (size_t)j->ranks);
    for (method m = 0; m < METHODS; m++)
        LS_TRY(make_side(b, m, m == SHARED_MEMORY ? LS_SHARED_MEMORY_AUTO : LS_SHARED_MEMORY_OFF));
    if (!b->side[SHARED_MEMORY].memory->shared) free_side(&b->side[SHARED_MEMORY]);
    if (j->is_root)
        printf("%d ranks x %d threads, %d on this host; %d repetitions\n\n%12s %12s %7s %6s  %-13s %11s %8s %8s %7s "
               "%8s\n%12s %12s %7s %6s  %-13s %11s %8s %8s %7s %8s\n",
               j->ranks, j->threads, ls_comm_local_size(j->comm), b->repeat, "size", "count", "type", "redop", "method",
               "time", "algbw", "busbw", "#wrong", "speed", "(B)", "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)",
               "", "(x MPI)");
    for (int64_t bytes = b->from; bytes <= b->to; bytes *= 4) LS_TRY(measure(b, bytes, &wrong));
    LS_CHECK(wrong == 0, LS_ERR_FAILED, "bench allreduce: expected exact sums, found %lld wrong ones",
             (long long)wrong);
    return LS_OK;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

/* Reads a size such as "64", "4K", "64M" or "1G" from the start of `text`; *end: the rest of the text. */
static bool read_size(const char *text, char **end, int64_t *bytes)
{
    static const char units[] = "KMG";
    *bytes                    = strtoll(text, end, 10);
    const char *unit          = **end ? strchr(units, **end) : NULL;
    if (*end == text || *bytes < 0 || *bytes > MAX_BYTES) return false;
    if (unit) *bytes <<= 10 * (unit - units + 1), ++*end;
    return *bytes >= (int64_t)sizeof(float) && *bytes <= MAX_BYTES && *bytes % (int64_t)sizeof(float) == 0;
}

static ls_status read_sizes(bench *b, const char *text)
{
    char *end;
    bool  good = read_size(text, &end, &b->from);
    b->to      = b->from;
    if (good && *end == '-') good = read_size(end + 1, &end, &b->to) && b->to >= b->from;
    LS_CHECK(good && !*end, LS_ERR_USAGE,
             "bench allreduce: --bytes: expected a size or a range such as 4K-64M, multiples of 4 up to 4G, found '%s'",
             text);
    return LS_OK;
}

static ls_status start(bench *b, const ls_args *args)
{
    ls_run     *j     = b->run;
    const char *bytes = ls_args_option(args, "bytes");
    long long   repeat;
    LS_TRY_COLLECTIVE(j, ls_args_int(args, "repeat", 1, MAX_REPEAT, 9, &repeat));
    LS_TRY_COLLECTIVE(j, read_sizes(b, bytes ? bytes : "4K-64M"));
    b->repeat = (int)repeat;
    LS_CHECK(j->ranks > 1, LS_ERR_USAGE,
             "bench allreduce: expected at least 2 ranks, found 1" LS_HINT
             "mpirun -np 2 --bind-to none lockstep bench allreduce");
    LS_CHECK(VALUES * j->ranks < MAX_EXACT, LS_ERR_USAGE,
             "bench allreduce: expected fewer than %.0f ranks, found %d" LS_HINT
             "sums of more ranks would not be exact in float",
             MAX_EXACT / VALUES, j->ranks);
    return LS_OK;
}

static ls_status run_bench_allreduce(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    bench     b      = {.run = &j};
    ls_status status = ls_command_start(&j, &args, argc, argv);
    if (status == LS_OK) status = start(&b, &args);
    if (status == LS_OK) status = run_sizes(&b);
    for (method m = 0; m < METHODS; m++) free_side(&b.side[m]);
    ls_command_finish(&j, status);
    return status;
}

const ls_command ls__command_bench_allreduce = {
    .name      = "bench allreduce",
    .arguments = "",
    .text      = "measure the all-reduce beside MPI_Allreduce",
    .help =
        "Alternates an all-reduce in shared memory, one by messages, and MPI_Allreduce (in place), and compares every "
        "sum with the\n"
        "expected one.  A line is the median over the repetitions of the time of the slowest rank.  algbw is "
        "size / time; busbw is\n"
        "algbw x 2 (ranks - 1) / ranks.\n"
        "\n"
        "  mpirun -np 2 --bind-to none lockstep bench allreduce --bytes 4K-64M",
    .options = LS_OPTIONS({"bytes", "SIZE[-SIZE]",
                           "size of the sum, bytes, from the first to the second by factors of 4; default 4K-64M"},
                          {"repeat", "N", "number of repetitions, of which the median is printed; default 9"}),
    .run     = run_bench_allreduce,
};

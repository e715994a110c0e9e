/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep bench allreduce`: the rate of sums over all ranks, in shared memory, by messages and by MPI_Allreduce, in
 * turns, so that what else the machine does falls on all alike.  The columns are those of nccl-tests.
 *
 * Ranks fill their floats with small whole numbers, so that every order of additions gives the same sum and all of it
 * can be checked; then they meet, and sum once, or when that is short several times the result of the time before.
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
#define ONE_CALL_BYTES (1 << 20) /* from here on a call is long enough for the clock */
#define MAX_BYTES ((int64_t)4 << 30)
#define WHOLE 16777216.0 /* up to here floats are whole numbers */

typedef enum way { WINDOW, MESSAGES, MPI, WAYS } way;
static const char *const way_names[WAYS] = {"window", "messages", "MPI_Allreduce"};

typedef struct side {
    ls_shared_memory *window; /* holds the floats; of WINDOW alone it is shared */
    ls_allreduce     *tree;
} side;

typedef struct bench {
    ls_run *job;
    int     repeat;
    int64_t from, to; /* bytes */
    side    side[WAYS];
    double *seconds; /* of each turn  */
    double *all;     /* of each rank  */
} bench;

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static int value_of(int rank, int64_t i) { return (int)((i * 7 + rank * 5 + i / 1000) % VALUES); }

static float *floats(const bench *b, way w) { return b->side[w].window->own.data; }

static ls_status sum(const bench *b, way w, int64_t count)
{
    if (w == MPI) return ls__comm_mpi_allreduce(b->job->comm, floats(b, w), count);
    return ls__allreduce_run(b->side[w].tree, floats(b, w), (size_t)(b->to / (int64_t)sizeof(float)),
                             (ls_range){0, count});
}

static int64_t count_wrong(const bench *b, way w, int64_t count, int calls)
{
    const float *x      = floats(b, w);
    int          n      = b->job->ranks;
    double       factor = pow(n, calls - 1);
    int64_t      wrong  = 0;
    for (int64_t i = 0; i < count; i++) {
        int expected = 0;
        for (int r = 0; r < n; r++) expected += value_of(r, i);
        wrong += x[i] != (float)(expected * factor);
    }
    return wrong;
}

/* Seconds of a call, of the slowest rank. */
static ls_status turn(bench *b, way w, int64_t count, int calls, double *seconds, int64_t *wrong)
{
    ls_run *j = b->job;
    float  *x = floats(b, w);
    for (int64_t i = 0; i < count; i++) x[i] = (float)value_of(j->rank, i);
    LS_TRY(ls_comm_barrier(j->comm));
    double began = ls__clock_s();
    for (int i = 0; i < calls; i++) LS_TRY(sum(b, w, count));
    double mine = (ls__clock_s() - began) / calls;
    *wrong += count_wrong(b, w, count, calls);
    LS_TRY(ls_comm_allgather(j->comm, &mine, b->all, sizeof mine));
    *seconds = 0;
    for (int r = 0; r < j->ranks; r++) *seconds = b->all[r] > *seconds ? b->all[r] : *seconds;
    return LS_OK;
}

static ls_status measure(bench *b, int64_t bytes, int64_t *wrong_of_all)
{
    ls_run *j     = b->job;
    int64_t count = bytes / (int64_t)sizeof(float), wrong[WAYS] = {0};
    int     calls = 1;
    double  median[WAYS];
    while (bytes < ONE_CALL_BYTES && calls < MAX_CALLS && VALUES * pow(j->ranks, calls + 1) < WHOLE) calls++;
    for (int t = -1; t < b->repeat; t++) /* the first one touches the memory, and does not count */
        for (way w = 0; w < WAYS; w++)
            if (b->side[w].window)
                LS_TRY(turn(b, w, count, calls, &b->seconds[(t < 0 ? 0 : t) + w * b->repeat], &wrong[w]));
    for (way w = 0; w < WAYS; w++) {
        if (!b->side[w].window) continue;
        double *s = b->seconds + w * b->repeat;
        qsort(s, (size_t)b->repeat, sizeof *s, compare);
        median[w] = s[b->repeat / 2];
        uint64_t most;
        LS_TRY(ls_run_maximum(j, (uint64_t)wrong[w], &most));
        *wrong_of_all += wrong[w] = (int64_t)most;
    }
    for (way w = 0; w < WAYS && j->is_root; w++) {
        if (!b->side[w].window) continue;
        double rate = 1e-9 * (double)bytes / median[w];
        printf("%12lld %12lld   float    sum  %-13s %11.1f %8.2f %8.2f %7lld %8.2f\n", (long long)bytes,
               (long long)count, way_names[w], 1e6 * median[w], rate, rate * 2 * (j->ranks - 1) / j->ranks,
               (long long)wrong[w], median[MPI] / median[w]);
    }
    fflush(stdout);
    return LS_OK;
}

static ls_status make_side(bench *b, way w, ls_shared_memory_mode mode)
{
    ls_run *j     = b->job;
    int64_t count = b->to / (int64_t)sizeof(float);
    side   *s     = &b->side[w];
    LS_TRY(ls_comm_agree(j->comm, ls__allreduce_new(&s->tree, j->comm, j->ranks, 1, count)));
    LS_TRY(ls_comm_agree(j->comm, ls__shared_memory_new(&s->window, j->comm, mode, (size_t)b->to, way_names[w])));
    LS_TRY(ls_comm_agree(j->comm, ls__allreduce_use_shared_memory(s->tree, s->window, (size_t)count)));
    return LS_OK;
}

static void free_side(side *s)
{
    ls__allreduce_free(s->tree);
    ls__shared_memory_free(s->window);
    *s = (side){0};
}

static ls_status run(bench *b)
{
    ls_run *j     = b->job;
    int64_t wrong = 0;
    b->seconds    = ls_arena_alloc(j->memory, sizeof *b->seconds * (size_t)(b->repeat * WAYS));
    b->all        = ls_arena_alloc(j->memory, sizeof *b->all * (size_t)j->ranks);
    for (way w = 0; w < WAYS; w++) LS_TRY(make_side(b, w, w == WINDOW ? LS_SHARED_MEMORY_AUTO : LS_SHARED_MEMORY_OFF));
    if (!b->side[WINDOW].window->shared) free_side(&b->side[WINDOW]);
    if (j->is_root)
        printf("%d ranks x %d threads, %d on this host; %d turns\n\n%12s %12s %7s %6s  %-13s %11s %8s %8s %7s "
               "%8s\n%12s %12s %7s %6s  %-13s %11s %8s %8s %7s %8s\n",
               j->ranks, j->threads, ls_comm_local_size(j->comm), b->repeat, "size", "count", "type", "redop", "way",
               "time", "algbw", "busbw", "#wrong", "speed", "(B)", "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)",
               "", "(x MPI)");
    for (int64_t bytes = b->from; bytes <= b->to; bytes *= 4) LS_TRY(measure(b, bytes, &wrong));
    LS_CHECK(wrong == 0, LS_ERR_FAILED, "%lld sums are wrong", (long long)wrong);
    return LS_OK;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

/* "64", "4K", "64M", "1G": up to `end`. */
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
             "bench allreduce: --bytes: expected a size, or two as in 4K-64M, multiples of 4 up to 4G, found '%s'",
             text);
    return LS_OK;
}

static ls_status start(bench *b, const ls_args *args)
{
    ls_run     *j     = b->job;
    const char *bytes = ls_args_option(args, "bytes");
    long long   repeat;
    LS_TRY_COLLECTIVE(j, ls_args_int(args, "repeat", 1, MAX_REPEAT, 9, &repeat));
    LS_TRY_COLLECTIVE(j, read_sizes(b, bytes ? bytes : "4K-64M"));
    b->repeat = (int)repeat;
    LS_CHECK(j->ranks > 1, LS_ERR_USAGE,
             "bench allreduce needs several ranks, found 1" LS_HINT
             "mpirun -np 2 --bind-to none lockstep bench allreduce");
    LS_CHECK(VALUES * j->ranks < WHOLE, LS_ERR_USAGE, "bench allreduce cannot check the sums of %d ranks", j->ranks);
    return LS_OK;
}

static ls_status run_bench_allreduce(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    bench     b      = {.job = &j};
    ls_status status = ls_command_start(&j, &args, argc, argv);
    if (status == LS_OK) status = start(&b, &args);
    if (status == LS_OK) status = run(&b);
    for (way w = 0; w < WAYS; w++) free_side(&b.side[w]);
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

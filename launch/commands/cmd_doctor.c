/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep doctor`: what this machine has, what is missing, and what to do about it.  One line for each thing: `ok`,
 * `note` (it works, but could be better) or `bad` (training would fail).  Rates are the best of a few short runs.
 */
#include <errno.h>
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/cpu/isa_table.h"
#include "core/cpu/gemm/onednn.h"
#include "core/cpu/gemm/openblas.h"
#include "core/io/hdf5_library.h"
#include "dist/comm/comm.h"
#include "launch/commands/command_table.h"

typedef enum state { OK, NOTE, BAD } state;

static int bad_things;

/* One line; after '|' in the text comes what to do. */
static void say(state s, const char *what, const char *format, ...) LS_PRINTF(3, 4);
static void say(state s, const char *what, const char *format, ...)
{
    static const char *const words[] = {"ok", "note", "bad"};
    char                     text[1024];
    va_list                  args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *todo = strchr(text, '|');
    if (todo) *todo++ = 0;
    printf("%-16s %-5s %s\n", what, words[s], text);
    if (todo) printf("%-22s what to do: %s\n", "", todo);
    bad_things += s == BAD;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The first line of a file that starts with `key`, without it; false when there is none. */
static bool read_line(const char *path, const char *key, char *text, size_t room)
{
    FILE *in = fopen(path, "r");
    char  line[512];
    bool  found = false;
    while (in && !found && fgets(line, sizeof line, in)) {
        found = !strncmp(line, key, strlen(key));
        if (found) snprintf(text, room, "%s", line + strlen(key) + strspn(line + strlen(key), " \t:"));
    }
    if (in) fclose(in);
    if (found) text[strcspn(text, "\n")] = 0;
    return found;
}

/* ---- processor --------------------------------------------------------------------------------------------------- */

static int usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void processor(void)
{
    char        model[256] = "unknown";
    long        there      = sysconf(_SC_NPROCESSORS_ONLN);
    int         usable     = usable_cores();
    const char *threads    = getenv("OMP_NUM_THREADS");
    read_line("/proc/cpuinfo", "model name", model, sizeof model);
    say(OK, "processor", "%s, %ld cores online", model, there);
    if (usable < there)
        say(NOTE, "cores", "%d of %ld may be used|taskset, a container or a batch system narrowed it", usable, there);
    else
        say(OK, "cores", "%d may be used", usable);
    if (threads && atoi(threads) > usable)
        say(NOTE, "threads", "OMP_NUM_THREADS=%s on %d cores|set it to the cores divided by the ranks of the host",
            threads, usable);
    else
        say(OK, "threads", "%s%s", threads ? "OMP_NUM_THREADS=" : "the host's cores divided by its ranks",
            threads ? threads : "");
    say(OK, "caches", "L1 %ld KiB, L2 %ld KiB a core, L3 %.1f MiB", sysconf(_SC_LEVEL1_DCACHE_SIZE) / 1024,
        sysconf(_SC_LEVEL2_CACHE_SIZE) / 1024, (double)sysconf(_SC_LEVEL3_CACHE_SIZE) / 1048576);
}

static bool instruction_set(void)
{
    const char *asked = getenv("LOCKSTEP_ISA");
    if (ls_isa_init() != LS_OK) {
        say(BAD, "instructions", "LOCKSTEP_ISA=%s is not one of this machine|unset it, or set it to at most %s", asked,
            ls_isa_name(ls_isa_best()));
        return false;
    }
    if (ls_isa_current() < ls_isa_best())
        say(NOTE, "instructions", "%s, lowered by LOCKSTEP_ISA|unset it for %s", ls_isa_name(ls_isa_current()),
            ls_isa_name(ls_isa_best()));
    else
        say(OK, "instructions", "%s, the highest of this processor", ls_isa_name(ls_isa_current()));
    return true;
}

/* ---- matrix products --------------------------------------------------------------------------------------------- */

enum { SIZE = 512 };

typedef struct product {
    float *x, *w, *y;
} product;

static ls_status new_product(product *p, ls_block *block)
{
    LS_TRY(ls_block_new(block, 3 * sizeof(float) * SIZE * SIZE, "doctor"));
    p->x = block->data;
    p->w = p->x + SIZE * SIZE;
    p->y = p->w + SIZE * SIZE;
    for (int i = 0; i < SIZE * SIZE; i++) {
        p->x[i] = (float)(i * 7 % 31 - 15) / 16;
        p->w[i] = (float)(i * 5 % 29 - 14) / 16;
    }
    return LS_OK;
}

/* Whether a few rows of y agree with a plain loop. */
static bool is_right(const product *p)
{
    for (int i = 0; i < SIZE; i += 73)
        for (int j = 0; j < SIZE; j++) {
            double sum = 0;
            for (int k = 0; k < SIZE; k++) sum += (double)p->x[i * SIZE + k] * (double)p->w[k * SIZE + j];
            if (fabs(sum - (double)p->y[i * SIZE + j]) > 1e-3 * (1 + fabs(sum))) return false;
        }
    return true;
}

static ls_gemm gemm_of(const product *p)
{
    return (ls_gemm){.m     = SIZE,
                     .n     = SIZE,
                     .k     = SIZE,
                     .x     = p->x,
                     .x_row = SIZE,
                     .x_col = 1,
                     .w     = p->w,
                     .w_row = SIZE,
                     .w_col = 1,
                     .y     = p->y,
                     .y_row = SIZE};
}

/* GFLOP/s of a product, the best of some: by a provider, or by the front door (NULL). */
static double rate(const ls_provider *provider, const product *p)
{
    ls_gemm g    = gemm_of(p);
    double  best = 0, start = seconds();
    for (int i = 0; i < 50 && (i < 3 || seconds() - start < 0.2); i++) {
        double before = seconds();
        if (!provider)
            ls__isa_table()->gemm(&g);
        else if (provider->gemm(&g) != LS_OK)
            return 0;
        double found = 2.0 * SIZE * SIZE * SIZE / (seconds() - before) * 1e-9;
        if (found > best) best = found;
    }
    return best;
}

static void kernels(const product *p, int threads)
{
    double peak = ls__isa_table()->fma_peak(threads), found = rate(NULL, p), again = ls__isa_table()->fma_peak(threads);
    if (again > peak) peak = again; /* a busy machine shows its peak only now and then */
    say(OK, "peak", "%.0f GFLOP/s of multiply-adds on %d thread%s", peak, threads, threads == 1 ? "" : "s");
    if (!is_right(p))
        say(BAD, "matrix products", "wrong results|the build or the machine is broken: run tests/run");
    else if (found < 0.25 * peak)
        say(NOTE, "matrix products",
            "%.0f GFLOP/s (%d cubed), %.0f %% of the peak|the machine is busy, or its cores are shared: try again",
            found, SIZE, 100 * found / peak);
    else
        say(OK, "matrix products", "%.0f GFLOP/s (%d cubed), %.0f %% of the peak", found, SIZE, 100 * found / peak);
}

/* Libraries that are yardsticks beside the own kernels: without them everything works. */
static void provider(const ls_provider *library, const product *p)
{
    if (library->load() == LS_OK) {
        say(OK, library->name, "%s: %.0f GFLOP/s", library->detail(), rate(library, p));
        return;
    }
    const char *message = ls_error_message(), *hint = strstr(message, LS_HINT);
    if (hint)
        say(NOTE, library->name, "%.*s|%s", (int)(hint - message), message, hint + strlen(LS_HINT));
    else
        say(NOTE, library->name, "%s", message);
}

/* ---- libraries and launchers ------------------------------------------------------------------------------------- */

static bool on_path(const char *name, char *path, size_t room)
{
    char folders[4096], *save = NULL;
    snprintf(folders, sizeof folders, "%s", getenv("PATH") ? getenv("PATH") : "");
    for (char *f = strtok_r(folders, ":", &save); f; f = strtok_r(NULL, ":", &save)) {
        snprintf(path, room, "%s/%s", f, name);
        if (access(path, X_OK) == 0) return true;
    }
    return false;
}

static void mpi(void)
{
    char path[4096];
    say(OK, "MPI", "%s", ls__mpi_library());
    if (!on_path("mpirun", path, sizeof path))
        say(NOTE, "mpirun", "not on the PATH|install openmpi-bin, or start ranks by srun --mpi=pmix");
    else if (geteuid() == 0 && !getenv("OMPI_ALLOW_RUN_AS_ROOT"))
        say(NOTE, "mpirun",
            "%s refuses to run as root|mpirun --allow-run-as-root, or export OMPI_ALLOW_RUN_AS_ROOT=1 "
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
            path);
    else
        say(OK, "mpirun", "%s", path);
}

static void cuda(void)
{
    char driver[256];
    bool there = read_line("/proc/driver/nvidia/version", "NVRM version", driver, sizeof driver);
#ifdef LOCKSTEP_CUDA_VERSION
    const char *toolkit = "toolkit " LOCKSTEP_CUDA_VERSION " found when built";
#else
    const char *toolkit = "no toolkit found when built";
#endif
    say(OK, "CUDA", "%s; %s; this version computes on the processor", toolkit, there ? driver : "no driver");
}

static void hdf5(void)
{
    bool        thread_safe;
    const char *version = ls__h5_version(&thread_safe);
    if (thread_safe)
        say(OK, "HDF5", "%s, thread-safe", version);
    else
        say(BAD, "HDF5",
            "%s is not thread-safe, but the loader reads in a thread of its own|install libhdf5-dev (the serial build)",
            version);
}

/* ---- memory and disk --------------------------------------------------------------------------------------------- */

static void memory(void)
{
    char   text[128] = "0", mode[128] = "";
    double total = 0, left = 0;
    if (read_line("/proc/meminfo", "MemTotal", text, sizeof text)) total = atof(text) / 1048576;
    if (read_line("/proc/meminfo", "MemAvailable", text, sizeof text)) left = atof(text) / 1048576;
    if (left < 1)
        say(NOTE, "memory", "%.1f GiB free of %.1f|`lockstep explain RECIPE` says what a run needs", left, total);
    else
        say(OK, "memory", "%.1f GiB free of %.1f", left, total);
    if (!read_line("/sys/kernel/mm/transparent_hugepage/enabled", "", mode, sizeof mode))
        say(OK, "huge pages", "unknown");
    else if (strstr(mode, "[never]"))
        say(NOTE, "huge pages",
            "off: first touch of memory is 5 times slower|echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
    else
        say(OK, "huge pages", "%s", strstr(mode, "[always]") ? "always" : "where asked for");
}

static double gib_free(const char *path)
{
    struct statvfs s;
    return statvfs(path, &s) == 0 ? (double)s.f_bavail * (double)s.f_frsize / 1073741824 : -1;
}

static void disk(void)
{
    double here = gib_free("."), shared = gib_free("/dev/shm");
    char   name[64];
    snprintf(name, sizeof name, ".lockstep-doctor-%d", (int)getpid());
    FILE *probe  = fopen(name, "w");
    bool  writes = probe && fputs("x", probe) >= 0 && fclose(probe) == 0;
    unlink(name);
    if (!writes)
        say(NOTE, "disk", "this folder cannot be written to: %s|start runs elsewhere, or give run.dir=DIR",
            strerror(errno));
    else if (here < 1)
        say(NOTE, "disk", "%.2f GiB free here|checkpoints need room: give run.dir=DIR on another disk", here);
    else
        say(OK, "disk", "%.1f GiB free here", here);
    if (shared < 0)
        say(NOTE, "/dev/shm", "not there|mount a tmpfs on it: ranks of a host exchange data through it");
    else if (shared < 0.0625)
        say(NOTE, "/dev/shm", "%.0f MiB free|give it more: docker run --shm-size=1g", shared * 1024);
    else
        say(OK, "/dev/shm", "%.1f GiB free", shared);
    const char *data = getenv("LOCKSTEP_DATA");
    if (data && access(data, R_OK | X_OK) != 0)
        say(NOTE, "data", "LOCKSTEP_DATA=%s: %s|unset it, or let it name a folder", data, strerror(errno));
    else if (data)
        say(OK, "data", "LOCKSTEP_DATA=%s", data);
}

ls_status ls__doctor_command(int argc, char **argv)
{
    ls_args  args;
    ls_block block;
    product  p;
    int      threads = omp_get_max_threads();
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(new_product(&p, &block));
    bad_things = 0;
    say(OK, "lockstep", "%s", LS_VERSION);
    processor();
    if (instruction_set()) {
        kernels(&p, threads);
        provider(&ls__openblas, &p);
        provider(&ls__onednn, &p);
    }
    mpi();
    cuda();
    hdf5();
    memory();
    disk();
    ls_block_free(&block);
    LS_CHECK(!bad_things, LS_ERR_ENV,
             "%d thing%s must be mended before training works here: see the lines marked `bad`", bad_things,
             bad_things == 1 ? "" : "s");
    return LS_OK;
}

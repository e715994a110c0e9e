/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep doctor`: checks what training needs of this machine: processor, matrix products, MPI, launcher, memory and
 * disk.  Prints one line for each check: `ok`, `note` (training works, but could be faster or safer) or `bad` (training
 * would fail), and what to do about it.  Rates are the best of a few short runs. */
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

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/cpu_topology.h"
#include "core/cpu/isa_table.h"
#include "core/cpu/gemm/onednn.h"
#include "core/cpu/gemm/openblas.h"
#include "core/io/hdf5_library.h"
#include "dist/comm/comm.h"
#include "dist/comm/launcher.h"
#include "launch/commands/command_table.h"
#include "launch/report/unit_text.h"

typedef enum verdict { OK, NOTE, BAD } verdict;

static int bad_checks; /* number of lines marked `bad` */

/* Prints the result of one check.  The formatted text is "FINDING|ADVICE" or "FINDING"; the advice is printed on a line
 * of its own. */
static void print_check(verdict v, const char *check, const char *format, ...) LS_PRINTF(3, 4);
static void print_check(verdict v, const char *check, const char *format, ...)
{
    static const char *const words[] = {"ok", "note", "bad"};
    char                     text[1024];
    va_list                  args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *advice = strchr(text, '|');
    if (advice) *advice++ = 0;
    printf("%-16s %-5s %s\n", check, words[v], text);
    if (advice) printf("%-22s what to do: %s\n", "", advice);
    bad_checks += v == BAD;
}

/* Reads the rest of the first line of a file that starts with `key`, without the colon and the spaces after the key.
 * Returns false if there is no such line. */
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
    long        online     = sysconf(_SC_NPROCESSORS_ONLN);
    int         usable     = usable_cores();
    const char *threads    = getenv("OMP_NUM_THREADS");
    read_line("/proc/cpuinfo", "model name", model, sizeof model);
    print_check(OK, "processor", "%s, %ld cores online", model, online);
    if (usable < online)
        print_check(NOTE, "cores",
                    "%d of %ld usable by this process|widen the limit of taskset, the container or the batch system",
                    usable, online);
    else
        print_check(OK, "cores", "%d usable by this process", usable);
    if (threads && atoi(threads) > usable)
        print_check(NOTE, "threads",
                    "OMP_NUM_THREADS=%s, but %d usable cores|set it to the cores of the host divided by its ranks",
                    threads, usable);
    else
        print_check(OK, "threads", "%s%s",
                    threads ? "OMP_NUM_THREADS=" : "for each rank the host's cores divided by its ranks",
                    threads ? threads : "");
    print_check(OK, "caches", "L1 %ld KiB and L2 %ld KiB for each core, L3 %.1f MiB",
                sysconf(_SC_LEVEL1_DCACHE_SIZE) / 1024, sysconf(_SC_LEVEL2_CACHE_SIZE) / 1024,
                (double)sysconf(_SC_LEVEL3_CACHE_SIZE) / 1048576);
}

/* Appends "; a cache line takes 28 ns between cores WHERE" to a text, if there are two such cores. */
static void append_latency(char *text, size_t room, const ls_cpu_topology *t, bool same_domain, const char *where)
{
    int    a, b;
    double ns = ls__cpu_pair(t, same_domain, &a, &b) ? ls__cache_line_ns(a, b) : -1;
    size_t at = strlen(text);
    if (ns >= 0)
        snprintf(text + at, room - at, "%s %.0f ns between cores %s", *text ? "," : "; a cache line takes", ns, where);
}

/* Prints the caches of the last level that cores share.  A line that two cores write in turn travels between them, much
 * slower between caches than within one. */
static void cache_domains(int threads)
{
    static ls_cpu_topology t;
    cpu_set_t              set;
    char                   latency[128] = "";
    if (sched_getaffinity(0, sizeof set, &set) != 0 ||
        ls__cpu_topology_read(&t, "/sys/devices/system/cpu", &set) != LS_OK) {
        print_check(OK, "shared caches", "unknown: the kernel does not describe them");
        return;
    }
    append_latency(latency, sizeof latency, &t, true, "of one");
    append_latency(latency, sizeof latency, &t, false, "of two");
    if (t.domains == 1)
        print_check(OK, "shared caches", "one L%d for %d core%s%s", t.cache_level, t.cores, t.cores == 1 ? "" : "s",
                    latency);
    else
        print_check(threads > t.domain_cores ? NOTE : OK, "shared caches",
                    "%d L%d caches of up to %d core%s%s|start one rank of up to %d thread%s for each: mpirun -np %d "
                    "--map-by l3cache --bind-to l3cache",
                    t.domains, t.cache_level, t.domain_cores, t.domain_cores == 1 ? "" : "s", latency, t.domain_cores,
                    t.domain_cores == 1 ? "" : "s", t.domains);
}

static bool instruction_set(void)
{
    const char *asked = getenv("LOCKSTEP_ISA");
    if (ls_isa_init() != LS_OK) {
        print_check(
            BAD, "instructions",
            "LOCKSTEP_ISA=%s: this processor has no such instruction-set level|unset it, or set it to at most %s",
            asked, ls_isa_name(ls_isa_best()));
        return false;
    }
    if (ls_isa_current() < ls_isa_best())
        print_check(NOTE, "instructions", "level %s, lowered by LOCKSTEP_ISA|unset LOCKSTEP_ISA to use %s",
                    ls_isa_name(ls_isa_current()), ls_isa_name(ls_isa_best()));
    else
        print_check(OK, "instructions", "level %s, the highest of this processor", ls_isa_name(ls_isa_current()));
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

/* Compares a few rows of y with a plain loop. */
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

/* Returns the best rate of up to 50 products in GFLOP/s; 0 if the provider fails.  provider: an external library; NULL:
 * the kernels of Lockstep. */
static double rate(ls_provider *provider, const product *p)
{
    ls_gemm g    = gemm_of(p);
    double  best = 0, start = ls__clock_s();
    for (int i = 0; i < 50 && (i < 3 || ls__clock_s() - start < 0.2); i++) {
        double before = ls__clock_s();
        if (!provider)
            ls__isa_table()->gemm(&g);
        else if (ls__provider_gemm(provider, &g) != LS_OK)
            return 0;
        double found = 2.0 * SIZE * SIZE * SIZE / (ls__clock_s() - before) * 1e-9;
        if (found > best) best = found;
    }
    return best;
}

static void kernels(const product *p, int threads)
{
    /* The peak is the better of two measurements, because other processes may slow down either. */
    const double before = ls__isa_table()->peak(LS_F32, threads), found = rate(NULL, p);
    const double after = ls__isa_table()->peak(LS_F32, threads), peak = fmax(before, after);
    print_check(OK, "peak", "%.0f GFLOP/s of fused multiply-adds on %d thread%s", peak, threads,
                threads == 1 ? "" : "s");
    if (!is_right(p))
        print_check(BAD, "matrix products", "wrong results|run tests/run: the build or the machine is faulty");
    else if (found < 0.25 * peak)
        print_check(NOTE, "matrix products",
                    "%.0f GFLOP/s (%d cubed), %.0f %% of the peak|try again when no other process uses the cores",
                    found, SIZE, 100 * found / peak);
    else
        print_check(OK, "matrix products", "%.0f GFLOP/s (%d cubed), %.0f %% of the peak", found, SIZE,
                    100 * found / peak);
}

static void bfloat16(int threads)
{
    const char  *lack = ls_isa_bf16_lack();
    const double peak = ls__isa_table()->peak(LS_BF16, threads);
    if (lack)
        print_check(NOTE, "bfloat16", "%.0f GFLOP/s; %s", peak, lack);
    else
        print_check(OK, "bfloat16", "%.0f GFLOP/s of products on %d thread%s", peak, threads, threads == 1 ? "" : "s");
}

/* Prints the rate of an optional library beside that of Lockstep. */
static void provider(ls_provider *library, const product *p)
{
    if (ls__provider_load(library) == LS_OK) {
        print_check(OK, library->name, "%s: %.0f GFLOP/s", library->detail, rate(library, p));
        return;
    }
    const char *message = ls_error_message(), *hint = strstr(message, LS_HINT);
    if (hint)
        print_check(NOTE, library->name, "%.*s|%s", (int)(hint - message), message, hint + strlen(LS_HINT));
    else
        print_check(NOTE, library->name, "%s", message);
}

/* ---- MPI and launchers ------------------------------------------------------------------------------------------- */

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
    print_check(OK, "MPI", "%s", ls__mpi_library());
    if (!on_path("mpirun", path, sizeof path))
        print_check(NOTE, "mpirun", "not found on PATH|install openmpi-bin, or start ranks by srun --mpi=pmix");
    else if (geteuid() == 0 && !getenv("OMPI_ALLOW_RUN_AS_ROOT"))
        print_check(NOTE, "mpirun",
                    "%s: refuses to run as root|mpirun --allow-run-as-root, or export OMPI_ALLOW_RUN_AS_ROOT=1 "
                    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                    path);
    else
        print_check(OK, "mpirun", "%s", path);
    if (on_path("srun", path, sizeof path)) print_check(OK, "srun", "%s: start ranks by srun --mpi=pmix", path);
}

/* Prints how this process was started, and in which job. */
static void launcher(void)
{
    const ls_launcher l         = ls__launcher();
    char              ranks[64] = "", local[64] = "", cores[64] = "", job[96] = "no job of a batch system";
    if (l.size) snprintf(ranks, sizeof ranks, " of %d", l.size);
    if (l.local_size)
        snprintf(local, sizeof local, ", %d rank%s on this host", l.local_size, l.local_size == 1 ? "" : "s");
    if (l.cores) snprintf(cores, sizeof cores, ", %d core%s for each rank", l.cores, l.cores == 1 ? "" : "s");
    if (l.scheduler) snprintf(job, sizeof job, "%s job %s", l.scheduler, l.job);
    if (l.kind == LS_LAUNCHER_NONE)
        print_check(OK, "launcher", "none: one rank; %s", job);
    else if (ls__launcher_check(0) != LS_OK)
        print_check(BAD, "launcher", "srun without PMIx: the %d ranks cannot find each other|srun --mpi=pmix", l.size);
    else
        print_check(OK, "launcher", "%s, rank %d%s%s%s; %s", l.name, l.rank, ranks, local, cores, job);
}

/* Prints when the batch system ends the job: the run stops with a checkpoint before. */
static void job_end(void)
{
    double      left;
    const char *source;
    char        text[32];
    if (ls__launcher_job_end(&left, &source) != LS_OK) {
        print_check(NOTE, "end of the job", "%s|export LOCKSTEP_END=SECONDS, in seconds since 1970",
                    ls_error_message());
        return;
    }
    if (isfinite(left)) {
        ls__time_text(text, sizeof text, left);
        print_check(OK, "end of the job", "in %s (%s)", text, source);
    } else if (*source) {
        print_check(OK, "end of the job", "no time limit (%s)", source);
    } else if (ls__launcher().scheduler) {
        print_check(NOTE, "end of the job",
                    "unknown: a run does not stop before it|export LOCKSTEP_END=SECONDS, in seconds since 1970");
    }
}

static void cuda(void)
{
    char driver[256];
    bool found = read_line("/proc/driver/nvidia/version", "NVRM version", driver, sizeof driver);
#ifdef LOCKSTEP_CUDA_VERSION
    const char *toolkit = "built with toolkit " LOCKSTEP_CUDA_VERSION;
#else
    const char *toolkit = "built without toolkit";
#endif
    print_check(OK, "CUDA", "%s; %s; not used, training runs on the processor", toolkit, found ? driver : "no driver");
}

static void hdf5(void)
{
    bool        thread_safe;
    const char *version = ls__h5_version(&thread_safe);
    if (thread_safe)
        print_check(OK, "HDF5", "%s, thread-safe", version);
    else
        print_check(
            BAD, "HDF5",
            "%s: not thread-safe, but the loader reads in its own thread|install libhdf5-dev (the serial build)",
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
        print_check(NOTE, "memory",
                    "%.1f GiB free of %.1f|`lockstep explain RECIPE` prints the memory that a run needs", left, total);
    else
        print_check(OK, "memory", "%.1f GiB free of %.1f", left, total);
    if (!read_line("/sys/kernel/mm/transparent_hugepage/enabled", "", mode, sizeof mode))
        print_check(OK, "huge pages", "unknown");
    else if (strstr(mode, "[never]"))
        print_check(NOTE, "huge pages",
                    "off: the first access to memory is 5 times slower|echo madvise > "
                    "/sys/kernel/mm/transparent_hugepage/enabled");
    else
        print_check(OK, "huge pages", "%s", strstr(mode, "[always]") ? "always" : "on request");
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
        print_check(NOTE, "disk", "this folder is not writable: %s|start runs in another folder, or set run.dir=DIR",
                    strerror(errno));
    else if (here < 1)
        print_check(NOTE, "disk", "%.2f GiB free in this folder|set run.dir=DIR to a disk with room for checkpoints",
                    here);
    else
        print_check(OK, "disk", "%.1f GiB free in this folder", here);
    if (shared < 0)
        print_check(NOTE, "/dev/shm", "missing|mount a tmpfs there: the ranks of a host share memory through it");
    else if (shared < 0.0625)
        print_check(NOTE, "/dev/shm", "%.0f MiB free|enlarge it: docker run --shm-size=1g", shared * 1024);
    else
        print_check(OK, "/dev/shm", "%.1f GiB free", shared);
    const char *data = getenv("LOCKSTEP_DATA");
    if (data && access(data, R_OK | X_OK) != 0)
        print_check(NOTE, "data", "LOCKSTEP_DATA=%s: %s|unset it, or set it to a folder", data, strerror(errno));
    else if (data)
        print_check(OK, "data", "LOCKSTEP_DATA=%s", data);
}

static ls_status run_doctor(int argc, char **argv)
{
    ls_args  args;
    ls_block block;
    product  p;
    int      threads = omp_get_max_threads();
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(new_product(&p, &block));
    bad_checks = 0;
    print_check(OK, "lockstep", "%s", LS_VERSION);
    processor();
    cache_domains(threads);
    if (instruction_set()) {
        kernels(&p, threads);
        bfloat16(threads);
        provider(&ls__openblas, &p);
        provider(&ls__onednn, &p);
    }
    mpi();
    launcher();
    job_end();
    cuda();
    hdf5();
    memory();
    disk();
    ls_block_free(&block);
    LS_CHECK(!bad_checks, LS_ERR_ENV, "doctor: %d check%s failed, training would fail: see the lines marked `bad`",
             bad_checks, bad_checks == 1 ? "" : "s");
    return LS_OK;
}

const ls_command ls__command_doctor = {
    "doctor", "", "check this machine: what is installed, what is missing, what to do", .run = run_doctor};

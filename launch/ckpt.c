/* SPDX-License-Identifier: Apache-2.0
 * lockstep ckpt ls, ckpt inspect: what is in checkpoints and safetensors files. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/arena.h"
#include "launch/progress.h"
#include "launch/run.h"

/* ---- ls ------------------------------------------------------------------------------------------------------------ */

static void print_checkpoint(const ls_checkpoint_info *c, void *data)
{
    const char        *name = strrchr(c->path, '/');
    const ls_progress *at   = &c->progress;
    int               *rows = data;
    struct stat        s;
    struct tm          local;
    char               when[32] = "";
    name                        = name ? name + 1 : c->path;
    if (!(*rows)++) printf("%-16s %10s %6s %9s  %-16s %-4s %10s  %s\n", "checkpoint", "step", "epoch", "sample", "digest", "isa", "size", "made");
    if (c->problem) {
        printf("%-16s damaged: %.*s\n", name, (int)strcspn(c->problem, "\n"), c->problem);
        return;
    }
    if (stat(c->path, &s) == 0) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&s.st_mtime, &local));
    printf("%-16s %10lld %6lld %9lld  %016llx %-4s %10s  %s\n", name, (long long)at->step, (long long)at->epoch + 1, (long long)at->sample,
           (unsigned long long)at->digest, at->isa, ls_bytes_text((double)c->bytes), when);
}

static ls_status ckpt_ls(ls_arena *memory, const char *run)
{
    int         rows   = 0;
    struct stat s;
    const char *folder = ls_arena_printf(memory, "%s/checkpoints", run);
    LS_CHECK(stat(folder, &s) == 0, LS_ERR_USAGE, "%s: expected the folder of a run with checkpoints: %s" LS_HINT "`lockstep train RECIPE` makes one", folder,
             strerror(errno));
    LS_TRY(ls_checkpoint_list(folder, false, print_checkpoint, &rows));
    if (!rows) printf("%s: no checkpoint yet\n", folder);
    return LS_OK;
}

/* ---- inspect ------------------------------------------------------------------------------------------------------- */

typedef struct totals {
    int64_t arrays, scalars, bad;
} totals;

static void shape_text(char *out, size_t room, int rank, const int64_t *dim)
{
    snprintf(out, room, "%s", rank ? "" : "scalar");
    for (int d = 0; d < rank; d++) snprintf(out + strlen(out), room - strlen(out), "%s%lld", d ? " x " : "", (long long)dim[d]);
}

static void print_array(const ls_checkpoint_array *a, void *data)
{
    totals *t = data;
    char    shape[128];
    double  sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    int64_t bad = 0;
    for (int64_t i = 0; i < a->count; i++) {
        double v = a->values[i];
        if (!isfinite(v)) bad++;
        sum += v;
        squares += v * v;
        least = fmin(least, v);
        most  = fmax(most, v);
    }
    double mean = sum / (double)a->count;
    shape_text(shape, sizeof shape, a->rank, a->dim);
    printf("%-28s %-16s %-20s %11.4g %11.4g %11.4g %11.4g%s\n", a->param, a->what, shape, mean, sqrt(fmax(squares / (double)a->count - mean * mean, 0)), least,
           most, bad ? "  not finite!" : "");
    t->arrays++;
    t->scalars += a->count;
    t->bad += bad;
}

static ls_status inspect_checkpoint(const char *path)
{
    ls_progress at;
    totals      t = {0};
    char        scalars[32];
    printf("%-28s %-16s %-20s %11s %11s %11s %11s\n", "parameter", "array", "shape", "mean", "std", "least", "most");
    LS_TRY(ls_checkpoint_inspect(path, &at, print_array, &t));
    ls__count_text(scalars, sizeof scalars, t.scalars);
    printf("\n%s\nstep %lld, epoch %lld, sample %lld, seed %llu\ndigest %016llx under %s, recipe %s\n%lld arrays, %s numbers, %lld not finite\n", path,
           (long long)at.step, (long long)at.epoch + 1, (long long)at.sample, (unsigned long long)at.seed, (unsigned long long)at.digest, at.isa,
           at.recipe_hash, (long long)t.arrays, scalars, (long long)t.bad);
    return LS_OK;
}

/* The header of a safetensors file: its length as 8 bytes, low first, then JSON. */
static ls_status read_header(ls_arena *memory, const char *path, json_t **header)
{
    unsigned char head[8];
    struct stat   s;
    uint64_t      length = 0;
    *header              = NULL;
    FILE *f              = fopen(path, "re");
    LS_CHECK(f, LS_ERR_DATA, "%s: cannot read: %s", path, strerror(errno));
    ls_status status = LS_OK;
    if (fstat(fileno(f), &s) != 0 || fread(head, 1, 8, f) != 8)
        status = LS_FAIL(LS_ERR_DATA, "%s: expected a safetensors file, found only %lld bytes", path, (long long)s.st_size);
    for (int i = 7; status == LS_OK && i >= 0; i--) length = length << 8 | head[i];
    if (status == LS_OK && length > (uint64_t)s.st_size - 8)
        status = LS_FAIL(LS_ERR_DATA, "%s: expected a safetensors file, but its header would have %llu bytes and the file has %lld" LS_HINT
                         "is it cut off, or in another format?", path, (unsigned long long)length, (long long)s.st_size);
    if (status == LS_OK) {
        json_error_t error;
        char        *text = ls_arena_alloc(memory, (size_t)length + 1);
        size_t       got  = fread(text, 1, (size_t)length, f);
        *header           = got == length ? json_loadb(text, got, 0, &error) : NULL;
        if (!json_is_object(*header)) {
            json_decref(*header);
            *header = NULL;
            status  = LS_FAIL(LS_ERR_DATA, "%s: expected a safetensors file, but its header is no JSON object", path);
        }
    }
    fclose(f);
    return status;
}

static ls_status inspect_safetensors(ls_arena *memory, const char *path)
{
    json_t     *header, *entry;
    const char *name;
    int64_t     arrays = 0, scalars = 0;
    LS_TRY(read_header(memory, path, &header));
    printf("%-36s %-8s %s\n", "name", "type", "shape");
    json_object_foreach(header, name, entry)
    {
        const json_t *dims = json_object_get(entry, "shape");
        const char   *type = json_string_value(json_object_get(entry, "dtype"));
        int64_t       dim[LS_MAX_DIMS], count = 1;
        int           rank = (int)json_array_size(dims);
        char          shape[128];
        if (!strcmp(name, "__metadata__")) continue;
        if (!json_is_array(dims) || !type || rank > LS_MAX_DIMS) {
            json_decref(header);
            return LS_FAIL(LS_ERR_DATA, "%s: expected shape and dtype of '%s' in the header", path, name);
        }
        for (int d = 0; d < rank; d++) count *= dim[d] = json_integer_value(json_array_get(dims, (size_t)d));
        shape_text(shape, sizeof shape, rank, dim);
        printf("%-36s %-8s %s\n", name, type, shape);
        arrays++;
        scalars += count;
    }
    char text[32];
    ls__count_text(text, sizeof text, scalars);
    printf("\n%s: %lld arrays, %s numbers\n", path, (long long)arrays, text);
    json_decref(header);
    return LS_OK;
}

static void take_path(const ls_checkpoint_info *c, void *data)
{
    if (!c->problem) snprintf(data, PATH_MAX, "%s", c->path);
}

/* A checkpoint, a run (its newest sound checkpoint), or a safetensors file. */
static ls_status ckpt_inspect(ls_arena *memory, const char *path)
{
    struct stat s;
    char        newest[PATH_MAX] = "";
    LS_CHECK(stat(path, &s) == 0, LS_ERR_USAGE, "%s: expected a checkpoint, a run or a safetensors file: %s", path, strerror(errno));
    if (!S_ISDIR(s.st_mode)) return inspect_safetensors(memory, path);
    const char *inner = ls_arena_printf(memory, "%s/checkpoints", path);
    if (stat(inner, &s) != 0) return inspect_checkpoint(path);
    LS_TRY(ls_checkpoint_list(inner, false, take_path, newest));
    LS_CHECK(*newest, LS_ERR_USAGE, "%s: this run has no sound checkpoint" LS_HINT "`lockstep ckpt ls` shows what there is", path);
    return inspect_checkpoint(newest);
}

ls_status ls__ckpt_command(int argc, char **argv)
{
    ls_args   args;
    ls_arena *memory;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_arena_new(&memory, "ckpt"));
    ls_status status = strcmp(args.command->name, "ckpt ls") == 0 ? ckpt_ls(memory, args.positional[0]) : ckpt_inspect(memory, args.positional[0]);
    ls_arena_free(memory);
    return status;
}

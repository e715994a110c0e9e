/* SPDX-License-Identifier: Apache-2.0
 * `lockstep ckpt` ls, inspect, verify, diff, prune, export and import: lists, prints, checks, compares and removes
 * checkpoints, prints safetensors files, and exchanges models with other libraries. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/format_text.h"
#include "dist/interop/tensor_set.h"
#include "launch/commands/command_run.h"
#include "launch/commands/command_table.h"
#include "launch/report/unit_text.h"
#include "launch/run/open_model.h"
#include "launch/run/progress.h"
#include "launch/run/run_directory.h"
#include "launch/transfer/export_model.h"
#include "launch/transfer/export_text_model.h"

/* ---- ls ---------------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_checkpoint(const ls_checkpoint_info *c, void *data)
{
    const char        *name = base_name(c->path);
    const ls_progress *at   = &c->progress;
    int               *rows = data;
    struct stat        s;
    struct tm          local;
    char               when[32] = "", loss[16] = "-";
    if (!(*rows)++)
        printf("%-16s %10s %6s %9s %8s  %-16s %-4s %5s %10s  %s\n", "checkpoint", "step", "epoch", "sample", "loss",
               "digest", "isa", "files", "size", "made");
    if (c->problem) {
        printf("%-16s damaged: %.*s\n", name, (int)strcspn(c->problem, "\n"), c->problem);
        return;
    }
    if (!isnan(at->loss)) snprintf(loss, sizeof loss, "%.4f", at->loss);
    if (stat(c->path, &s) == 0) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&s.st_mtime, &local));
    printf("%-16s %10lld %6lld %9lld %8s  %016llx %-4s %5d %10s  %s%s%s\n", name, (long long)at->step,
           (long long)at->epoch + 1, (long long)at->sample, loss, (unsigned long long)at->digest, at->isa, c->parts,
           ls__bytes_text((double)c->bytes), when, c->latest ? "  latest" : "", c->best ? "  best" : "");
}

static ls_status ckpt_ls(ls_arena *memory, const ls_args *args)
{
    const char *run  = args->positional[0];
    int         rows = 0;
    struct stat s;
    const char *folder = ls_arena_printf(memory, "%s/checkpoints", run);
    LS_CHECK(stat(folder, &s) == 0, LS_ERR_USAGE,
             "%s: expected a run directory with checkpoints: %s" LS_HINT "`lockstep train RECIPE` makes one", folder,
             strerror(errno));
    LS_TRY(ls_checkpoint_list(folder, false, print_checkpoint, &rows));
    if (!rows) printf("%s: no checkpoint yet\n", folder);
    return LS_OK;
}

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

enum { TENSOR_PIECE = 1 << 18 };

typedef struct totals {
    int64_t arrays, scalars, bad;
} totals;

static void shape_text(char *out, size_t room, int rank, const int64_t *dim)
{
    snprintf(out, room, "%s", rank ? "" : "scalar");
    for (int d = 0; d < rank; d++)
        snprintf(out + strlen(out), room - strlen(out), "%s%lld", d ? " x " : "", (long long)dim[d]);
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
    printf("%-28s %-16s %-20s %11.4g %11.4g %11.4g %11.4g%s\n", a->param, a->what, shape, mean,
           sqrt(fmax(squares / (double)a->count - mean * mean, 0)), least, most, bad ? "  not finite!" : "");
    t->arrays++;
    t->scalars += a->count;
    t->bad += bad;
}

static ls_status inspect_checkpoint(const char *path)
{
    ls_progress at;
    totals      t = {0};
    char        scalars[32];
    printf("%-28s %-16s %-20s %11s %11s %11s %11s\n", "parameter", "array", "shape", "mean", "std", "min", "max");
    LS_TRY(ls_checkpoint_inspect(path, &at, print_array, &t));
    ls__count_text(scalars, sizeof scalars, t.scalars);
    printf("\n%s\nstep %lld, epoch %lld, sample %lld, seed %llu\ndigest %016llx under %s, recipe %s\n%lld arrays, %s "
           "numbers, %lld not finite\n",
           path, (long long)at.step, (long long)at.epoch + 1, (long long)at.sample, (unsigned long long)at.seed,
           (unsigned long long)at.digest, at.isa, at.recipe_hash, (long long)t.arrays, scalars, (long long)t.bad);
    return LS_OK;
}

/* Prints one tensor of a safetensors file.  Reads its values piece by piece, because a tensor may exceed memory. */
static ls_status inspect_tensor(const ls_stored *e, float *piece, totals *t)
{
    double  sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    int64_t bad = 0;
    char    shape[256];
    for (int64_t at = 0, n; e->type->widen && at < e->numel; at += n) {
        n = e->numel - at < TENSOR_PIECE ? e->numel - at : TENSOR_PIECE;
        LS_TRY(ls__stored_read(e, at, n, piece));
        for (int64_t i = 0; i < n; i++) {
            double v = (double)piece[i];
            if (!isfinite(v)) bad++;
            sum += v;
            squares += v * v;
            least = fmin(least, v);
            most  = fmax(most, v);
        }
    }
    printf("%-36s %-8s %-20s", e->name, e->type->name, ls__stored_shape(shape, e->rank, e->dim));
    double mean = sum / (double)e->numel;
    if (e->type->widen && e->numel)
        printf(" %11.4g %11.4g %11.4g %11.4g", mean, sqrt(fmax(squares / (double)e->numel - mean * mean, 0)), least,
               most);
    printf("%s\n", bad ? "  not finite!" : "");
    t->arrays++;
    t->scalars += e->numel;
    t->bad += bad;
    return LS_OK;
}

static ls_status inspect_set(const ls_tensor_set *set, ls_arena *memory)
{
    totals t     = {0};
    float *piece = ls_arena_alloc(memory, TENSOR_PIECE * sizeof *piece);
    char   scalars[32];
    printf("%-36s %-8s %-20s %11s %11s %11s %11s\n", "name", "type", "shape", "mean", "std", "min", "max");
    for (int i = 0; i < set->count; i++) LS_TRY(inspect_tensor(set->stored[i], piece, &t));
    ls__count_text(scalars, sizeof scalars, t.scalars);
    printf("\n%s: %lld arrays, %s numbers, %lld not finite\n", set->path, (long long)t.arrays, scalars,
           (long long)t.bad);
    return LS_OK;
}

/* Prints a safetensors file, or a folder with one or several. */
static ls_status inspect_safetensors(ls_arena *memory, const char *path)
{
    ls_tensor_set set;
    ls_status     status = ls__tensor_set_open(&set, path);
    if (status == LS_OK) status = inspect_set(&set, memory);
    ls__tensor_set_close(&set);
    return status;
}

static void take_path(const ls_checkpoint_info *c, void *data)
{
    if (!c->problem) snprintf(data, PATH_MAX, "%s", c->path);
}

/* Returns `path`/checkpoints if `path` is a run directory, else NULL. */
static const char *checkpoints_of(ls_arena *memory, const char *path)
{
    struct stat s;
    const char *inner = ls_arena_printf(memory, "%s/checkpoints", path);
    return stat(inner, &s) == 0 ? inner : NULL;
}

/* Returns the path of the checkpoint that the user named; for a run directory, the path of its newest valid checkpoint.
 */
static ls_status find_checkpoint(ls_arena *memory, const char *path, const char **checkpoint)
{
    struct stat s;
    const char *inner  = checkpoints_of(memory, path);
    char       *newest = ls_arena_alloc(memory, PATH_MAX);
    LS_CHECK(stat(path, &s) == 0, LS_ERR_USAGE, "%s: expected a checkpoint or a run: %s", path, strerror(errno));
    *checkpoint = inner ? newest : path;
    if (!inner) return LS_OK;
    LS_TRY(ls_checkpoint_list(inner, false, take_path, newest));
    LS_CHECK(*newest, LS_ERR_USAGE,
             "%s: this run has no valid checkpoint" LS_HINT "`lockstep ckpt ls` lists its checkpoints", path);
    return LS_OK;
}

static bool holds(ls_arena *memory, const char *folder, const char *name)
{
    struct stat s;
    return stat(ls_arena_printf(memory, "%s/%s", folder, name), &s) == 0;
}

/* Prints a checkpoint, the newest valid checkpoint of a run, or the safetensors of a file or folder. */
static ls_status ckpt_inspect(ls_arena *memory, const ls_args *args)
{
    const char *path = args->positional[0];
    struct stat s;
    const char *checkpoint;
    LS_CHECK(stat(path, &s) == 0, LS_ERR_USAGE, "%s: expected a checkpoint, a run or a safetensors file: %s", path,
             strerror(errno));
    if (!S_ISDIR(s.st_mode)) return inspect_safetensors(memory, path);
    if (!checkpoints_of(memory, path) &&
        (holds(memory, path, "model.safetensors") || holds(memory, path, "model.safetensors.index.json")))
        return inspect_safetensors(memory, path);
    LS_TRY(find_checkpoint(memory, path, &checkpoint));
    return inspect_checkpoint(checkpoint);
}

/* ---- verify ------------------------------------------------------------------------------------------------------ */

typedef struct verification {
    const char *name;
    int         files, damaged;
} verification;

static void print_file(const char *file, const char *problem, void *data)
{
    verification *v = data;
    printf("%s/%-14s %s%.*s\n", v->name, file, problem ? "damaged: " : "ok", problem ? (int)strcspn(problem, "\n") : 0,
           problem ? problem : "");
    v->files++;
    v->damaged += problem != NULL;
}

/* Prints one line per file of a checkpoint, and one line for an error that belongs to no file. */
static void verify_one(const char *path, verification *v)
{
    int damaged = v->damaged;
    v->name     = base_name(path);
    if (ls_checkpoint_verify(path, print_file, v) == LS_OK || v->damaged > damaged) return;
    printf("%-29s damaged: %.*s\n", v->name, (int)strcspn(ls_error_message(), "\n"), ls_error_message());
    v->damaged++;
}

static void verify_listed(const ls_checkpoint_info *c, void *data) { verify_one(c->path, data); }

static ls_status ckpt_verify(ls_arena *memory, const ls_args *args)
{
    const char  *path = args->positional[0];
    verification v    = {0};
    struct stat  s;
    const char  *inner = checkpoints_of(memory, path);
    LS_CHECK(stat(path, &s) == 0, LS_ERR_USAGE, "%s: expected a checkpoint or a run: %s", path, strerror(errno));
    if (inner)
        LS_TRY(ls_checkpoint_list(inner, false, verify_listed, &v));
    else
        verify_one(path, &v);
    LS_CHECK(v.damaged == 0, LS_ERR_DATA,
             "%s: %d damaged, of %d files" LS_HINT
             "`lockstep train` skips damaged checkpoints and continues from the newest valid one",
             path, v.damaged, v.files);
    if (!v.files) printf("%s: no checkpoint yet\n", path);
    return LS_OK;
}

/* ---- diff -------------------------------------------------------------------------------------------------------- */

typedef struct comparison {
    int64_t arrays, different, rows;
} comparison;

static void print_difference(comparison *t, const ls_checkpoint_array *a, const char *text)
{
    char shape[128];
    if (!t->rows++)
        printf("%-28s %-16s %-20s %12s %11s %11s\n", "parameter", "array", "shape", "differ", "max", "relative");
    shape_text(shape, sizeof shape, a->rank, a->dim);
    printf("%-28s %-16s %-20s %s\n", a->param, a->what, shape, text);
}

/* Prints the row of two arrays that differ: the number of elements that differ in any bit, the largest difference, and
 * the norm of the difference divided by the norm of `a`. */
static void compare(const ls_checkpoint_array *a, const ls_checkpoint_array *b, void *data)
{
    comparison *t = data;
    char        text[96];
    double      most = 0, squares = 0, norm = 0;
    int64_t     differ = 0;
    t->arrays++;
    if (!a || !b) {
        t->different++;
        print_difference(t, a ? a : b, a ? "only in the first" : "only in the second");
        return;
    }
    if (a->rank != b->rank || memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank) != 0) {
        t->different++;
        shape_text(text, sizeof text, b->rank, b->dim);
        print_difference(t, a, text);
        return;
    }
    for (int64_t i = 0; i < a->count; i++) {
        double x = a->values[i], y = b->values[i], d = fabs(x - y);
        differ += memcmp(&a->values[i], &b->values[i], sizeof *a->values) != 0;
        most = isnan(d) ? NAN : fmax(most, d);
        squares += d * d;
        norm += x * x;
    }
    if (!differ) return;
    t->different++;
    snprintf(text, sizeof text, "%12lld %11.4g %11.4g", (long long)differ, most, sqrt(squares / norm));
    print_difference(t, a, text);
}

static ls_status ckpt_diff(ls_arena *memory, const ls_args *args)
{
    const char *path[2];
    ls_progress at[2];
    comparison  t = {0};
    LS_TRY(find_checkpoint(memory, args->positional[0], &path[0]));
    LS_TRY(find_checkpoint(memory, args->positional[1], &path[1]));
    LS_TRY(ls_checkpoint_pairs(path[0], path[1], at, compare, &t));
    if (t.rows) printf("\n");
    for (int i = 0; i < 2; i++)
        printf("%s: step %lld, epoch %lld, sample %lld, digest %016llx under %s\n", path[i], (long long)at[i].step,
               (long long)at[i].epoch + 1, (long long)at[i].sample, (unsigned long long)at[i].digest, at[i].isa);
    if (t.different)
        printf("%lld of %lld arrays differ\n", (long long)t.different, (long long)t.arrays);
    else
        printf("%lld arrays, the same in every bit\n", (long long)t.arrays);
    return LS_OK;
}

/* ---- prune ------------------------------------------------------------------------------------------------------- */

static void print_removed(const char *path, void *data) { printf("%s %s\n", (const char *)data, path); }

static ls_status ckpt_prune(ls_arena *memory, const ls_args *args)
{
    const char      *run = args->positional[0], *inner = checkpoints_of(memory, run);
    bool             dry = ls_args_option(args, "dry-run") != NULL;
    long long        last, every;
    ls_run_directory folder = {.lock = -1};
    LS_CHECK(inner && strlen(run) < sizeof folder.path, LS_ERR_USAGE, "%s: expected a run directory with checkpoints",
             run);
    LS_TRY(ls_args_int(args, "keep-last", 1, 1000000, 1, &last));
    LS_TRY(ls_args_int(args, "keep-every", 0, INT64_MAX, 0, &every));
    snprintf(folder.path, sizeof folder.path, "%s", run);
    ls_status               status = dry ? LS_OK : ls_run_directory_lock(&folder);
    ls_checkpoint_retention keep   = {(int)last, every, !ls_args_option(args, "no-best")};
    if (status == LS_OK)
        status = ls_checkpoint_prune(inner, &keep, dry, print_removed, dry ? "would remove" : "removed");
    ls_run_directory_close(&folder);
    return status;
}

/* ---- export and import ------------------------------------------------------------------------------------------- */

enum { MAX_SIDE = 16384, USUAL_SIDE = 224 };

/* Prints what the folder holds. */
static void print_model(const ls_run *run, const char *folder)
{
    const ls_dataset_info *d = &run->data;
    if (!run->is_root) return;
    printf("%s: %s, %lld parameters, %d classes\n", folder, run->recipe->model.name,
           (long long)ls_params_total(run->loaded ? run->loaded : ls_trainer_params(run->trainer)), d->classes);
    printf("input: %d x %d x %d, %s, %s %g; mean", d->channels, d->height, d->width,
           ls_image_option_text(&d->image_options, 0), ls_image_option_text(&d->image_options, 1),
           d->image_options.crop > 0 ? (double)d->image_options.crop : 1.0);
    for (int c = 0; c < d->channels; c++) printf(" %g", (double)d->mean[c]);
    printf(", std");
    for (int c = 0; c < d->channels; c++) printf(" %g", (double)d->std[c]);
    printf("\n");
}

static ls_status export_model(ls_run *run, const ls_args *args)
{
    const char *format = ls_args_option(args, "format"), *to = args->positional[1];
    LS_CHECK(!format || !strcmp(format, "timm") || !strcmp(format, "torchvision") || !strcmp(format, "transformers"),
             LS_ERR_USAGE, "ckpt export: --format: expected timm, torchvision or transformers, found '%s'", format);
    const char *from = args->positional[0], *type = ls_args_option(args, "dtype");
    LS_TRY(ls_run_open_model(run, from, "float32"));
    if (run->data.kind == LS_DATA_TEXT || run->data.kind == LS_DATA_LABELLED) {
        LS_TRY(ls_export_text_model(run, from, to, type && !strcmp(type, "same") ? NULL : type ? type : "float32"));
        if (run->is_root)
            printf("%s: %s, %lld parameters, %s\n", to, run->recipe->model.name,
                   (long long)ls_params_total(run->loaded ? run->loaded : ls_trainer_params(run->trainer)),
                   type ? type : "float32");
        return LS_OK;
    }
    LS_CHECK(!type, LS_ERR_USAGE, "ckpt export: --dtype: expected a model of texts, found one for images");
    LS_TRY(
        ls_export_model(run, to, format && !strcmp(format, "transformers") ? LS_EXPORT_TRANSFORMERS : LS_EXPORT_TIMM));
    print_model(run, to);
    return LS_OK;
}

static ls_status import_model(ls_run *run, const ls_args *args)
{
    const char *from = args->positional[0], *to = args->positional[1], *model = ls_args_option(args, "model");
    long long   side;
    LS_TRY(ls_args_int(args, "size", 1, MAX_SIDE, USUAL_SIDE, &side));
    LS_CHECK(model || !ls_args_option(args, "size"), LS_ERR_USAGE,
             "ckpt import: --size: expected together with --model, because config.json states the size");
    LS_TRY(model ? ls_run_open_file(run, from, model, (int)side) : ls_run_open_model(run, from, "float32"));
    LS_TRY(ls_export_model(run, to, LS_EXPORT_TIMM));
    print_model(run, to);
    return LS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* Runs one of the commands above with its arguments parsed and an arena for its strings. */
static ls_status run_with(int argc, char **argv, ls_status (*command)(ls_arena *memory, const ls_args *args))
{
    static ls_args args;
    ls_arena      *memory;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_arena_new(&memory, "ckpt"));
    ls_status status = command(memory, &args);
    ls_arena_free(memory);
    return status;
}

static ls_status run_ls(int argc, char **argv) { return run_with(argc, argv, ckpt_ls); }
static ls_status run_inspect(int argc, char **argv) { return run_with(argc, argv, ckpt_inspect); }
static ls_status run_verify(int argc, char **argv) { return run_with(argc, argv, ckpt_verify); }
static ls_status run_diff(int argc, char **argv) { return run_with(argc, argv, ckpt_diff); }
static ls_status run_prune(int argc, char **argv) { return run_with(argc, argv, ckpt_prune); }

/* The same for the commands that work on a run. */
static ls_status run_on_model(int argc, char **argv, ls_status (*command)(ls_run *run, const ls_args *args))
{
    static ls_args args;
    ls_run         run;
    ls_status      status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = command(&run, &args);
    ls_command_finish(&run, status);
    return status;
}

static ls_status run_export(int argc, char **argv) { return run_on_model(argc, argv, export_model); }
static ls_status run_import(int argc, char **argv) { return run_on_model(argc, argv, import_model); }

const ls_command ls__command_ckpt_ls = {"ckpt ls", "RUN", "list the checkpoints of a run", .run = run_ls};

const ls_command ls__command_ckpt_inspect = {
    .name      = "ckpt inspect",
    .arguments = "CHECKPOINT",
    .text      = "print the arrays of a checkpoint or of a safetensors file",
    .help      = "CHECKPOINT is a folder RUN/checkpoints/step-..., a run directory (its newest valid checkpoint), or a "
                 "safetensors file.\n"
                 "Prints shape, mean, standard deviation, minimum and maximum of every array.",
    .run       = run_inspect,
};

const ls_command ls__command_ckpt_verify = {
    .name      = "ckpt verify",
    .arguments = "CHECKPOINT",
    .text      = "compare a checkpoint, or all checkpoints of a run, with their checksums",
    .help = "Compares every file with the checksum in the checkpoint's manifest, then reads every array.  The exit "
            "code is 3 when\n"
            "a file is damaged.  `xxh64sum -c manifest.xxh64` in the checkpoint's folder compares the checksums "
            "without this program.",
    .run  = run_verify,
};

const ls_command ls__command_ckpt_diff = {
    .name      = "ckpt diff",
    .arguments = "CHECKPOINT CHECKPOINT",
    .text      = "list the arrays that differ between two checkpoints",
    .help      = "Prints for each such array the number of elements that differ in any bit, the largest absolute "
                 "difference, and the norm\n"
                 "of the difference divided by the norm of the first array.  CHECKPOINT is a checkpoint, or a run "
                 "directory (its newest\n"
                 "valid checkpoint).",
    .run       = run_diff,
};

const ls_command ls__command_ckpt_prune = {
    .name      = "ckpt prune",
    .arguments = "RUN",
    .text      = "remove old checkpoints of a run",
    .help = "The newest valid checkpoint always stays.  Damaged checkpoints newer than it are removed.  Fails if a "
            "run is using the\n"
            "run directory.",
    .options =
        LS_OPTIONS({"keep-last", "N", "number of newest checkpoints to keep; default 1"},
                   {"keep-every", "N", "also keep checkpoints whose step is a multiple of N; default 0: none of these"},
                   {"no-best", NULL, "remove the checkpoint with the least held-out loss as well"},
                   {"dry-run", NULL, "print the checkpoints that would be removed, and remove none"}),
    .run = run_prune,
};

const ls_command ls__command_ckpt_export = {
    .name      = "ckpt export",
    .arguments = "RUN OUT",
    .text      = "write a model as a folder that timm, torchvision or transformers loads",
    .help =
        "RUN is a run directory, one of its checkpoints, or a folder of timm or transformers.  OUT becomes a folder "
        "with\n"
        "model.safetensors (float32, bit for bit) and config.json.\n"
        "\n"
        "  lockstep ckpt export runs/flowers flowers-resnet18\n"
        "  python: timm.create_model('local-dir:flowers-resnet18', pretrained=True)\n"
        "  python: torchvision.models.resnet18(num_classes=5).load_state_dict(\n"
        "              safetensors.torch.load_file('flowers-resnet18/model.safetensors'))\n"
        "\n"
        "Models for images: resnet18 to resnet152, efficientnet_lite0 (timm), alexnet and vgg (torchvision).\n"
        "\n"
        "A language model that began with a folder of transformers (model.pretrained) is written with all other files "
        "of that folder.\n"
        "One that was trained from scratch needs no export: its run directory is a folder of transformers.\n"
        "\n"
        "  lockstep ckpt export runs/book SmolLM2-book --dtype bfloat16",
    .options = LS_OPTIONS({"format", "NAME",
                           "timm or torchvision: one folder for both; transformers: ResNetForImageClassification with "
                           "preprocessor_config.json; default timm"},
                          {"dtype", "TYPE",
                           "language models: float32, bfloat16, float16, or same: as in the folder from "
                           "which the model comes; default float32"}),
    .run     = run_export,
};

const ls_command ls__command_ckpt_import = {
    .name      = "ckpt import",
    .arguments = "SOURCE OUT",
    .text      = "make a folder that train, predict and eval read from weights of other libraries",
    .help =
        "SOURCE is a folder of timm or transformers (model.safetensors with config.json), or with --model a "
        "safetensors file with\n"
        "the parameter names of torchvision, timm or transformers.  Every tensor must have its place: missing, "
        "additional and\n"
        "misshapen ones are an error.  OUT becomes a folder with model.safetensors (float32; values are unchanged) and "
        "config.json,\n"
        "for model.pretrained=OUT, `lockstep predict OUT IMAGE` and `lockstep ckpt export OUT`.\n"
        "\n"
        "With --model, images are resized and normalised as for ImageNet; edit OUT/config.json if the weights expect "
        "others.\n"
        "\n"
        "  python: safetensors.torch.save_model(torchvision.models.resnet18(weights='DEFAULT'), 'r18.safetensors')\n"
        "  lockstep ckpt import r18.safetensors resnet18 --model resnet18",
    .options = LS_OPTIONS({"model", "NAME", "architecture of a bare file, such as resnet50 or vgg11_bn"},
                          {"size", "N", "with --model: height and width of the images, pixels; default 224"}),
    .run     = run_import,
};

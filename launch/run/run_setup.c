/* SPDX-License-Identifier: Apache-2.0
 * The stages of a job, from the communicator to the trainer. */
#include "launch/run/run_setup.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/graph/graph.h"
#include "dist/comm/launcher.h"
#include "launch/commands/cmd_data.h"
#include "launch/run/pretrained.h"
#include "launch/run/progress.h"

/* ---- ranks, instruction set, threads ----------------------------------------------------------------------------- */

/* Opens the communicator and parses the arguments.  After an error before the ranks are connected, j->comm is NULL and
 * ls_run_free prints the error on each rank. */
static ls_status connect(ls_run *j, ls_args *args, int argc, char **argv)
{
    const ls_launcher l = ls__launcher();
    LS_TRY(ls__launcher_check(0));
    const bool alone  = l.kind == LS_LAUNCHER_NONE || !l.wired;
    ls_status  status = alone ? ls_comm_self(&j->comm) : ls_comm_mpi(&j->comm, NULL, NULL);
    if (j->comm) {
        j->rank  = ls_comm_rank(j->comm);
        j->ranks = ls_comm_size(j->comm);
        j->first = j->rank == 0;
    }
    LS_TRY(status);
    status = ls_args_parse(args, argc, argv);
    if (status == LS_OK) status = ls_arena_new(&j->memory, "job");
    if (status == LS_OK && j->ranks == 1) status = ls_isa_init();
    LS_TRY_COLLECTIVE(j, status);
    return ls_comm_watchdog(j->comm, &(ls_watchdog_settings){0});
}

/* Prints how to give the ranks of the root rank's host all of its cores, if they use only `used` cores. */
static void hint_at_cores(const ls_launcher *l, int ranks, int used, int online)
{
    const char *many = ranks == 1 ? "" : "s";
    if (used >= online) return;
    if (l->kind == LS_LAUNCHER_SRUN && !l->cores_set && online / ranks > 1)
        fprintf(stderr,
                "lockstep: srun gives the %d rank%s of this host %d of its %d cores" LS_HINT
                "srun --cpus-per-task=%d uses them all\n",
                ranks, many, used, online, online / ranks);
    if (l->kind == LS_LAUNCHER_OPEN_MPI)
        fprintf(stderr,
                "lockstep: mpirun gives the %d rank%s of this host %d of its %d cores" LS_HINT
                "mpirun --bind-to none gives them all\n",
                ranks, many, used, online);
}

/* Divides the cores of the host among its ranks; rank 0 prints a hint when they do not use all of them. */
static ls_status choose_threads(ls_run *j)
{
    const ls_launcher l     = ls__launcher();
    const char       *asked = getenv("OMP_NUM_THREADS");
    ls_comm_cores     cores;
    LS_TRY(ls_comm_divide_cores(j->comm, &cores));
    j->threads = cores.threads;
    if (!j->first || (asked && *asked)) return LS_OK;
    hint_at_cores(&l, cores.ranks, l.kind == LS_LAUNCHER_SRUN ? cores.ranks * cores.threads : cores.allowed,
                  cores.online);
    return LS_OK;
}

static void *pass(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* OpenMP ends the process where it gets no threads, without a word of ours: so it is tried first, and they are made
 * while there is room for them. */
static ls_status start_threads(const ls_run *j)
{
    const int       others = j->threads - 1;
    pthread_t      *thread = ls_arena_alloc(j->memory, sizeof *thread * (size_t)j->threads);
    pthread_mutex_t gate   = PTHREAD_MUTEX_INITIALIZER;
    int             made = 0, why = 0, together = 0;
    pthread_mutex_lock(&gate);
    while (made < others && !(why = pthread_create(&thread[made], NULL, pass, &gate))) made++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++) pthread_join(thread[i], NULL);
    LS_CHECK(!why, LS_ERR_ENV,
             "cannot start %d threads, but %d: %s" LS_HINT
             "OMP_NUM_THREADS=1, fewer ranks on this host, or higher limits (ulimit -v, ulimit -u)",
             j->threads, made + 1, strerror(why));
#pragma omp parallel reduction(+ : together)
    together++;
    return together ? LS_OK : LS_FAIL(LS_ERR_FAILED, "OpenMP runs nothing");
}

ls_status ls_run_start(ls_run *j, ls_args *args, int argc, char **argv)
{
    *j = (ls_run){0};
    LS_TRY(connect(j, args, argc, argv));
    LS_TRY(choose_threads(j));
    LS_TRY_COLLECTIVE(j, start_threads(j));
    return LS_OK;
}

void ls_run_free(ls_run *j, ls_status status)
{
    if (ls_comm_prints_error(j->comm, status)) ls_error_print(status);
    ls_trainer_free(j->trainer);
    ls_graph_free(j->graph);
    ls_dataset_free(j->train);
    ls_dataset_free(j->test);
    ls_recipe_free(j->recipe);
    ls_arena_free(j->memory);
    ls_comm_free(j->comm);
    *j = (ls_run){0};
}

ls_status ls_run_most(ls_run *j, uint64_t mine, uint64_t *most)
{
    uint64_t *all = ls_arena_alloc(j->memory, sizeof *all * (size_t)j->ranks);
    LS_TRY(ls_comm_allgather(j->comm, &mine, all, sizeof mine));
    *most = 0;
    for (int r = 0; r < j->ranks; r++) *most = all[r] > *most ? all[r] : *most;
    return LS_OK;
}

ls_status ls_run_watch(ls_run *j, const char *folder)
{
    int          width;
    const double floor_s = (double)j->recipe->watchdog.floor_s;
    return ls_comm_watchdog(j->comm, &(ls_watchdog_settings){.off           = floor_s <= 0,
                                                             .floor_s       = floor_s,
                                                             .folder        = folder,
                                                             .progress_line = ls_on_terminal(&width)});
}

/* ---- the recipe -------------------------------------------------------------------------------------------------- */

static ls_status check_shards(ls_run *j)
{
    const ls_recipe *r = j->recipe;
    if (!r->train.reproducible) {
        LS_CHECK(j->ranks <= r->train.batch, LS_ERR_USAGE,
                 "%s: train.batch: expected at least one sample for each of the %d ranks, found %lld",
                 ls_recipe_where(r, "train.batch"), j->ranks, (long long)r->train.batch);
        j->shards = j->ranks * (int)r->train.accumulate;
        return LS_OK;
    }
    j->shards  = r->train.shards ? (int)r->train.shards : ls_default_shards(r->train.batch);
    int enough = 1;
    while (enough < j->ranks) enough *= 2;
    LS_CHECK(
        j->ranks <= j->shards, LS_ERR_USAGE,
        "%s: train.shards: expected at least one shard for each of the %d ranks, found %d" LS_HINT
        "train.shards=%d (other shards give other bits; train.batch is at least as many), or train.reproducible=false",
        ls_recipe_where(r, "train.shards"), j->ranks, j->shards, enough);
    return LS_OK;
}

ls_status ls_run_recipe(ls_run *j, const char *recipe, int overrides, char *const *override)
{
    LS_TRY_COLLECTIVE(j, ls_recipe_load(&j->recipe, recipe, overrides, override));
    char seed[32];
    snprintf(seed, sizeof seed, "%lld", (long long)j->recipe->train.seed);
    const char *names[]  = {"version", "recipe", "train.seed", "instruction set"};
    const char *values[] = {LS_VERSION, j->recipe->full_hash, seed, ls_isa_name(ls_isa_current())};
    LS_TRY(ls_comm_same(j->comm, 4, names, values));
    LS_TRY(ls_run_watch(j, NULL));
    LS_TRY_COLLECTIVE(j, check_shards(j));
    return LS_OK;
}

static bool is_file(const char *folder, const char *name)
{
    char        path[PATH_MAX];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* runs/x, or runs/x/checkpoints/step-00000128. */
static ls_status find_run(const char *path, char folder[PATH_MAX], int64_t *step)
{
    struct stat s;
    LS_CHECK(strlen(path) + 32 < PATH_MAX, LS_ERR_USAGE, "the path of a run is too long: %.60s...", path);
    LS_CHECK(stat(path, &s) == 0, LS_ERR_USAGE,
             "%s: expected the folder of a run: %s" LS_HINT "`lockstep train RECIPE` makes one", path, strerror(errno));
    snprintf(folder, PATH_MAX, "%s", path);
    *step    = -1;
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') folder[--n] = 0;
    if (is_file(folder, "recipe.yaml")) return LS_OK;
    char        real[PATH_MAX]; /* `latest` and `best` are links */
    const char *name = realpath(path, real) ? strrchr(real, '/') : NULL;
    long long   number;
    if (name && sscanf(name, "/step-%lld", &number) == 1) {
        snprintf(folder, PATH_MAX, "%s/../..", path);
        *step = number;
        if (is_file(folder, "recipe.yaml")) return LS_OK;
    }
    return LS_FAIL(LS_ERR_USAGE,
                   "%s: expected the folder of a run, which has a recipe.yaml, or of one of its checkpoints" LS_HINT
                   "`ls runs` shows the runs of this folder",
                   path);
}

ls_status ls_run_run(ls_run *j, const char *path, int overrides, char *const *override, char folder[PATH_MAX],
                     int64_t *step)
{
    char recipe[PATH_MAX + 16];
    LS_TRY_COLLECTIVE(j, find_run(path, folder, step));
    snprintf(recipe, sizeof recipe, "%s/recipe.yaml", folder);
    LS_TRY(ls_run_recipe(j, recipe, overrides, override));
    j->recipe->model.pretrained = NULL; /* what the run started from is of no interest any more */
    return LS_OK;
}

ls_status ls_run_load(ls_run *j, const char *folder, int64_t step, const char **from)
{
    const char *checkpoints = ls_arena_printf(j->memory, "%s/checkpoints", folder),
               *model       = ls_arena_printf(j->memory, "%s/model.safetensors", folder);
    ls_progress at;
    bool        found = true;
    if (step >= 0) {
        *from = ls_arena_printf(j->memory, "%s/step-%08lld", checkpoints, (long long)step);
        return ls_checkpoint_read(j->trainer, *from, &at);
    }
    LS_TRY(ls_checkpoint_load(j->trainer, checkpoints, &at, &found));
    *from = found ? ls_arena_printf(j->memory, "%s/step-%08lld", checkpoints, (long long)at.step) : model;
    if (found) return LS_OK;
    LS_TRY_COLLECTIVE(
        j, is_file(folder, "model.safetensors")
               ? ls_safetensors_load(model, ls_trainer_params(j->trainer), false)
               : LS_FAIL(LS_ERR_USAGE,
                         "%s: expected a checkpoint or a model.safetensors, found neither" LS_HINT
                         "the run has not come to its first checkpoint; the same `lockstep train` continues it",
                         folder));
    return LS_OK;
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static ls_status open_split(const ls_run *j, ls_dataset **d, bool held_out, int64_t *count)
{
    LS_TRY(ls_data_open(d, j->recipe, held_out));
    ls_dataset_info info = ls_dataset_info_of(*d);
    *count               = ls_dataset_epoch(*d, held_out);
    LS_CHECK(*count > 0, LS_ERR_DATA, "%s: expected samples in the split %s, found none", info.path, info.split);
    return LS_OK;
}

static ls_status check_same(const ls_dataset_info *a, const ls_dataset_info *b)
{
    LS_CHECK(a->kind == b->kind, LS_ERR_DATA,
             "%s: expected the same kind of data in %s and %s, found text and pictures", a->path, a->split, b->split);
    if (a->kind == LS_DATA_TEXT) {
        LS_CHECK(a->classes == b->classes && !strcmp(a->tokenizer_hash, b->tokenizer_hash), LS_ERR_DATA,
                 "%s: expected the tokens of one tokenizer in %s and %s, found vocabularies of %d and %d, hashes %s "
                 "and %s" LS_HINT "import the text again",
                 a->path, a->split, b->split, a->classes, b->classes, a->tokenizer_hash, b->tokenizer_hash);
        return LS_OK;
    }
    LS_CHECK(
        a->channels == b->channels && a->height == b->height && a->width == b->width && a->classes == b->classes,
        LS_ERR_DATA,
        "%s: expected the same samples in %s and %s, found %d x %d x %d in %d classes and %d x %d x %d in %d classes",
        a->path, a->split, b->split, a->channels, a->height, a->width, a->classes, b->channels, b->height, b->width,
        b->classes);
    return LS_OK;
}

static ls_status open_splits(ls_run *j, ls_splits splits)
{
    if (splits & LS_SPLITS_TRAIN) LS_TRY(open_split(j, &j->train, false, &j->train_count));
    if (splits & LS_SPLITS_TEST) LS_TRY(open_split(j, &j->test, true, &j->test_count));
    j->data = ls_dataset_info_of(j->train ? j->train : j->test);
    if (!j->train || !j->test) return LS_OK;
    ls_dataset_info test = ls_dataset_info_of(j->test);
    return check_same(&j->data, &test);
}

const char *ls_run_samples_text(const ls_run *j)
{
    const ls_dataset_info *d = &j->data;
    if (d->kind == LS_DATA_TEXT)
        return ls_arena_printf(j->memory, "%lld + %lld windows of %lld tokens, a vocabulary of %d",
                               (long long)j->train_count, (long long)j->test_count, (long long)d->context, d->classes);
    return ls_arena_printf(j->memory, "%lld + %lld samples of %d x %d x %d in %d classes", (long long)j->train_count,
                           (long long)j->test_count, d->channels, d->height, d->width, d->classes);
}

ls_status ls_run_data(ls_run *j, ls_splits splits)
{
    LS_TRY_COLLECTIVE(j, open_splits(j, splits));
    const ls_recipe *r = j->recipe;
    j->epoch_steps     = (j->train_count + r->train.batch - 1) / r->train.batch;
    j->total_steps     = j->epoch_steps * r->train.epochs;
    if (r->train.max_steps > 0 && (r->train.max_steps < j->total_steps || !r->train.epochs))
        j->total_steps = r->train.max_steps;
    const char *names[]  = {"data", "tokenizer"};
    const char *values[] = {ls_run_samples_text(j), j->data.tokenizer_hash ? j->data.tokenizer_hash : ""};
    return ls_comm_same(j->comm, 2, names, values);
}

/* ---- graph and trainer ------------------------------------------------------------------------------------------- */

static ls_status build_pictures(ls_run *j)
{
    const ls_recipe *r = j->recipe;
    j->input           = ls_input(j->graph, "image", LS_F32, j->data.channels, j->data.height, j->data.width);
    j->target          = ls_input(j->graph, "label", LS_I32);
    LS_TRY(ls_recipe_build(r, j->graph, j->input, j->data.classes, &j->logits));
    j->loss = ls_cross_entropy(j->logits, j->target, .label_smoothing = r->train.label_smoothing);
    return LS_OK;
}

static ls_status build_text(ls_run *j)
{
    j->input  = ls_input(j->graph, "tokens", LS_I32, j->data.context);
    j->target = ls_input(j->graph, "target", LS_I32, j->data.context);
    return ls_recipe_build_language(j->recipe, j->graph, &(ls_language_inputs){.x = j->input, .target = j->target},
                                    j->data.classes, &j->loss);
}

static ls_status build_graph(ls_run *j)
{
    const ls_recipe *r = j->recipe;
    LS_CHECK(r->device == LS_CPU, LS_ERR_ENV, "%s: device: this build has no GPU support, expected cpu",
             ls_recipe_where(r, "device"));
    j->graph = ls_graph_new();
    LS_TRY(j->data.kind == LS_DATA_TEXT ? build_text(j) : build_pictures(j));
    return ls_graph_status(j->graph);
}

static void digest_layout(ls_run *j)
{
    XXH64_hash_t h = 0;
    for (int i = 0; i < j->graph->tensors; i++) {
        const ls_tensor *t = j->graph->tensor[i];
        if (t->role != LS_ROLE_PARAM) continue;
        h = XXH64(t->name, strlen(t->name) + 1, h);
        h = XXH64(t->dim, sizeof *t->dim * (size_t)t->rank, h);
    }
    snprintf(j->layout, sizeof j->layout, "%016llx", (unsigned long long)h);
}

ls_status ls_run_graph(ls_run *j)
{
    LS_TRY_COLLECTIVE(j, build_graph(j));
    digest_layout(j);
    const char *names[] = {"parameter layout"}, *values[] = {j->layout};
    return ls_comm_same(j->comm, 1, names, values);
}

ls_trainer_options ls_run_trainer_options(const ls_run *j)
{
    const ls_recipe   *r       = j->recipe;
    ls_trainer_options options = {
        .comm             = j->comm,
        .batch            = r->train.batch,
        .eval_batch       = r->eval.batch,
        .optim            = r->optim,
        .seed             = (uint64_t)r->train.seed,
        .shards           = j->shards,
        .accumulate       = (int)r->train.accumulate,
        .not_reproducible = !r->train.reproducible,
        .steps            = j->total_steps,
        .bucket_bytes     = r->train.bucket_bytes,
        .window           = r->train.window,
        .overlap          = r->train.overlap,
        .wire             = r->train.wire,
        .zero             = (int)r->train.zero,
        .on_nan           = r->train.on_nan,
        .check_every      = r->train.check_every,
        .device           = r->device,
        .snapshot         = r->checkpoint.background && j->total_steps > 0,
        .writers          = (int)r->checkpoint.writers,
        .logits           = j->logits,
        .label            = j->logits ? j->target : NULL,
    };
    if (!j->total_steps)
        options.optim.schedule = (ls_schedule){0}; /* of what does not train: its length is not known */
    return options;
}

static ls_status load_pretrained(ls_run *j)
{
    const char *path = j->recipe->model.pretrained;
    if (!path) return LS_OK;
    LS_CHECK(access(path, R_OK) == 0, LS_ERR_DATA, "%s: model.pretrained: cannot read %s: %s",
             ls_recipe_where(j->recipe, "model.pretrained"), path, strerror(errno));
    LS_TRY(ls_pretrained_check_tokenizer(path, &j->data));
    return ls_pretrained_load(path, ls_trainer_params(j->trainer));
}

ls_status ls_run_trainer(ls_run *j)
{
    ls_trainer_options options = ls_run_trainer_options(j);
    LS_TRY_COLLECTIVE(j, ls__trainer_new(&j->trainer, j->graph, j->loss, &options));
    LS_TRY_COLLECTIVE(j, load_pretrained(j));
    char digest[17];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)ls_trainer_digest(j->trainer));
    const char *names[] = {"first parameters"}, *values[] = {digest};
    return ls_comm_same(j->comm, 1, names, values);
}

ls_status ls_run_first_batch(ls_run *j, ls_loader **loader, ls_batch *batch)
{
    LS_TRY_COLLECTIVE(j, ls_loader_new(loader, j->train, .batch = j->recipe->train.batch, .shards = j->shards,
                                       .ranks = j->ranks, .rank = j->rank, .seed = (uint64_t)j->recipe->train.seed,
                                       .prefetch = 1));
    return ls_comm_agree(j->comm, ls_loader_next(*loader, batch) ? LS_OK : ls_loader_status(*loader));
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

static ls_status evaluate(ls_run *j, ls_loader *loader, double *loss, double *accuracy)
{
    const int64_t most     = j->recipe->eval.samples ? j->recipe->eval.samples : INT64_MAX;
    double        loss_sum = 0, weight = 0, right = 0;
    ls_batch      batch;
    ls_metrics    m;
    for (j->judged = 0; j->judged < most;) {
        ls_run_begins(j, LS_PHASE_DATA, "next batch", 0);
        bool more = ls_loader_next(loader, &batch);
        ls_run_ends(j, LS_OK);
        LS_TRY_COLLECTIVE(j, more ? LS_OK : ls_loader_status(loader));
        if (!more) break;
        LS_TRY(ls_trainer_eval(j->trainer, &batch, &m));
        loss_sum += m.loss * m.weight;
        weight += m.weight;
        right += m.accuracy * (double)batch.global_rows;
        j->judged += batch.global_rows;
    }
    *loss     = loss_sum / weight;
    *accuracy = right / (double)j->judged;
    return LS_OK;
}

ls_status ls_run_evaluate(ls_run *j, ls_dataset *split, double *loss, double *accuracy)
{
    const ls_recipe *r      = j->recipe;
    ls_loader       *loader = NULL;
    int64_t          batch  = r->eval.batch ? r->eval.batch : r->train.batch;
    LS_TRY_COLLECTIVE(j, ls_loader_new(&loader, split, .batch = batch, .shards = j->shards, .ranks = j->ranks,
                                       .rank = j->rank, .in_order = true, .epochs = 1));
    ls_status status = evaluate(j, loader, loss, accuracy);
    ls_loader_free(loader);
    return status;
}

double ls_perplexity(double loss) { return exp(loss); }

double ls_bits_per_byte(const ls_dataset_info *split, double loss)
{
    return split->bytes ? loss / log(2) * (double)split->tokens / (double)split->bytes : NAN;
}

void ls_print_scores(const ls_dataset_info *split, double loss, double accuracy)
{
    char name[LS_SPLIT_NAME + 16];
    if (split->kind == LS_DATA_IMAGES) {
        snprintf(name, sizeof name, "%s accuracy", split->split);
        printf("%-14s %.2f %%\n", name, 100 * accuracy);
    }
    snprintf(name, sizeof name, "%s loss", split->split);
    printf("%-14s %.4f\n", name, loss);
    if (split->kind == LS_DATA_IMAGES) return;
    printf("%-14s %.3f\n", "perplexity", ls_perplexity(loss));
    if (split->bytes) printf("%-14s %.4f\n", "bits per byte", ls_bits_per_byte(split, loss));
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

const char *ls_processor_name(void)
{
    static char name[128];
    FILE       *f = *name ? NULL : fopen("/proc/cpuinfo", "re");
    char        line[512];
    while (f && !*name && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f) fclose(f);
    return name;
}

const char *ls_bytes_text(double bytes)
{
    static _Thread_local char ring[8][32];
    static _Thread_local int  next;
    static const char *const  unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char                     *text   = ring[next++ % 8];
    int                       u      = 0;
    for (; bytes >= 1024 && u < 4; u++) bytes /= 1024;
    snprintf(text, sizeof ring[0], u ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
    return text;
}

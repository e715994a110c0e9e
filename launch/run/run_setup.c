/* SPDX-License-Identifier: Apache-2.0
 * The stages that set up a run, from its ranks to its trainer. */
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
#include "dist/checkpoint/checkpoint_trainer.h"
#include "dist/comm/launcher.h"
#include "dist/trainer/trainer.h"
#include "launch/data/dataset_shapes.h"
#include "launch/data/dataset_source.h"
#include "launch/recipe/product_table_file.h"
#include "launch/run/progress.h"
#include "launch/tasks/task.h"
#include "launch/transfer/initial_params.h"

/* ---- ranks, instruction set, threads ----------------------------------------------------------------------------- */

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
static ls_status choose_threads(ls_run *run)
{
    const ls_launcher l     = ls__launcher();
    const char       *asked = getenv("OMP_NUM_THREADS");
    ls_comm_cores     cores;
    LS_TRY(ls_comm_divide_cores(run->comm, &cores));
    run->threads = cores.threads;
    if (!run->is_root || (asked && *asked)) return LS_OK;
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

/* Starts the threads of OpenMP.  OpenMP ends the process without a message when it cannot start a thread; therefore
 * this function first tries whether as many threads can be started. */
static ls_status start_threads(const ls_run *run)
{
    const int       others = run->threads - 1;
    pthread_t      *thread = ls_arena_alloc(run->memory, sizeof *thread * (size_t)run->threads);
    pthread_mutex_t gate   = PTHREAD_MUTEX_INITIALIZER;
    int             made = 0, why = 0, together = 0;
    pthread_mutex_lock(&gate);
    while (made < others && !(why = pthread_create(&thread[made], NULL, pass, &gate))) made++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++) pthread_join(thread[i], NULL);
    LS_CHECK(!why, LS_ERR_ENV,
             "threads: expected %d, could start %d: %s" LS_HINT
             "OMP_NUM_THREADS=1, fewer ranks on this host, or higher limits (ulimit -v, ulimit -u)",
             run->threads, made + 1, strerror(why));
#pragma omp parallel reduction(+ : together)
    together++;
    return together ? LS_OK : LS_FAIL(LS_ERR_FAILED, "threads: OpenMP executed no thread");
}

ls_status ls_run_start(ls_run *run, ls_comm *comm)
{
    *run             = (ls_run){.comm = comm, .rank = ls_comm_rank(comm), .ranks = ls_comm_size(comm)};
    run->is_root     = run->rank == 0;
    ls_status status = ls_arena_new(&run->memory, "run");
    if (status == LS_OK && run->ranks == 1) status = ls_isa_init(); /* several ranks have agreed in ls_comm_mpi */
    LS_TRY_COLLECTIVE(run, status);
    LS_TRY(ls_comm_watchdog(comm, LS_WATCHDOG_SETTINGS()));
    LS_TRY(choose_threads(run));
    LS_TRY_COLLECTIVE(run, start_threads(run));
    return LS_OK;
}

void ls_run_close(ls_run *run)
{
    ls_trainer_free(run->trainer);
    ls_params_free(run->loaded);
    ls_tokenizer_free(run->tokenizer);
    ls_tokenizer_free(run->source_tokenizer);
    ls_scaler_free(run->scaler);
    ls_graph_free(run->graph);
    ls_dataset_free(run->train);
    ls_dataset_free(run->test);
    ls_recipe_free(run->recipe);
    ls_arena_free(run->memory);
    *run = (ls_run){0};
}

ls_status ls_run_maximum(ls_run *run, uint64_t mine, uint64_t *maximum)
{
    uint64_t *all = ls_arena_alloc(run->memory, sizeof *all * (size_t)run->ranks);
    LS_TRY(ls_comm_allgather(run->comm, &mine, all, sizeof mine));
    *maximum = 0;
    for (int r = 0; r < run->ranks; r++) *maximum = all[r] > *maximum ? all[r] : *maximum;
    return LS_OK;
}

ls_status ls_run_watch(ls_run *run, const char *folder)
{
    int          width;
    const double floor_s = (double)run->recipe->watchdog.floor_s;
    return ls_comm_watchdog(run->comm, LS_WATCHDOG_SETTINGS(.off = floor_s <= 0, .floor_s = floor_s, .folder = folder,
                                                            .progress_line = ls_on_terminal(&width)));
}

/* ---- the recipe -------------------------------------------------------------------------------------------------- */

static ls_status check_shards(ls_run *run)
{
    const ls_recipe *r = run->recipe;
    if (!r->train.reproducible) {
        LS_CHECK(run->ranks <= r->train.batch, LS_ERR_USAGE,
                 "%s: train.batch: expected at least one sample for each of the %d ranks, found %lld",
                 ls_recipe_where(r, "train.batch"), run->ranks, (long long)r->train.batch);
        run->shards = run->ranks * r->trainer.accumulate;
        return LS_OK;
    }
    run->shards = r->trainer.shards
                      ? r->trainer.shards
                      : ls__shards_for_groups(r->train.batch, r->model.norm_over, ls_default_shards(r->train.batch));
    int enough  = 1;
    while (enough < run->ranks) enough *= 2;
    LS_CHECK(run->ranks <= run->shards || !r->model.norm_over || r->trainer.shards, LS_ERR_USAGE,
             "%s: model.norm_over: expected at least one virtual shard of whole groups of %lld samples for each of the "
             "%d ranks, found %d" LS_HINT "raise train.batch, lower model.norm_over, or use fewer ranks",
             ls_recipe_where(r, "model.norm_over"), (long long)r->model.norm_over, run->ranks, run->shards);
    LS_CHECK(
        run->ranks <= run->shards, LS_ERR_USAGE,
        "%s: train.shards: expected at least one shard for each of the %d ranks, found %d" LS_HINT
        "train.shards=%d (other shards give other bits; train.batch is at least as many), or train.reproducible=false",
        ls_recipe_where(r, "train.shards"), run->ranks, run->shards, enough);
    return LS_OK;
}

ls_status ls_run_set_recipe(ls_run *run, ls_recipe *recipe)
{
    char seed[32];
    run->recipe = recipe;
    LS_TRY_COLLECTIVE(run, ls_adopt_model(recipe, run->is_root));
    LS_TRY_COLLECTIVE(run, ls_adopt_input(recipe, run->is_root));
    snprintf(seed, sizeof seed, "%lld", (long long)recipe->train.seed);
    const char *names[]  = {"version", "recipe", "train.seed", "instruction set"};
    const char *values[] = {LS_VERSION, recipe->full_hash, seed, ls_isa_name(ls_isa_current())};
    LS_TRY(ls_comm_same(run->comm, 4, names, values));
    if (run->rank == 0 && recipe->note) fprintf(stderr, "note: %s\n", recipe->note);
    LS_TRY(ls_run_watch(run, NULL));
    LS_TRY_COLLECTIVE(run, check_shards(run));
    return LS_OK;
}

ls_status ls_run_recipe(ls_run *run, const char *recipe, int overrides, char *const *override)
{
    ls_recipe *loaded = NULL;
    LS_TRY_COLLECTIVE(run, ls_recipe_load(&loaded, recipe, overrides, override));
    return ls_run_set_recipe(run, loaded);
}

static bool is_file(const char *folder, const char *name)
{
    char        path[PATH_MAX];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* Finds the run directory of a path: runs/x, or runs/x/checkpoints/step-00000128. */
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
    char        real[PATH_MAX]; /* the links `latest` and `best` lead to step-... */
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

ls_status ls_run_find(ls_run *run, const char *path, int overrides, char *const *override, char folder[PATH_MAX],
                      int64_t *step)
{
    char recipe[PATH_MAX + 16];
    LS_TRY_COLLECTIVE(run, find_run(path, folder, step));
    snprintf(recipe, sizeof recipe, "%s/recipe.yaml", folder);
    LS_TRY(ls_run_recipe(run, recipe, overrides, override));
    run->origin = run->recipe->model.pretrained;
    run->recipe->model.pretrained =
        NULL; /* pretrained parameters are not loaded again when a run is continued or opened */
    run->directory = ls_arena_strdup(run->memory, folder);
    return LS_OK;
}

ls_status ls_run_swap_average(ls_run *run)
{
    return run->averaged || !run->trainer ? LS_OK : ls__trainer_swap_average(run->trainer);
}

/* Replaces the parameters by their average for the rest of the run.  Collective. */
static ls_status use_average(ls_run *run)
{
    LS_TRY(ls_run_swap_average(run));
    run->averaged = true;
    return LS_OK;
}

ls_status ls_run_load(ls_run *run, const char *folder, int64_t step, const char **from)
{
    const char *checkpoints = ls_arena_printf(run->memory, "%s/checkpoints", folder),
               *model       = ls_arena_printf(run->memory, "%s/model.safetensors", folder);
    ls_progress at;
    bool        found = true;
    if (step >= 0) {
        *from = ls_arena_printf(run->memory, "%s/step-%08lld", checkpoints, (long long)step);
        LS_TRY(ls_checkpoint_read(run->trainer, *from, &at));
        return use_average(run);
    }
    LS_TRY(ls_checkpoint_load(run->trainer, checkpoints, &at, &found));
    *from = found ? ls_arena_printf(run->memory, "%s/step-%08lld", checkpoints, (long long)at.step) : model;
    if (found) return use_average(run);
    run->averaged = true; /* the file holds the average */
    LS_TRY_COLLECTIVE(
        run, is_file(folder, "model.safetensors")
                 ? ls_safetensors_load(model, ls_trainer_params(run->trainer), false)
                 : LS_FAIL(LS_ERR_USAGE,
                           "%s: expected a checkpoint or a model.safetensors, found neither" LS_HINT
                           "the run has not come to its first checkpoint; the same `lockstep train` continues it",
                           folder));
    return LS_OK;
}

ls_status ls_run_set_precision(ls_run *run, const char *precision)
{
    LS_TRY_COLLECTIVE(run, ls_precision_parse(precision, &run->recipe->train.precision));
    const char *names[] = {"precision"}, *values[] = {ls__dtype_name(run->recipe->train.precision)};
    return ls_comm_same(run->comm, 1, names, values);
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

int64_t ls_run_eval_batch(const ls_run *run)
{
    return run->recipe->eval.batch ? run->recipe->eval.batch : run->recipe->train.batch;
}

static ls_status open_split(const ls_run *run, ls_dataset **d, bool held_out, int64_t *count)
{
    LS_TRY(ls_data_open(d, run->recipe, held_out));
    ls_dataset_info info = ls_dataset_info_of(*d);
    *count               = ls_dataset_epoch(*d, held_out, held_out ? ls_run_eval_batch(run) : run->recipe->train.batch);
    LS_CHECK(*count > 0 || !info.streams, LS_ERR_DATA,
             "%s: the split %s has %lld windows of %lld tokens, expected one at least for each of the streams" LS_HINT
             "make batches smaller (train.batch, eval.batch), or the context shorter",
             info.path, info.split, (long long)info.count, (long long)info.context);
    LS_CHECK(*count > 0, LS_ERR_DATA, "%s: expected samples in the split %s, found none", info.path, info.split);
    return LS_OK;
}

static ls_status check_same(const ls_task *task, const ls_dataset_info *a, const ls_dataset_info *b)
{
    const ls_task *other = ls_task_of(b);
    LS_CHECK(task == other, LS_ERR_DATA, "%s: expected the same kind of data in %s and %s, found %s and %s", a->path,
             a->split, b->split, task->data, other->data);
    return task->check_splits(a, b);
}

static ls_status open_splits(ls_run *run, ls_splits splits)
{
    if (splits & LS_SPLITS_TRAIN) LS_TRY(open_split(run, &run->train, false, &run->train_count));
    if (splits & LS_SPLITS_TEST) LS_TRY(open_split(run, &run->test, true, &run->test_count));
    run->data = ls_dataset_info_of(run->train ? run->train : run->test);
    run->task = ls_task_of(&run->data);
    if (!run->train || !run->test) return LS_OK;
    ls_dataset_info test = ls_dataset_info_of(run->test);
    return check_same(run->task, &run->data, &test);
}

const char *ls_run_samples_text(const ls_run *run)
{
    char sample[256];
    run->task->sample_text(&run->data, sample, sizeof sample);
    return ls_arena_printf(run->memory, "%lld + %lld %s %s", (long long)run->train_count, (long long)run->test_count,
                           run->task->samples_text, sample);
}

ls_status ls_run_data(ls_run *run, ls_splits splits)
{
    LS_TRY_COLLECTIVE(run, open_splits(run, splits));
    if (run->task->normalise) LS_TRY_COLLECTIVE(run, run->task->normalise(run));
    const ls_recipe *r = run->recipe;
    run->epoch_steps   = (run->train_count + r->train.batch - 1) / r->train.batch;
    run->total_steps   = run->epoch_steps * r->train.epochs;
    if (r->train.max_steps > 0 && (r->train.max_steps < run->total_steps || !r->train.epochs))
        run->total_steps = r->train.max_steps;
    const char *names[]  = {"data", "tokenizer"};
    const char *values[] = {ls_run_samples_text(run), run->data.tokenizer_hash ? run->data.tokenizer_hash : ""};
    return ls_comm_same(run->comm, 2, names, values);
}

/* Describes the recipe's data without opening them; NULL: the recipe does not determine their shapes. */
static const ls_task *describe(const ls_recipe *r, ls_dataset_info *info)
{
    for (const ls_task *const *task = ls__tasks; *task; task++)
        if ((*task)->describe_unopened && (*task)->describe_unopened(r, info)) return *task;
    return NULL;
}

ls_status ls_run_data_or_shapes(ls_run *run, ls_splits splits)
{
    ls_dataset_info info;
    ls_status       status = ls_run_data(run, splits);
    if (status != LS_ERR_DATA) return status;
    ls_error       why  = ls_error_save(status);
    const ls_task *task = describe(run->recipe, &info);
    if (!task) return ls_error_restore(&why);
    ls_dataset_free(run->train);
    ls_dataset_free(run->test);
    run->test = NULL;
    LS_TRY_COLLECTIVE(run, ls_data_shapes(&run->train, &info));
    run->data        = ls_dataset_info_of(run->train);
    run->task        = task;
    run->train_count = run->test_count = run->epoch_steps = 0;
    run->total_steps                                      = run->recipe->train.max_steps;
    if (run->is_root)
        fprintf(stderr, "lockstep: note: %.*s; continuing with the shapes that the recipe determines\n",
                (int)strcspn(why.message, "\n"), why.message);
    return LS_OK;
}

/* ---- libraries of matrix products -------------------------------------------------------------------------------- */

static ls_status read_products(ls_run *run, ls_product_table *table)
{
    const ls_recipe *r    = run->recipe;
    const char      *path = r->train.product_table;
    LS_CHECK(!path || !r->train.reproducible, LS_ERR_USAGE,
             "%s: train.product_table: expected train.reproducible=false, because the bits of a library depend on the "
             "number of threads" LS_HINT "leave out train.product_table, or set train.reproducible=false",
             ls_recipe_where(r, "train.product_table"));
    if (!path) return LS_OK;
    LS_TRY(ls__product_table_read(path, table));
    return ls__product_table_load(table);
}

/* Lets OpenBLAS compute the products of float32 if it is loaded on all ranks; otherwise rank 0 prints a note. */
static void use_openblas(ls_run *run, ls_product_table *table)
{
    table->float32_by_openblas = ls_comm_agree(run->comm, ls__provider_load(&ls__openblas)) == LS_OK;
    if (!table->float32_by_openblas && run->is_root)
        fprintf(stderr, "lockstep: note: matrix products are computed without OpenBLAS, and are slow: %s\n",
                ls_error_message());
}

ls_status ls_run_products(ls_run *run)
{
    char              text[256], digest[17];
    const ls_recipe  *r     = run->recipe;
    ls_product_table *table = ls_arena_alloc(run->memory, sizeof *table);
    LS_TRY_COLLECTIVE(run, read_products(run, table));
    if (r->train.reproducible) return LS_OK;
    if (ls_isa_current() == 0) use_openblas(run, table); /* the lowest level: v2 or plain */
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)XXH64(table->by, sizeof table->by, 0));
    const char *names[] = {"product table"}, *values[] = {digest};
    LS_TRY(ls_comm_same(run->comm, 1, names, values));
    ls__product_table_text(table, text, sizeof text);
    if (!*text) return LS_OK; /* no library */
    run->products      = table;
    run->products_text = ls_arena_strdup(run->memory, text);
    return LS_OK;
}

/* ---- graph and trainer ------------------------------------------------------------------------------------------- */

static ls_initial_model initial_model(const ls_run *run)
{
    return (ls_initial_model){run->recipe, run->graph, run->logits, &run->data, run->memory};
}

static ls_status build_graph(ls_run *run)
{
    const ls_recipe *r = run->recipe;
    LS_CHECK(r->device == LS_CPU, LS_ERR_ENV, "%s: device: this build has no GPU support, expected cpu",
             ls_recipe_where(r, "device"));
    run->graph                     = ls_graph_new();
    run->graph->products           = run->products;
    run->graph->direct_convolution = r->train.conv == LS_TRAIN_CONV_DIRECT;
    ls_graph_precision(run->graph, r->train.precision);
    ls_graph_norm_over(run->graph, r->model.norm_over);
    LS_TRY(run->task->build(run));
    LS_TRY(ls_graph_status(run->graph));
    const ls_initial_model m = initial_model(run);
    return ls_freeze_initial(&m);
}

/* The samples of the smallest group of a batch of `rows` samples, over which node n computes statistics. */
static int64_t smallest_group(const ls_run *run, const ls_node *n, int64_t rows)
{
    const int64_t size     = ls__group_rows(n);
    int64_t       smallest = rows;
    for (int s = 0; size && s < run->shards; s++) {
        const int64_t in_shard = ls_shard_first(rows, run->shards, s + 1) - ls_shard_first(rows, run->shards, s),
                      groups   = ls__groups_of(in_shard, size);
        if (groups && in_shard / groups < smallest) smallest = in_shard / groups;
    }
    return smallest;
}

/* One sample has no statistics for ops with one value per channel. */
static ls_status check_last_batch(const ls_run *run)
{
    const int64_t batch = run->recipe->train.batch, last = run->train_count % batch;
    int64_t       better = batch + 1;
    while (run->train_count % better == 1) better++;
    for (int i = 0; i < run->graph->nodes; i++) {
        const ls_node *n = run->graph->node[i];
        if (!ls__batch_sums(n, false) || ls__numel(n->in[0]) > n->in[0]->dim[0]) continue;
        LS_CHECK(!ls__group_rows(n) ||
                     (smallest_group(run, n, batch) > 1 && (!last || smallest_group(run, n, last) > 1)),
                 LS_ERR_USAGE,
                 "%s: model.norm_over: expected more than one sample in every group, because %s of '%s' (%s) has one "
                 "value per channel and sample, found groups of one sample in a batch of %lld" LS_HINT
                 "choose a train.batch that divides the %lld samples, a larger N, or model.norm_over=batch",
                 ls_recipe_where(run->recipe, "model.norm_over"), ls__op(n)->name, n->in[0]->name, ls__shape(n->in[0]),
                 (long long)(smallest_group(run, n, batch) > 1 ? last : batch), (long long)run->train_count);
        LS_CHECK(batch > 1 && (!run->train_count || last != 1), LS_ERR_USAGE,
                 "%s: train.batch: expected more than one sample in every batch, because %s of '%s' (%s) has one value "
                 "per channel and sample, found one in %s" LS_HINT "set train.batch=%lld",
                 ls_recipe_where(run->recipe, "train.batch"), ls__op(n)->name, n->in[0]->name, ls__shape(n->in[0]),
                 batch > 1 ? "the last batch of an epoch" : "each", (long long)better);
    }
    return LS_OK;
}

static void digest_layout(ls_run *run)
{
    XXH64_hash_t h = 0;
    for (int i = 0; i < run->graph->tensors; i++) {
        const ls_tensor *t = run->graph->tensor[i];
        if (t->role != LS_ROLE_PARAM) continue;
        h = XXH64(t->name, strlen(t->name) + 1, h);
        h = XXH64(t->dim, sizeof *t->dim * (size_t)t->rank, h);
    }
    snprintf(run->layout, sizeof run->layout, "%016llx", (unsigned long long)h);
}

ls_status ls_run_graph(ls_run *run)
{
    LS_TRY_COLLECTIVE(run, build_graph(run));
    LS_TRY_COLLECTIVE(run, check_last_batch(run));
    digest_layout(run);
    const char *names[] = {"parameter layout"}, *values[] = {run->layout};
    return ls_comm_same(run->comm, 1, names, values);
}

ls_trainer_options ls_run_trainer_options(const ls_run *run)
{
    const ls_recipe   *r = run->recipe;
    ls_trainer_options o = r->trainer;
    o.size               = sizeof o;
    o.comm               = run->comm;
    o.batch              = r->train.batch;
    o.eval_batch         = r->eval.batch;
    o.optim              = r->optim;
    o.seed               = (uint64_t)r->train.seed;
    o.shards             = run->shards;
    o.not_reproducible   = !r->train.reproducible;
    o.steps              = run->total_steps;
    o.device             = r->device;
    o.logits             = run->label ? run->logits : NULL;
    o.label              = run->label;
    o.snapshot           = r->checkpoint.background && run->total_steps > 0;
    /* Without training the length of the schedule is unknown. */
    if (!run->total_steps) o.optim.schedule = (ls_schedule){0};
    return o;
}

ls_status ls_run_new_trainer(ls_run *run, const ls_trainer_options *options)
{
    const ls_recipe *r = run->recipe;
    LS_TRY(ls__trainer_new(&run->trainer, run->graph, run->loss, options));
    if (r->checkpoint.background && run->total_steps > 0)
        LS_TRY(ls__checkpoint_reserve(run->trainer, (int)r->checkpoint.writers));
    return LS_OK;
}

ls_status ls_run_trainer(ls_run *run)
{
    ls_trainer_options options = ls_run_trainer_options(run);
    LS_TRY_COLLECTIVE(run, ls_run_new_trainer(run, &options));
    const ls_initial_model m = initial_model(run);
    LS_TRY_COLLECTIVE(run, ls_load_initial(&m, ls_trainer_params(run->trainer), run->is_root, &run->loading));
    char digest[17];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)ls_trainer_digest(run->trainer));
    const char *names[] = {"first parameters"}, *values[] = {digest};
    return ls_comm_same(run->comm, 1, names, values);
}

int ls_run_loader_threads(const ls_run *run)
{
    enum { MOST = 8 };
    if (run->recipe->data.loader_threads) return run->recipe->data.loader_threads;
    if (run->data.kind != LS_DATA_IMAGES) return 1;
    return run->threads < MOST ? run->threads : MOST;
}

ls_status ls_run_first_batch(ls_run *run, ls_loader **loader, ls_batch *batch)
{
    LS_TRY_COLLECTIVE(run,
                      ls_loader_new(loader, run->train, .batch = run->recipe->train.batch, .shards = run->shards,
                                    .ranks = run->ranks, .rank = run->rank, .seed = (uint64_t)run->recipe->train.seed,
                                    .prefetch = 1, .threads = ls_run_loader_threads(run)));
    return ls_comm_agree(run->comm, ls_loader_next(*loader, batch) ? LS_OK : ls_loader_status(*loader));
}

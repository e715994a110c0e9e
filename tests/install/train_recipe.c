/* SPDX-License-Identifier: Apache-2.0
 * Trains a recipe on any number of ranks, evaluates it and predicts an image, with the installed library alone:
 *     cc train_recipe.c $(pkg-config --cflags --libs lockstep) -o train_recipe
 *     mpirun -np 2 ./train_recipe RUN_DIRECTORY IMAGE */
#include <lockstep.h>
#include <stdio.h>

static ls_status print(const ls_prediction *p, void *context)
{
    (void)context;
    printf("%s: %s with probability %.2f\n", p->source, p->name[0], p->probability[0]);
    return LS_OK;
}

static ls_status train(ls_run *run, int is_root)
{
    ls_train_result result;
    ls_scores       scores;
    LS_TRY(ls_run_train(run, &(ls_train_options){.handle_signals = true}, &result));
    LS_TRY(ls_run_evaluate(run, "test", &scores));
    if (is_root)
        printf("done: steps %lld  digest %016llx  accuracy %.3f\n", (long long)result.step,
               (unsigned long long)result.digest, ls_run_score(run, &scores, "accuracy"));
    return LS_OK;
}

static ls_status work(ls_comm *comm, char *directory, const char *image)
{
    char        key[512];
    char       *set[] = {key, "data.train_count=3000", "data.test_count=500", "train.epochs=2", "optim.lr=0.1"};
    ls_recipe  *recipe;
    ls_run     *run = NULL, *trained = NULL;
    ls_status   status;
    const char *files[] = {image};
    snprintf(key, sizeof key, "run.dir=%s", directory);
    LS_TRY(ls_comm_agree(comm, ls_recipe_load(&recipe, "lenet5-digits", 5, set)));
    status = ls_run_new(&run, comm, recipe);
    if (status == LS_OK) status = train(run, ls_comm_rank(comm) == 0);
    if (status == LS_OK) status = ls_run_open(&trained, comm, directory, NULL); /* as another program would */
    if (status == LS_OK)
        status = ls_run_predict(trained, &(ls_predict_options){.files = 1, .file = files, .top = 1, .each = print});
    ls_run_free(trained);
    ls_run_free(run);
    return status;
}

int main(int argc, char **argv)
{
    ls_comm  *comm;
    ls_status status = ls_comm_mpi(&comm, &argc, &argv);
    if (status == LS_OK && argc == 3) status = work(comm, argv[1], argv[2]);
    if (ls_comm_prints_error(comm, status)) fprintf(stderr, "%s\n", ls_error_message());
    ls_comm_free(comm);
    return status;
}

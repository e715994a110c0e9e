/* SPDX-License-Identifier: Apache-2.0
 * `lockstep predict`: prints or writes the predictions of a run's model for files. */
#include <stdio.h>
#include <string.h>

#include "launch/commands/command_run.h"
#include "launch/run/open_model.h"
#include "launch/tasks/task.h"

static ls_status print(const ls_prediction *p, void *run)
{
    printf("%s%s%s%s\n", p->source, p->note ? "  (" : "", p->note ? p->note : "", p->note ? ")" : "");
    for (int k = 0; k < p->classes; k++) printf("  %6.2f %%  %s\n", 100 * p->probability[k], p->name[k]);
    if (p->out) printf("%-14s %lld\npredictions    %s\n", "samples", (long long)p->samples, p->out);
    if (p->scores) ls_scores_print(((const ls_run *)run)->task, "file", p->scores);
    return LS_OK;
}

static ls_status read_options(ls_predict_options *o, const ls_args *args)
{
    long long top;
    LS_TRY(ls_args_int(args, "top", 1, 1000000, 5, &top));
    o->top    = (int)top;
    o->files  = args->positionals - 1;
    o->file   = (const char *const *)args->positional + 1;
    o->out    = ls_args_option(args, "out");
    o->invert = ls_args_option(args, "invert");
    LS_CHECK(!o->invert || !strcmp(o->invert, "auto") || !strcmp(o->invert, "yes") || !strcmp(o->invert, "no"),
             LS_ERR_USAGE, "predict: --invert: expected auto, yes or no, found '%s'", o->invert);
    return LS_OK;
}

/* Replaces eval.augment of the run's recipe. */
static ls_status set_views(ls_run *run, const char *views)
{
    if (!views) return LS_OK;
    char *const key = ls_arena_printf(run->memory, "eval.augment=%s", views);
    LS_CHECK(run->data.kind == LS_DATA_IMAGES, LS_ERR_USAGE, "predict: --augment: expected a model of images, found %s",
             run->task->data);
    return ls_recipe_set(run->recipe, 1, &key);
}

static ls_status predict(ls_run *run, const ls_args *args)
{
    ls_predict_options options = {.each = print, .context = run};
    LS_TRY_COLLECTIVE(run, read_options(&options, args));
    LS_TRY(ls_run_open_model(run, args->positional[0], ls_args_option(args, "precision")));
    LS_TRY_COLLECTIVE(run, set_views(run, ls_args_option(args, "augment")));
    return ls_run_predict(run, &options);
}

static ls_status run_predict(int argc, char **argv)
{
    ls_run    run;
    ls_args   args;
    ls_status status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = predict(&run, &args);
    ls_command_finish(&run, status);
    return status;
}

const ls_command ls__command_predict = {
    .name      = "predict",
    .arguments = "RUN FILE ...",
    .text      = "print predictions of a trained model for images, texts or arrays",
    .help = "RUN is a run directory, one of its checkpoints, or a folder of timm with an image model.  The dataset of "
            "the run\n"
            "is not needed.\n"
            "\n"
            "Images are JPEG, PNG, BMP or PPM files; each is put upright (EXIF) and resized to the input of the "
            "model, with the\n"
            "bytes of Pillow.  Prints the most probable classes and their probabilities.\n"
            "Texts are files with one text per line, of pairs with a tab between the two; with --out, a table.\n"
            "Arrays are one HDF5 file with the inputs of the run (data.inputs).  OUT.h5 gets the predictions: "
            "of a regression the\n"
            "targets by name, in the units of the training data; of a classification classes and probabilities.  "
            "Works on any\n"
            "number of ranks.\n"
            "\n"
            "  lockstep predict runs/lenet5-digits digit.png\n"
            "  mpirun -np 2 lockstep predict runs/wind measured.h5 --out predicted.h5",
    .options =
        LS_OPTIONS({"top", "N", "images, texts: number of classes to print for each; default 5"},
                   {"invert", "WHEN", "images: invert dark on light to light on dark: auto, yes or no; default auto"},
                   {"augment", "VIEWS",
                    "images: average the logits over views: none, flip or flip+shift; default: eval.augment of the "
                    "run's recipe"},
                   {"out", "OUT", "arrays: HDF5 file for the predictions; texts: TSV file"}, LS_PRECISION_OPTION),
    .run = run_predict,
};

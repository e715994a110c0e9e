/* SPDX-License-Identifier: Apache-2.0
 * `lockstep explain RUN --align TEXT`: translates a line, and draws the weights of attention of each token of the
 * translation to the tokens of the line. */
#include <stdio.h>

#include "launch/inspect/inspect.h"
#include "launch/translate/alignment.h"
#include "launch/translate/alignment_picture.h"

typedef struct explained {
    ls_inspected              s;
    const ls_inspect_options *options;
} explained;

static ls_status show(const ls_translated *t, void *context)
{
    const explained *e    = context;
    const ls_run    *run  = e->s.run;
    const char      *text = e->options->text;
    ls_alignment     words;
    ls_png          *plot;
    LS_CHECK(t->weights, LS_ERR_USAGE,
             "explain: --align: expected a sentence, found nothing" LS_HINT "--align 'A man sits on a bench.'");
    ls_alignment_of(&words, run, t, run->memory);
    printf("line         %s\ntranslation  %s\nlog P        %.3f\nalignment    ", text, t->text, t->log_p);
    ls_alignment_write(&words, false, stdout);
    printf("\n\n");
    ls_alignment_print(stdout, run, t, run->memory);
    LS_TRY(ls_alignment_draw(&plot, run, t, "Alignment",
                             ls_arena_printf(run->memory, "Weights of attention; a row sums to 1. %s", e->s.from),
                             run->memory));
    ls_status status = ls_inspect_save(&e->s, e->options, plot, "alignment");
    ls_png_free(plot);
    return status;
}

ls_status ls__explain_align(ls_run *run, const ls_inspect_options *options)
{
    explained e = {.options = options};
    LS_TRY(ls_inspect_translation(&e.s, run, options));
    return ls_run_translate(
        run, &(ls_translate_options){
                 .lines = 1, .line = &options->text, .alpha = 1, .weights = true, .each = show, .context = &e});
}

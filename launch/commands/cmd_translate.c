/* SPDX-License-Identifier: Apache-2.0
 * `lockstep translate`: translates the lines of a file or of standard input with a trained model.  `lockstep score`:
 * the probability that the model gives to the translations of a file. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "launch/commands/command_run.h"
#include "launch/commands/input_lines.h"
#include "launch/run/open_model.h"
#include "launch/run/progress.h"
#include "launch/translate/alignment.h"

typedef struct output {
    const ls_run *run;
    bool          scores;         /* --scores, or several translations of a line */
    bool          links, weights; /* --align, --align-weights */
    int64_t       tokens;
} output;

static ls_status print_alignment(const output *o, const ls_translated *t)
{
    ls_alignment a;
    ls_arena    *memory;
    LS_TRY(ls_arena_new(&memory, "alignment"));
    ls_alignment_of(&a, o->run, t, memory);
    fputs(" ||| ", stdout);
    if (t->weights) ls_alignment_write(&a, o->weights, stdout);
    ls_arena_free(memory);
    return LS_OK;
}

static ls_status print_translation(const ls_translated *t, void *context)
{
    output *o = context;
    o->tokens += t->tokens;
    if (o->scores)
        printf("%lld ||| %s ||| log_p= %.6f tokens= %lld ||| %.6f", (long long)t->line, t->text, t->log_p,
               (long long)t->tokens, t->score);
    else
        printf("%s", t->text);
    if (o->links || o->weights) LS_TRY(print_alignment(o, t));
    putchar('\n');
    LS_CHECK(!ferror(stdout), LS_ERR_ENV, "standard output: cannot write: %s", strerror(errno));
    return LS_OK;
}

static ls_status read_options(ls_translate_options *o, output *out, const ls_args *args)
{
    long long beam, best, least, batch;
    LS_TRY(ls_args_int(args, "beam", 1, 64, 5, &beam));
    LS_TRY(ls_args_int(args, "n-best", 1, 64, 1, &best));
    LS_TRY(ls_args_int(args, "min-tokens", 0, 1000, 0, &least));
    LS_TRY(ls_args_int(args, "batch", 1, 4096, 64, &batch));
    LS_TRY(ls_args_real(args, "alpha", 0, 10, 1, &o->alpha));
    LS_TRY(ls_args_real(args, "coverage", 0, 10, 0, &o->coverage));
    LS_TRY(ls_args_real(args, "max-ratio", 0, 100, 2, &o->max_ratio));
    LS_CHECK(best <= beam, LS_ERR_USAGE, "translate: --n-best: expected at most --beam, %lld, found %lld", beam, best);
    o->beam            = (int)beam;
    o->best            = (int)best;
    o->min_tokens      = least;
    o->batch           = batch;
    o->max_extra       = 10;
    o->gnmt            = ls_args_option(args, "gnmt") != NULL;
    out->scores        = best > 1 || ls_args_option(args, "scores");
    o->replace_unknown = ls_args_option(args, "replace-unknown") != NULL;
    out->links         = ls_args_option(args, "align") != NULL;
    out->weights       = ls_args_option(args, "align-weights") != NULL;
    o->weights         = out->links || out->weights;
    LS_CHECK(!out->links || !out->weights, LS_ERR_USAGE,
             "translate: expected one of --align and --align-weights, found both");
    return LS_OK;
}

static ls_status translate(ls_run *run, const ls_args *args, ls_input_lines *l)
{
    output               out     = {.run = run};
    ls_translate_options options = {.each = print_translation, .context = &out};
    LS_TRY_COLLECTIVE(run, read_options(&options, &out, args));
    LS_TRY(ls_run_open_model(run, args->positional[0], ls_args_option(args, "precision")));
    LS_TRY(ls_input_lines_read(run, args->positionals > 1 ? args->positional[1] : "-", l));
    options.lines = l->count;
    options.line  = l->line;
    double began  = ls__clock_s();
    LS_TRY(ls_run_translate(run, &options));
    if (!run->is_root) return LS_OK;
    fflush(stdout);
    const double seconds = fmax(ls__clock_s() - began, 1e-9);
    fprintf(stderr, "%lld lines, %.1f lines and %.0f tokens per second\n", (long long)l->count,
            (double)l->count / seconds, (double)out.tokens / seconds);
    return LS_OK;
}

/* ---- score ------------------------------------------------------------------------------------------------------- */

typedef struct scores {
    bool    tokens; /* print the log-probability of each token */
    double  log_p;
    int64_t count; /* tokens, end tokens included */
} scores;

static ls_status print_score(const ls_translated *t, void *context)
{
    scores       *s = context;
    const int64_t n = t->token_log_p ? t->tokens + 1 : 0; /* 0: the source is empty */
    s->log_p += t->log_p;
    s->count += n;
    printf("%.6f %lld", t->log_p, (long long)n);
    for (int64_t i = 0; i < n && s->tokens; i++) printf(" %.6f", t->token_log_p[i]);
    printf("\n");
    LS_CHECK(!ferror(stdout), LS_ERR_ENV, "standard output: cannot write: %s", strerror(errno));
    return LS_OK;
}

static ls_status score(ls_run *run, const ls_args *args, ls_input_lines l[2])
{
    scores out = {.tokens = ls_args_option(args, "tokens") != NULL};
    LS_TRY(ls_run_open_model(run, args->positional[0], ls_args_option(args, "precision")));
    for (int i = 0; i < 2; i++) LS_TRY(ls_input_lines_read(run, args->positional[1 + i], &l[i]));
    LS_TRY_COLLECTIVE(run, l[0].count == l[1].count
                               ? LS_OK
                               : LS_FAIL(LS_ERR_DATA, "%s: expected %lld lines, as many as %s has, found %lld",
                                         args->positional[2], (long long)l[0].count, args->positional[1],
                                         (long long)l[1].count));
    LS_TRY(ls_run_translate(run, &(ls_translate_options){.lines   = l[0].count,
                                                         .line    = l[0].line,
                                                         .prefix  = l[1].line,
                                                         .score   = true,
                                                         .each    = print_score,
                                                         .context = &out}));
    if (!run->is_root) return LS_OK;
    fflush(stdout);
    fprintf(stderr, "%lld lines, log P %.3f, perplexity %.3f per token (%lld tokens, end tokens included)\n",
            (long long)l[0].count, out.log_p, exp(-out.log_p / fmax((double)out.count, 1)), (long long)out.count);
    return LS_OK;
}

/* ---- the commands ------------------------------------------------------------------------------------------------ */

/* Runs `translate` or `score` with room for the lines of two files. */
static ls_status run_on_lines(int argc, char **argv, ls_status (*command)(ls_run *, const ls_args *, ls_input_lines *))
{
    ls_run         run;
    ls_args        args;
    ls_input_lines l[2]   = {{0}, {0}};
    ls_status      status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = command(&run, &args, l);
    for (int i = 0; i < 2; i++) {
        ls_input_lines_free(&l[i]);
    }
    ls_command_finish(&run, status);
    return status;
}

static ls_status run_translate(int argc, char **argv) { return run_on_lines(argc, argv, translate); }
static ls_status run_score(int argc, char **argv) { return run_on_lines(argc, argv, score); }

const ls_command ls__command_translate = {
    .name      = "translate",
    .arguments = "RUN [FILE]",
    .text      = "translate text with a trained model",
    .help = "RUN is the run directory of a model of translation, or one of its checkpoints.  Prints one line for each "
            "line of FILE,\n"
            "or of standard input; an empty line has an empty translation.  The ranks share the lines.  A translation "
            "depends on its\n"
            "line alone: the output has the same bytes for any --batch, ranks and threads.\n"
            "\n"
            "Of each line the translation with the greatest log P / n^ALPHA is printed, where log P is its "
            "log-probability and n its\n"
            "number of tokens, end token included.  --n-best and --scores print lines of the form\n"
            "  LINE ||| TRANSLATION ||| log_p= X tokens= N ||| SCORE\n"
            "\n"
            "--align appends ` ||| ` and the alignment of the words in Pharaoh format, `0-0 1-2`: for each word of the "
            "translation the\n"
            "word of the line with the greatest weight of attention, source-target.  A word that attends to the end of "
            "the line most has\n"
            "no link.  --align-weights appends the weights instead: for each word of the translation and its end the "
            "weights of the\n"
            "words of the line and of its end, separated by commas.  Attention of a Transformer is the mean over the "
            "heads of the last layer.\n"
            "\n"
            "  lockstep translate runs/transformer-multi30k test.en >test.de\n"
            "  echo 'A man sits on a bench.' | mpirun -np 2 lockstep translate runs/transformer-multi30k",
    .options =
        LS_OPTIONS({"beam", "N", "hypotheses of each line; 1: greedy; default 5"},
                   {"alpha", "A", "exponent of the length penalty; 0: none; default 1"},
                   {"gnmt", NULL, "length penalty ((5 + n) / 6)^A (Wu 2016) instead of n^A"},
                   {"coverage", "B",
                    "add B x the sum over the tokens of the line of log min(1, sum of their weights of attention) "
                    "to the score (Wu 2016); default 0"},
                   {"replace-unknown", NULL,
                    "replace <unk> by the word of the line with the greatest weight of attention (Luong 2015); for "
                    "tokenizers of words"},
                   {"n-best", "N", "translations of each line; default 1"},
                   {"scores", NULL, "print log-probability and score"}, {"align", NULL, "print alignments of words"},
                   {"align-weights", NULL, "print the weights of attention between words"},
                   {"min-tokens", "N", "least tokens of a translation; default 0"},
                   {"max-ratio", "R", "a translation has at most R x tokens of its line + 10 tokens; default 2"},
                   {"batch", "N", "lines that a rank translates together; default 64"}, LS_PRECISION_OPTION),
    .run = run_translate,
};

const ls_command ls__command_score = {
    .name      = "score",
    .arguments = "RUN SOURCE TARGET",
    .text      = "print the probabilities that a model gives to translations",
    .help =
        "RUN is the run directory of a model of translation, or one of its checkpoints.  Line i of TARGET is a "
        "translation of line i\n"
        "of SOURCE.  Prints for each line the sum of the log-probabilities of its tokens, and the number of tokens, "
        "end token\n"
        "included; an empty source has 0 tokens.",
    .options = LS_OPTIONS({"tokens", NULL, "print the log-probability of each token as well"}, LS_PRECISION_OPTION),
    .run     = run_score,
};

/* SPDX-License-Identifier: Apache-2.0
 * `lockstep bleu`: BLEU and chrF of translations, with intervals and the paired test of several systems. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "launch/commands/command_table.h"
#include "launch/report/unit_text.h"
#include "launch/score/score_bootstrap.h"
#include "datasets/files/text_lines.h"

enum { METRICS = 2, TOKENIZED_LINES = 100, LINE = LS_SCORE_TEXT * 3 };

typedef struct scoring {
    const ls_args     *args;
    ls_arena          *memory;
    int                systems, references, metrics;
    char             **system_path;
    ls_text_lines     *system, *reference;
    ls_score_metric    metric[METRICS];
    const int64_t    **counts[METRICS]; /* of each sentence, per system */
    ls_score          *score[METRICS];
    ls_score_interval *interval[METRICS]; /* NULL: none wanted */
    int                resamples;         /* 0: no intervals   */
    long long          seed, width;
} scoring;

/* ---- options ----------------------------------------------------------------------------------------------------- */

static ls_status parse_word(const ls_args *a, const char *option, const char *const *texts, int *value)
{
    const char *word     = ls_args_option(a, option);
    char        list[64] = "";
    *value               = word ? ls__enum_find(texts, word) : 0;
    for (const char *const *t = texts; *t; t++) snprintf(list + strlen(list), sizeof list - strlen(list), " %s", *t);
    LS_CHECK(*value >= 0, LS_ERR_USAGE, "bleu: --%s: expected one of%s, found '%s'", option, list, word);
    return LS_OK;
}

static ls_status parse_bleu(const ls_args *a, ls_score_metric *m)
{
    int tokenizer, smoothing;
    LS_TRY(parse_word(a, "tokenize", ls__score_tokenizer_texts, &tokenizer));
    LS_TRY(parse_word(a, "smooth", ls__score_smoothing_texts, &smoothing));
    double fallback = ls__score_smooth_default((ls_score_smoothing)smoothing);
    LS_CHECK(fallback != 0 || !ls_args_option(a, "smooth-value"), LS_ERR_USAGE,
             "bleu: --smooth-value: expected --smooth floor or --smooth add-k beside it, found --smooth %s",
             ls__score_smoothing_texts[smoothing]);
    LS_TRY(ls_args_real(a, "smooth-value", 0, 1e6, fallback, &m->smooth_value));
    m->tokenizer = (ls_score_tokenizer)tokenizer;
    m->smoothing = (ls_score_smoothing)smoothing;
    return LS_OK;
}

static ls_status parse(scoring *c)
{
    const ls_args  *a         = c->args;
    bool            lowercase = ls_args_option(a, "lowercase") != NULL;
    long long       words, resamples;
    ls_score_metric bleu = {.kind = LS_SCORE_BLEU, .lowercase = lowercase};
    LS_TRY(parse_bleu(a, &bleu));
    LS_TRY(ls_args_int(a, "word-order", 0, LS_CHRF_WORDS, 0, &words));
    LS_TRY(ls_args_int(a, "resamples", 2, 1000000, 1000, &resamples));
    LS_TRY(ls_args_int(a, "seed", 0, INT64_MAX, 12345, &c->seed));
    LS_TRY(ls_args_int(a, "width", 0, 15, 1, &c->width));
    c->metric[c->metrics++] = bleu;
    if (ls_args_option(a, "chrf") || ls_args_option(a, "word-order"))
        c->metric[c->metrics++] =
            (ls_score_metric){.kind = LS_SCORE_CHRF, .lowercase = lowercase, .word_order = (int)words};
    c->systems     = a->positionals;
    c->system_path = (char **)a->positional;
    c->resamples   = c->systems > 1 || ls_args_option(a, "confidence") ? (int)resamples : 0;
    while (ls_args_option_at(a, "ref", c->references)) c->references++;
    LS_CHECK(c->references > 0, LS_ERR_USAGE,
             "bleu: --ref: expected a file of references, found none" LS_HINT "lockstep bleu HYP --ref REF");
    return LS_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static ls_status check_count(const ls_text_lines *first, const ls_text_lines *l)
{
    LS_CHECK(l->count == first->count, LS_ERR_DATA,
             "%s: expected %lld lines, as in %s, found %lld" LS_HINT
             "line i of each file must be the same sentence; a sentence without a translation is an empty line",
             l->path, (long long)first->count, first->path, (long long)l->count);
    return LS_OK;
}

/* BLEU of text that is tokenized already is higher than of plain text, and not comparable. */
static void note_tokenized(const scoring *c, const ls_text_lines *l)
{
    int64_t lines = 0;
    if (c->metric[0].tokenizer == LS_SCORE_NONE) return;
    for (int64_t i = 0; i < l->count; i++) {
        const char *text = l->line[i].data;
        size_t      end  = l->line[i].bytes;
        while (end && strchr(" \t\r", text[end - 1])) end--;
        lines += end >= 2 && text[end - 1] == '.' && text[end - 2] == ' ';
    }
    if (lines < TOKENIZED_LINES) return;
    char count[32];
    ls__count_text(count, sizeof count, lines);
    fprintf(stderr, "note: %s: %s lines end in ' .'; BLEU expects plain text, so detokenize it\n", l->path, count);
}

static ls_status read_files(scoring *c)
{
    c->system    = ls_arena_alloc(c->memory, (size_t)c->systems * sizeof *c->system);
    c->reference = ls_arena_alloc(c->memory, (size_t)c->references * sizeof *c->reference);
    for (int r = 0; r < c->references; r++) {
        LS_TRY(ls__text_lines_read(&c->reference[r], ls_args_option_at(c->args, "ref", r), NULL));
        LS_TRY(check_count(&c->reference[0], &c->reference[r]));
    }
    for (int s = 0; s < c->systems; s++) {
        LS_TRY(ls__text_lines_read(&c->system[s], c->system_path[s], NULL));
        LS_TRY(check_count(&c->reference[0], &c->system[s]));
        note_tokenized(c, &c->system[s]);
    }
    return LS_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static ls_status score_system(scoring *c, int metric, int system, ls_scorer *scorer, int64_t *counts)
{
    const ls_score_metric *m                    = &c->metric[metric];
    int                    width                = ls__score_counts(m);
    const ls_text_lines   *lines                = &c->system[system];
    ls_score_text         *text                 = ls_arena_alloc(c->memory, (size_t)c->references * sizeof *text);
    int64_t                sum[LS_SCORE_COUNTS] = {0};
    for (int64_t i = 0; i < lines->count; i++) {
        int64_t *of_sentence = counts + i * width;
        for (int r = 0; r < c->references; r++) text[r] = c->reference[r].line[i];
        ls_status status = ls__scorer_add(scorer, &lines->line[i], c->references, text, of_sentence);
        if (status != LS_OK) return status;
        for (int k = 0; k < width; k++) sum[k] += of_sentence[k];
    }
    c->score[metric][system] = ls__score_finish(m, sum);
    return LS_OK;
}

static ls_status score_metric(scoring *c, int metric)
{
    size_t     systems = (size_t)c->systems;
    size_t     bytes   = (size_t)c->reference[0].count * (size_t)ls__score_counts(&c->metric[metric]) * sizeof(int64_t);
    ls_scorer *scorer;
    ls_status  status = LS_OK;
    c->score[metric]  = ls_arena_alloc(c->memory, systems * sizeof *c->score[metric]);
    c->counts[metric] = ls_arena_alloc(c->memory, systems * sizeof *c->counts[metric]);
    LS_TRY(ls__scorer_new(&scorer, &c->metric[metric]));
    for (int s = 0; s < c->systems && status == LS_OK; s++) {
        int64_t *counts      = ls_arena_alloc(c->memory, bytes);
        c->counts[metric][s] = counts;
        status               = score_system(c, metric, s, scorer, counts);
    }
    ls__scorer_free(scorer);
    LS_TRY(status);
    if (!c->resamples) return LS_OK;
    c->interval[metric] = ls_arena_alloc(c->memory, systems * sizeof *c->interval[metric]);
    return ls__score_bootstrap(&c->metric[metric], c->systems, c->reference[0].count, c->counts[metric], c->resamples,
                               (uint64_t)c->seed, c->interval[metric]);
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

/* Prints `text` in a column of `columns` characters.  UTF-8 has more bytes than characters. */
static void print_column(const char *text, int columns)
{
    int characters = 0;
    for (const char *t = text; *t; t++) characters += (*t & 0xC0) != 0x80;
    printf("%s%*s", text, columns > characters ? columns - characters : 0, "");
}

/* One line per metric in the format of `sacrebleu -f text`, aligned at "=". */
static void print_single(const scoring *c)
{
    char left[METRICS][LINE], signature[LS_SCORE_TEXT], details[LS_SCORE_TEXT], interval[96];
    int  width = (int)c->width, longest = 0;
    for (int m = 0; m < c->metrics; m++) {
        ls__score_signature(signature, &c->metric[m], c->references, c->resamples, (uint64_t)c->seed);
        int length = snprintf(left[m], LINE, "%s|%s", ls__score_name(&c->metric[m]), signature);
        longest    = length > longest ? length : longest;
    }
    for (int m = 0; m < c->metrics; m++) {
        const ls_score_interval *i = c->interval[m];
        ls__score_details(details, &c->metric[m], &c->score[m][0]);
        interval[0] = 0;
        if (i && i->mean > 0)
            snprintf(interval, sizeof interval, " (μ = %.*f ± %.*f)", width, i->mean, width, i->half_width);
        printf("%*s = %.*f%s%s%s\n", longest, left[m], width, c->score[m][0].value, interval, *details ? " " : "",
               details);
    }
}

/* A table with one row per system, and the signatures. */
static void print_paired(const scoring *c)
{
    char text[LINE], signature[LS_SCORE_TEXT];
    int  width = (int)c->width, names = 6, column = 30 + 4 * width;
    for (int s = 0; s < c->systems; s++) {
        int length = (int)strlen(c->system_path[s]) + (s ? 0 : 10);
        names      = length > names ? length : names;
    }
    print_column("System", names + 2);
    for (int m = 0; m < c->metrics; m++) {
        snprintf(text, sizeof text, "%s (μ ± 95%% CI)", ls__score_name(&c->metric[m]));
        print_column(text, m + 1 < c->metrics ? column : 0);
    }
    printf("\n");
    for (int s = 0; s < c->systems; s++) {
        snprintf(text, sizeof text, "%s%s", s ? "" : "Baseline: ", c->system_path[s]);
        print_column(text, names + 2);
        for (int m = 0; m < c->metrics; m++) {
            const ls_score_interval *i = &c->interval[m][s];
            int n = snprintf(text, sizeof text, "%.*f (%.*f ± %.*f)", width, c->score[m][s].value, width, i->mean,
                             width, i->half_width);
            if (s) snprintf(text + n, sizeof text - (size_t)n, " (p = %.4f)%s", i->p, i->p > 0.05 ? "" : "*");
            print_column(text, m + 1 < c->metrics ? column : 0);
        }
        printf("\n");
    }
    printf("\n");
    for (int m = 0; m < c->metrics; m++) {
        ls__score_signature(signature, &c->metric[m], c->references, c->resamples, (uint64_t)c->seed);
        printf("%s|%s\n", ls__score_name(&c->metric[m]), signature);
    }
}

static ls_status score_all(scoring *c)
{
    LS_TRY(parse(c));
    LS_TRY(read_files(c));
    for (int m = 0; m < c->metrics; m++) LS_TRY(score_metric(c, m));
    (c->systems > 1 ? print_paired : print_single)(c);
    return LS_OK;
}

static ls_status bleu(int argc, char **argv)
{
    static ls_args args;
    scoring        c = {.args = &args};
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_arena_new(&c.memory, "bleu"));
    ls_status status = score_all(&c);
    for (int s = 0; c.system && s < c.systems; s++) ls__text_lines_free(&c.system[s]);
    for (int r = 0; c.reference && r < c.references; r++) ls__text_lines_free(&c.reference[r]);
    ls_arena_free(c.memory);
    return status;
}

const ls_command ls__command_bleu = {
    .name      = "bleu",
    .arguments = "HYP [HYP2 ...]",
    .text      = "score translations by BLEU and chrF, as sacreBLEU does, and compare systems",
    .options   = LS_OPTIONS(
          {"ref", "FILE", "reference translations, one per line; give the option once per reference of a sentence"},
          {"tokenize", "NAME", "tokenizer of BLEU: 13a, intl, none or char; default 13a"},
          {"lowercase", NULL, "ignore case, in BLEU and in chrF"},
          {"smooth", "METHOD", "smoothing of precisions without a match: exp, floor, add-k or none; default exp"},
          {"smooth-value", "X", "value of floor, default 0.1, or of add-k, default 1"},
          {"chrf", NULL, "print chrF2 as well"},
          {"word-order", "N", "longest n-grams of words in chrF, 0 to 2; 2: chrF2++; default 0; prints chrF as well"},
          {"confidence", NULL, "print the 95 % interval, by bootstrap resampling"},
          {"resamples", "N", "number of resamples of the test set; default 1000"},
          {"seed", "N", "seed of the resampling; default 12345"},
          {"width", "N", "digits after the decimal point; default 1"}),
    .help =
        "Files are UTF-8 text, plain or compressed by gzip, with one sentence per line and not tokenized.  A score\n"
        "has the digits that sacreBLEU 2.6 prints, and its signature: report both.  The version in the signature is\n"
        "Lockstep's.\n"
        "\n"
        "With several systems, the first is the baseline.  Each row has the score, the mean of the resampled scores\n"
        "with the half width of their 95 % interval, and p: the probability that chance alone makes a difference\n"
        "from the baseline as large as this one (paired bootstrap, as sacrebleu --paired-bs; * marks p <= 0.05).\n"
        "The random numbers are not sacreBLEU's, so its intervals and p differ by the noise of resampling.",
    .run = bleu,
};

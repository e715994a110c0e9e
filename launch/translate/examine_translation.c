/* SPDX-License-Identifier: Apache-2.0
 * A section of report.html about translations: pairs that are spread evenly over the held-out split, with their
 * translations and alignments; and scores by the length of the source (Bahdanau, Cho & Bengio 2014, figure 2). */
#include <stdlib.h>
#include <string.h>

#include "launch/report/report_html.h"
#include "launch/report/svg_chart.h"
#include "launch/score/text_score.h"
#include "launch/translate/alignment_picture.h"
#include "launch/translate/translate.h"
#include "launch/translate/translator.h"

enum { TRANSLATIONS = 8, ALIGNMENTS = 4, CHOICE = 8 };

typedef struct section {
    ls_run *run;
    int64_t index[TRANSLATIONS]; /* pairs of the split */
    FILE   *table, *pictures;
    ls_pair pair;
} section;

static void put_cell(FILE *f, const char *text)
{
    fputs("<td>", f);
    ls_html(f, text);
    fputs("</td>", f);
}

static ls_status put_picture(section *s, const ls_translated *t)
{
    ls_png *plot;
    char   *png   = NULL;
    size_t  bytes = 0;
    LS_TRY(ls_alignment_draw(&plot, s->run, t, NULL, NULL, s->run->memory));
    FILE     *f      = open_memstream(&png, &bytes);
    ls_status status = f ? ls_png_write(plot, f) : LS_FAIL(LS_ERR_ENV, "report: no memory for an alignment");
    if (f && fclose(f) == 0 && status == LS_OK) {
        fputs("<figure class=\"card page\"><img alt=\"Alignment\" src=\"data:image/png;base64,", s->pictures);
        ls_html_base64(s->pictures, png, bytes);
        fputs("\"></figure>\n", s->pictures);
    }
    free(png);
    ls_png_free(plot);
    return status;
}

static ls_status put_translation(const ls_translated *t, void *context)
{
    section *s = context;
    LS_TRY(ls_dataset_pair(s->run->test, s->index[t->line], &s->pair));
    fputs("<tr>", s->table);
    put_cell(s->table, s->pair.source.data);
    put_cell(s->table, s->pair.target.data);
    put_cell(s->table, t->text);
    fputs("</tr>\n", s->table);
    return t->line < ALIGNMENTS && t->weights ? put_picture(s, t) : LS_OK;
}

/* Returns the pair with the longest source of those from `first` on. */
static ls_status choose(section *s, int64_t first, int64_t end, int64_t *chosen)
{
    int64_t longest = -1;
    for (int64_t i = first; i < end && i < first + CHOICE; i++) {
        LS_TRY(ls_dataset_pair(s->run->test, i, &s->pair));
        if (s->pair.source_tokens.count <= longest) continue;
        longest = s->pair.source_tokens.count;
        *chosen = i;
    }
    return LS_OK;
}

static ls_status translate(section *s, bool weights)
{
    const int64_t count = ls_dataset_info_of(s->run->test).count, lines = count < TRANSLATIONS ? count : TRANSLATIONS;
    ls_status     status = LS_OK;
    for (int64_t i = 0; i < lines && status == LS_OK; i++)
        status = choose(s, i * count / lines, (i + 1) * count / lines, &s->index[i]);
    LS_TRY(ls_comm_agree(s->run->comm, status));
    return ls_translate_pairs(s->run, s->run->test, s->index,
                              &(ls_translate_options){.lines   = lines,
                                                      .beam    = (int)s->run->recipe->eval.beam,
                                                      .alpha   = 1,
                                                      .weights = weights,
                                                      .each    = put_translation,
                                                      .context = s});
}

/* ---- scores by length -------------------------------------------------------------------------------------------- */

enum { LENGTHS = 7, LENGTH_STEP = 5 }; /* 1 to 5 words, 6 to 10, ..., and more than 30 */

typedef struct by_length {
    ls_dataset     *split;
    ls_pair         pair;
    ls_score_metric metric;
    ls_scorer      *scorer;
    int64_t         pairs[LENGTHS], exact[LENGTHS], counts[LENGTHS][LS_SCORE_COUNTS];
} by_length;

static int length_of(const char *line)
{
    int words = 0;
    for (bool within = false; *line; line++) {
        const bool space = *line == ' ' || *line == '\t';
        words += !space && !within;
        within = !space;
    }
    return words > LENGTH_STEP * (LENGTHS - 1) ? LENGTHS - 1 : words ? (words - 1) / LENGTH_STEP : 0;
}

static ls_status count_translation(const ls_translated *t, void *context)
{
    by_length *b = context;
    LS_TRY(ls_dataset_pair(b->split, t->line, &b->pair));
    const int           at         = length_of(b->pair.source.data);
    const ls_score_text hypothesis = {t->text, strlen(t->text)},
                        reference  = {b->pair.target.data, b->pair.target.bytes};
    b->pairs[at]++;
    b->exact[at] += !strcmp(t->text, b->pair.target.data);
    return ls__scorer_add(b->scorer, &hypothesis, 1, &reference, b->counts[at]);
}

static void write_lengths(FILE *f, const by_length *b, bool made)
{
    fprintf(f,
            "<figure class=\"card\"><figcaption><b>%s by length of the source</b></figcaption><table><tr><th>words</th>"
            "<th class=\"n\">pairs</th><th class=\"n\">%s</th></tr>\n",
            made ? "Right sequences" : "BLEU", made ? "right" : "BLEU, lower-cased");
    for (int i = 0; i < LENGTHS; i++) {
        if (!b->pairs[i]) continue;
        const double score =
            made ? 100.0 * (double)b->exact[i] / (double)b->pairs[i] : ls__score_finish(&b->metric, b->counts[i]).value;
        if (i < LENGTHS - 1)
            fprintf(f, "<tr><td>%d to %d</td>", i * LENGTH_STEP + 1, (i + 1) * LENGTH_STEP);
        else
            fprintf(f, "<tr><td>more than %d</td>", i * LENGTH_STEP);
        fprintf(f, "<td class=\"n\">%lld</td><td class=\"n\">%.1f%s</td></tr>\n", (long long)b->pairs[i], score,
                made ? " %" : "");
    }
    fputs("</table></figure>\n", f);
}

/* Translates the pairs that evaluations translate, and writes the table of their scores.  Collective. */
static ls_status score_lengths(section *s)
{
    const ls_dataset_info info   = ls_dataset_info_of(s->run->test);
    const int64_t         most   = s->run->recipe->eval.translations;
    by_length             b      = {.split = s->run->test, .metric = {.lowercase = true}};
    ls_status             status = LS_OK;
    if (!most) return LS_OK;
    status = ls_comm_agree(s->run->comm, ls__scorer_new(&b.scorer, &b.metric));
    if (status == LS_OK)
        status = ls_translate_pairs(s->run, s->run->test, NULL,
                                    &(ls_translate_options){.lines   = most < info.count ? most : info.count,
                                                            .beam    = (int)s->run->recipe->eval.beam,
                                                            .alpha   = 1,
                                                            .each    = count_translation,
                                                            .context = &b});
    if (status == LS_OK && s->run->is_root) write_lengths(s->pictures, &b, info.made);
    ls__scorer_free(b.scorer);
    ls_pair_free(&b.pair);
    return status;
}

/* ---- the section ------------------------------------------------------------------------------------------------- */

static void join(section *s, bool weights, const char *table, const char *pictures)
{
    s->run->examined = ls_arena_printf(
        s->run->memory,
        "<section class=\"charts\">\n<figure class=\"card "
        "full\"><figcaption><b>Translations</b></figcaption><table><tr>"
        "<th>source</th><th>reference</th><th>translation</th></tr>\n%s</table>%s</figure>\n%s</section>\n",
        table,
        weights ? "<p class=\"note\">Below are weights of attention of the first ones; a row sums to 1.</p>" : "",
        pictures);
}

ls_status ls_examine_translation(ls_run *run)
{
    const bool weights = ls_translator_weighs(run->recipe);
    section    s       = {.run = run};
    char      *text[2] = {NULL, NULL};
    size_t     bytes[2];
    s.table          = open_memstream(&text[0], &bytes[0]);
    s.pictures       = open_memstream(&text[1], &bytes[1]);
    ls_status status = ls_comm_agree(
        run->comm, s.table && s.pictures ? LS_OK : LS_FAIL(LS_ERR_ENV, "report: no memory for a section"));
    if (status == LS_OK) status = translate(&s, weights);
    if (status == LS_OK) status = score_lengths(&s);
    const bool whole = (!s.table || fclose(s.table) == 0) & (!s.pictures || fclose(s.pictures) == 0);
    if (status == LS_OK) status = whole ? LS_OK : LS_FAIL(LS_ERR_ENV, "report: no memory for a section");
    if (status == LS_OK && run->is_root) join(&s, weights, text[0], text[1]);
    for (int i = 0; i < 2; i++) free(text[i]);
    ls_pair_free(&s.pair);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * A section of report.html about translations: pairs that are spread evenly over the held-out split, with their
 * translations and alignments. */
#include <stdlib.h>
#include <string.h>

#include "launch/report/report_html.h"
#include "launch/report/svg_chart.h"
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

static void join(section *s, bool weights, const char *table, const char *pictures)
{
    s->run->examined = ls_arena_printf(
        s->run->memory,
        "<section class=\"charts\">\n<figure class=\"card "
        "full\"><figcaption><b>Translations</b></figcaption><table><tr>"
        "<th>source</th><th>reference</th><th>translation</th></tr>\n%s</table></figure>\n%s%s</section>\n",
        table, pictures,
        weights ? "<p class=\"note full\">Weights of attention of the first translations; a row sums to 1.</p>\n" : "");
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
    const bool whole = (!s.table || fclose(s.table) == 0) & (!s.pictures || fclose(s.pictures) == 0);
    if (status == LS_OK) status = whole ? LS_OK : LS_FAIL(LS_ERR_ENV, "report: no memory for a section");
    if (status == LS_OK && run->is_root) join(&s, weights, text[0], text[1]);
    for (int i = 0; i < 2; i++) free(text[i]);
    ls_pair_free(&s.pair);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * BLEU (Papineni et al. 2002) and chrF (Popović 2015, 2017) of a corpus.
 *
 *     BLEU = 100 BP exp(sum over n = 1 .. 4 of log(p_n) / 4)        p_n = matches_n / n-grams_n, smoothed
 *     BP   = exp(1 - r / h) for h < r, else 1                       h, r: lengths of hypotheses, of closest references
 *     chrF = 100 (1 + b^2) P R / (b^2 P + R), b = 2                 P, R: means of precision and recall over the orders
 *                                                                         for which both texts have n-grams
 *
 * All arithmetic is in the order of sacreBLEU's, in double precision: the results agree in all digits that are printed.
 * With several references, BLEU clips a count by the largest count in any reference and takes the closest length (the
 * shorter of two); chrF takes the reference with the highest chrF of the sentence.
 */
#include "launch/score/text_score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "datasets/tokenizer/growable.h"
#include "launch/score/ngram_matches.h"
#include "launch/score/score_tokens.h"
#include "launch/score/score_unicode.h"

const char *const ls__score_smoothing_texts[] = LS_ENUM_TEXTS(LS_SCORE_SMOOTHING_LIST);

/* MOST_BYTES: a position in the symbols of a sentence fits into 32 bits. */
enum { BETA = 2, MOST_BYTES = 1 << 28 };

struct ls_scorer {
    ls_score_metric metric;
    int             room; /* texts of a sentence for which there is memory */
    ls_tokens      *text, spare;
    int64_t        *end; /* per text: end of its symbols */
    int64_t (*single)[LS_MAX_NGRAM];
    ls_score_words words;
    ls_tokens      symbols;
    ls_ngram_work  work;
};

double ls__score_smooth_default(ls_score_smoothing smoothing)
{
    return smoothing == LS_SMOOTH_FLOOR ? 0.1 : smoothing == LS_SMOOTH_ADD_K ? 1 : 0;
}

static int chrf_orders(const ls_score_metric *m) { return LS_CHRF_CHARACTERS + m->word_order; }

int ls__score_counts(const ls_score_metric *m)
{
    return m->kind == LS_SCORE_BLEU ? 2 + 2 * LS_BLEU_ORDERS : 3 * chrf_orders(m);
}

/* ---- the score of counts ----------------------------------------------------------------------------------------- */

static double floored_log(double x) { return x == 0 ? -9999999999.0 : log(x); }

static ls_score bleu_score(const ls_score_metric *m, const int64_t *counts)
{
    const int64_t *matches = counts + 2, *ngrams = counts + 2 + LS_BLEU_ORDERS;
    ls_score       s      = {.brevity = 1, .length = counts[0], .reference_length = counts[1]};
    double         halves = 1, sum = 0;
    bool           any = false;
    if (s.length < s.reference_length)
        s.brevity = s.length > 0 ? exp(1 - (double)s.reference_length / (double)s.length) : 0;
    for (int n = 0; n < LS_BLEU_ORDERS; n++) any = any || matches[n];
    if (!any) return s;
    for (int n = 0; n < LS_BLEU_ORDERS; n++) {
        double added = m->smoothing == LS_SMOOTH_ADD_K && n > 0 ? m->smooth_value : 0;
        double match = (double)matches[n] + added, total = (double)ngrams[n] + added;
        if (total == 0) break;
        if (match == 0 && m->smoothing == LS_SMOOTH_EXP)
            s.precision[n] = 100 / ((halves *= 2) * total);
        else if (match == 0 && m->smoothing == LS_SMOOTH_FLOOR)
            s.precision[n] = 100 * m->smooth_value / total;
        else
            s.precision[n] = 100 * match / total;
    }
    for (int n = 0; n < LS_BLEU_ORDERS; n++) sum += floored_log(s.precision[n]);
    s.value = s.brevity * exp(sum / LS_BLEU_ORDERS);
    return s;
}

static double chrf_value(const ls_score_metric *m, const int64_t *counts)
{
    const double factor    = BETA * BETA;
    double       precision = 0, recall = 0;
    int          orders = 0;
    for (int n = 0; n < chrf_orders(m); n++) {
        const int64_t *c = counts + 3 * n;
        if (!c[0] || !c[1]) continue;
        precision += (double)c[2] / (double)c[0];
        recall += (double)c[2] / (double)c[1];
        orders++;
    }
    if (orders) {
        precision /= orders;
        recall /= orders;
    }
    if (precision + recall == 0) return 0;
    return 100 * ((1 + factor) * precision * recall / (factor * precision + recall));
}

ls_score ls__score_finish(const ls_score_metric *m, const int64_t *counts)
{
    return m->kind == LS_SCORE_BLEU ? bleu_score(m, counts) : (ls_score){.value = chrf_value(m, counts)};
}

/* ---- the counts of a sentence ------------------------------------------------------------------------------------ */

ls_status ls__scorer_new(ls_scorer **scorer, const ls_score_metric *metric)
{
    *scorer = calloc(1, sizeof **scorer);
    LS_CHECK(*scorer, LS_ERR_ENV, "scorer: out of memory");
    (*scorer)->metric = *metric;
    return LS_OK;
}

void ls__scorer_free(ls_scorer *s)
{
    if (!s) return;
    for (int t = 0; t < s->room; t++) ls_tokens_free(&s->text[t]);
    ls_tokens_free(&s->spare);
    ls_tokens_free(&s->symbols);
    free(s->text);
    free(s->end);
    free(s->single);
    free(s->words.word);
    free(s->work.data);
    free(s);
}

static ls_status reserve_texts(ls_scorer *s, int texts)
{
    if (texts <= s->room) return LS_OK;
    size_t     n      = (size_t)texts;
    ls_tokens *text   = realloc(s->text, n * sizeof *text);
    s->text           = text ? text : s->text;
    int64_t *end      = realloc(s->end, n * sizeof *end);
    s->end            = end ? end : s->end;
    void *single      = realloc(s->single, n * sizeof *s->single);
    s->single         = single ? single : s->single;
    bool is_allocated = text && end && single;
    LS_CHECK(is_allocated, LS_ERR_ENV, "scorer: out of memory for %d references", texts - 1);
    memset(text + s->room, 0, (n - (size_t)s->room) * sizeof *text);
    s->room = texts;
    return LS_OK;
}

/* Counts the matches of n-grams of words of all texts.  Sets s->end to the ends of the texts, in words. */
static ls_status match_words(ls_scorer *s, int texts, bool split_marks, int orders, int64_t all[LS_MAX_NGRAM])
{
    s->words.count = 0;
    for (int t = 0; t < texts; t++) {
        LS_TRY(ls__score_split(&s->words, s->text[t].id, s->text[t].count, split_marks));
        s->end[t] = s->words.count;
    }
    s->symbols.count = 0;
    LS_TRY(ls__tokens_reserve(&s->symbols, s->words.count + 1));
    LS_TRY(ls__ngram_symbols(&s->work, &s->words, s->symbols.id));
    return ls__ngram_matches(&s->work, &(ls_ngram_texts){texts, s->end, s->symbols.id}, orders, s->single, all);
}

/* The same for characters that are not white space, which it removes from the texts. */
static ls_status match_characters(ls_scorer *s, int texts, int orders, int64_t all[LS_MAX_NGRAM])
{
    s->symbols.count = 0;
    for (int t = 0; t < texts; t++) {
        ls_tokens *text = &s->text[t];
        ls__score_squeeze(text);
        LS_TRY(ls__tokens_reserve(&s->symbols, text->count + 1));
        if (text->count) memcpy(s->symbols.id + s->symbols.count, text->id, (size_t)text->count * sizeof *text->id);
        s->end[t] = s->symbols.count += text->count;
    }
    return ls__ngram_matches(&s->work, &(ls_ngram_texts){texts, s->end, s->symbols.id}, orders, s->single, all);
}

static int64_t length_of(const ls_scorer *s, int text) { return s->end[text] - (text ? s->end[text - 1] : 0); }

/* Number of n-grams in a text of this length. */
static int64_t ngrams_in(int64_t length, int n) { return length >= n ? length - n + 1 : 0; }

static ls_status add_bleu(ls_scorer *s, int texts, int64_t *counts)
{
    int64_t matches[LS_MAX_NGRAM], closest = -1;
    for (int t = 0; t < texts; t++) LS_TRY(ls__score_tokenize(&s->text[t], &s->spare, s->metric.tokenizer));
    LS_TRY(match_words(s, texts, false, LS_BLEU_ORDERS, matches));
    int64_t length = length_of(s, 0);
    for (int t = 1; t < texts; t++) {
        int64_t l = length_of(s, t), gap = llabs(l - length), least = llabs(closest - length);
        if (closest < 0 || gap < least || (gap == least && l < closest)) closest = l;
    }
    counts[0] += length;
    counts[1] += closest;
    for (int n = 0; n < LS_BLEU_ORDERS; n++) {
        counts[2 + n] += matches[n];
        counts[2 + LS_BLEU_ORDERS + n] += ngrams_in(length, n + 1);
    }
    return LS_OK;
}

/* Writes the counts of `orders` orders, from order `first` of the metric on, for each reference. */
static void fill_chrf(const ls_scorer *s, int texts, int first, int orders, int64_t (*counts)[LS_SCORE_COUNTS])
{
    for (int t = 1; t < texts; t++)
        for (int n = 0; n < orders; n++) {
            int64_t *c = counts[t - 1] + 3 * (first + n);
            c[1]       = ngrams_in(length_of(s, t), n + 1);
            c[0]       = c[1] ? ngrams_in(length_of(s, 0), n + 1) : 0;
            c[2]       = s->single[t][n];
        }
}

static ls_status add_chrf(ls_scorer *s, int texts, int64_t (*each)[LS_SCORE_COUNTS], int64_t *counts)
{
    const ls_score_metric *m = &s->metric;
    int64_t                all[LS_MAX_NGRAM];
    if (m->word_order) {
        LS_TRY(match_words(s, texts, true, m->word_order, all));
        fill_chrf(s, texts, LS_CHRF_CHARACTERS, m->word_order, each);
    }
    LS_TRY(match_characters(s, texts, LS_CHRF_CHARACTERS, all));
    fill_chrf(s, texts, 0, LS_CHRF_CHARACTERS, each);
    int    best       = 0;
    double best_value = -1;
    for (int t = 0; t < texts - 1; t++) {
        double value = chrf_value(m, each[t]);
        if (value > best_value) {
            best       = t;
            best_value = value;
        }
    }
    for (int i = 0; i < ls__score_counts(m); i++) counts[i] += each[best][i];
    return LS_OK;
}

static ls_status prepare(ls_scorer *s, int t, const ls_score_text *text)
{
    LS_TRY(ls__score_decode(&s->text[t], text->data, text->bytes));
    if (s->metric.lowercase) LS_TRY(ls__score_lower(&s->text[t], &s->spare));
    return LS_OK;
}

ls_status ls__scorer_add(ls_scorer *s, const ls_score_text *hypothesis, int references, const ls_score_text *reference,
                         int64_t *counts)
{
    int    texts = 1 + references;
    size_t bytes = hypothesis->bytes;
    for (int t = 0; t < references && bytes <= MOST_BYTES; t++) bytes += reference[t].bytes;
    LS_CHECK(bytes <= MOST_BYTES, LS_ERR_DATA,
             "sentence: expected at most %d bytes in the hypothesis and its references, found more" LS_HINT
             "are the lines ended by newline characters?",
             MOST_BYTES);
    LS_TRY(reserve_texts(s, texts));
    for (int t = 0; t < texts; t++) LS_TRY(prepare(s, t, t ? &reference[t - 1] : hypothesis));
    if (s->metric.kind == LS_SCORE_BLEU) return add_bleu(s, texts, counts);
    int64_t(*each)[LS_SCORE_COUNTS] = calloc((size_t)texts, sizeof *each);
    LS_CHECK(each, LS_ERR_ENV, "scorer: out of memory for %d references", references);
    ls_status status = add_chrf(s, texts, each, counts);
    free(each);
    return status;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

const char *ls__score_name(const ls_score_metric *m)
{
    static const char *const chrf[] = {"chrF2", "chrF2+", "chrF2++"};
    return m->kind == LS_SCORE_BLEU ? "BLEU" : chrf[m->word_order];
}

void ls__score_signature(char out[LS_SCORE_TEXT], const ls_score_metric *m, int references, int resamples,
                         uint64_t seed)
{
    const char *letters       = m->lowercase ? "lc" : "mixed";
    char        bootstrap[64] = "", value[48] = "";
    if (resamples) snprintf(bootstrap, sizeof bootstrap, "|bs:%d|seed:%llu", resamples, (unsigned long long)seed);
    if (ls__score_smooth_default(m->smoothing) != 0) snprintf(value, sizeof value, "[%.2f]", m->smooth_value);
    int n = snprintf(out, LS_SCORE_TEXT, "nrefs:%d%s|case:%s", references, bootstrap, letters);
    if (m->kind == LS_SCORE_BLEU)
        n += snprintf(out + n, LS_SCORE_TEXT - (size_t)n, "|eff:no|tok:%s|smooth:%s%s",
                      ls__score_tokenizer_texts[m->tokenizer], ls__score_smoothing_texts[m->smoothing], value);
    else
        n += snprintf(out + n, LS_SCORE_TEXT - (size_t)n, "|eff:yes|nc:%d|nw:%d|space:no", LS_CHRF_CHARACTERS,
                      m->word_order);
    snprintf(out + n, LS_SCORE_TEXT - (size_t)n, "|version:lockstep-%s", LS_VERSION);
}

void ls__score_details(char out[LS_SCORE_TEXT], const ls_score_metric *m, const ls_score *s)
{
    const double *p     = s->precision;
    double        ratio = s->reference_length ? (double)s->length / (double)s->reference_length : 0;
    out[0]              = 0;
    if (m->kind != LS_SCORE_BLEU) return;
    snprintf(out, LS_SCORE_TEXT, "%.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld ref_len = %lld)", p[0],
             p[1], p[2], p[3], s->brevity, ratio, (long long)s->length, (long long)s->reference_length);
}

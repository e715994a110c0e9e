/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * BLEU and chrF: 200 hypotheses with the lines that sacreBLEU prints (tests/golden/make_bleu.py), counts that ranks
 * share, resampling against the statistics of sacreBLEU, and a short run of the fuzz target. */
#include <math.h>
#include <zlib.h>

#define LS_FUZZ_REPLAY
#include "launch/score/score_bootstrap.h"
#include "datasets/files/text_lines.h"
#include "tests/fuzz/fuzz_score.c"
#include "tests/fuzz/replay.h"

enum { FILES = 4, LINE_BYTES = 1024, MOST_SENTENCES = 300 };

static char folder[FILES_PATH];

static int setup(void **state)
{
    folder_make(folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

/* ---- values/bleu.txt.gz ------------------------------------------------------------------------------------------ */

typedef struct pair {
    char          name[32];
    int           files;
    ls_text_lines lines[FILES]; /* the hypothesis, then references or systems */
} pair;

static bool read_line(gzFile file, char line[LINE_BYTES])
{
    if (!gzgets(file, line, LINE_BYTES)) return false;
    line[strcspn(line, "\n")] = 0;
    return true;
}

/* Reads the files of a pair, through files on disk. */
static void read_pair(gzFile file, pair *p, const char *header)
{
    char line[LINE_BYTES], path[FILES_PATH + 16];
    assert_int_equal(sscanf(header, "pair %31s %d", p->name, &p->files), 2);
    assert_true(p->files <= FILES);
    for (int f = 0; f < p->files; f++) {
        unsigned bytes;
        assert_true(read_line(file, line));
        assert_int_equal(sscanf(line, "file %u", &bytes), 1);
        char *data = malloc(bytes + 1);
        assert_int_equal(gzread(file, data, bytes + 1), bytes + 1);
        snprintf(path, sizeof path, "%s/%d", folder, f);
        file_write(path, data, bytes);
        free(data);
        assert_ok(ls__text_lines_read(&p->lines[f], path, NULL));
    }
}

static void free_pair(pair *p)
{
    for (int f = 0; f < p->files; f++) ls__text_lines_free(&p->lines[f]);
    p->files = 0;
}

static gzFile open_values(void)
{
    gzFile file = gzopen(LOCKSTEP_SOURCE "/tests/golden/values/bleu.txt.gz", "rb");
    assert_non_null(file);
    return file;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* The metric of options of `lockstep bleu`. */
static ls_score_metric metric_of(char *options, int *width)
{
    ls_score_metric m   = {0};
    double          set = -1;
    char           *rest, *word = strtok_r(options, " ", &rest);
    for (; word; word = strtok_r(NULL, " ", &rest)) {
        if (!strcmp(word, "--lowercase")) m.lowercase = true;
        if (!strcmp(word, "--chrf")) m.kind = LS_SCORE_CHRF;
        if (!strcmp(word, "--width")) *width = atoi(strtok_r(NULL, " ", &rest));
        if (!strcmp(word, "--smooth-value")) set = atof(strtok_r(NULL, " ", &rest));
        if (!strcmp(word, "--tokenize"))
            m.tokenizer = (ls_score_tokenizer)ls__enum_find(ls__score_tokenizer_texts, strtok_r(NULL, " ", &rest));
        if (!strcmp(word, "--smooth"))
            m.smoothing = (ls_score_smoothing)ls__enum_find(ls__score_smoothing_texts, strtok_r(NULL, " ", &rest));
        if (!strcmp(word, "--word-order")) {
            m.kind       = LS_SCORE_CHRF;
            m.word_order = atoi(strtok_r(NULL, " ", &rest));
        }
    }
    m.smooth_value = set >= 0 ? set : ls__score_smooth_default(m.smoothing);
    return m;
}

/* Adds the counts of the sentences first, first + step, ... of a pair. */
static void add_sentences(const ls_score_metric *m, const pair *p, int64_t first, int64_t step, int64_t *counts)
{
    ls_scorer *scorer;
    assert_ok(ls__scorer_new(&scorer, m));
    for (int64_t i = first; i < p->lines[0].count; i += step) {
        ls_score_text reference[FILES];
        for (int r = 1; r < p->files; r++) reference[r - 1] = p->lines[r].line[i];
        assert_ok(ls__scorer_add(scorer, &p->lines[0].line[i], p->files - 1, reference, counts));
    }
    ls__scorer_free(scorer);
}

/* Compares the line of a score with sacreBLEU's.  Two ranks share the sentences. */
static void check_score(const pair *p, const char *options, const char *expected)
{
    char            copy[LINE_BYTES], signature[LS_SCORE_TEXT], details[LS_SCORE_TEXT], line[3 * LS_SCORE_TEXT];
    int             width                   = 1;
    int64_t         counts[LS_SCORE_COUNTS] = {0}, other[LS_SCORE_COUNTS] = {0};
    ls_score_metric m;
    snprintf(copy, sizeof copy, "%s", options);
    m = metric_of(copy, &width);
    add_sentences(&m, p, 0, 2, counts);
    add_sentences(&m, p, 1, 2, other);
    for (int k = 0; k < ls__score_counts(&m); k++) counts[k] += other[k];
    ls_score score = ls__score_finish(&m, counts);
    ls__score_signature(signature, &m, p->files - 1, 0, 0);
    ls__score_details(details, &m, &score);
    char *version = strstr(signature, "lockstep-" LS_VERSION);
    assert_non_null(version);
    strcpy(version, "@");
    snprintf(line, sizeof line, "%s|%s = %.*f%s%s", ls__score_name(&m), signature, width, score.value,
             *details ? " " : "", details);
    if (strcmp(line, expected) != 0) fail_msg("pair %s: %s:\n%s\nsacreBLEU:\n%s", p->name, options, line, expected);
}

static void scores_are_those_of_sacrebleu(void **state)
{
    gzFile file = open_values();
    char   line[LINE_BYTES], expected[LINE_BYTES];
    pair   p      = {0};
    int    scores = 0;
    while (read_line(file, line) && strncmp(line, "pair bootstrap", 14) != 0) {
        if (strncmp(line, "pair ", 5) == 0) {
            free_pair(&p);
            read_pair(file, &p, line);
            continue;
        }
        assert_int_equal(strncmp(line, "score ", 6), 0);
        assert_true(read_line(file, expected));
        check_score(&p, line + 6, expected);
        scores++;
    }
    free_pair(&p);
    gzclose(file);
    assert_int_equal(scores, 200 * 9);
}

/* ---- resampling -------------------------------------------------------------------------------------------------- */

static void count_sentences(const ls_score_metric *m, const pair *p, int system, int64_t *counts)
{
    ls_scorer *scorer;
    assert_ok(ls__scorer_new(&scorer, m));
    for (int64_t i = 0; i < p->lines[0].count; i++)
        assert_ok(ls__scorer_add(scorer, &p->lines[system].line[i], 1, &p->lines[2].line[i],
                                 counts + i * ls__score_counts(m)));
    ls__scorer_free(scorer);
}

/* Two estimates from 1,000 resamples differ by noise: the means by about 3 % of a half width, the half widths by about
 * 3 % of themselves. */
static void check_interval(const ls_score_interval *i, double mean, double half_width)
{
    assert_true(fabs(i->mean - mean) < 0.15 * half_width);
    assert_true(fabs(i->half_width - half_width) < 0.15 * half_width);
}

static void intervals_agree_with_sacrebleu(void **state)
{
    static int64_t counts[2][MOST_SENTENCES * LS_SCORE_COUNTS];
    gzFile         file = open_values();
    char           line[LINE_BYTES];
    pair           p    = {0};
    double         x[7] = {0};
    while (read_line(file, line) && strncmp(line, "pair bootstrap", 14) != 0) {
    }
    read_pair(file, &p, line);
    assert_int_equal(p.lines[0].count, MOST_SENTENCES);
    for (int kind = LS_SCORE_BLEU; kind <= LS_SCORE_CHRF; kind++) {
        ls_score_metric      m     = {.kind = (ls_score_kind)kind};
        const int64_t *const all[] = {counts[0], counts[1]};
        ls_score_interval    interval[2], again[2];
        memset(counts, 0, sizeof counts);
        for (int s = 0; s < 2; s++) count_sentences(&m, &p, s, counts[s]);
        assert_true(read_line(file, line) && read_line(file, line));
        char *at = line;
        for (int i = 0; i < 7; i++) x[i] = strtod(at, &at);
        assert_ok(ls__score_bootstrap(&m, 2, MOST_SENTENCES, all, 1000, 12345, interval));
        check_interval(&interval[0], x[1], x[2]);
        check_interval(&interval[1], x[4], x[5]);
        assert_true(fabs(interval[1].p - x[6]) < 0.02 + 0.3 * x[6]);
        assert_ok(ls__score_bootstrap(&m, 2, MOST_SENTENCES, all, 1000, 12345, again));
        assert_memory_equal(interval, again, sizeof interval);
        assert_ok(ls__score_bootstrap(&m, 2, MOST_SENTENCES, all, 1000, 2, again));
        assert_true(interval[0].mean != again[0].mean);
    }
    free_pair(&p);
    gzclose(file);
}

static void a_system_equals_itself(void **state)
{
    int64_t              counts[4][10] = {{3, 3, 3, 2, 1, 0, 3, 2, 1, 0}, {5, 5, 4, 2, 1, 1, 5, 4, 3, 2}};
    const int64_t *const all[]         = {counts[0], counts[0]};
    ls_score_metric      m             = {0};
    ls_score_interval    interval[2];
    assert_ok(ls__score_bootstrap(&m, 2, 2, all, 100, 1, interval));
    assert_true(interval[1].p > 0 && interval[1].p < 0.0100);
    assert_true(interval[0].half_width > 0);
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static void a_corpus_score_is_no_mean_of_sentences(void **state)
{
    static const char *const text[2][2]            = {{"the cat sat on the mat", "the cat sat on the mat"},
                                                      {"a dog", "one bird sang in a tall green tree"}};
    ls_score_metric          m                     = {0};
    int64_t                  both[LS_SCORE_COUNTS] = {0}, single[2][LS_SCORE_COUNTS] = {0};
    ls_scorer               *scorer;
    assert_ok(ls__scorer_new(&scorer, &m));
    for (int i = 0; i < 2; i++) {
        ls_score_text hypothesis = {text[i][0], strlen(text[i][0])}, reference = {text[i][1], strlen(text[i][1])};
        assert_ok(ls__scorer_add(scorer, &hypothesis, 1, &reference, single[i]));
        assert_ok(ls__scorer_add(scorer, &hypothesis, 1, &reference, both));
    }
    double mean = (ls__score_finish(&m, single[0]).value + ls__score_finish(&m, single[1]).value) / 2;
    assert_true(fabs(ls__score_finish(&m, single[0]).value - 100) < 1e-9);
    assert_true(fabs(ls__score_finish(&m, both).value - mean) > 1);
    ls__scorer_free(scorer);
}

static void empty_texts_have_a_score(void **state)
{
    ls_score_text empty = {"", 0}, word = {"word", 4};
    for (int kind = LS_SCORE_BLEU; kind <= LS_SCORE_CHRF; kind++) {
        ls_score_metric m = {.kind = (ls_score_kind)kind, .word_order = kind == LS_SCORE_CHRF ? 2 : 0};
        ls_scorer      *scorer;
        assert_ok(ls__scorer_new(&scorer, &m));
        for (int k = 0; k < 4; k++) {
            int64_t counts[LS_SCORE_COUNTS] = {0};
            assert_ok(ls__scorer_add(scorer, k & 1 ? &word : &empty, 1, k & 2 ? &word : &empty, counts));
            assert_true((ls__score_finish(&m, counts).value > 0) == (kind == LS_SCORE_CHRF && k == 3));
        }
        ls__scorer_free(scorer);
    }
}

static void any_bytes_have_a_score_or_an_error(void **state) { replay("score", fuzz_score, 60); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_sacrebleu), cmocka_unit_test(intervals_agree_with_sacrebleu),
        cmocka_unit_test(a_system_equals_itself),        cmocka_unit_test(a_corpus_score_is_no_mean_of_sentences),
        cmocka_unit_test(empty_texts_have_a_score),      cmocka_unit_test(any_bytes_have_a_score_or_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Scores of translations.  The first byte chooses the metric; the other bytes are a file of lines.  The lines of odd
 * numbers are hypotheses, each with the line before it and the first line as references.  A score is within 0 and 100,
 * and that of a line with itself is at least that of any other line.
 */
#include "datasets/files/text_lines.h"
#include "tests/fuzz/fuzz.h"

static double score_of(ls_scorer *scorer, const ls_score_metric *m, const ls_score_text *hypothesis, int references,
                       const ls_score_text *reference)
{
    int64_t counts[LS_SCORE_COUNTS] = {0};
    fuzz_expect(ls__scorer_add(scorer, hypothesis, references, reference, counts) == LS_OK);
    double value = ls__score_finish(m, counts).value;
    fuzz_expect(value >= 0 && value < 100.000001);
    return value;
}

FUZZ_TARGET(score)
{
    char          path[FILES_PATH + 16];
    ls_text_lines lines;
    ls_scorer    *scorer;
    if (bytes < 2) return;
    ls_score_metric m = {.kind       = (ls_score_kind)(data[0] & 1),
                         .lowercase  = data[0] & 2,
                         .tokenizer  = (ls_score_tokenizer)(data[0] >> 2 & 3),
                         .smoothing  = (ls_score_smoothing)(data[0] >> 4 & 3),
                         .word_order = data[0] >> 6 & 1 ? LS_CHRF_WORDS : 0};
    m.smooth_value    = ls__score_smooth_default(m.smoothing);
    snprintf(path, sizeof path, "%s/lines", fuzz_folder());
    file_write(path, data + 1, bytes - 1);
    ls_status status = ls__text_lines_read(&lines, path, NULL);
    fuzz_status(status);
    unlink(path);
    if (status != LS_OK) return;
    fuzz_expect(ls__scorer_new(&scorer, &m) == LS_OK);
    for (int64_t i = 1; i < lines.count; i += 2) {
        ls_score_text reference[] = {lines.line[i - 1], lines.line[0]};
        double        other       = score_of(scorer, &m, &lines.line[i], 2, reference);
        reference[1]              = lines.line[i];
        fuzz_expect(score_of(scorer, &m, &lines.line[i], 2, reference) >= other - 1e-9);
    }
    ls__scorer_free(scorer);
    ls__text_lines_free(&lines);
}

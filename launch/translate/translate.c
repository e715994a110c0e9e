/* SPDX-License-Identifier: Apache-2.0
 *
 * Translates lines on all ranks.  Lines are taken in windows.  Within a window the lines are sorted by length and cut
 * into batches, which the ranks translate in turn.  Then all ranks gather the tokens of all translations of the window,
 * and rank 0 passes their text on in the order of the lines.
 */
#include "launch/translate/translate.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/integer.h"
#include "launch/data/dataset_source.h"
#include "launch/score/text_score.h"
#include "launch/tasks/task.h"
#include "launch/translate/alignment.h"
#include "launch/translate/translator.h"

enum { WINDOW = 4096, BATCH = 64, BEAM = 5, MAX_TOKENS = 1024, MAX_RATIO = 2, MAX_EXTRA = 10 };

/* Lines as tokens, and what is made of them. */
typedef struct job {
    ls_run              *run;
    ls_translate_options options;
    int64_t              lines;
    ls_tokens           *source;   /* of each line, end token included; empty: an empty line */
    ls_tokens           *prefix;   /* of each line, ended by -1; NULL: none */
    ls_sentence         *sentence; /* of a batch */
    ls_translator       *translator;
    ls_string            records; /* of this rank in the present window */
    size_t               room;
} job;

/* The head of a record.  `tokens` int32, tokens + 1 doubles and (tokens + 1) x width floats follow, each padded to 8
 * bytes. */
typedef struct record {
    int64_t line, tokens;
    double  score, log_p;
    int32_t place, width; /* width: weights of attention for a token; 0: none */
} record;

/* Positions in a record of the parts that follow its head, and its size. */
typedef struct parts {
    size_t token, token_p, weights, end;
} parts;

static parts parts_of(const record *r)
{
    parts p;
    p.token   = sizeof *r;
    p.token_p = p.token + ls__round_up_bytes((size_t)r->tokens * sizeof(int32_t), 8);
    p.weights = p.token_p + (size_t)(r->tokens + 1) * sizeof(double);
    p.end     = p.weights + ls__round_up_bytes((size_t)((r->tokens + 1) * r->width) * sizeof(float), 8);
    return p;
}

/* ---- one window -------------------------------------------------------------------------------------------------- */

static ls_status append(job *j, int64_t line, int place, const ls_translation *t, int64_t stride)
{
    const record r     = {.line   = line,
                          .tokens = t->length,
                          .score  = t->score,
                          .log_p  = t->log_p,
                          .place  = place,
                          .width  = t->weights ? (int32_t)j->source[line].count : 0};
    const parts  p     = parts_of(&r);
    const size_t width = (size_t)r.width * sizeof(float);
    if (j->records.bytes + p.end > j->room) {
        j->room    = 2 * (j->records.bytes + p.end);
        char *more = realloc(j->records.data, j->room);
        LS_CHECK(more, LS_ERR_ENV, "translate: no memory for %zu bytes of translations", j->room);
        j->records.data = more;
    }
    char *at = j->records.data + j->records.bytes;
    memset(at, 0, p.end);
    memcpy(at, &r, sizeof r);
    memcpy(at + p.token, t->token, (size_t)t->length * sizeof *t->token);
    memcpy(at + p.token_p, t->token_p, ((size_t)t->length + 1) * sizeof *t->token_p);
    for (int64_t i = 0; i <= t->length && t->weights; i++)
        memcpy(at + p.weights + (size_t)i * width, t->weights + i * stride, width);
    j->records.bytes += p.end;
    return LS_OK;
}

static int64_t most_tokens(const job *j, int64_t line)
{
    if (j->options.score) return j->prefix[line].count; /* its last token, -1, stands for the end token */
    const double most = j->options.max_ratio * (double)j->source[line].count + (double)j->options.max_extra;
    return most < 1 ? 1 : most > MAX_TOKENS ? MAX_TOKENS : (int64_t)most;
}

static ls_status translate_batch(job *j, const int64_t *line, int64_t n)
{
    ls_search search;
    for (int64_t i = 0; i < n; i++)
        j->sentence[i] = (ls_sentence){.token  = j->source[line[i]].id,
                                       .length = j->source[line[i]].count,
                                       .most   = most_tokens(j, line[i]),
                                       .prefix = j->prefix ? j->prefix[line[i]].id : NULL};
    ls_status status = ls_translator_run(j->translator, j->sentence, n, &search);
    for (int64_t i = 0; i < n && status == LS_OK; i++)
        for (int k = 0; k < j->options.best && k < ls_search_results(&search, i) && status == LS_OK; k++)
            status = append(j, line[i], k, ls_search_result(&search, i, k), search.width);
    ls_search_free(&search);
    return status;
}

/* A line and its number of tokens. */
typedef struct length_of {
    int64_t length, line;
} length_of;

static int longest_first(const void *x, const void *y)
{
    const length_of *a = x, *b = y;
    if (a->length != b->length) return a->length < b->length ? 1 : -1;
    return a->line < b->line ? -1 : a->line > b->line;
}

/* Translates the batches of this rank among the lines [first, end). */
static ls_status translate_own(job *j, int64_t first, int64_t end)
{
    length_of order[WINDOW];
    int64_t   n      = 0, line[WINDOW];
    j->records.bytes = 0;
    for (int64_t i = first; i < end; i++)
        if (j->source[i].count) order[n++] = (length_of){j->source[i].count, i};
    qsort(order, (size_t)n, sizeof *order, longest_first);
    for (int64_t i = 0; i < n; i++) line[i] = order[i].line;
    for (int64_t b = j->run->rank; b * j->options.batch < n; b += j->run->ranks) {
        const int64_t at = b * j->options.batch, rows = n - at < j->options.batch ? n - at : j->options.batch;
        LS_TRY(translate_batch(j, line + at, rows));
    }
    return LS_OK;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static ls_status replace_unknown(const job *j, const ls_translated *t, ls_string *text)
{
    ls_arena    *memory;
    ls_alignment a;
    LS_TRY(ls_arena_new(&memory, "alignment"));
    ls_alignment_of(&a, j->run, t, memory);
    const ls_status status = ls_alignment_replace(&a, j->run, t, j->options.line[t->line], text);
    ls_arena_free(memory);
    return status;
}

static ls_status pass_on(const job *j, int64_t line, const char *at)
{
    record        r      = {.line = line};
    ls_string     text   = {0};
    ls_status     status = LS_OK;
    ls_translated t = {.line = line, .text = "", .source = j->source[line].id, .source_tokens = j->source[line].count};
    if (at) {
        memcpy(&r, at, sizeof r);
        const parts p = parts_of(&r);
        t.place       = r.place;
        t.score       = r.score;
        t.log_p       = r.log_p;
        t.tokens      = r.tokens;
        t.token       = (const int32_t *)(const void *)(at + p.token);
        t.token_log_p = (const double *)(const void *)(at + p.token_p);
        if (r.width) t.weights = (const float *)(const void *)(at + p.weights);
        status = j->options.replace_unknown ? replace_unknown(j, &t, &text)
                                            : ls_tokenizer_decode(j->run->tokenizer, t.token, t.tokens, &text);
        if (text.data) t.text = text.data;
    }
    /* A translation is one line: a newline within it would shift all lines below. */
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] == '\n' || text.data[i] == '\r') text.data[i] = ' ';
    while (text.bytes && text.data[text.bytes - 1] == ' ') text.data[--text.bytes] = 0; /* follows each word */
    if (status == LS_OK) status = j->options.each(&t, j->options.context);
    ls_string_free(&text);
    return status;
}

/* Passes the translations of the lines [first, end) on, in order.  all: records of all ranks, `stride` bytes apart. */
static ls_status pass_window(const job *j, int64_t first, int64_t end, const char *all, size_t stride,
                             const uint64_t *bytes)
{
    const int    best = j->options.best;
    const char **at   = calloc((size_t)((end - first) * best), sizeof *at);
    ls_status    status =
        at ? LS_OK : LS_FAIL(LS_ERR_ENV, "translate: no memory for %lld lines", (long long)(end - first));
    for (int rank = 0; rank < j->run->ranks && at; rank++)
        for (size_t k = 0; k < bytes[rank];) {
            record      r;
            const char *from = all + (size_t)rank * stride + k;
            memcpy(&r, from, sizeof r);
            at[(r.line - first) * best + r.place] = from;
            k += parts_of(&r).end;
        }
    for (int64_t i = first; i < end && status == LS_OK; i++) {
        if (!at[(i - first) * best]) status = pass_on(j, i, NULL); /* an empty line */
        for (int k = 0; k < best && status == LS_OK; k++)
            if (at[(i - first) * best + k]) status = pass_on(j, i, at[(i - first) * best + k]);
    }
    free(at);
    return status;
}

/* Gathers the records of all ranks and passes them on.  Collective. */
static ls_status gather_window(job *j, int64_t first, int64_t end)
{
    ls_run        *run    = j->run;
    const uint64_t own    = j->records.bytes;
    uint64_t       stride = 0, *bytes = calloc((size_t)run->ranks, sizeof *bytes);
    char          *all = NULL, *send = NULL;
    ls_status      status = ls_comm_agree(run->comm, bytes ? LS_OK : LS_FAIL(LS_ERR_ENV, "translate: no memory"));
    if (status == LS_OK) status = ls_comm_allgather(run->comm, &own, bytes, sizeof own);
    for (int r = 0; r < run->ranks && status == LS_OK; r++) stride = bytes[r] > stride ? bytes[r] : stride;
    if (status == LS_OK) {
        all    = malloc((size_t)stride * (size_t)run->ranks + 1);
        send   = calloc((size_t)stride + 1, 1);
        status = ls_comm_agree(run->comm,
                               all && send ? LS_OK : LS_FAIL(LS_ERR_ENV, "translate: no memory for the translations"));
    }
    if (status == LS_OK) {
        if (own) memcpy(send, j->records.data, (size_t)own);
        status = ls_comm_allgather(run->comm, send, all, (size_t)stride);
    }
    if (status == LS_OK)
        status =
            ls_comm_agree(run->comm, run->is_root ? pass_window(j, first, end, all, (size_t)stride, bytes) : LS_OK);
    free(bytes);
    free(all);
    free(send);
    return status;
}

/* ---- all lines --------------------------------------------------------------------------------------------------- */

static ls_status make_translator(job *j)
{
    const ls_run *run    = j->run;
    int64_t       source = 1, target = 1;
    for (int64_t i = 0; i < j->lines; i++) {
        if (j->source[i].count > source) source = j->source[i].count;
        if (most_tokens(j, i) > target) target = most_tokens(j, i);
    }
    const ls_search_options search = {.beam       = j->options.beam,
                                      .penalty    = j->options.gnmt ? LS_PENALTY_GNMT : LS_PENALTY_POWER,
                                      .alpha      = j->options.alpha,
                                      .coverage   = j->options.coverage,
                                      .min_length = j->options.min_tokens,
                                      .vocabulary = run->data.classes,
                                      .end        = run->data.end};
    return ls_translator_new(
        &j->translator, &(ls_translator_options){.recipe = run->recipe,
                                                 .params = run->loaded ? run->loaded : ls_trainer_params(run->trainer),
                                                 .source_vocabulary = run->data.source_vocabulary,
                                                 .vocabulary        = run->data.classes,
                                                 .joint             = run->data.joint,
                                                 .search            = search,
                                                 .batch             = j->options.batch,
                                                 .source_width      = source,
                                                 .target_width      = target,
                                                 .weights = j->options.weights || j->options.replace_unknown});
}

static ls_status translate_all(job *j)
{
    LS_TRY_COLLECTIVE(j->run, make_translator(j));
    for (int64_t first = 0; first < j->lines; first += WINDOW) {
        const int64_t end = first + WINDOW < j->lines ? first + WINDOW : j->lines;
        LS_TRY_COLLECTIVE(j->run, translate_own(j, first, end));
        LS_TRY(gather_window(j, first, end));
    }
    return LS_OK;
}

static ls_status new_job(job *j, ls_run *run, const ls_translate_options *options, int64_t lines)
{
    ls_translate_options *o = &j->options;
    *j                      = (job){.run = run, .options = *options, .lines = lines};
    if (!o->beam) o->beam = BEAM;
    if (!o->best) o->best = 1;
    if (!o->batch) o->batch = BATCH;
    if (!(o->max_ratio > 0) && !o->max_extra) {
        o->max_ratio = MAX_RATIO;
        o->max_extra = MAX_EXTRA;
    }
    LS_CHECK(o->best <= o->beam, LS_ERR_USAGE,
             "translate: expected at most as many translations of a line as the beam, %d, "
             "found %d",
             o->beam, o->best);
    if (o->score) o->beam = o->best = 1;
    LS_CHECK(!o->score || o->prefix, LS_ERR_USAGE, "translate: score: expected a translation of each line, found none");
    LS_CHECK(o->batch >= 1 && o->batch <= WINDOW, LS_ERR_USAGE, "translate: batch: expected 1 to %d lines, found %lld",
             WINDOW, (long long)o->batch);
    LS_CHECK(o->min_tokens >= 0, LS_ERR_USAGE, "translate: min_tokens: expected at least 0, found %lld",
             (long long)o->min_tokens);
    LS_CHECK(run->task == &ls__task_translation, LS_ERR_USAGE,
             "%s: expected the run of a model of translation, found one for %s" LS_HINT "%s",
             run->directory ? run->directory : run->recipe->name, run->task->name, run->task->use);
    if (!run->tokenizer) LS_TRY(ls_data_pair_tokenizers(&run->source_tokenizer, &run->tokenizer, &run->data));
    LS_CHECK(!o->replace_unknown || ls_tokenizer_unknown(run->tokenizer) >= 0, LS_ERR_USAGE,
             "translate: unknown words: expected a tokenizer of words, found one of %s, which has no <unk>",
             ls_tokenizer_kind_text(ls_tokenizer_kind_of(run->tokenizer)));
    LS_CHECK(o->coverage >= 0, LS_ERR_USAGE, "translate: coverage: expected at least 0, found %g", o->coverage);
    j->source   = calloc((size_t)lines + 1, sizeof *j->source);
    j->sentence = calloc((size_t)o->batch, sizeof *j->sentence);
    LS_CHECK(j->source && j->sentence, LS_ERR_ENV, "translate: no memory for %lld lines", (long long)lines);
    return LS_OK;
}

static void free_job(job *j)
{
    for (int64_t i = 0; i < j->lines && j->source; i++) ls_tokens_free(&j->source[i]);
    for (int64_t i = 0; i < j->lines && j->prefix; i++) ls_tokens_free(&j->prefix[i]);
    free(j->source);
    free(j->sentence);
    free(j->prefix);
    ls_translator_free(j->translator);
    ls_string_free(&j->records);
}

/* Appends a token. */
static ls_status add_token(ls_tokens *list, int32_t token)
{
    if (list->count == list->room) {
        const int64_t room = list->count + 16;
        int32_t      *id   = realloc(list->id, (size_t)room * sizeof *id);
        LS_CHECK(id, LS_ERR_ENV, "translate: no memory for %lld tokens", (long long)room);
        list->id   = id;
        list->room = room;
    }
    list->id[list->count++] = token;
    return LS_OK;
}

/* Encodes a line of text. */
static ls_status encode(const ls_tokenizer *tokenizer, const char *what, int64_t line, const char *text, int32_t end,
                        ls_tokens *tokens)
{
    const size_t bytes = strlen(text);
    LS_TRY(ls_tokenizer_encode_line(tokenizer, text, bytes, tokens));
    LS_CHECK(tokens->count < MAX_TOKENS, LS_ERR_DATA,
             "%s %lld: expected fewer than %d tokens, found %lld" LS_HINT "split the line into sentences", what,
             (long long)line + 1, MAX_TOKENS, (long long)tokens->count);
    return tokens->count || end < 0 ? add_token(tokens, end) : LS_OK;
}

static ls_status take_lines(job *j)
{
    const ls_translate_options *o = &j->options;
    if (o->prefix) j->prefix = calloc((size_t)j->lines + 1, sizeof *j->prefix);
    LS_CHECK(!o->prefix || j->prefix, LS_ERR_ENV, "translate: no memory for %lld lines", (long long)j->lines);
    for (int64_t i = 0; i < j->lines; i++) {
        LS_TRY(encode(j->run->source_tokenizer, "line", i, o->line[i], j->run->data.source_end, &j->source[i]));
        if (o->prefix) LS_TRY(encode(j->run->tokenizer, "prefix", i, o->prefix[i], -1, &j->prefix[i]));
    }
    return LS_OK;
}

ls_status ls_run_translate(ls_run *run, const ls_translate_options *options)
{
    job       j;
    ls_status status = ls_comm_agree(run->comm, new_job(&j, run, options, options->lines));
    if (status == LS_OK) status = ls_comm_agree(run->comm, take_lines(&j));
    if (status == LS_OK) status = ls_run_swap_average(run);
    if (status == LS_OK) {
        status               = translate_all(&j);
        const ls_status back = ls_run_swap_average(run);
        if (status == LS_OK) status = back;
    }
    free_job(&j);
    return status;
}

/* ---- a split ----------------------------------------------------------------------------------------------------- */

/* BLEU of the translations that rank 0 receives. */
typedef struct scoring {
    ls_dataset     *split;
    ls_pair         pair;
    ls_score_metric metric[2];
    ls_scorer      *scorer[2];
    int64_t         counts[2][LS_SCORE_COUNTS];
    int64_t         exact; /* translations equal to their target */
} scoring;

static ls_status score_translation(const ls_translated *t, void *context)
{
    scoring *s = context;
    LS_TRY(ls_dataset_pair(s->split, t->line, &s->pair));
    const ls_score_text hypothesis = {t->text, strlen(t->text)},
                        reference  = {s->pair.target.data, s->pair.target.bytes};
    for (int i = 0; i < 2; i++) LS_TRY(ls__scorer_add(s->scorer[i], &hypothesis, 1, &reference, s->counts[i]));
    s->exact += !strcmp(t->text, s->pair.target.data);
    return LS_OK;
}

/* Takes the sources of the given pairs; index NULL: the first ones. */
static ls_status take_pairs(job *j, ls_dataset *split, const int64_t *index)
{
    ls_pair   pair   = {0};
    ls_status status = LS_OK;
    for (int64_t i = 0; i < j->lines && status == LS_OK; i++) {
        status = ls_dataset_pair(split, index ? index[i] : i, &pair);
        for (int64_t k = 0; k < pair.source_tokens.count && status == LS_OK; k++)
            status = add_token(&j->source[i], pair.source_tokens.id[k]);
        if (status == LS_OK) status = add_token(&j->source[i], j->run->data.source_end);
    }
    ls_pair_free(&pair);
    return status;
}

ls_status ls_translate_pairs(ls_run *run, ls_dataset *split, const int64_t *index, const ls_translate_options *options)
{
    job       j;
    ls_status status = ls_comm_agree(run->comm, new_job(&j, run, options, options->lines));
    if (status == LS_OK) status = ls_comm_agree(run->comm, take_pairs(&j, split, index));
    if (status == LS_OK) status = translate_all(&j);
    free_job(&j);
    return status;
}

ls_status ls_translate_split(ls_run *run, ls_dataset *split, int64_t count, ls_translation_scores *scores)
{
    scoring                    s = {.split = split, .metric = {{0}, {.lowercase = true}}};
    const ls_translate_options o = {
        .lines = count, .beam = (int)run->recipe->eval.beam, .alpha = 1, .each = score_translation, .context = &s};
    ls_status status = LS_OK;
    for (int i = 0; i < 2 && status == LS_OK; i++) status = ls__scorer_new(&s.scorer[i], &s.metric[i]);
    status = ls_comm_agree(run->comm, status);
    if (status == LS_OK) status = ls_translate_pairs(run, split, NULL, &o);
    if (status == LS_OK) {
        *scores = (ls_translation_scores){.bleu           = ls__score_finish(&s.metric[0], s.counts[0]).value,
                                          .lowercase_bleu = ls__score_finish(&s.metric[1], s.counts[1]).value,
                                          .exact          = (double)s.exact / (double)count};
        status  = ls_comm_bcast(run->comm, scores, sizeof *scores, 0);
    }
    for (int i = 0; i < 2; i++) ls__scorer_free(s.scorer[i]);
    ls_pair_free(&s.pair);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * Beam search; the algorithm is described in beam_search.h. */
#include "launch/translate/beam_search.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Token of a hypothesis, and the ones before it. */
typedef struct link {
    const struct link *before;
    int32_t            token;
    double             log_p;   /* of this token */
    const float       *weights; /* of attention for this token; NULL: none */
} link;

struct ls_hypothesis {
    const link *last; /* NULL: no token yet */
    double      log_p;
};

struct ls_candidate {
    double  log_p;   /* of the hypothesis with the token */
    double  token_p; /* of the token */
    int64_t row;
    int32_t token;
};

double ls_length_penalty(const ls_search_options *o, int64_t length)
{
    const double base = o->penalty == LS_PENALTY_GNMT ? (5 + (double)length) / 6 : (double)length;
    return pow(base, o->alpha);
}

ls_status ls_search_new(ls_search *s, const ls_search_options *options, int64_t sentences, const int64_t *most,
                        const int32_t *const *prefix)
{
    *s = (ls_search){.options = *options, .sentences = sentences, .most = most, .prefix = prefix, .rows = sentences};
    LS_CHECK(options->beam >= 1 && options->beam <= LS_MAX_BEAM, LS_ERR_USAGE, "beam: expected 1 to %d, found %d",
             LS_MAX_BEAM, options->beam);
    LS_CHECK(options->vocabulary >= 2 && options->end >= 0 && options->end < options->vocabulary, LS_ERR_USAGE,
             "beam search: expected an end token within the vocabulary of %d, found %d", options->vocabulary,
             options->end);
    LS_TRY(ls_arena_new(&s->memory, "beam search"));
    const size_t beam = (size_t)options->beam, n = (size_t)sentences;
    s->row       = ls_arena_alloc(s->memory, n * beam * sizeof *s->row);
    s->next_row  = ls_arena_alloc(s->memory, n * beam * sizeof *s->next_row);
    s->live      = ls_arena_alloc(s->memory, n * beam * sizeof *s->live);
    s->next      = ls_arena_alloc(s->memory, n * beam * sizeof *s->next);
    s->candidate = ls_arena_alloc(s->memory, n * beam * 2 * beam * sizeof *s->candidate);
    s->count     = ls_arena_alloc(s->memory, n * sizeof *s->count);
    s->best      = ls_arena_alloc(s->memory, n * sizeof *s->best);
    for (size_t i = 0; i < n; i++) {
        s->best[i] = ls_arena_alloc(s->memory, beam * sizeof **s->best);
        s->row[i]  = (ls_search_row){.sentence = (int64_t)i, .parent = -1, .token = options->end};
    }
    return LS_OK;
}

void ls_search_free(ls_search *s)
{
    if (s->memory) ls_arena_free(s->memory);
    *s = (ls_search){0};
}

int64_t ls_search_rows(const ls_search *s, const ls_search_row **row)
{
    *row = s->row;
    return s->rows;
}

int                   ls_search_results(const ls_search *s, int64_t sentence) { return s->count[sentence]; }
const ls_translation *ls_search_result(const ls_search *s, int64_t sentence, int i) { return &s->best[sentence][i]; }

/* ---- continuations of one hypothesis ----------------------------------------------------------------------------- */

/* Whether candidate a ranks before b. */
static bool before(const ls_candidate *a, const ls_candidate *b)
{
    if (a->log_p != b->log_p) return a->log_p > b->log_p;
    return a->row != b->row ? a->row < b->row : a->token < b->token;
}

/* Inserts a candidate into a sorted list of at most `room`; returns the new number. */
static int insert(ls_candidate *list, int n, int room, const ls_candidate *c)
{
    if (n == room && !before(c, &list[n - 1])) return n;
    int at = n < room ? n++ : n - 1;
    for (; at > 0 && before(c, &list[at - 1]); at--) list[at] = list[at - 1];
    list[at] = *c;
    return n;
}

/* The token that a translation must have at this position; -1: any. */
static int32_t forced(const ls_search *s, int64_t sentence)
{
    const int32_t *prefix = s->prefix ? s->prefix[sentence] : NULL;
    for (int64_t i = 0; prefix && i < s->position && prefix[i] >= 0; i++)
        if (prefix[i + 1] < 0) return -1;
    return prefix ? prefix[s->position] : -1;
}

/* Whether the token may follow row r. */
static bool allowed(const ls_search *s, int64_t sentence, int32_t token, int32_t must)
{
    const bool last = s->position + 1 >= s->most[sentence];
    if (last) return token == s->options.end;
    if (must >= 0) return token == must;
    return token != s->options.end || s->position >= s->options.min_length;
}

/* Finds the best continuations of row r: at most 2 beam, because at most `beam` of them end.  Returns their number; -1:
 * a log-probability is not a number. */
static int continuations(const ls_search *s, int64_t r, const float *log_p, ls_candidate *list)
{
    const int     room  = 2 * s->options.beam;
    const int32_t must  = forced(s, s->row[r].sentence);
    float         least = -INFINITY; /* that of the worst candidate once there are enough */
    int           n     = 0;
    for (int32_t i = 0; i < s->options.vocabulary; i++) {
        if (!(log_p[i] < 1)) return -1;
        if (log_p[i] < least || !allowed(s, s->row[r].sentence, i, must)) continue;
        const double p = (double)log_p[i];
        n = insert(list, n, room, &(ls_candidate){.log_p = s->live[r].log_p + p, .token_p = p, .row = r, .token = i});
        if (n == room) least = log_p[list[n - 1].token];
    }
    return n;
}

/* ---- finished translations --------------------------------------------------------------------------------------- */

/* Collects the weights of attention of a finished translation: those of its tokens, then those of its end token. */
static float *weights_of(ls_search *s, const ls_candidate *c, const link *last, int64_t length)
{
    const size_t width = (size_t)s->width, bytes = width * sizeof(float);
    float       *all = ls_arena_alloc(s->memory, ((size_t)length + 1) * bytes);
    memcpy(all + (size_t)length * width, s->weights + (size_t)c->row * width, bytes);
    for (int64_t i = length - 1; i >= 0; i--, last = last->before)
        memcpy(all + (size_t)i * width, last->weights, bytes);
    return all;
}

/* The coverage penalty of a translation. */
static double coverage_of(const ls_search *s, int64_t sentence, const ls_candidate *c, const link *last)
{
    double sum = 0;
    for (int64_t j = 0; j < s->covered[sentence]; j++) {
        double covered = (double)s->weights[c->row * s->width + j];
        for (const link *l = last; l; l = l->before) covered += (double)l->weights[j];
        sum += log(covered < DBL_MIN ? DBL_MIN : covered > 1 ? 1 : covered);
    }
    return s->options.coverage * sum;
}

static void finish(ls_search *s, int64_t sentence, const ls_candidate *c)
{
    const ls_search_options *o    = &s->options;
    const link              *last = s->live[c->row].last;
    int                      n    = s->count[sentence];
    ls_translation          *best = s->best[sentence];
    ls_translation           t    = {.log_p = c->log_p, .length = s->position};
    t.score                       = c->log_p / ls_length_penalty(o, s->position + 1);
    if (o->coverage > 0) t.score += coverage_of(s, sentence, c, last);
    if (n == o->beam && t.score <= best[n - 1].score) return;
    t.token             = ls_arena_alloc(s->memory, ((size_t)t.length + 1) * sizeof *t.token);
    t.token_p           = ls_arena_alloc(s->memory, ((size_t)t.length + 1) * sizeof *t.token_p);
    t.token_p[t.length] = c->token_p;
    if (s->weights) t.weights = weights_of(s, c, last, t.length);
    for (int64_t i = t.length - 1; i >= 0; i--, last = last->before) {
        t.token[i]   = last->token;
        t.token_p[i] = last->log_p;
    }
    int at = n < o->beam ? n++ : n - 1;
    for (; at > 0 && t.score > best[at - 1].score; at--) best[at] = best[at - 1];
    best[at]           = t;
    s->count[sentence] = n;
}

/* Whether a hypothesis with log_p can still become one of the best translations. */
static bool can_win(const ls_search *s, int64_t sentence, double log_p)
{
    const ls_search_options *o = &s->options;
    const int                n = s->count[sentence];
    if (n < o->beam) return true;
    if (o->beam == 1) return false;
    const double least = ls_length_penalty(o, s->position + 2), most = ls_length_penalty(o, s->most[sentence]);
    return log_p / (least > most ? least : most) > s->best[sentence][n - 1].score;
}

/* Ranks the candidates of rows [first, last) of one sentence: finishes those that end, and adds rows for the others.
 * Returns the number of rows added. */
static int64_t advance(ls_search *s, int64_t first, int64_t last, const int *found, int64_t at)
{
    enum { ROOM = 2 * LS_MAX_BEAM };
    const int     beam = s->options.beam, room = 2 * beam;
    const int64_t sentence = s->row[first].sentence;
    ls_candidate  list[ROOM];
    int           n     = 0;
    int64_t       added = 0;
    for (int64_t r = first; r < last; r++)
        for (int i = 0; i < found[r]; i++) n = insert(list, n, room, &s->candidate[r * room + i]);
    const bool greedy = beam == 1;
    for (int i = 0; i < n; i++) {
        const ls_candidate *c = &list[i];
        if (c->token == s->options.end) {
            if (i < beam) finish(s, sentence, c);
            if (i < beam && greedy) return 0;
        } else if (added < beam) {
            link *l                 = ls_arena_alloc(s->memory, sizeof *l);
            *l                      = (link){.before  = s->live[c->row].last,
                                             .token   = c->token,
                                             .log_p   = c->token_p,
                                             .weights = s->weights ? s->weights + c->row * s->width : NULL};
            s->next[at + added]     = (ls_hypothesis){.last = l, .log_p = c->log_p};
            s->next_row[at + added] = (ls_search_row){.sentence = sentence, .parent = c->row, .token = c->token};
            added++;
        }
    }
    /* Live hypotheses are sorted, so the first one decides. */
    return added && can_win(s, sentence, s->next[at].log_p) ? added : 0;
}

ls_status ls_search_take(ls_search *s, const float *log_p)
{
    const int room  = 2 * s->options.beam;
    int      *found = ls_arena_alloc(s->memory, (size_t)s->rows * sizeof *found);
    bool      bad   = false;
#pragma omp parallel for schedule(static) reduction(|| : bad)
    for (int64_t r = 0; r < s->rows; r++) {
        found[r] = continuations(s, r, log_p + r * s->options.vocabulary, s->candidate + r * room);
        bad      = bad || found[r] < 0;
    }
    LS_CHECK(!bad, LS_ERR_DATA,
             "translation: after %lld tokens the model's probabilities are not finite" LS_HINT
             "`lockstep ckpt inspect` shows which parameters are not finite",
             (long long)s->position);
    if (s->weights) { /* hypotheses keep them */
        const size_t bytes = (size_t)(s->rows * s->width) * sizeof(float);
        s->weights         = memcpy(ls_arena_alloc(s->memory, bytes), s->weights, bytes);
    }
    int64_t added = 0;
    for (int64_t first = 0, last; first < s->rows; first = last) {
        for (last = first; last < s->rows && s->row[last].sentence == s->row[first].sentence;) last++;
        added += advance(s, first, last, found, added);
    }
    ls_search_row *row  = s->row;
    ls_hypothesis *live = s->live;
    s->row              = s->next_row;
    s->live             = s->next;
    s->next_row         = row;
    s->next             = live;
    s->rows             = added;
    s->position++;
    return LS_OK;
}

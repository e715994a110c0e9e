/* SPDX-License-Identifier: Apache-2.0
 *
 * Made pairs: sequences of digits, and a sequence that follows from each.  They show in a minute whether a model of
 * translation learns, and what its attention must be:
 *
 *     made:copy       3 1 4 1 5  ->  3 1 4 1 5      position t attends to position t
 *     made:reverse    3 1 4 1 5  ->  5 1 4 1 3      position t attends to position n - 1 - t
 *     made:sort       3 1 4 1 5  ->  1 1 3 4 5
 *
 * Lengths are uniform between two limits, digits uniform.  A sequence belongs to one of the splits train, valid and
 * test by a hash of its digits: 14 of 16 sequences are of train.  So no sequence of valid or test is seen in training.
 * Pair i is a function of (seed, split, i, limits).
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "datasets/pairs/pairs.h"

enum { MAX_LENGTH = 1000, DIGITS = 10, SPLITS = 3, PARTS = 16, MAX_TRIES = 100000 };

static const char prefix[] = "made:", ten_digits[] = "0 1 2 3 4 5 6 7 8 9";

typedef struct maker {
    const ls_made_pairs *o;
    uint64_t             key;
    int                  split;
    void (*change)(int n, const uint8_t *from, uint8_t *to);
    int32_t  token[DIGITS];
    uint8_t  digit[MAX_LENGTH + 1]; /* the longest sequence and a zero for the hash */
    uint8_t  changed[MAX_LENGTH];
    int32_t *tokens;
    int64_t *start, *line_start;
    char    *lines;
    int64_t  sentences; /* so far */
} maker;

/* ---- the three tasks --------------------------------------------------------------------------------------------- */

static void copy(int n, const uint8_t *from, uint8_t *to) { memcpy(to, from, (size_t)n); }

static void reverse(int n, const uint8_t *from, uint8_t *to)
{
    for (int i = 0; i < n; i++) to[i] = from[n - 1 - i];
}

static void sort(int n, const uint8_t *from, uint8_t *to)
{
    int count[DIGITS] = {0}, at = 0;
    for (int i = 0; i < n; i++) count[from[i] - '0']++;
    for (int digit = 0; digit < DIGITS; digit++)
        while (count[digit]--) to[at++] = (uint8_t)('0' + digit);
}

static const struct {
    const char *name;
    void (*change)(int n, const uint8_t *from, uint8_t *to);
} tasks[] = {{"copy", copy}, {"reverse", reverse}, {"sort", sort}};
enum { TASKS = sizeof tasks / sizeof *tasks };

bool ls_made_pairs_named(const char *path) { return !strncmp(path, prefix, strlen(prefix)); }

/* ---- sequences --------------------------------------------------------------------------------------------------- */

/* The split of a sequence. */
static int split_of(uint64_t seed, const uint8_t *digits)
{
    const uint64_t part = ls_key(seed, (const char *)digits) % PARTS;
    return part == 0 ? LS_PAIRS_VALID : part == 1 ? LS_PAIRS_TEST : LS_PAIRS_TRAIN;
}

/* Draws a sequence into m->digit; returns its length. */
static int draw(maker *m, uint64_t sample, uint64_t attempt)
{
    const ls_philox4 head   = ls_philox(m->key, sample, attempt << 32);
    const int        n      = (int)(m->o->min_length + head.v[0] % (m->o->max_length - m->o->min_length + 1));
    ls_philox4       random = head;
    for (int i = 0; i < n; i++) {
        if (i % 4 == 0) random = ls_philox(m->key, sample, (attempt << 32) + 1 + (uint64_t)i / 4);
        m->digit[i] = (uint8_t)('0' + random.v[i % 4] % DIGITS);
    }
    m->digit[n] = 0;
    return n;
}

static void add_sentence(maker *m, int n, const uint8_t *digits)
{
    int64_t token = m->start[m->sentences], byte = m->line_start[m->sentences];
    for (int i = 0; i < n; i++) {
        m->tokens[token++] = m->token[digits[i] - '0'];
        if (i) m->lines[byte++] = ' ';
        m->lines[byte++] = (char)digits[i];
    }
    m->sentences++;
    m->start[m->sentences]      = token;
    m->line_start[m->sentences] = byte;
}

static ls_status make(maker *m)
{
    static const char *const names[] = {"train", "valid", "test"};
    for (int64_t i = 0; i < m->o->count; i++) {
        int n, tries = 0;
        do n = draw(m, (uint64_t)i, (uint64_t)tries);
        while (split_of(m->o->seed, m->digit) != m->split && ++tries < MAX_TRIES);
        LS_CHECK(tries < MAX_TRIES, LS_ERR_USAGE,
                 "made pairs: no sequence of %lld to %lld digits belongs to the split %s; expected longer sequences",
                 (long long)m->o->min_length, (long long)m->o->max_length, names[m->split]);
        m->change(n, m->digit, m->changed);
        add_sentence(m, n, m->digit);
        add_sentence(m, n, m->changed);
    }
    return LS_OK;
}

/* ---- the dataset ------------------------------------------------------------------------------------------------- */

ls_status ls_made_pairs_tokenizer(ls_tokenizer **t)
{
    const ls_text_line line = {ten_digits, sizeof ten_digits - 1};
    return ls_tokenizer_train(t, .kind = LS_TOKENIZER_WORDS, .lines = 1, .line = &line);
}

static ls_status choose(maker *m, const char *path, const char *split)
{
    static const char *const names[SPLITS] = {
        [LS_PAIRS_TRAIN] = "train", [LS_PAIRS_VALID] = "valid", [LS_PAIRS_TEST] = "test"};
    const ls_made_pairs *o = m->o;
    for (int i = 0; i < TASKS && ls_made_pairs_named(path); i++)
        if (!strcmp(path + strlen(prefix), tasks[i].name)) m->change = tasks[i].change;
    LS_CHECK(m->change, LS_ERR_USAGE, "%s: expected made:copy, made:reverse or made:sort", path);
    for (m->split = 0; m->split < SPLITS && strcmp(split, names[m->split]);) m->split++;
    LS_CHECK(m->split < SPLITS, LS_ERR_DATA, "%s: has no split '%s'; expected train, valid or test", path, split);
    LS_CHECK(o->count >= 1, LS_ERR_USAGE, "%s: expected at least 1 pair, found %lld", path, (long long)o->count);
    LS_CHECK(o->min_length >= 1 && o->min_length <= o->max_length && o->max_length <= MAX_LENGTH, LS_ERR_USAGE,
             "%s: expected lengths within 1 to %d digits, found %lld to %lld", path, MAX_LENGTH,
             (long long)o->min_length, (long long)o->max_length);
    m->key = ls_key(o->seed, names[m->split]);
    return LS_OK;
}

static ls_status allocate(maker *m, const char *path)
{
    const size_t sentences = 2 * (size_t)m->o->count, most = sentences * (size_t)m->o->max_length;
    m->tokens     = malloc(most * sizeof *m->tokens);
    m->lines      = malloc(2 * most);
    m->start      = malloc((sentences + 1) * sizeof *m->start);
    m->line_start = malloc((sentences + 1) * sizeof *m->line_start);
    LS_CHECK(m->tokens && m->lines && m->start && m->line_start, LS_ERR_ENV,
             "%s: out of memory for %lld pairs of at most %lld digits", path, (long long)m->o->count,
             (long long)m->o->max_length);
    m->start[0] = m->line_start[0] = 0;
    return LS_OK;
}

/* Finds the tokens of the digits. */
static ls_status find_tokens(maker *m, const ls_tokenizer *t)
{
    ls_tokens list   = {0};
    ls_status status = ls_tokenizer_encode_line(t, ten_digits, sizeof ten_digits - 1, &list);
    for (int i = 0; i < DIGITS && status == LS_OK; i++) m->token[i] = list.id[i];
    ls_tokens_free(&list);
    return status;
}

static ls_status open_made(ls_dataset **d, maker *m, const char *path, const char *split, const ls_tokenizer *t)
{
    char hash[24];
    LS_TRY(choose(m, path, split));
    LS_TRY(find_tokens(m, t));
    LS_TRY(allocate(m, path));
    LS_TRY(make(m));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(t));
    ls_pairs_contents c = {.count      = m->o->count,
                           .tokens     = m->tokens,
                           .start      = m->start,
                           .line_start = m->line_start,
                           .lines      = m->lines,
                           .joint      = true};
    for (int side = 0; side < LS_SIDES; side++) {
        c.side[side].vocabulary = ls_tokenizer_size(t);
        c.side[side].end        = ls_tokenizer_end(t);
        c.side[side].tokenizer  = ls_tokenizer_kind_text(ls_tokenizer_kind_of(t));
        c.side[side].hash       = hash;
    }
    LS_TRY(ls__pairs_in_memory(d, path, split, &c));
    (*d)->info.made = true;
    return LS_OK;
}

ls_status ls_dataset_made_pairs(ls_dataset **d, const char *path, const char *split, const ls_made_pairs *options)
{
    maker         m = {.o = options};
    ls_tokenizer *t;
    *d = NULL;
    LS_TRY(ls_made_pairs_tokenizer(&t));
    ls_status status = open_made(d, &m, path, split, t);
    ls_tokenizer_free(t);
    free(m.tokens);
    free(m.lines);
    free(m.start);
    free(m.line_start);
    return status;
}

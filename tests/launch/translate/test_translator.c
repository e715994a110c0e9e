/* SPDX-License-Identifier: Apache-2.0 */
/* The translator: encoder and decoder as two parts give the probabilities of the whole model, and the bits of a
 * translation do not depend on the other sentences of its batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/translate/translator.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { VOCABULARY = 40, END = 3, SENTENCES = 9, S = 21, T = 18 };

static const char *const models[] = {
    "{name: transformer, options: {layers: 2, heads: 2, width: 24, hidden: 32}}",
    "{name: transformer, options: {layers: 1, decoder_layers: 3, heads: 4, width: 16, norm_first: true}}",
    "{name: seq2seq, options: {layers: 2, hidden: 24}}",
    "{name: seq2seq, options: {cell: gru, hidden: 24, reverse: true}}",
    "{name: seq2seq, options: {cell: rnn_tanh, hidden: 24, bidirectional: true, attention: dot}}",
    "{name: seq2seq, options: {layers: 2, hidden: 24, bidirectional: true, attention: general}}",
    "{name: seq2seq, options: {cell: gru, layers: 2, hidden: 24, attention: concat, tied: true}}",
    "{name: seq2seq, options: {cell: gru, hidden: 24, bidirectional: true, reset_before: true, attention: additive}}",
    "{name: seq2seq, options: {layers: 2, hidden: 24, attention: general, input_feed: true}}",
};
enum { MODELS = sizeof models / sizeof *models };

static int32_t source[SENTENCES][S], target[SENTENCES][T];

/* Sentences of 1 to S tokens with the end token last, and translations of 0 to T - 1 tokens without it. */
static int64_t source_length(int64_t i) { return 1 + i * 7 % S; }
static int64_t target_length(int64_t i) { return i * 5 % T; }

static void make_sentences(void)
{
    for (int64_t i = 0; i < SENTENCES; i++) {
        for (int64_t k = 0; k < source_length(i); k++)
            source[i][k] = (int32_t)(4 + (i * 13 + k * 7) % (VOCABULARY - 4));
        source[i][source_length(i) - 1] = END;
        for (int64_t k = 0; k < T; k++)
            target[i][k] = k < target_length(i) ? (int32_t)(4 + (i * 11 + k * 5) % (VOCABULARY - 4)) : -1;
    }
}

typedef struct setup {
    ls_recipe *recipe;
    ls_graph  *graph; /* the whole model, with logits */
    ls_params *params;
    ls_model  *whole;
} setup;

static setup open_model(const char *model)
{
    setup      s;
    char       text[256];
    ls_tensor *logits;
    snprintf(text, sizeof text, "{model: %s}", model);
    assert_ok(ls_recipe_parse(&s.recipe, text, strlen(text), "test", 0, NULL));
    s.graph = ls_graph_new();
    assert_ok(ls_recipe_build_translation(
        s.recipe,
        &(ls_translation_inputs){.g              = s.graph,
                                 .source         = ls_input(s.graph, "source", LS_I32, S),
                                 .classes        = VOCABULARY,
                                 .source_classes = VOCABULARY,
                                 .joint          = strstr(model, "tied") != NULL,
                                 .source_length  = ls_input(s.graph, "source_length", LS_I32),
                                 .previous       = ls_input(s.graph, "previous", LS_I32, T)},
        &logits));
    assert_ok(ls_params_new(&s.params, s.graph, 5));
    assert_ok(ls_model_new(&s.whole, s.graph, s.params, &logits, 1, 1));
    return s;
}

static void close_model(setup *s)
{
    ls_model_free(s->whole);
    ls_params_free(s->params);
    ls_graph_free(s->graph);
    ls_recipe_free(s->recipe);
}

static ls_translator *translator(const setup *s, const char *model, int beam, int64_t batch, bool weights)
{
    ls_translator *t;
    assert_ok(ls_translator_new(
        &t, &(ls_translator_options){.recipe            = s->recipe,
                                     .params            = s->params,
                                     .source_vocabulary = VOCABULARY,
                                     .vocabulary        = VOCABULARY,
                                     .joint             = strstr(model, "tied") != NULL,
                                     .search       = {.beam = beam, .alpha = 1, .vocabulary = VOCABULARY, .end = END},
                                     .batch        = batch,
                                     .source_width = S,
                                     .target_width = T,
                                     .weights      = weights}));
    return t;
}

/* The whole model's log-probability of token k of translation i. */
static double whole_log_p(const setup *s, int64_t i, int64_t k)
{
    int32_t previous[T] = {END}, length = (int32_t)source_length(i);
    double  sum = 0;
    for (int64_t t = 1; t < T; t++) previous[t] = t <= target_length(i) ? target[i][t - 1] : 0;
    assert_ok(ls_model_run(s->whole, &(ls_batch){.inputs      = 3,
                                                 .name        = {"source", "source_length", "previous"},
                                                 .data        = {source[i], &length, previous},
                                                 .dim0        = {length},
                                                 .rows        = 1,
                                                 .global_rows = 1}));
    const float *logits = ls_model_output(s->whole, 0) + k * VOCABULARY;
    for (int v = 0; v < VOCABULARY; v++) sum += exp((double)logits[v]);
    return (double)logits[k < target_length(i) ? target[i][k] : END] - log(sum);
}

static bool has_attention(const char *model) { return strstr(model, "attention") || strstr(model, "transformer"); }

static ls_sentence sentence(int64_t i, bool forced)
{
    return (ls_sentence){.token  = source[i],
                         .length = source_length(i),
                         .most   = forced ? target_length(i) + 1 : T,
                         .prefix = forced ? target[i] : NULL};
}

static void parts_are_the_whole(void **state)
{
    (void)state;
    make_sentences();
    for (int m = 0; m < MODELS; m++) {
        setup          s = open_model(models[m]);
        ls_translator *t = translator(&s, models[m], 1, SENTENCES, false);
        ls_sentence    all[SENTENCES];
        ls_search      search;
        for (int64_t i = 0; i < SENTENCES; i++) all[i] = sentence(i, true);
        assert_ok(ls_translator_run(t, all, SENTENCES, &search));
        for (int64_t i = 0; i < SENTENCES; i++) {
            const ls_translation *found = ls_search_result(&search, i, 0);
            assert_int_equal(found->length, target_length(i));
            assert_memory_equal(found->token, target[i], (size_t)found->length * sizeof *found->token);
            for (int64_t k = 0; k <= found->length; k++) {
                const double want = whole_log_p(&s, i, k);
                if (fabs(found->token_p[k] - want) > 1e-4)
                    fail_msg("%s: sentence %d, token %d: log p %.7f, expected %.7f", models[m], (int)i, (int)k,
                             found->token_p[k], want);
            }
        }
        ls_search_free(&search);
        ls_translator_free(t);
        close_model(&s);
    }
}

/* Each row of weights sums to 1 over the tokens of the source. */
static void check_weights(const ls_translation *t, int64_t width, int64_t length)
{
    for (int64_t r = 0; r <= t->length; r++) {
        double sum = 0;
        for (int64_t k = 0; k < width; k++) {
            const float w = t->weights[r * width + k];
            assert_true(k < length ? w >= 0 && w <= 1 : w == 0);
            sum += (double)w;
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
}

/* The weights of a translation of the beam search are those of the decoder that is forced to it. */
static void check_forced(ls_translator *t, int64_t i, const ls_translation *x, int64_t width)
{
    int32_t     prefix[T];
    ls_search   search;
    ls_sentence one = sentence(i, false);
    memcpy(prefix, x->token, (size_t)x->length * sizeof *prefix);
    prefix[x->length] = -1;
    one.prefix        = prefix;
    one.most          = x->length + 1;
    assert_ok(ls_translator_run(t, &one, 1, &search));
    const ls_translation *same = ls_search_result(&search, 0, 0);
    assert_int_equal(same->length, x->length);
    for (int64_t r = 0; r <= x->length; r++)
        assert_memory_equal(same->weights + r * search.width, x->weights + r * width,
                            (size_t)one.length * sizeof(float));
    ls_search_free(&search);
}

/* The translations of sentences [first, first + n) equal those of the first pass, to the last bit. */
static void check_batch(ls_translator *t, int64_t first, int64_t n, const ls_search *all)
{
    ls_sentence some[SENTENCES];
    ls_search   search;
    for (int64_t i = 0; i < n; i++) some[i] = sentence(first + i, false);
    assert_ok(ls_translator_run(t, some, n, &search));
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(ls_search_results(&search, i), ls_search_results(all, first + i));
        for (int k = 0; k < ls_search_results(&search, i); k++) {
            const ls_translation *x = ls_search_result(&search, i, k), *y = ls_search_result(all, first + i, k);
            assert_int_equal(x->length, y->length);
            assert_memory_equal(x->token, y->token, (size_t)x->length * sizeof *x->token);
            assert_true(x->log_p == y->log_p && x->score == y->score);
            if (x->weights) {
                check_weights(x, search.width, some[i].length);
                check_forced(t, first + i, x, search.width);
            }
        }
    }
    ls_search_free(&search);
}

static void a_translation_does_not_depend_on_its_batch(void **state)
{
    (void)state;
    make_sentences();
    for (int m = 0; m < MODELS; m++)
        for (int beam = 1; beam <= 5; beam += 4) {
            setup          s   = open_model(models[m]);
            ls_translator *all = translator(&s, models[m], beam, SENTENCES, false),
                          *few = translator(&s, models[m], beam, 2, has_attention(models[m]));
            ls_sentence every[SENTENCES];
            ls_search   search;
            for (int64_t i = 0; i < SENTENCES; i++) every[i] = sentence(i, false);
            assert_ok(ls_translator_run(all, every, SENTENCES, &search));
            for (int64_t i = 0; i < SENTENCES; i++) check_batch(few, i, 1, &search);
            for (int64_t i = 0; i + 2 <= SENTENCES; i += 2) check_batch(few, i, 2, &search);
            check_batch(all, 0, SENTENCES, &search); /* the translator keeps nothing of the batches before */
            ls_search_free(&search);
            ls_translator_free(all);
            ls_translator_free(few);
            close_model(&s);
        }
}

/* ---- weights of attention ---------------------------------------------------------------------------------------- */

/* The sizes of tests/golden/make_translation.py; the end token is 0. */
enum { GOLDEN_SOURCES = 31, GOLDEN_TARGETS = 29, GOLDEN_SAMPLES = 6, GOLDEN_S = 9, GOLDEN_T = 7, GOLDEN_BEAM = 3 };

/* A recipe of the model of a case. */
static ls_recipe *golden_recipe(const golden *file)
{
    char       text[512];
    ls_recipe *r;
    const bool transformer = !strcmp(golden_text(file, "model"), "transformer");
    int        n           = snprintf(text, sizeof text, "{model: {name: %s",
                     transformer ? "transformer, options: {layers: 2, heads: 2, width: 12, hidden: 20"
                                                  : "seq2seq, options: {hidden: 12");
    for (int i = 0; i < file->settings; i++) {
        const char *key = file->key[i], *value = file->value[i];
        if (!strcmp(key, "model") || !strcmp(key, "parameters") || !strcmp(key, "joint") || !strcmp(key, "smoothing"))
            continue;
        if (strcmp(key, "layers") != 0) value = !strcmp(value, "1") ? "true" : !strcmp(value, "0") ? "false" : value;
        n += snprintf(text + n, sizeof text - (size_t)n, ", %s: %s", key, value);
    }
    snprintf(text + n, sizeof text - (size_t)n, "}}}");
    assert_ok(ls_recipe_parse(&r, text, strlen(text), "test", 0, NULL));
    return r;
}

/* Translates the sources of a case by the targets of the case, and compares the weights of each position. */
static void check_golden(const golden *file)
{
    const golden_array *want  = golden_find(file, "weights");
    const bool          joint = golden_number(file, "joint", 0) != 0;
    setup               s     = {.recipe = golden_recipe(file), .graph = ls_graph_new()};
    ls_translator      *t;
    ls_search           search;
    ls_sentence         all[GOLDEN_SAMPLES];
    ls_tensor          *logits;
    int32_t x[GOLDEN_SAMPLES * GOLDEN_S], y[GOLDEN_SAMPLES * GOLDEN_T], length[GOLDEN_SAMPLES], targets[GOLDEN_SAMPLES];
    golden_labels("source lengths", GOLDEN_SAMPLES, GOLDEN_S, length);
    golden_labels("target lengths", GOLDEN_SAMPLES, GOLDEN_T, targets);
    golden_labels("source", GOLDEN_SAMPLES * GOLDEN_S, joint ? GOLDEN_TARGETS : GOLDEN_SOURCES, x);
    golden_labels("previous", GOLDEN_SAMPLES * GOLDEN_T, GOLDEN_TARGETS, y);
    const ls_translation_inputs in = {.g              = s.graph,
                                      .source         = ls_input(s.graph, "source", LS_I32, GOLDEN_S),
                                      .classes        = GOLDEN_TARGETS,
                                      .source_classes = joint ? GOLDEN_TARGETS : GOLDEN_SOURCES,
                                      .joint          = joint,
                                      .source_length  = ls_input(s.graph, "source_length", LS_I32),
                                      .previous       = ls_input(s.graph, "previous", LS_I32, GOLDEN_T)};
    assert_ok(ls_recipe_build_translation(s.recipe, &in, &logits));
    assert_ok(ls_params_new(&s.params, s.graph, 1));
    golden_fill_params(s.params, 1);
    const ls_translator_options options = {
        .recipe            = s.recipe,
        .params            = s.params,
        .source_vocabulary = in.source_classes,
        .vocabulary        = GOLDEN_TARGETS,
        .joint             = joint,
        .search            = {.beam = GOLDEN_BEAM, .alpha = 1, .vocabulary = GOLDEN_TARGETS, .end = 0},
        .batch             = GOLDEN_SAMPLES,
        .source_width      = GOLDEN_S,
        .target_width      = GOLDEN_T,
        .weights           = true};
    if (!want) {
        assert_int_equal(ls_translator_new(&t, &options), LS_ERR_USAGE);
        assert_non_null(strstr(ls_error_message(), "no attention"));
        close_model(&s);
        return;
    }
    assert_ok(ls_translator_new(&t, &options));
    for (int i = 0; i < GOLDEN_SAMPLES; i++) {
        int32_t *row = y + i * GOLDEN_T;
        for (int k = 1; k < GOLDEN_T; k++) row[k - 1] = row[k] > 1 ? row[k] : 1;
        row[targets[i]] = -1; /* the tokens of the prefix are those that the decoder reads next */
        all[i]          = (ls_sentence){x + i * GOLDEN_S, length[i] + 1, targets[i] + 1, row};
    }
    assert_ok(ls_translator_run(t, all, GOLDEN_SAMPLES, &search));
    for (int i = 0; i < GOLDEN_SAMPLES; i++) {
        const ls_translation *found = ls_search_result(&search, i, 0);
        assert_int_equal(found->length, targets[i]);
        for (int64_t k = 0; k <= found->length; k++)
            golden_close_to(file, "weights", length[i] + 1, found->weights + k * search.width,
                            want->f32 + (i * GOLDEN_T + k) * GOLDEN_S, 1e-4, 1e-5);
    }
    ls_search_free(&search);
    ls_translator_free(t);
    close_model(&s);
}

static void weights_are_those_of_pytorch(void **state)
{
    int    cases = 0;
    golden file  = golden_open("values/translation.txt");
    (void)state;
    for (; golden_next(&file); cases++) check_golden(&file);
    golden_close(&file);
    assert_int_equal(cases, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_whole),
        cmocka_unit_test(a_translation_does_not_depend_on_its_batch),
        cmocka_unit_test(weights_are_those_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

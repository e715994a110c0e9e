/* SPDX-License-Identifier: Apache-2.0 */
/* The translator: encoder and decoder as two parts give the probabilities of the whole model, and the bits of a
 * translation do not depend on the other sentences of its batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/translate/translator.h"
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

static ls_translator *translator(const setup *s, const char *model, int beam, int64_t batch)
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
                                     .target_width = T}));
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
        ls_translator *t = translator(&s, models[m], 1, SENTENCES);
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
            ls_translator *all = translator(&s, models[m], beam, SENTENCES), *few = translator(&s, models[m], beam, 2);
            ls_sentence    every[SENTENCES];
            ls_search      search;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_whole),
        cmocka_unit_test(a_translation_does_not_depend_on_its_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

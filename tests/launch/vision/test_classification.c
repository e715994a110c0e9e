/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Results of a classifier: counts, intervals and calibration against values computed here; figures of 2 to 300 classes.
 */
#include "launch/vision/classification.h"

#include <math.h>

#include "core/base/philox.h"
#include "launch/lockstep.h"
#include "launch/run/run_setup.h"
#include "launch/run/train_loop.h"
#include "launch/tasks/task.h"
#include "tests/unit.h"

/* ---- a run ------------------------------------------------------------------------------------------------------- */

typedef struct trained {
    ls_comm          *comm;
    ls_run           *run;
    ls_classification c;
    ls_scores         scores;
} trained;

/* The untrained model, which makes many mistakes. */
static void open_run(trained *t, const char *key)
{
    ls_recipe *recipe;
    assert_ok(ls_comm_self(&t->comm));
    assert_ok(ls_recipe_load(&recipe, "lenet5-digits", 4,
                             (char *[]){"data.train_count=64", "data.test_count=300", "train.batch=64", (char *)key}));
    assert_ok(ls_run_new(&t->run, t->comm, recipe));
    assert_ok(ls_classify_split(t->run, t->run->test, &t->c));
    assert_ok(ls_run_evaluate(t->run, NULL, &t->scores));
}

static void close_run(trained *t)
{
    ls_run_free(t->run);
    ls_comm_free(t->comm);
}

static void each_sample_counts_once(void **state)
{
    trained t;
    open_run(&t, "train.seed=1");
    const ls_classification *c   = &t.c;
    int64_t                  all = 0, labelled[10] = {0}, correct = 0;
    double                   loss = 0;
    assert_int_equal(c->samples, 300);
    assert_int_equal(c->split, 300);
    for (int i = 0; i < 100; i++) all += c->count[i];
    assert_int_equal(all, 300);
    for (int64_t i = 0; i < c->samples; i++) {
        int32_t label;
        assert_ok(ls_dataset_read(t.run->test, i, NULL, &label));
        assert_int_equal(c->verdict[i].label, label);
        labelled[label]++;
        correct += c->verdict[i].predicted == label;
        loss += (double)c->verdict[i].loss;
    }
    for (int k = 0; k < 10; k++) assert_int_equal(c->labelled[k], labelled[k]);
    assert_int_equal(c->correct, correct);
    assert_true((double)correct / 300 == t.scores.metric[0]);
    assert_true(fabs(loss / 300 - t.scores.loss) < 1e-5);
    close_run(&t);
}

static void mistakes_come_by_loss(void **state)
{
    trained t;
    open_run(&t, "train.seed=1");
    const ls_classification *c = &t.c;
    assert_int_equal(c->mistakes, 300 - c->correct);
    assert_true(c->mistakes > 100);
    for (int64_t i = 0; i < c->mistakes; i++) {
        const ls_verdict *v = &c->verdict[c->mistake[i]];
        assert_true(v->label != v->predicted);
        if (i) assert_true(c->verdict[c->mistake[i - 1]].loss >= v->loss);
    }
    close_run(&t);
}

/* Whole batches up to eval.samples, as in an evaluation. */
static void a_part_of_the_split(void **state)
{
    trained t;
    open_run(&t, "eval.samples=100");
    assert_int_equal(t.c.samples, 128);
    assert_int_equal(t.scores.samples, 128);
    assert_int_equal(t.c.split, 300);
    close_run(&t);
}

static void calibration(void **state)
{
    trained t;
    open_run(&t, "train.seed=2");
    double error = 0;
    for (int b = 0; b < LS_BINS; b++) {
        double confidence = 0, correct = 0;
        for (int64_t i = 0; i < t.c.samples; i++) {
            const ls_verdict *v = &t.c.verdict[i];
            if ((int)(v->confidence * LS_BINS) != b) continue;
            confidence += (double)v->confidence;
            correct += v->label == v->predicted;
        }
        error += fabs(confidence - correct) / 300;
    }
    assert_true(error > 0.001);
    assert_true(fabs(t.c.calibration_error - error) < 1e-12);
    close_run(&t);
}

/* Values of scipy.stats.binomtest(right, n).proportion_ci(method="wilson"). */
static void wilson_intervals(void **state)
{
    static const struct {
        int64_t right, n;
        double  low, high;
    } cases[] = {{0, 10, 0, 0.2775327998628892},
                 {10, 10, 0.7224672001371107, 1},
                 {5, 10, 0.236593090512564, 0.7634069094874361},
                 {9302, 10000, 0.9250388534805943, 0.9350307543212756}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double low, high;
        ls_share_interval((double)cases[i].right / (double)cases[i].n, cases[i].n, &low, &high);
        if (fabs(low - cases[i].low) > 1e-12 || fabs(high - cases[i].high) > 1e-12)
            fail_msg("%lld of %lld: %.7f to %.7f", (long long)cases[i].right, (long long)cases[i].n, low, high);
    }
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* A classification of `classes` classes with `per_class` samples each, in memory of the caller's arena. */
static void make(ls_classification *c, int classes, int64_t per_class, ls_arena *memory)
{
    static const char *const words[] = {"otter", "maple_tree", "sea",           "lawn_mower",   "pickup_truck",
                                        "ray",   "girl",       "aquarium fish", "sweet pepper", "television"};
    const char             **name    = ls_arena_alloc(memory, (size_t)classes * sizeof *name);
    *c          = (ls_classification){.classes = classes, .samples = classes * per_class, .split = classes * per_class};
    c->count    = ls_arena_alloc(memory, (size_t)classes * (size_t)classes * sizeof *c->count);
    c->labelled = ls_arena_alloc(memory, (size_t)classes * sizeof *c->labelled);
    c->predicted = ls_arena_alloc(memory, (size_t)classes * sizeof *c->predicted);
    for (int i = 0; i < classes; i++) {
        name[i] = classes > 10 ? ls_arena_printf(memory, "%s %d", words[i % 10], i / 10) : words[i];
        for (int64_t k = 0; k < per_class; k++) {
            const ls_philox4 r     = ls_philox(7, (uint64_t)i, (uint64_t)k);
            const double     skill = 0.35 + 0.6 * (double)(i * 37 % classes) / classes;
            const bool       right = (double)r.v[0] / 4294967296.0 < skill;
            const bool       near  = r.v[1] & 1; /* half of the mistakes are a neighbour's */
            int p = right ? i : near ? (i + 1 + (int)(r.v[2] % 3)) % classes : (int)(r.v[2] % (uint32_t)classes);
            if (p == classes / 2) p = (p + 1) % classes; /* this one is never predicted */
            const double confidence =
                right ? 0.4 + 0.6 * (double)r.v[3] / 4294967296.0 : 0.3 + 0.6 * (double)r.v[3] / 4294967296.0;
            c->count[i * classes + p]++;
            c->labelled[i]++;
            c->predicted[p]++;
            c->correct += p == i;
            ls_confidence_bin *b = &c->bin[(int)(confidence * LS_BINS)];
            b->samples++;
            b->correct += p == i;
            b->confidence += confidence;
            c->confidence += confidence / (double)c->samples;
        }
    }
    for (int i = 0; i < LS_BINS; i++)
        c->calibration_error += fabs((double)c->bin[i].correct - c->bin[i].confidence) / (double)c->samples;
    c->name     = name;
    c->mistakes = c->samples - c->correct;
}

static char *figures_of(const ls_classification *c)
{
    char  *text  = NULL;
    size_t bytes = 0;
    FILE  *f     = open_memstream(&text, &bytes);
    ls_classification_html(f, c);
    fclose(f);
    return text;
}

static int count_of(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

static void any_number_of_classes(void **state)
{
    static const int classes[] = {2, 3, 10, 20, 21, 50, 100, 101, 300};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        ls_arena         *memory;
        ls_classification c;
        assert_ok(ls_arena_new(&memory, "test"));
        make(&c, classes[i], 100, memory);
        char     *text  = figures_of(&c);
        const int n     = classes[i] < 100 ? classes[i] : 100;
        int       cells = 0;
        for (int k = 0; k < c.classes * c.classes; k++) cells += c.count[k] > 0;
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf\""));
        assert_int_equal(count_of(text, "<figure"), 4);
        assert_int_equal(count_of(text, "</figure>"), 4);
        assert_int_equal(count_of(text, "<svg"), count_of(text, "</svg>"));
        assert_int_equal(count_of(text, "<g"), count_of(text, "</g>"));
        assert_int_equal(count_of(text, "<text"), count_of(text, "</text>"));
        if (n == c.classes)
            assert_int_equal(count_of(text, "<rect class=\"f0\" x=") + count_of(text, "<rect class=\"f1\" x="), cells);
        assert_int_equal(count_of(text, "classes with the most mistakes."), classes[i] > 100);
        assert_int_equal(count_of(text, "classes with the lowest accuracy."), classes[i] > 100);
        assert_int_equal(count_of(text, "<circle class=\"point"), n);
        assert_int_equal(count_of(text, "Never predicted: "), 1);
        assert_true(strlen(text) < (size_t)2500000);
        free(text);
        ls_arena_free(memory);
    }
}

/* Names are escaped, and long ones are cut between characters. */
static void names_are_text(void **state)
{
    static const char *const names[] = {"a<b>&\"c\"", "Überraschungsgäste"};
    ls_arena                *memory;
    ls_classification        c;
    assert_ok(ls_arena_new(&memory, "test"));
    make(&c, 2, 50, memory);
    c.name     = names;
    char *text = figures_of(&c);
    assert_null(strstr(text, "a<b>"));
    assert_non_null(strstr(text, "a&lt;b&gt;&amp;&quot;c&quot;"));
    assert_non_null(strstr(text, "Überraschungsgä"));
    free(text);
    ls_arena_free(memory);
}

static void pairs_come_by_samples(void **state)
{
    ls_arena         *memory;
    ls_classification c;
    ls_confused_pair  pair[10];
    assert_ok(ls_arena_new(&memory, "test"));
    make(&c, 30, 100, memory);
    assert_int_equal(ls_most_confused(&c, pair, 10), 10);
    int more = 0;
    for (int i = 0; i < 30; i++)
        for (int k = 0; k < 30; k++) more += i != k && c.count[i * 30 + k] > pair[9].samples;
    assert_true(more < 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pair[i].samples, c.count[pair[i].label * 30 + pair[i].predicted]);
        assert_true(pair[i].label != pair[i].predicted);
        if (i) assert_true(pair[i - 1].samples >= pair[i].samples);
    }
    make(&c, 2, 3, memory);
    assert_true(ls_most_confused(&c, pair, 10) <= 2);
    ls_arena_free(memory);
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* `test_classification N` prints the figures of N classes, to be put into a page */
        ls_arena         *memory;
        ls_classification c;
        if (ls_arena_new(&memory, "example") != LS_OK) return 1;
        make(&c, atoi(argv[1]), 100, memory);
        ls_classification_html(stdout, &c);
        ls_arena_free(memory);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sample_counts_once), cmocka_unit_test(mistakes_come_by_loss),
        cmocka_unit_test(a_part_of_the_split),     cmocka_unit_test(calibration),
        cmocka_unit_test(wilson_intervals),        cmocka_unit_test(any_number_of_classes),
        cmocka_unit_test(names_are_text),          cmocka_unit_test(pairs_come_by_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

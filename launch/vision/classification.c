/* SPDX-License-Identifier: Apache-2.0
 *
 * Results of an image classifier: see launch/vision/classification.h.
 *
 * All ranks evaluate their samples, exchange the verdicts, and count them in the order of the samples.  The evaluation
 * has each sample once; there are no padded samples.
 */
#include "launch/vision/classification.h"

#include <math.h>
#include <stdlib.h>

#include "core/graph/graph.h"
#include "launch/run/evaluate.h"

static void record_verdict(void *context, const ls_batch *batch, int64_t row, const float *logits, void *record)
{
    const int32_t *labels = ls_batch_array(batch, "label");
    *(ls_verdict *)record = ls_verdict_of(((const ls_classification *)context)->classes, logits, labels[row]);
}

static void take_verdict(void *context, int64_t sample, const void *record)
{
    ls_classification *c = context;
    const ls_verdict  *v = record;
    c->verdict[sample]   = *v;
    c->samples           = sample + 1;
    c->count[(int64_t)v->label * c->classes + v->predicted]++;
    c->labelled[v->label]++;
    c->predicted[v->predicted]++;
    c->correct += v->label == v->predicted;
    const int          at  = (int)(v->confidence * LS_BINS);
    ls_confidence_bin *bin = &c->bin[at < LS_BINS ? at : LS_BINS - 1];
    bin->samples++;
    bin->correct += v->label == v->predicted;
    bin->confidence += (double)v->confidence;
}

static void calibrate(ls_classification *c)
{
    double error = 0, confidence = 0;
    for (int i = 0; i < LS_BINS; i++) {
        error += fabs((double)c->bin[i].correct - c->bin[i].confidence);
        confidence += c->bin[i].confidence;
    }
    c->calibration_error = error / (double)c->samples;
    c->confidence        = confidence / (double)c->samples;
}

typedef struct mistake {
    float   loss;
    int64_t sample;
} mistake;

static int by_loss(const void *x, const void *y)
{
    const mistake *a = x, *b = y;
    if (a->loss < b->loss || a->loss > b->loss) return a->loss < b->loss ? 1 : -1;
    return a->sample < b->sample ? -1 : 1;
}

static void sort_mistakes(ls_classification *c, ls_arena *memory)
{
    const size_t wrong = (size_t)(c->samples - c->correct);
    mistake     *list  = ls_arena_alloc(memory, (wrong + 1) * sizeof *list);
    c->mistake         = ls_arena_alloc(memory, (wrong + 1) * sizeof *c->mistake);
    for (int64_t i = 0; i < c->samples; i++)
        if (c->verdict[i].label != c->verdict[i].predicted) list[c->mistakes++] = (mistake){c->verdict[i].loss, i};
    qsort(list, wrong, sizeof *list, by_loss);
    for (int64_t i = 0; i < c->mistakes; i++) c->mistake[i] = list[i].sample;
}

/* The names of the dataset's classes; a model may have more classes, which have numbers. */
static const char *const *names_of(const ls_run *run, int classes)
{
    const char **name = ls_arena_alloc(run->memory, (size_t)classes * sizeof *name);
    for (int i = 0; i < classes; i++)
        name[i] = i < run->data.classes ? run->data.class_names[i] : ls_arena_printf(run->memory, "class %d", i);
    return name;
}

ls_status ls_classify_split(ls_run *run, ls_dataset *split, ls_classification *c)
{
    const int    classes = (int)ls__cols(run->logits);
    const size_t n       = (size_t)classes;
    *c                   = (ls_classification){.classes = classes, .split = ls_dataset_info_of(split).count};
    c->name              = names_of(run, classes);
    c->verdict           = ls_arena_alloc(run->memory, (size_t)c->split * sizeof *c->verdict);
    c->count             = ls_arena_alloc(run->memory, n * n * sizeof *c->count);
    c->labelled          = ls_arena_alloc(run->memory, n * sizeof *c->labelled);
    c->predicted         = ls_arena_alloc(run->memory, n * sizeof *c->predicted);
    LS_TRY(ls_run_pass(run, split,
                       &(ls_sample_pass){.output  = run->logits,
                                         .views   = true,
                                         .samples = run->recipe->eval.samples,
                                         .bytes   = sizeof(ls_verdict),
                                         .record  = record_verdict,
                                         .take    = take_verdict,
                                         .context = c}));
    calibrate(c);
    sort_mistakes(c, run->memory);
    return LS_OK;
}

int ls_most_confused(const ls_classification *c, ls_confused_pair *pair, int most)
{
    int n = 0;
    for (int i = 0; i < c->classes; i++)
        for (int k = 0; k < c->classes; k++) {
            const int64_t samples = c->count[(int64_t)i * c->classes + k];
            if (i == k || !samples || (n == most && samples <= pair[n - 1].samples)) continue;
            int at = n < most ? n++ : n - 1;
            for (; at > 0 && pair[at - 1].samples < samples; at--) pair[at] = pair[at - 1];
            pair[at] = (ls_confused_pair){i, k, samples};
        }
    return n;
}

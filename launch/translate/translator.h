/* SPDX-License-Identifier: Apache-2.0
 *
 * Translates sentences of tokens with a model of translation: the encoder runs once for a batch of sentences, the
 * decoder once for each position of the translations, with one row for each hypothesis of the beam search.
 *
 * A translation depends on its sentence alone: kernels compute each row by itself, and neither the width of a batch nor
 * its number of rows changes the bits of a row. */
#ifndef LS_LAUNCH_TRANSLATE_TRANSLATOR_H
#define LS_LAUNCH_TRANSLATE_TRANSLATOR_H

#include "core/core.h"
#include "launch/recipe/recipe.h"
#include "launch/translate/beam_search.h"

typedef struct ls_translator_options {
    const ls_recipe  *recipe; /* of the model */
    ls_params        *params;
    int64_t           source_vocabulary, vocabulary;
    bool              joint;
    ls_search_options search;
    int64_t           batch;        /* most sentences of a batch */
    int64_t           source_width; /* most tokens of a source, the end token included */
    int64_t           target_width; /* most tokens of a translation, the end token included */
    bool              weights;      /* translations have the weights of attention */
} ls_translator_options;

/* A sentence of tokens, the end token included. */
typedef struct ls_sentence {
    const int32_t *token;
    int64_t        length;
    int64_t        most;   /* most tokens of its translation, the end token included */
    const int32_t *prefix; /* tokens with which the translation begins, ended by -1; NULL: none */
} ls_sentence;

/* Whether the model of a recipe has weights of attention. */
bool ls_translator_weighs(const ls_recipe *recipe);

typedef struct ls_translator ls_translator;
ls_status                    ls_translator_new(ls_translator **t, const ls_translator_options *options);
void                         ls_translator_free(ls_translator *t);

/* Translates `n` sentences, at most `batch`.  A row of ls_translation.weights has search->width elements, those of the
 * tokens of the source first, then zeros.  *search has the results; the caller frees it with ls_search_free. */
ls_status ls_translator_run(ls_translator *t, const ls_sentence *sentence, int64_t n, ls_search *search);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A small language model with dropout, trained on pseudorandom words. */
#ifndef LS_TESTS_LAUNCH_WORDS_H
#define LS_TESTS_LAUNCH_WORDS_H

#ifndef RUN /* a test with other settings defines its own */
#define RUN "train ./tiny.yaml data.path=words log.every=1 checkpoint.every=4 "
#endif
#ifndef MODEL /* likewise */
#define MODEL "{name: gpt, options: {layers: 2, heads: 2, width: 16, context: 16, dropout: 0.1}}"
#endif
#define STEPS 30
#include <math.h>

#include "tests/launch/train_runs.h"

/* The text has 3,000 characters, of which 2,700 are for training: 167 samples of 16 tokens and 14 steps per epoch.  The
 * last batch of an epoch is short. */
static const char recipe[] = "model: " MODEL "\n"
                             "train: {batch: 12, epochs: 0, max_steps: 30}\n"
                             "optim:\n"
                             "  name: adamw\n"
                             "  lr: 0.01\n"
                             "  weight_decay: 0.1\n"
                             "  clip_norm: 1\n"
                             "  groups: [{params: '*.bias', weight_decay: 0}]\n"
                             "eval: {every: 0, every_steps: 10}\n";

static inline void write_text(const char *path, int letters, int bytes)
{
    FILE    *f = fopen(path, "w");
    unsigned x = 1;
    assert_non_null(f);
    for (int i = 0; i < bytes; i++) {
        x = x * 1664525u + 1013904223u;
        fputc(x >> 28 < 3 ? ' ' : 'a' + (int)(x >> 16) % letters, f);
    }
    fclose(f);
}

static inline int make_words(void **state)
{
    set_up(state);
    FILE *f = fopen("tiny.yaml", "w");
    assert_non_null(f);
    fputs(recipe, f);
    fclose(f);
    write_text("words.txt", 20, 3000);
    write_text("other.txt", 22, 3000);
    write_text("small.txt", 12, 3000);
    assert_int_equal(run("data import text words.txt words --tokenizer chars"), 0);
    assert_non_null(strstr(text_of("out"), "2,700 + 300 tokens (train + valid) of 3,000 bytes, a vocabulary of 21"));
    return 0;
}

#endif

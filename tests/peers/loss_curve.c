/* SPDX-License-Identifier: Apache-2.0
 * Trains a GPT from given weights on given batches and prints the loss of each step, for tests/peers/loss_curve:
 *     loss_curve FOLDER PRECISION LAYERS HEADS WIDTH VOCABULARY BATCH CONTEXT STEPS LR
 * FOLDER has model.safetensors and tokens.bin: STEPS x BATCH x (CONTEXT + 1) of int32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/dist.h"

enum { FOLDER = 1, PRECISION, LAYERS, HEADS, WIDTH, VOCABULARY, BATCH, CONTEXT, STEPS, LR, ARGUMENTS };

/* Reads the next batch: inputs are the first CONTEXT tokens of a row, targets the last. */
static int read_batch(FILE *in, int batch, int context, int32_t *tokens, int32_t *target)
{
    int32_t row[1 << 16];
    for (int i = 0; i < batch; i++) {
        if (fread(row, sizeof *row, (size_t)context + 1, in) != (size_t)context + 1) return 0;
        memcpy(tokens + i * context, row, (size_t)context * sizeof *row);
        memcpy(target + i * context, row + 1, (size_t)context * sizeof *row);
    }
    return 1;
}

static ls_status train(ls_trainer *t, char **argv, const char *folder)
{
    const int batch = atoi(argv[BATCH]), context = atoi(argv[CONTEXT]), steps = atoi(argv[STEPS]);
    int32_t  *tokens = malloc(sizeof *tokens * (size_t)(batch * context)),
            *target  = malloc(sizeof *target * (size_t)(batch * context));
    char path[4096];
    snprintf(path, sizeof path, "%s/tokens.bin", folder);
    FILE     *in     = fopen(path, "rb");
    ls_status status = in && tokens && target ? LS_OK : LS_ERR_DATA;
    for (int step = 0; step < steps && status == LS_OK; step++) {
        ls_metrics m;
        ls_batch   b = {
              .inputs = 2, .name = {"tokens", "target"}, .data = {tokens, target}, .rows = batch, .global_rows = batch};
        if (!read_batch(in, batch, context, tokens, target)) status = LS_ERR_DATA;
        if (status == LS_OK) status = ls_trainer_step(t, &b, &m);
        if (status == LS_OK) printf("%.9g\n", (double)m.loss);
    }
    if (in) fclose(in);
    free(tokens);
    free(target);
    return status;
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc != ARGUMENTS) return LS_ERR_USAGE;
    const int   context = atoi(argv[CONTEXT]);
    ls_trainer *t       = NULL;
    ls_graph   *g       = ls_graph_new();
    ls_graph_precision(g, strcmp(argv[PRECISION], "bfloat16") == 0 ? LS_BF16 : LS_F32);
    ls_tensor *x = ls_input(g, "tokens", LS_I32, context), *y = ls_input(g, "target", LS_I32, context);
    ls_tensor *loss = ls_gpt(g, x, atoi(argv[VOCABULARY]), y, .layers = atoi(argv[LAYERS]), .heads = atoi(argv[HEADS]),
                             .width = atoi(argv[WIDTH]), .context = context);
    snprintf(path, sizeof path, "%s/model.safetensors", argv[FOLDER]);
    ls_status status = ls_trainer_new(&t, g, loss, .batch = atoi(argv[BATCH]),
                                      .optim = ls_adamw(.lr = strtof(argv[LR], NULL), .weight_decay = 0.1f));
    if (status == LS_OK) status = ls_safetensors_load(path, ls_trainer_params(t), false);
    if (status == LS_OK) status = train(t, argv, argv[FOLDER]);
    if (status != LS_OK) fprintf(stderr, "%s\n", ls_error_message());
    ls_trainer_free(t);
    ls_graph_free(g);
    return (int)status;
}

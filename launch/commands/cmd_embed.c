/* SPDX-License-Identifier: Apache-2.0
 * `lockstep embed`: vectors of the lines of a text, from an encoder in a folder of Hugging Face. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "launch/commands/command_run.h"
#include "launch/commands/input_lines.h"
#include "launch/embed/embed.h"

static const char *const pools[] = {"mean", "cls", NULL};

typedef struct output {
    const char           *path; /* NULL: not written */
    ls_array_writer      *writer;
    const ls_input_lines *lines;
    int64_t               width;
    float                *query; /* vector of the first line; NULL: not wanted */
    double               *likeness;
} output;

static ls_status take(int64_t line, const float *vector, int64_t width, void *context)
{
    output         *o   = context;
    ls_array_output out = {.name = "embeddings", .type = LS_ARRAY_F32, .rank = 1, .dim = {width}};
    o->width            = width;
    if (o->path && !line) LS_TRY(ls_array_writer_new(&o->writer, o->path, o->lines->count, &out, 1));
    if (o->writer) LS_TRY(ls_array_writer_add(o->writer, (const void *const[]){vector}));
    if (!o->likeness) return LS_OK;
    if (!line) o->query = memcpy(malloc(sizeof *vector * (size_t)width), vector, sizeof *vector * (size_t)width);
    for (int64_t c = 0; c < width; c++) o->likeness[line] += (double)o->query[c] * (double)vector[c];
    return LS_OK;
}

/* Prints the lines that are most like the first one. */
static void print_nearest(const output *o, long long count)
{
    for (long long n = 0; n < count && n + 1 < o->lines->count; n++) {
        int64_t best = -1;
        for (int64_t i = 1; i < o->lines->count; i++)
            if (o->likeness[i] > -2 && (best < 0 || o->likeness[i] > o->likeness[best])) best = i;
        printf("%.3f  %s\n", o->likeness[best], o->lines->line[best]);
        o->likeness[best] = -3;
    }
}

static ls_status embed(ls_run *run, const ls_args *args, ls_input_lines *lines, output *out)
{
    long long        batch, most, nearest;
    int              pool    = 0;
    const char      *name    = ls_args_option(args, "pool");
    ls_embed_options options = {.folder = args->positional[0], .each = take, .context = out};
    LS_TRY_COLLECTIVE(run, ls_args_int(args, "batch", 1, 4096, 32, &batch));
    LS_TRY_COLLECTIVE(run, ls_args_int(args, "max-tokens", 0, 1 << 20, 0, &most));
    LS_TRY_COLLECTIVE(run, ls_args_int(args, "nearest", 0, 1 << 20, 0, &nearest));
    while (name && pools[pool] && strcmp(pools[pool], name) != 0) pool++;
    LS_TRY_COLLECTIVE(
        run, pools[pool] ? LS_OK : LS_FAIL(LS_ERR_USAGE, "embed: --pool: expected mean or cls, found '%s'", name));
    const char *file = args->positional[1];
    out->path        = ls_args_option(args, "out");
    LS_TRY_COLLECTIVE(run,
                      out->path || nearest || strcmp(file, "-") != 0
                          ? LS_OK
                          : LS_FAIL(LS_ERR_USAGE, "embed: standard input: expected --out or --nearest, found neither"));
    if (!out->path && !nearest) out->path = ls_arena_printf(run->memory, "%s.h5", file);
    LS_TRY(ls_input_lines_read(run, file, lines));
    LS_TRY_COLLECTIVE(run, lines->count ? LS_OK
                                        : LS_FAIL(LS_ERR_DATA, "%s: expected lines of text, found none",
                                                  strcmp(file, "-") ? file : "standard input"));
    out->lines = lines;
    if (nearest) out->likeness = calloc((size_t)lines->count, sizeof *out->likeness);
    options.line       = lines->line;
    options.lines      = lines->count;
    options.batch      = batch;
    options.max_tokens = most;
    options.cls        = pool == 1;
    options.unscaled   = ls_args_option(args, "unscaled") != NULL;
    const double began = ls__clock_s();
    LS_TRY(ls_run_embed(run, &options));
    if (out->writer) LS_TRY(ls_array_writer_close(out->writer));
    if (!run->is_root) return LS_OK;
    if (nearest) print_nearest(out, nearest);
    fprintf(stderr, "%lld lines, %lld values each, %.1f lines per second%s%s\n", (long long)lines->count,
            (long long)out->width, (double)lines->count / (ls__clock_s() - began), out->path ? ", written to " : "",
            out->path ? out->path : "");
    return LS_OK;
}

static ls_status run_embed(int argc, char **argv)
{
    ls_run         run;
    ls_args        args;
    ls_input_lines lines  = {0};
    output         out    = {0};
    ls_status      status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = embed(&run, &args, &lines, &out);
    ls_array_writer_free(out.writer);
    ls_input_lines_free(&lines);
    free(out.query);
    free(out.likeness);
    ls_command_finish(&run, status);
    return status;
}

const ls_command ls__command_embed = {
    .name      = "embed",
    .arguments = "MODEL FILE",
    .text      = "vectors of texts from an encoder (BERT, MiniLM, RoBERTa, DistilBERT)",
    .help =
        "MODEL is a folder in Hugging Face's format: config.json, model.safetensors, tokenizer.json.  Each line of "
        "FILE (- for\n"
        "standard input) becomes one vector: the mean of the rows of its tokens, scaled to length 1, as "
        "sentence-transformers\n"
        "computes it.  The HDF5 file gets the array `embeddings`, one row for each line.  The ranks share the lines.\n"
        "\n"
        "  lockstep embed all-MiniLM-L6-v2/ sentences.txt --out vectors.h5\n"
        "  lockstep embed all-MiniLM-L6-v2/ sentences.txt --nearest 5",
    .options = LS_OPTIONS({"out", "FILE", "HDF5 file; default: FILE.h5, with --nearest none"},
                          {"pool", "POOL", "mean (of all tokens) or cls (the first token); default mean"},
                          {"unscaled", NULL, "vectors keep their length"},
                          {"max-tokens", "N", "longer lines are cut; default: the positions of the model"},
                          {"nearest", "N", "print the N lines that are most like the first line, with their cosine"},
                          {"batch", "N", "lines that a rank computes together; default 32"}),
    .run     = run_embed,
};

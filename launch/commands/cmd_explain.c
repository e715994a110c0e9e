/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep explain`: prints the layers, the program and the memory plan of a run without executing it.
 *
 * For each rank it creates a trainer with the cost-model communicator (dist/comm/costmodel.h) in place of the other
 * ranks.  So program and memory plan are those of the run, not estimates.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/format_text.h"
#include "core/cpu/isa_table.h"
#include "core/graph/program.h"
#include "dist/comm/costmodel.h"
#include "dist/trainer/trainer.h"
#include "launch/commands/command_run.h"
#include "launch/report/report_tables.h"
#include "launch/report/unit_text.h"
#include "launch/inspect/inspect.h"
#include "launch/bench/simulate.h"
#include "launch/vision/class_token.h"
#include "launch/vision/feature_maps.h"
#include "launch/vision/layer_windows.h"

/* ---- output ------------------------------------------------------------------------------------------------------ */

/* Layout of the model's table: widths of its columns, characters; unit of its FLOPs. */
typedef struct table {
    int         name, shape;
    double      unit;
    const char *unit_name;
} table;

static table table_of(const ls_layer_row *rows, int n)
{
    table  t   = {.name = 20, .shape = 20};
    double all = 0;
    for (int i = 0; i < n; i++) {
        int name = (int)strlen(rows[i].name), shape = (int)strlen(ls__shape_and_type(rows[i].out));
        t.name  = name > t.name ? name : t.name;
        t.shape = shape > t.shape ? shape : t.shape;
        all += rows[i].flops;
    }
    t.unit      = all < 1e9 ? 1e3 : all < 1e12 ? 1e6 : 1e9;
    t.unit_name = all < 1e9 ? "kFLOP/sample" : all < 1e12 ? "MFLOP/sample" : "GFLOP/sample";
    return t;
}

static void print_row(const table *t, const char *name, const char *op, const char *shape, int64_t parameters,
                      double flops, const char *remark)
{
    char count[32];
    ls__count_text(count, sizeof count, parameters);
    printf("  %-*s %-20s %-*s %12s %14.1f%s\n", t->name, name, op, t->shape, shape, parameters ? count : "",
           flops / t->unit, remark);
}

static void print_model(const ls_run *j)
{
    ls_layer_row *rows;
    int           n   = ls_layer_rows(j, j->memory, &rows);
    table         t   = table_of(rows, n);
    ls_layer_row  all = {0};
    printf("Model\n  %-*s %-20s %-*s %12s %14s\n", t.name, "layer", "op", t.shape, "output", "parameters", t.unit_name);
    for (int i = 0; i < n;) {
        ls_layer_run run   = ls_layer_run_of(rows, n, i);
        ls_layer_row block = {0};
        char         more[96];
        for (int k = 0; k < run.rows; k++, i++) {
            print_row(&t, rows[i].name, rows[i].op, ls__shape_and_type(rows[i].out), rows[i].parameters, rows[i].flops,
                      "");
            block.parameters += rows[i].parameters;
            block.flops += rows[i].flops;
        }
        snprintf(more, sizeof more, "%d more, to %s", run.times - 1, run.last);
        if (run.times > 1)
            print_row(&t, more, "", "", (run.times - 1) * block.parameters, (run.times - 1) * block.flops, "");
        i += (run.times - 1) * run.rows;
        all.parameters += run.times * block.parameters;
        all.flops += run.times * block.flops;
    }
    print_row(&t, "all", "", "", all.parameters, all.flops, "   (forward; backward: about twice as many)");
}

/* "0.4 s", "13.5 minutes", "3.1 hours" */
static void duration(char *text, size_t bytes, double seconds)
{
    const double unit = seconds < 60 ? 1 : seconds < 7200 ? 60 : 3600;
    snprintf(text, bytes, "%.1f %s", seconds / unit, seconds < 60 ? "s" : seconds < 7200 ? "minutes" : "hours");
}

/* Prints the operations of the optimizer muon; `flops`: of forward and backward of a step. */
static void print_matrices(const ls_run *j, double flops)
{
    enum { MUCH = 10 }; /* percent */
    const ls_matrix_cost cost    = ls__trainer_matrix_cost(j->trainer);
    const double         percent = 100 * cost.flops / flops;
    if (!cost.matrices) return;
    printf(
        "  muon: orthogonalises %d hidden matrices: %.3g GFLOP per step, %.3g %% of forward and "
        "backward\n"
        "  divided over the ranks by whole matrices: %d of them on rank 0; the rank with the most takes %.3g GFLOP\n",
        cost.matrices, 1e-9 * cost.flops, percent, cost.owned, 1e-9 * cost.largest);
    if (percent > MUCH)
        printf("  warning: that is more than %d %%; it does not depend on the batch: a larger train.batch has fewer "
               "steps\n",
               MUCH);
}

/* Prints the operations of all steps, and the shortest time that they can take on machines like this one. */
static void print_cost(const ls_run *j)
{
    const ls_program *p     = ls__trainer_program(j->trainer);
    const ls_dtype    type  = j->recipe->train.precision;
    const double      steps = (double)j->total_steps * (double)j->recipe->train.batch,
                 samples    = j->recipe->train.max_steps
                                  ? steps
                                  : fmin(steps, (double)j->recipe->train.epochs * (double)j->train_count);
    const double rate       = ls__isa_table()->peak(type, j->threads) * j->ranks;
    double       flops      = 0;
    char         time[32], twice[32];
    for (int i = 0; i < p->instrs; i++) flops += p->instr[i].flops;
    duration(time, sizeof time, 1e-9 * flops * samples / rate);
    duration(twice, sizeof twice, 2e-9 * flops * samples / rate);
    printf("\nCost of all steps\n  %.3g GFLOP per sample, forward and backward; %.4g TFLOP for %.0f samples, without "
           "evaluations\n",
           1e-9 * flops, 1e-12 * flops * samples, samples);
    print_matrices(j, flops * (double)j->recipe->train.batch);
    if (j->data.kind == LS_DATA_PAIRS)
        printf("  these are figures of the longest sentences; those of most batches are lower: `lockstep bench step` "
               "measures "
               "one\n");
    printf("  at the peak of %d rank%s x %d thread%s like those of this machine, %.0f GFLOP/s in %s (measured, matrix "
           "products in registers): %s\n"
           "  at half of it: %s; `lockstep bench step %s` measures the rate of its steps\n",
           j->ranks, j->ranks == 1 ? "" : "s", j->threads, j->threads == 1 ? "" : "s", rate, ls__dtype_name(type), time,
           twice, j->recipe->name);
}

/* "  3 matrices" if the optimizer muon updates a parameter as matrices. */
static const char *matrices_text(const ls_trainer *t, int param)
{
    static char text[32];
    const int   n = ls__trainer_matrices_of(t, param);
    snprintf(text, sizeof text, "  %d %s", n, n == 1 ? "matrix" : "matrices");
    return n ? text : "";
}

static void print_parameters(const ls_run *j)
{
    const ls_params *p    = ls_trainer_params(j->trainer);
    int              wide = 28;
    for (int i = 0; i < p->count; i++)
        wide = (int)strlen(p->slot[i].tensor->name) > wide ? (int)strlen(p->slot[i].tensor->name) : wide;
    printf("\nParameters, in the order in which their gradients are complete\n  %-*s %-20s %12s  %s\n", wide, "name",
           "shape", "scalars", "offset");
    for (int i = 0; i < p->count; i++) {
        const ls_param_slot *s          = &p->slot[p->order[i]];
        char                 shape[128] = "", count[32];
        for (int d = 0; d < s->tensor->rank; d++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d ? " x " : "",
                     (long long)s->tensor->dim[d]);
        ls__count_text(count, sizeof count, s->count);
        printf("  %-*s %-20s %12s  %zu%s%s\n", wide, s->tensor->name, shape, count, s->offset,
               s->trained ? "" : "  frozen", matrices_text(j->trainer, p->order[i]));
    }
}

static void print_program(const ls_run *j)
{
    const ls_program  *p           = ls__trainer_program(j->trainer);
    ls_batch_partition s           = ls_trainer_share(j->trainer, j->recipe->train.batch);
    size_t             sent        = 0;
    int                collectives = 0;
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == LS_INSTR_CALL && p->instr[i].tag == LS_TAG_ALLREDUCE) {
            sent += p->instr[i].count * sizeof(float);
            collectives++;
        }
    printf("\nProgram of a step on rank 0 of %d: %lld of %lld samples, %d of %d shards; %d all-reduce of %s together\n",
           j->ranks, (long long)s.rows, (long long)j->recipe->train.batch, s.shards, j->shards, collectives,
           ls__bytes_text((double)sent));
    fflush(stdout);
    ls__program_print(p, stdout);
}

/* Prints the sizes of the attention weights and logits, which are computed in pieces and never exist as a whole. */
static void print_avoided(const ls_run *j)
{
    const double rows    = (double)ls_trainer_share(j->trainer, j->recipe->train.batch).rows;
    double       weights = 0, attention = 0, logits = 0;
    for (int i = 0; i < j->graph->nodes; i++) {
        const ls_node *n = j->graph->node[i];
        if (!strcmp(ls__op(n)->name, "attention")) {
            const ls_attention_args *a    = n->args;
            const ls_tensor         *keys = n->in[1] ? n->in[1] : n->in[0];
            weights += rows * a->heads * (double)n->out[0]->dim[0] * (double)keys->dim[0] * sizeof(float);
            for (int k = 0; k < n->outs; k++) attention += rows * (double)ls__numel(n->out[k]) * sizeof(float);
        }
        if (!strcmp(ls__op(n)->name, "linear_cross_entropy"))
            logits += rows * (double)ls__rows(n->in[0]) * (double)n->in[1]->dim[0] * sizeof(float);
    }
    if (weights > 0)
        printf("  attention stores %s, linear in the tokens of a sample; all its weights at once would take %s\n",
               ls__bytes_text(attention), ls__bytes_text(weights));
    if (logits > 0)
        printf("  the loss computes its logits in pieces; all at once would take %s\n", ls__bytes_text(logits));
}

/* Prints how train.zero=2 partitions the gradient, or why it does not. */
static void print_partition(const ls_run *j)
{
    const ls_params *p = ls_trainer_params(j->trainer);
    size_t           partition, waits = 0;
    const char      *why = ls__trainer_gradient_whole(j->trainer, &partition);
    for (int i = 0; i < ls__trainer_program(j->trainer)->instrs; i++)
        waits += ls__trainer_program(j->trainer)->instr[i].phase == LS_PHASE_REDUCE &&
                 !ls__trainer_program(j->trainer)->instr[i].count;
    if (why)
        printf("  gradients are not partitioned: %s\n", why);
    else if (partition)
        printf(
            "  gradients: this rank's partition of the sum is %s; the buckets share the rest of the block, %zu of them "
            "wait for another one; a block without partitions takes %s\n",
            ls__bytes_text((double)partition), waits, ls__bytes_text((double)(p->grads * sizeof(float))));
}

/* Sizes of a plan, bytes. */
typedef struct plan_bytes {
    size_t arena; /* step arena */
    size_t all;
} plan_bytes;

static plan_bytes bytes_of(const ls_trainer *t)
{
    return (plan_bytes){ls__trainer_program(t)->arena_bytes, ls_trainer_planned_bytes(t)};
}

/* Compares the plan of a bfloat16 run with that of the same run in float32. */
static void print_saved(const ls_run *j, const plan_bytes *float32)
{
    const plan_bytes own  = bytes_of(j->trainer);
    const double     less = (double)float32->all - (double)own.all;
    if (j->recipe->train.precision == LS_F32) return;
    printf("  in float32:  step arena %zu bytes, all %zu bytes\n", float32->arena, float32->all);
    printf("  in bfloat16: step arena %zu bytes, all %zu bytes, %s %s\n", own.arena, own.all,
           ls__bytes_text(fabs(less)), less < 0 ? "more" : "less");
}

/* Prints the values that backward computes again, by op, and their arithmetic. */
static void print_recomputed(const ls_run *j)
{
    const ls_program *p     = ls__trainer_program(j->trainer);
    double            again = 0, all = 0;
    int               found = 0;
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        int             times = 0;
        bool            first = instr->kind == LS_INSTR_RECOMPUTE;
        again += first ? instr->flops : 0;
        all += instr->flops;
        for (int k = 0; k < p->instrs && first; k++) {
            if (p->instr[k].kind != LS_INSTR_RECOMPUTE || p->instr[k].node->op != instr->node->op) continue;
            first = k >= i;
            times++;
        }
        if (first) printf("%s%d %s", found++ ? ", " : "  recomputed in backward: ", times, ls__op(instr->node)->name);
    }
    if (found)
        printf("; %.3g GFLOP per sample more, %.3g %% of forward and backward\n", 1e-9 * again,
               100 * again / (all - again));
    if (j->recipe->trainer.memory)
        printf("  train.memory: at most %s for each rank\n", ls__bytes_text((double)j->recipe->trainer.memory));
}

static void print_memory(const ls_run *j, const plan_bytes *float32, uint64_t most, int which)
{
    ls_memory_line lines[LS_MEMORY_LINES];
    int            n = ls__trainer_memory(j->trainer, lines);
    printf("\nPlan of the step arena\n");
    fflush(stdout);
    ls__plan_print(ls__trainer_program(j->trainer), stdout);
    printf("\nMemory of rank 0\n");
    for (int i = 0; i < n; i++)
        printf("  %-20s %14zu bytes  %s\n", lines[i].name, lines[i].planned, ls__bytes_text((double)lines[i].planned));
    size_t all = ls_trainer_planned_bytes(j->trainer);
    printf("  %-20s %14zu bytes  %s\n", "all", all, ls__bytes_text((double)all));
    print_recomputed(j);
    print_saved(j, float32);
    print_partition(j);
    print_avoided(j);
    if (most != all)
        printf("  rank %d needs the most: %llu bytes, %s\n", which, (unsigned long long)most,
               ls__bytes_text((double)most));
}

/* Finds the rank with the most planned memory: *most bytes on rank *which.  Leaves the trainer of rank 0 in the run. */
static ls_status find_largest(ls_run *j, ls_comm **plan, uint64_t *most, int *which)
{
    ls_trainer_options options = ls_run_trainer_options(j);
    *most                      = 0;
    for (int rank = j->ranks - 1; rank >= 0; rank--) {
        ls_trainer_free(j->trainer);
        j->trainer = NULL;
        ls_comm_free(*plan);
        *plan = NULL;
        LS_TRY(ls__comm_costmodel(plan, rank, j->ranks, NULL));
        options.comm = *plan;
        LS_TRY(ls_run_new_trainer(j, &options));
        uint64_t bytes = ls_trainer_planned_bytes(j->trainer);
        if (bytes >= *most) {
            *most  = bytes;
            *which = rank;
        }
    }
    return LS_OK;
}

/* Plans the run in float32 on rank 0: *bytes. */
static ls_status plan_float32(const ls_run *j, ls_comm *plan, plan_bytes *bytes)
{
    const ls_dtype precision   = j->recipe->train.precision;
    ls_run         other       = *j; /* its recipe is that of j */
    other.graph                = NULL;
    other.trainer              = NULL;
    j->recipe->train.precision = LS_F32;
    ls_status status           = ls_run_graph(&other);
    if (status == LS_OK) {
        ls_trainer_options options = ls_run_trainer_options(&other);
        options.comm               = plan;
        options.memory             = 0; /* the limit is that of the run */
        status                     = ls_run_new_trainer(&other, &options);
    }
    if (status == LS_OK) *bytes = bytes_of(other.trainer);
    ls_trainer_free(other.trainer);
    ls_graph_free(other.graph);
    j->recipe->train.precision = precision;
    return status;
}

static ls_status explain(ls_run *j, const ls_args *args, ls_comm **plan)
{
    long long  ranks;
    uint64_t   most;
    plan_bytes float32 = {0};
    int        which   = 0;
    LS_TRY(ls_args_int(args, "ranks", 1, 4096, j->ranks, &ranks));
    j->ranks = (int)ranks;
    LS_TRY(ls_run_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_run_data_or_shapes(j, LS_SPLITS_BOTH));
    LS_TRY(ls_run_products(j));
    LS_TRY(ls_run_graph(j));
    LS_TRY(find_largest(j, plan, &most, &which));
    if (j->recipe->train.precision != LS_F32) LS_TRY(plan_float32(j, *plan, &float32));
    const ls_recipe *r = j->recipe;
    printf("%s: %s, %s\n", r->name, r->data.path, ls_run_samples_text(j));
    printf("%lld steps of %lld samples, %lld per epoch; %d rank%s x %d thread%s, instruction set %s%s\n",
           (long long)j->total_steps, (long long)r->train.batch, (long long)j->epoch_steps, j->ranks,
           j->ranks == 1 ? "" : "s", j->threads, j->threads == 1 ? "" : "s", ls_isa_name(ls_isa_current()),
           r->train.precision == LS_BF16 ? ", bfloat16" : "");
    if (j->products) printf("matrix products by %s\n", j->products_text);
    printf("\n");
    print_model(j);
    ls_layer_windows_print(stdout, j->graph, j->memory);
    print_cost(j);
    print_parameters(j);
    print_program(j);
    print_memory(j, &float32, most, which);
    return LS_OK;
}

#define PICTURES "--attention, --dot-product, --positions, --scores, --valley, --maps, --class-token, --align"

/* Prints the program, or runs the one of the options that draw a picture that was given. */
static ls_status choose(ls_run *j, const ls_args *args, ls_comm **plan)
{
    static const struct {
        const char *option;
        ls_status (*inspect)(ls_run *, const ls_inspect_options *); /* NULL: ls__explain_link */
    } others[]                 = {{"attention", ls__explain_attention},
                                  {"dot-product", ls__explain_dot_product},
                                  {"positions", ls__explain_positions},
                                  {"scores", ls__explain_scores},
                                  {"valley", ls__explain_valley},
                                  {"maps", ls__explain_maps},
                                  {"class-token", ls__explain_class_token},
                                  {"align", ls__explain_align},
                                  {"link", NULL}};
    ls_inspect_options options = {.model     = args->positional[0],
                                  .overrides = args->overrides,
                                  .override  = args->override,
                                  .png       = ls_args_option(args, "png")};
    const size_t       count   = sizeof others / sizeof *others;
    size_t             chosen  = count;
    for (size_t i = 0; i < count; i++) {
        if (!ls_args_option(args, others[i].option)) continue;
        LS_CHECK(chosen == count, LS_ERR_USAGE, "explain: expected one of " PICTURES " and --link, found more");
        chosen       = i;
        options.text = ls_args_option(args, others[i].option);
    }
    long long layer, head;
    LS_TRY(ls_args_int(args, "layer", 0, INT32_MAX, 0, &layer));
    LS_TRY(ls_args_int(args, "head", 0, INT32_MAX, 0, &head));
    LS_CHECK(ls_args_option(args, "dot-product") || (!ls_args_option(args, "layer") && !ls_args_option(args, "head")),
             LS_ERR_USAGE, "explain: --layer and --head: expected together with --dot-product");
    options.layer    = (int)layer;
    options.head     = (int)head;
    const bool other = chosen < count, link = other && !others[chosen].inspect;
    LS_CHECK(other || !ls_args_option(args, "png"), LS_ERR_USAGE,
             "explain: --png: expected together with " PICTURES " or --link");
    LS_CHECK(!other || link || !ls_args_option(args, "ranks"), LS_ERR_USAGE,
             "explain: --ranks: expected without " PICTURES);
    LS_CHECK(link || (!ls_args_option(args, "slower") && !ls_args_option(args, "steps")), LS_ERR_USAGE,
             "explain: --slower and --steps: expected together with --link");
    if (link) return ls__explain_link(j, args);
    return other ? others[chosen].inspect(j, &options) : explain(j, args, plan);
}

static ls_status run_explain(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    ls_comm  *plan   = NULL;
    ls_status status = ls_command_start(&j, &args, argc, argv);
    if (status == LS_OK && j.ranks > 1)
        status = LS_FAIL(LS_ERR_USAGE, "explain: expected 1 rank, found %d" LS_HINT "--ranks %d explains a run on %d",
                         j.ranks, j.ranks, j.ranks);
    if (status == LS_OK) status = choose(&j, &args, &plan);
    ls_command_finish(&j, status);
    ls_comm_free(plan);
    return status;
}

const ls_command ls__command_explain = {
    .name      = "explain",
    .arguments = "RECIPE [key=value ...]",
    .text      = "print layers, FLOPs, program and memory of a run; draw attention, positions, scores, optimizers",
    .help =
        "Without options, prints what a run of RECIPE will execute, without running it: layers with shapes, parameters "
        "and FLOPs;\n"
        "for convolutions and pooling their sizes, receptive fields, padding, and pixels that no window covers; the "
        "FLOPs of\n"
        "all steps, and their time at the peak of this machine;\n"
        "the program with its instructions and collectives; the memory plan, of a bfloat16 run beside that in "
        "float32.\n"
        "\n"
        "--link simulates a step on N ranks, one rank per host, every host like this one, and prints its "
        "timeline and the scaling.\n"
        "The instructions are measured here; the time of messages is computed from the bandwidth RATE, the "
        "LATENCY and\n"
        "the processor TIME of a message (RATE,LATENCY,TIME; default 5us).\n"
        "\n"
        "--attention, --dot-product, --positions and --scores draw pictures of a language model, --maps and "
        "--class-token\n"
        "those of an image classifier, --align the alignment of a translation.  A picture\n"
        "of a run directory is saved there and shown in its report.html; with --png FILE it is saved to that file "
        "instead.\n"
        "\n"
        "--attention TEXT  softmax weights of each head of each layer on TEXT, of a trained RUN, or of a FOLDER of\n"
        "                  transformers with a decoder or an encoder such as BERT\n"
        "--dot-product TEXT  scaled dot-product attention of one head (--layer, --head) on TEXT, step by step with "
        "its\n"
        "                  numbers: input, queries, keys, values, scores, weights, output; and the vectors of the "
        "tokens\n"
        "                  before the first and after the last layer, as two principal components\n"
        "--positions       the position encoding, its dot products, and their mean by distance, of a RUN or a "
        "RECIPE\n"
        "--scores          the effect of dividing scores by sqrt(d): variance of q k, saturation of the softmax "
        "and its gradient\n"
        "                  for head widths of 8 to 512, with and without; and those of the model, of a RUN or a "
        "RECIPE\n"
        "--valley          the paths of the optimizers over a valley of two dimensions, each with its best rate; with "
        "the\n"
        "                  settings of the recipe for its own optimizer, of a RUN or a RECIPE\n"
        "--maps IMAGE      the filters of the first convolution, and the feature maps of an image file in the layers "
        "of "
        "a trained RUN\n"
        "--class-token IMAGE  the attention of the class token to the patches of an image file in each layer, "
        "attention\n"
        "                  rollout, and the class that the head reads from the token, of a trained Vision Transformer\n"
        "--align TEXT      a translation of TEXT, and the weights of attention of its tokens to those of TEXT, of a "
        "trained RUN\n"
        "\n"
        "  lockstep explain gpt-shakespeare-char --ranks 8 --link 10Gbit,20us --png steps.png\n"
        "  lockstep explain runs/gpt-shakespeare-char --attention 'to be, or not to be'\n"
        "  lockstep explain runs/gpt-shakespeare-char --dot-product 'to be, or not to be' --layer 1\n"
        "  lockstep explain all-MiniLM-L6-v2/ --dot-product 'the bank of the river, the bank with my money'\n"
        "  lockstep explain runs/gpt-shakespeare-char --positions\n"
        "  lockstep explain attention-unscaled --scores\n"
        "  lockstep explain mlp-mnist --valley\n"
        "  lockstep explain runs/resnet20-cifar10 --maps cat.png\n"
        "  lockstep explain runs/bahdanau-multi30k --align 'A man sits on a bench.'",
    .options =
        LS_OPTIONS({"ranks", "N", "number of ranks; default 1, with --link 2"},
                   {"link", "RATE,LATENCY", "simulate a step over such links between hosts: 10Gbit,20us"},
                   {"slower", "FACTOR", "with --link: time of an instruction relative to this machine; default 1"},
                   {"steps", "N", "with --link: number of steps to measure; default 15"},
                   {"attention", "TEXT", "draw the attention maps of a run on a text"},
                   {"dot-product", "TEXT", "draw scaled dot-product attention of a head on a text, step by step"},
                   {"layer", "N", "with --dot-product: the layer, from 0; default 0"},
                   {"head", "N", "with --dot-product: the head, from 0; default 0"},
                   {"positions", NULL, "draw the position encoding"},
                   {"scores", NULL, "measure and draw the effect of 1/sqrt(d) on scores"},
                   {"valley", NULL, "draw the paths of the optimizers over a valley"},
                   {"maps", "IMAGE", "draw filters and the feature maps of an image"},
                   {"class-token", "IMAGE", "draw the path of the class token of a Vision Transformer on an image"},
                   {"align", "TEXT", "translate a text and draw the alignment"},
                   {"png", "FILE", "file for the picture of " PICTURES " or --link"}),
    .run = run_explain,
};

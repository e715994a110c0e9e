/* SPDX-License-Identifier: Apache-2.0
 * Fills report.html from a run and its summary, and lists the model's layers. */
#include "launch/report/report_tables.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/format_text.h"
#include "core/graph/graph.h"
#include "dist/trainer/trainer.h"
#include "launch/recipe/recipe_internal.h"
#include "launch/report/report_html.h"
#include "launch/report/unit_text.h"
#include "launch/tasks/task.h"

int ls_layer_rows(const ls_run *run, ls_arena *memory, ls_layer_row **rows)
{
    const ls_graph *g    = run->graph;
    bool           *seen = ls_arena_alloc(memory, (size_t)g->tensors * sizeof *seen);
    *rows                = ls_arena_alloc(memory, (size_t)g->nodes * sizeof **rows);
    for (int k = 0; k < g->nodes; k++) {
        const ls_node *n     = g->node[k];
        const char    *layer = ls__layer_name(n, memory);
        ls_layer_row  *row   = &(*rows)[k];
        *row                 = (ls_layer_row){.name = layer ? layer : "", .op = ls__op(n)->name, .out = n->out[0]};
        row->flops           = ls__node_flops(n);
        for (int i = 0; i < n->ins; i++) {
            const ls_tensor *t = n->in[i];
            if (!t || t->role != LS_ROLE_PARAM || seen[t->index]) continue;
            seen[t->index] = true;
            row->parameters += ls__numel(t);
        }
    }
    return g->nodes;
}

/* Returns the text after the number at the start of `name`. */
static const char *past_number(const char *name) { return name + strspn(name, "0123456789"); }

/* Returns true if the rows are the same layer of two blocks: equal but for the numbers in their names. */
static bool alike(const ls_layer_row *a, const ls_layer_row *b)
{
    const char *x = a->name, *y = b->name;
    while (*x || *y) {
        if (past_number(x) > x && past_number(y) > y)
            x = past_number(x), y = past_number(y);
        else if (*x++ != *y++)
            return false;
    }
    return !strcmp(a->op, b->op) && a->parameters == b->parameters && a->flops == b->flops &&
           !strcmp(ls__shape_and_type(a->out), ls__shape_and_type(b->out));
}

/* Copies to `cut` the name up to and including the first number in which it differs from `other`.  Returns false if
 * there is no such number. */
static bool cut_name(const char *name, const char *other, char cut[64])
{
    size_t same = 0;
    while (name[same] && name[same] == other[same]) same++;
    while (same && strchr("0123456789", name[same - 1])) same--;
    if (past_number(name + same) == name + same) return false;
    snprintf(cut, 64, "%.*s", (int)(past_number(name + same) - name), name);
    return true;
}

ls_layer_run ls_layer_run_of(const ls_layer_row *rows, int n, int at)
{
    for (int block = 1; at + 3 * block <= n; block++) {
        int same = 0;
        while (at + block + same < n && alike(&rows[at + same], &rows[at + block + same])) same++;
        ls_layer_run run = {.rows = block, .times = 1 + same / block};
        if (run.times < 3) continue;
        for (int i = 0; i < block; i++)
            if (cut_name(rows[at + (run.times - 1) * block + i].name, rows[at + i].name, run.last)) return run;
    }
    return (ls_layer_run){.rows = 1, .times = 1};
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static const char *count(int64_t n)
{
    static _Thread_local char ring[8][32];
    static _Thread_local int  next;
    char                     *text = ring[next++ % 8];
    ls__count_text(text, sizeof ring[0], n);
    return text;
}

static void add_layers(ls_report *r, const ls_run *run)
{
    ls_layer_row *rows;
    int           n          = ls_layer_rows(run, run->memory, &rows);
    int64_t       parameters = 0;
    double        flops      = 0;
    ls_report_table(r, "Model", "Layer|Op|Output|Parameters|kFLOP forward per sample", 1);
    for (int i = 0; i < n;) {
        ls_layer_run rep  = ls_layer_run_of(rows, n, i);
        ls_layer_row more = {0};
        for (int k = 0; k < rep.rows; k++, i++) {
            ls_report_row(r, "%s|%s|%s|%s|%.1f", rows[i].name, rows[i].op, ls__shape_and_type(rows[i].out),
                          rows[i].parameters ? count(rows[i].parameters) : "", 1e-3 * rows[i].flops);
            more.parameters += rows[i].parameters;
            more.flops += rows[i].flops;
        }
        parameters += rep.times * more.parameters;
        flops += rep.times * more.flops;
        i += (rep.times - 1) * rep.rows;
        if (rep.times > 1)
            ls_report_row(r, "%d more, to %s|||%s|%.1f", rep.times - 1, rep.last,
                          count((rep.times - 1) * more.parameters), 1e-3 * (rep.times - 1) * more.flops);
    }
    ls_report_row(r, "all|||%s|%.1f", count(parameters), 1e-3 * flops);
}

/* Adds the keys that the recipe or the command line sets, and some keys that are always shown. */
static void add_settings(ls_report *r, const ls_recipe *recipe)
{
    static const char *const always[] = {"data.path",          "train.batch", "train.epochs", "train.seed",
                                         "train.reproducible", "optim.name",  "optim.lr",     "schedule.name"};
    ls_report_table(r, "Settings", "", 0);
    for (const ls_key *k = ls__keys; k->path; k++) {
        bool shown = strcmp(ls_recipe_where(recipe, k->path), "default") != 0;
        for (size_t i = 0; i < sizeof always / sizeof *always; i++) shown |= strcmp(always[i], k->path) == 0;
        if (!shown) continue;
        char  *text = NULL;
        size_t size = 0;
        FILE  *f    = open_memstream(&text, &size);
        if (!f) return;
        bool some = ls__key_print(recipe, k, f);
        fclose(f);
        int quoted = text && text[0] == '"' && size > 2;
        if (some && text && !strchr(text, '\n'))
            ls_report_row(r, "%s|%.*s", k->path, (int)size - 2 * quoted, text + quoted);
        free(text);
    }
}

static void add_data(ls_report *r, const ls_run *run)
{
    ls_report_table(r, "Data", "", 0);
    ls_report_row(r, "Dataset|%s", run->data.path ? run->data.path : run->recipe->data.path);
    ls_report_row(r, "Training samples|%s", count(run->train_count));
    ls_report_row(r, "Held-out samples|%s", count(run->test_count));
    run->task->report_data(r, run);
    ls_report_row(r, "Steps per epoch|%s", count(run->epoch_steps));
}

static void add_machine(ls_report *r, const ls_run *run)
{
    ls_report_table(r, "Machine", "", 0);
    ls_report_row(r, "Ranks|%d", run->ranks);
    ls_report_row(r, "Threads per rank|%d", run->threads);
    ls_report_row(r, "Virtual shards|%d", run->shards);
    ls_report_row(r, "Communicator|%s", ls_comm_name(run->comm));
    ls_report_row(r, "Processor|%s", ls_processor_name());
    ls_report_row(r, "Instruction set|%s", ls_isa_name(ls_isa_current()));
    if (run->products) ls_report_row(r, "Matrix products|%s", run->products_text);
    ls_report_row(r, "Lockstep|%s", LS_VERSION);
}

static void add_memory(ls_report *r, const ls_run *run)
{
    ls_memory_line lines[LS_MEMORY_LINES];
    int            n = ls__trainer_memory(run->trainer, lines);
    ls_report_table(r, "Memory of rank 0", "Block|Planned|Touched", 0);
    for (int i = 0; i < n; i++)
        ls_report_row(r, "%s|%s|%s", lines[i].name, ls__bytes_text((double)lines[i].planned),
                      ls__bytes_text((double)lines[i].touched));
    ls_report_row(r, "all|%s|%s", ls__bytes_text((double)ls_trainer_planned_bytes(run->trainer)),
                  ls__bytes_text((double)ls_trainer_peak_bytes(run->trainer)));
}

ls_status ls_run_report(const ls_run *run, const ls_summary *s, const char *metrics, const char *path)
{
    ls_report       *r;
    const ls_recipe *recipe = run->recipe;
    char             title[256], text[64], rate[64];
    const char      *name = recipe->run.name ? recipe->run.name : recipe->name;
    snprintf(title, sizeof title, "%s on %s · %s parameters · %d rank%s x %d thread%s · %s",
             recipe->model.name ? recipe->model.name : "layers of the recipe", recipe->data.path,
             count(ls_params_total(ls_trainer_params(run->trainer))), run->ranks, run->ranks == 1 ? "" : "s",
             run->threads, run->threads == 1 ? "" : "s", ls_isa_name(ls_isa_current()));
    LS_TRY(ls_report_new(&r, name, title, s->status));
    ls_scores_report(run->task, &s->scores, r);
    if (s->scores.samples)
        ls_report_figure_note(r, "%s of %s samples", count(s->scores.samples), count(run->test_count));
    if (run->examined) ls_report_section(r, run->examined);
    ls__time_text(text, sizeof text, s->wall_s);
    ls_report_figure(r, "Time", "%s", text);
    snprintf(rate, sizeof rate, "%c%s per second", toupper((unsigned char)run->task->unit[0]), run->task->unit + 1);
    ls_report_figure(r, rate, "%s", count(llround(s->samples_per_s * (double)ls_task_units(run->task, &run->data))));
    ls_report_figure(r, "Steps", "%s", count(s->step));
    ls_report_figure(r, "Memory per rank", "%s", ls__bytes_text((double)s->planned_bytes));
    add_layers(r, run);
    add_settings(r, recipe);
    add_memory(r, run);
    add_data(r, run);
    add_machine(r, run);
    ls_report_table(r, "Result", "", 0);
    ls_report_row(r, "Status|%s", s->status);
    ls_report_row(r, "Digest of the parameters|%s", s->digest);
    ls_report_row(r, "Recipe|%s", recipe->hash);
    ls_report_row(r, "Parameter layout|%s", run->layout);
    ls_status status = ls_report_write(r, metrics, path);
    ls_report_free(r);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * Frozen parameters, and parameters from a pretrained model: see launch/transfer/initial_params.h. */
#include "launch/transfer/initial_params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "launch/data/dataset_card.h"
#include "launch/data/dataset_known.h"
#include "launch/data/pretrained.h"

/* ---- the head ---------------------------------------------------------------------------------------------------- */

/* Returns the node that computes a tensor; NULL: the tensor is an input of the graph. */
static const ls_node *producer(const ls_graph *g, const ls_tensor *t)
{
    for (int i = g->nodes - 1; i >= 0; i--)
        if (g->node[i]->out[0] == t) return g->node[i];
    return NULL;
}

void ls_head_of(const ls_initial_model *m, const char *head[2])
{
    head[0] = head[1] = NULL;
    for (const ls_tensor *t = m->logits; t;) {
        const ls_node *n     = producer(m->graph, t);
        int            found = 0;
        for (int k = 0; n && k < n->ins; k++)
            if (n->in[k] && n->in[k]->role == LS_ROLE_PARAM && found < 2) head[found++] = n->in[k]->name;
        t = n && !found ? n->in[0] : NULL;
    }
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static bool has_file(const ls_recipe *r, const char *folder, const char *name)
{
    return access(ls_arena_printf(r->arena, "%s/%s", folder, name), R_OK) == 0;
}

/* The options of the folder's model, and those that the recipe adds to them. */
static const char *join_options(const ls_recipe *r, const char *options)
{
    const ls_recipe_layer *own = &r->model.options;
    for (int i = 0; i < own->attributes; i++)
        options = ls_arena_printf(r->arena, "%s%s%s: %s", options, *options ? ", " : "", own->attribute[i].name,
                                  own->attribute[i].text);
    return options;
}

/* A known dataset of text is encoded with the tokenizer of the pretrained model, unless the recipe names another. */
static ls_status adopt_tokenizer(ls_recipe *r)
{
    const ls_known *known = ls__known_find(r->data.path);
    if (!known || !known->tokenizer || r->data.tokenizer || !has_file(r, r->model.pretrained, "tokenizer.json"))
        return LS_OK;
    char *const set = ls_arena_printf(r->arena, "data.tokenizer=%s", r->model.pretrained);
    return ls_recipe_set(r, 1, &set);
}

ls_status ls_adopt_model(ls_recipe *r, bool prints)
{
    const char   *folder = r->model.pretrained, *set[3];
    ls_pretrained p;
    if (folder && access(folder, R_OK) == 0) LS_TRY(adopt_tokenizer(r));
    if (r->model.name || r->model.layers.count) return LS_OK;
    LS_CHECK(access(folder, R_OK) == 0, LS_ERR_DATA,
             "%s: model.pretrained: cannot read %s: %s" LS_HINT
             "model.pretrained=FOLDER names a folder with config.json and model.safetensors",
             ls_recipe_where(r, "model.pretrained"), folder, strerror(errno));
    LS_CHECK(has_file(r, folder, "config.json"), LS_ERR_USAGE,
             "%s: model.pretrained: expected a folder with config.json, because the recipe names no model, found "
             "%s" LS_HINT "name the model: model.name and model.options",
             ls_recipe_where(r, "model.pretrained"), folder);
    LS_TRY(ls_pretrained_read(folder, &p));
    set[0] = ls_arena_printf(r->arena, "model.name=%s", p.model);
    set[1] = ls_arena_printf(r->arena, "model.options={%s}", join_options(r, p.options));
    set[2] = ls_arena_printf(r->arena, "model.classes=%lld", (long long)p.classes);
    if (prints) fprintf(stderr, "model.pretrained: the model is %s {%s}\n", p.model, p.options);
    return ls_recipe_set(r, p.images || !p.classes ? 2 : 3,
                         (char *const *)set); /* a vocabulary may exceed the tokenizer's */
}

/* ---- input ------------------------------------------------------------------------------------------------------- */

static const char *numbers_text(ls_arena *memory, const char *key, const float *value, int n)
{
    char   text[128];
    size_t used = 0;
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.9g", i ? ", " : "", (double)value[i]);
    return ls_arena_printf(memory, "%s=[%s]", key, text);
}

ls_status ls_adopt_input(ls_recipe *r, bool prints)
{
    ls_pretrained_input in;
    const char         *set[4];
    int                 n = 0;
    if (!r->model.pretrained || access(r->model.pretrained, R_OK) != 0) return LS_OK;
    LS_TRY(ls_pretrained_input_read(r->model.pretrained, &in, r->arena));
    if (!in.known) return LS_OK;
    if (!r->data.size && in.height == in.width) {
        set[n++] = ls_arena_printf(r->arena, "data.size=%d", in.height);
        set[n++] =
            in.options.interpolation == LS_BICUBIC ? "data.interpolation=bicubic" : "data.interpolation=bilinear";
    }
    if (!r->data.mean.count && !r->data.std.count) {
        set[n++] = numbers_text(r->arena, "data.mean", in.mean, in.channels);
        set[n++] = numbers_text(r->arena, "data.std", in.std, in.channels);
    }
    if (n && prints) {
        fputs("model.pretrained: its images have", stderr);
        for (int i = 0; i < n; i++) fprintf(stderr, " %s", set[i]);
        fputc('\n', stderr);
    }
    return ls_recipe_set(r, n, (char *const *)set);
}

/* ---- frozen parameters ------------------------------------------------------------------------------------------- */

static bool matches_any(const ls_graph *g, const char *glob)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM && ls__glob(glob, g->tensor[i]->name)) return true;
    return false;
}

ls_status ls_freeze_initial(const ls_initial_model *m)
{
    enum { BODY_GLOBS = 3 }; /* "*", and the two names of the head */
    const char *const *from  = m->recipe->model.freeze;
    const char        *where = ls_recipe_where(m->recipe, "model.freeze");
    const char        *globs[BODY_GLOBS * LS_MAX_FREEZE + 1], *head[2];
    int                n = 0;
    if (!from[0]) return LS_OK;
    ls_head_of(m, head);
    for (; *from; from++) {
        if (strcmp(*from, "body") == 0) {
            LS_CHECK(head[0], LS_ERR_USAGE,
                     "%s: model.freeze: body: expected a model that ends with a layer of its own, found a language "
                     "model" LS_HINT "name the parameters by globs; `lockstep explain` lists them",
                     where);
            globs[n++] = "*";
            for (int i = 0; i < 2 && head[i]; i++) globs[n++] = ls_arena_printf(m->memory, "!%s", head[i]);
            continue;
        }
        LS_CHECK(matches_any(m->graph, *from + (**from == '!')), LS_ERR_USAGE,
                 "%s: model.freeze: '%s': expected a glob that matches a parameter, found none" LS_HINT
                 "`lockstep explain` lists the names of the parameters",
                 where, *from);
        globs[n++] = *from;
    }
    globs[n] = NULL;
    ls__freeze(m->graph, globs);
    return ls_graph_status(m->graph);
}

/* ---- parameters from a pretrained model -------------------------------------------------------------------------- */

/* Rows of the file's head for the classes of the data, by name; NULL: the file does not name its classes, or has the
 * same in the same order. */
static ls_status rows_by_class(const ls_initial_model *m, const char *path, const int **rows)
{
    const ls_dataset_info *data = m->data;
    ls_dataset_card        card;
    char                  *text;
    *rows = NULL;
    if (!data->class_names) return LS_OK;
    LS_TRY(ls_safetensors_metadata(path, LS_DATASET_METADATA, &text));
    if (!text) return LS_OK;
    ls_status status = ls_dataset_card_parse(path, text, &card, m->memory);
    free(text);
    LS_TRY(status);
    ls_scaler_free(card.scaler);
    if (!card.info.class_names) return LS_OK;
    bool same = card.info.classes == data->classes;
    int *row  = ls_arena_alloc(m->memory, sizeof *row * (size_t)data->classes);
    for (int i = 0; i < data->classes; i++) {
        row[i] = -1;
        for (int k = 0; k < card.info.classes && row[i] < 0; k++)
            if (strcmp(data->class_names[i], card.info.class_names[k]) == 0) row[i] = k;
        same = same && row[i] == i;
    }
    if (!same) *rows = row;
    return LS_OK;
}

static const char *const verdict_texts[] = LS_ENUM_TEXTS(LS_TENSOR_VERDICT_LIST);
enum { VERDICTS = LS_ENUM_COUNT(LS_TENSOR_VERDICT_LIST) };

/* The table of the tensors, and how many have each verdict. */
typedef struct loading {
    FILE *table;
    int   count[VERDICTS];
} loading;

static void add_verdict(const ls_loaded_tensor *t, void *context)
{
    loading *l = context;
    l->count[t->verdict]++;
    fprintf(l->table, "%s\t%s\t%s\n", t->param ? t->param : "-", verdict_texts[t->verdict],
            t->stored ? t->stored : "-");
}

static ls_status load(const ls_initial_model *m, const char *path, ls_params *params, loading *l)
{
    ls_pretrained_options o = {.each = add_verdict, .context = l};
    ls_head_of(m, o.head);
    LS_TRY(rows_by_class(m, path, &o.head_row));
    fputs("parameter\tresult\ttensor of the file\n", l->table);
    return ls_pretrained_load(path, params, &o);
}

/* Prints the number of tensors with each verdict: "model.pretrained: 311 tensors: 260 loaded, 51 skipped". */
static void print_summary(const loading *l)
{
    char   text[256];
    size_t used  = 0;
    int    total = 0;
    for (int v = 0; v < VERDICTS; v++) {
        if (!l->count[v]) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d %s", used ? ", " : "", l->count[v],
                                 verdict_texts[v]);
        total += l->count[v];
    }
    fprintf(stderr, "model.pretrained: %d tensors: %s (pretrained.tsv in the run directory lists them)\n", total, text);
}

ls_status ls_load_initial(const ls_initial_model *m, ls_params *params, bool prints, const char **table)
{
    const char *path = m->recipe->model.pretrained;
    loading     l    = {0};
    char       *text;
    size_t      bytes;
    *table = NULL;
    if (!path) return LS_OK;
    LS_CHECK(access(path, R_OK) == 0, LS_ERR_DATA, "%s: model.pretrained: cannot read %s: %s",
             ls_recipe_where(m->recipe, "model.pretrained"), path, strerror(errno));
    LS_TRY(ls_pretrained_check_tokenizer(path, m->data));
    l.table = open_memstream(&text, &bytes);
    LS_CHECK(l.table, LS_ERR_ENV, "%s: no memory to load it", path);
    ls_status status = load(m, path, params, &l);
    fclose(l.table);
    if (status == LS_OK) *table = ls_arena_strdup(m->memory, text);
    free(text);
    if (status == LS_OK && prints) print_summary(&l);
    return status;
}

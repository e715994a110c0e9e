/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the model of a recipe, by name or from a list of layers.  Models, layers, ops and their attributes come from
 * the tables of core/models, core/nn and core/ops, so that a new one can be used in recipes without a change here.
 */
#include <string.h>

#include "core/models/model_table.h"
#include "core/nn/layer_table.h"
#include "launch/recipe/recipe_internal.h"

enum { MOST_ARGS = 1024, MOST_NAMES = 512 };

const char *const *ls__model_names(void)
{
    static const char *names[MOST_NAMES];
    int                n = 0;
    for (const ls_model_entry *m = ls__model_table; m->name && n < MOST_NAMES - 1; m++) names[n++] = m->name;
    return names;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* Meaning of an entry of model.layers: a layer, or an op with one input. */
typedef struct entry {
    const ls_layer *layer;
    const ls_op    *op;
    int             id; /* id of the op */
} entry;

enum { MOST_LAYERS = 4096 };

static bool takes_one_input(const ls_op *op)
{
    for (int i = 1; i < op->ins; i++)
        if (!(op->optional & 1u << i)) return false;
    return op->ins >= 1;
}

static ls_status find_entry(entry *e, const ls_recipe_layer *l)
{
    const char *known[MOST_NAMES];
    int         n = 0;
    *e            = (entry){0};
    for (const ls_layer *t = ls__layer_table; t->name && n < MOST_NAMES; t++) {
        if (!strcmp(t->name, l->op)) e->layer = t;
        known[n++] = t->name;
    }
    for (const ls_layer_block *b = ls__layer_blocks; b->name && n < MOST_NAMES; b++) known[n++] = b->name;
    for (int i = 0; i < LS_OP_COUNT && n < MOST_NAMES; i++)
        if (takes_one_input(ls__op_by_id(i))) known[n++] = ls__op_by_id(i)->name;
    if (e->layer) return LS_OK;
    e->id = ls__op_find(l->op);
    if (e->id >= 0) {
        e->op = ls__op_by_id(e->id);
        LS_CHECK(takes_one_input(e->op), LS_ERR_USAGE,
                 "%s: '%s': expected a layer or op with one input, found one with %d" LS_HINT "write such a model in C",
                 l->where, l->op, e->op->ins - __builtin_popcount(e->op->optional));
        return LS_OK;
    }
    const char *near = ls_nearest(l->op, n, known);
    if (near)
        return LS_FAIL(LS_ERR_USAGE, "%s: there is no layer '%s'" LS_HINT "did you mean '%s'?", l->where, l->op, near);
    char list[1024] = "";
    for (int i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", known[i]);
    return LS_FAIL(LS_ERR_USAGE, "%s: there is no layer '%s'" LS_HINT "known: %s", l->where, l->op, list);
}

/* Memory for the arguments of a layer, {graph, name, input, ...}, an op, {input, ...}, or a model. */
typedef union args_room {
    max_align_t           align;
    ls_layer_head         head;
    ls_model_head         model;
    ls_language_head      language;
    ls_translation_inputs translation;
    ls_encoder_args       encoder;
    ls_tensor            *x;
    char                  bytes[MOST_ARGS];
} args_room;

static ls_status set_layer(const ls_recipe_layer *l, entry *e, args_room *args)
{
    memset(args, 0, sizeof *args);
    LS_TRY(find_entry(e, l));
    size_t bytes = e->layer ? e->layer->args_bytes : e->op->args_bytes;
    LS_CHECK(bytes <= sizeof *args, LS_ERR_FAILED, "%s: the arguments of %s take %zu bytes, more than %zu", l->where,
             l->op, bytes, sizeof *args);
    return ls__attributes_set(l, e->layer ? e->layer->fields : e->op->fields, args, e->layer ? &args->head.name : NULL);
}

static const ls_model_entry *find_model(const char *name)
{
    const ls_model_entry *m = ls__model_table;
    while (m->name && strcmp(m->name, name) != 0) m++;
    return m;
}

static ls_status set_model(const ls_recipe *r, args_room *args)
{
    const ls_model_entry *m       = find_model(r->model.name);
    ls_recipe_layer       options = r->model.options;
    memset(args, 0, sizeof *args);
    options.op = m->name;
    for (int i = 0; i < options.attributes; i++)
        LS_CHECK(strcmp(options.attribute[i].name, "classes") != 0, LS_ERR_USAGE,
                 "%s: %s: 'classes' is not an option of models" LS_HINT "set the key model.classes",
                 options.attribute[i].where, m->name);
    LS_CHECK(m->args_bytes <= sizeof *args, LS_ERR_FAILED,
             "%s: the arguments of this model take %zu bytes, more than %zu", m->name, m->args_bytes, sizeof *args);
    if (m->defaults) memcpy(args, m->defaults, m->args_bytes);
    return ls__attributes_set(&options, m->fields, args, NULL);
}

static ls_status set_block(const ls_recipe_layer *l, ls_layer_block_args *args, const char **name)
{
    *args = (ls_layer_block_args){0};
    *name = NULL;
    LS_TRY(ls__attributes_set(l, l->block->fields, args, name));
    LS_CHECK(l->block->kind != LS_BLOCK_REPEAT || (args->times >= 1 && args->times <= MOST_LAYERS), LS_ERR_USAGE,
             "%s: repeat: times: expected a number of repetitions from 1 to %d, found %d", l->where, MOST_LAYERS,
             args->times);
    LS_CHECK(l->block->kind != LS_BLOCK_BRANCH || l->lists > 1, LS_ERR_USAGE,
             "%s: branch: paths: expected at least two paths, found %d", l->where, l->lists);
    return LS_OK;
}

/* Checks the attributes of all layers, and counts the layers, each repetition apart. */
static ls_status check_list(const ls_layer_list *list, int64_t *count)
{
    args_room           args;
    ls_layer_block_args block;
    entry               e;
    const char         *name;
    *count = 0;
    for (int i = 0; i < list->count; i++) {
        const ls_recipe_layer *l = &list->layer[i];
        int64_t                inner, most = MOST_LAYERS;
        if (!l->block) {
            LS_TRY(set_layer(l, &e, &args));
            *count += 1;
            continue;
        }
        LS_TRY(set_block(l, &block, &name));
        for (int j = 0; j < l->lists; j++) {
            LS_TRY(check_list(&l->list[j], &inner));
            *count += inner * (l->block->kind == LS_BLOCK_REPEAT ? block.times : 1);
        }
        LS_CHECK(*count <= most, LS_ERR_USAGE, "%s: %s: expected at most %d layers, found %lld with repetitions",
                 l->where, l->op, MOST_LAYERS, (long long)*count);
    }
    return LS_OK;
}

ls_status ls__model_check(const ls_recipe *r)
{
    args_room args;
    int64_t   count;
    if (r->model.name) return set_model(r, &args);
    if (!r->model.layers.count) return LS_OK; /* model.pretrained names the model */
    LS_CHECK(!r->model.options.attributes, LS_ERR_USAGE,
             "%s: model.options: only a model given by model.name has options", r->model.options.where);
    return check_list(&r->model.layers, &count);
}

/* Number of default names of one kind of layer in one scope. */
typedef struct name_count {
    const char        *scope, *op;
    int                count;
    struct name_count *next;
} name_count;

typedef struct builder {
    ls_graph   *g;
    name_count *names;
} builder;

/* Returns the default name of a layer: its kind and its number among the layers of that kind in its scope, linear1,
 * linear2. */
static const char *default_name(builder *b, const char *op)
{
    name_count *n = b->names;
    while (n && (strcmp(n->op, op) != 0 || strcmp(n->scope, b->g->scope) != 0)) n = n->next;
    if (!n) {
        n  = ls_arena_alloc(b->g->arena, sizeof *n);
        *n = (name_count){ls_arena_strdup(b->g->arena, b->g->scope), ls_arena_strdup(b->g->arena, op), 0, b->names};
        b->names = n;
    }
    return ls_arena_printf(b->g->arena, "%s%d", op, ++n->count);
}

static ls_status build_list(builder *b, const ls_layer_list *list, ls_tensor **x);

/* Adds the outputs of two paths, or concatenates them along the first dim after the batch: the channels of images. */
static ls_status join_paths(const ls_recipe_layer *l, bool add, ls_where where, ls_tensor **x, ls_tensor *y)
{
    bool same = (*x)->rank == y->rank;
    for (int i = !add; same && i < y->rank; i++) same = (*x)->dim[i] == y->dim[i];
    LS_CHECK(same, LS_ERR_USAGE, "%s: %s: expected paths of one shape%s, found %s and %s%s", l->where, l->op,
             add ? "" : " but for the first dim", ls__shape(*x), ls__shape(y),
             l->block->kind == LS_BLOCK_RESIDUAL ? LS_HINT
                 "shortcut: [conv2d: {out: CHANNELS, kernel: 1, stride: 2}] changes the shape of the input"
                                                 : "");
    if (add)
        *x = ls__apply(LS_OP_add, &(ls_binary_args){*x, y}, where);
    else
        *x = ls__apply(LS_OP_concat, &(ls_concat_args){*x, y, .channels = true}, where);
    return LS_OK;
}

/* Builds a block.  A block with a name is a scope of the names of its parameters; each repetition is a scope of its
 * own, NAME.0, NAME.1. */
static ls_status build_block(builder *b, const ls_recipe_layer *l, ls_where where, ls_tensor **x)
{
    ls_layer_block_args args;
    const char         *name;
    const size_t        used   = strlen(b->g->scope);
    const bool          repeat = l->block->kind == LS_BLOCK_REPEAT;
    LS_TRY(set_block(l, &args, &name));
    if (repeat && !name) name = default_name(b, l->op);
    if (name) ls_scope(b->g, name);
    const size_t scope = strlen(b->g->scope);
    for (int i = 0; repeat && i < args.times; i++) {
        ls_scope(b->g, ls_arena_printf(b->g->arena, "%d", i));
        LS_TRY(build_list(b, &l->list[0], x));
        b->g->scope[scope] = 0;
    }
    ls_tensor *input = *x;
    for (int i = 0; !repeat && i < l->lists; i++) {
        ls_tensor *y = input;
        LS_TRY(build_list(b, &l->list[i], &y));
        if (i)
            LS_TRY(join_paths(l, l->block->kind == LS_BLOCK_RESIDUAL || args.join == LS_JOIN_ADD, where, x, y));
        else
            *x = y;
    }
    b->g->scope[used] = 0;
    return LS_OK;
}

static ls_status build_list(builder *b, const ls_layer_list *list, ls_tensor **x)
{
    args_room args;
    entry     e;
    for (int i = 0; i < list->count; i++) {
        const ls_recipe_layer *l     = &list->layer[i];
        ls_where               where = {ls_arena_strdup(b->g->arena, l->at.file), l->at.line};
        if (l->block) {
            LS_TRY(build_block(b, l, where, x));
        } else {
            LS_TRY(set_layer(l, &e, &args));
            if (e.layer) {
                args.head.g    = b->g;
                args.head.x    = *x;
                args.head.name = args.head.name ? ls_arena_strdup(b->g->arena, args.head.name) : default_name(b, l->op);
                *x             = e.layer->build(&args, where);
            } else {
                args.x = *x;
                *x     = ls__apply(e.id, &args, where);
            }
        }
        LS_TRY(ls_graph_status(b->g));
        LS_CHECK(*x, LS_ERR_FAILED, "%s: %s returned no output tensor", l->where, l->op);
    }
    return LS_OK;
}

static ls_status build_layers(const ls_recipe *r, ls_graph *g, ls_tensor **x)
{
    builder b = {.g = g};
    return build_list(&b, &r->model.layers, x);
}

static ls_status choose_classes(const ls_recipe *r, const char *unit, int64_t *classes)
{
    if (!r->model.classes) return LS_OK;
    LS_CHECK(r->model.classes >= *classes, LS_ERR_USAGE,
             "%s: model.classes: expected at least the %lld %s of the dataset, found %lld",
             ls_recipe_where(r, "model.classes"), (long long)*classes, unit, (long long)r->model.classes);
    *classes = r->model.classes;
    return LS_OK;
}

/* Returns the place of the model's last layer, or of model.name, for messages. */
static const char *end_of(const ls_recipe *r)
{
    const ls_layer_list *list = &r->model.layers;
    return list->count ? list->layer[list->count - 1].where : ls_recipe_where(r, "model.name");
}

static const char *names_of(ls_model_kind kind, char *list, size_t bytes)
{
    *list = 0;
    for (const ls_model_entry *m = ls__model_table; m->name; m++)
        if (m->kind == kind) snprintf(list + strlen(list), bytes - strlen(list), "%s%s", *list ? ", " : "", m->name);
    return list;
}

/* Checks that the named model is one for the dataset. */
static ls_status check_kind(const ls_recipe *r, ls_model_kind kind, const char *data)
{
    static const char *const kinds[] = {"a model of single samples", "a language model", "a model of translation",
                                        "an encoder of texts"};
    char                     list[256];
    LS_CHECK(!r->model.name || find_model(r->model.name)->kind == kind, LS_ERR_USAGE,
             "%s: model.name: %s is %s, but the dataset holds %s" LS_HINT "models for %s: %s",
             ls_recipe_where(r, "model.name"), r->model.name, kinds[find_model(r->model.name)->kind], data, data,
             names_of(kind, list, sizeof list));
    return LS_OK;
}

ls_status ls_recipe_build(const ls_recipe *r, ls_graph *g, ls_tensor *x, const ls_recipe_output *output,
                          ls_tensor **out)
{
    int64_t count = output->count;
    LS_TRY(ls_graph_status(g));
    LS_TRY(choose_classes(r, "classes", &count));
    LS_TRY(check_kind(r, LS_MODEL_OF_SAMPLES, output->data));
    if (r->model.name) {
        args_room args;
        LS_TRY(set_model(r, &args));
        args.model.g       = g;
        args.model.x       = x;
        args.model.classes = count;
        x                  = find_model(r->model.name)->build(&args);
    } else {
        LS_TRY(build_layers(r, g, &x));
    }
    LS_TRY(ls_graph_status(g));
    LS_CHECK(x && x->batched && x->rank == 1 && x->dim[0] == count, LS_ERR_USAGE,
             "%s: the model ends with the shape %s, expected B x %lld" LS_HINT
             "one output for each %s of the dataset: end with flatten and linear: {out: %lld}",
             end_of(r), ls__shape(x), (long long)count, output->unit, (long long)count);
    *out = x;
    return LS_OK;
}

ls_status ls_recipe_build_language(const ls_recipe *r, ls_graph *g, const ls_language_inputs *inputs,
                                   int64_t vocabulary, ls_tensor **out)
{
    ls_tensor *x = inputs->x;
    LS_TRY(ls_graph_status(g));
    LS_TRY(choose_classes(r, "tokens", &vocabulary));
    if (r->model.name) {
        const ls_model_entry *m = find_model(r->model.name);
        args_room             args;
        LS_TRY(check_kind(r, LS_LANGUAGE_MODEL, "text"));
        LS_CHECK(!r->train.label_smoothing, LS_ERR_USAGE,
                 "%s: train.label_smoothing: expected 0 with the model %s, which has its own loss",
                 ls_recipe_where(r, "train.label_smoothing"), m->name);
        LS_CHECK(!inputs->cached || !inputs->target || m->carries, LS_ERR_USAGE,
                 "%s: data.streams: expected a recurrent model, which carries its state, found %s" LS_HINT
                 "model.name=rnn_lm, or data.streams=false",
                 ls_recipe_where(r, "data.streams"), m->name);
        LS_TRY(set_model(r, &args));
        args.language.g        = g;
        args.language.x        = x;
        args.language.classes  = vocabulary;
        args.language.target   = inputs->target;
        args.language.start    = inputs->start;
        args.language.cached   = inputs->cached;
        args.language.textbook = inputs->textbook || args.language.textbook;
        *out                   = m->build(&args);
        return ls_graph_status(g);
    }
    int64_t context = x->dim[0];
    LS_CHECK(!inputs->cached || !inputs->target, LS_ERR_USAGE,
             "%s: data.streams: expected model.name, because model.layers carry no state" LS_HINT
             "model.name=rnn_lm, or data.streams=false",
             ls_recipe_where(r, "data.streams"));
    LS_CHECK(!inputs->cached && !inputs->start && !inputs->textbook, LS_ERR_USAGE,
             "%s: a model given as model.layers has no cache of keys and values and cannot show attention" LS_HINT
             "`lockstep generate --no-cache` generates text with it",
             end_of(r));
    LS_TRY(build_layers(r, g, &x));
    LS_CHECK(x->batched && x->rank == 2 && x->dim[0] == context && x->dim[1] == vocabulary, LS_ERR_USAGE,
             "%s: the model ends with the shape %s, expected B x %lld x %lld" LS_HINT
             "one logit per token of the vocabulary at each position: begin with embedding and end with linear: {out: "
             "%lld}",
             end_of(r), ls__shape(x), (long long)context, (long long)vocabulary, (long long)vocabulary);
    *out = inputs->target ? ls_cross_entropy(x, inputs->target, .label_smoothing = r->train.label_smoothing) : x;
    return ls_graph_status(g);
}

ls_status ls_recipe_build_translation(const ls_recipe *r, const ls_translation_inputs *inputs, ls_tensor **out)
{
    args_room args;
    LS_TRY(ls_graph_status(inputs->g));
    LS_TRY(check_kind(r, LS_TRANSLATION_MODEL, "sentence pairs"));
    LS_CHECK(r->model.name, LS_ERR_USAGE,
             "%s: expected model.name, because model.layers read one input" LS_HINT
             "model.name=transformer, or model.name=seq2seq",
             end_of(r));
    LS_TRY(set_model(r, &args));
    args.translation                 = *inputs;
    args.translation.label_smoothing = r->train.label_smoothing;
    *out                             = find_model(r->model.name)->build(&args);
    return ls_graph_status(inputs->g);
}

/* Adds the recipe's encoder of texts.  Types are an input only of models that have them. */
ls_status ls_recipe_build_encoder(const ls_recipe *r, ls_graph *g, const ls_encoder_inputs *inputs,
                                  const ls_recipe_output *output, ls_tensor **out)
{
    args_room        args;
    ls_encoder_args *a     = &args.encoder;
    int64_t          count = output->count;
    LS_TRY(ls_graph_status(g));
    if (!inputs->target) LS_TRY(choose_classes(r, "classes", &count));
    LS_TRY(check_kind(r, LS_TEXT_ENCODER, output->data));
    LS_CHECK(r->model.name, LS_ERR_USAGE,
             "%s: expected model.name, because model.layers read one input" LS_HINT "model.name=encoder", end_of(r));
    LS_TRY(set_model(r, &args));
    LS_CHECK(!a->vocab || a->vocab >= inputs->vocabulary, LS_ERR_USAGE,
             "%s: model.options: vocab: expected at least the %lld tokens of the dataset, found %lld" LS_HINT
             "a pretrained model needs texts that were imported with its tokenizer",
             r->model.options.where, (long long)inputs->vocabulary, (long long)a->vocab);
    if (!a->vocab) a->vocab = inputs->vocabulary;
    a->g       = g;
    a->x       = inputs->x;
    a->length  = inputs->length;
    a->classes = inputs->target ? 0 : count;
    a->type    = ls__encoder_types(a) ? inputs->type : NULL;
    a->target  = inputs->target;
    a->next    = a->kind == LS_BERT ? inputs->next : NULL;
    a->scale   = inputs->scale;
    a->scores  = inputs->scores;
    *out       = find_model(r->model.name)->build(&args);
    return ls_graph_status(g);
}

bool ls_recipe_encoder(const ls_recipe *r, ls_encoder_args *args)
{
    args_room room;
    if (!r->model.name || find_model(r->model.name)->kind != LS_TEXT_ENCODER || set_model(r, &room) != LS_OK)
        return false;
    *args = room.encoder;
    return true;
}

bool ls_recipe_is_language(const ls_recipe *r)
{
    return r->model.name && find_model(r->model.name)->kind == LS_LANGUAGE_MODEL;
}

ls_status ls_recipe_context(const ls_recipe *r, int64_t *context)
{
    *context = r->data.context;
    if (!*context && r->model.name) {
        args_room             args;
        const ls_model_entry *m = find_model(r->model.name);
        LS_TRY(set_model(r, &args));
        const ls_field *f = ls__field_find(m->fields, "context", strlen("context"));
        if (f && f->kind == LS_FIELD_INT64) *context = *(const int64_t *)(args.bytes + f->offset);
        if (f && f->kind == LS_FIELD_INT) *context = *(const int *)(args.bytes + f->offset);
    }
    LS_CHECK(*context >= 1, LS_ERR_USAGE,
             "%s: data.context: expected the context length in tokens, found none" LS_HINT
             "data.context=64, or the model's own: model.options={context: 64}",
             ls_recipe_where(r, "data.context"));
    return LS_OK;
}

/* ---- printing the tables ----------------------------------------------------------------------------------------- */

static void print_fields(FILE *out, const char *name, const ls_field *fields, bool named)
{
    static const char *const kinds[] = {
        [LS_FIELD_INT] = "int",   [LS_FIELD_INT64] = "int",        [LS_FIELD_FLOAT] = "float",
        [LS_FIELD_BOOL] = "bool", [LS_FIELD_INIT] = "initialiser", [LS_FIELD_DIMS] = "ints"};
    int column = fprintf(out, "  %-20s", name);
    if (named) column += fprintf(out, " name: text");
    for (const ls_field *f = fields; f && f->name; f++) {
        if (strcmp(f->name, "classes") == 0) continue; /* set by model.classes */
        if (column > 100) column = fprintf(out, "\n%22s", "") - 1;
        column += fprintf(out, " %s: ", f->name);
        for (int i = 0; f->choices && f->choices[i]; i++) column += fprintf(out, "%s%s", i ? "|" : "", f->choices[i]);
        if (f->kind != LS_FIELD_CHOICE) column += fprintf(out, "%s%s", f->choices ? "|" : "", kinds[f->kind]);
    }
}

static void print_entry(FILE *out, const char *name, const ls_field *fields, bool named)
{
    print_fields(out, name, fields, named);
    fputc('\n', out);
}

static void print_block(FILE *out, const ls_layer_block *b)
{
    print_fields(out, b->name, b->fields, true);
    fprintf(out, b->paths ? " %s: lists of layers" : " %s: layers", b->first);
    if (b->second) fprintf(out, " %s: layers", b->second);
    fputc('\n', out);
}

void ls_recipe_print_layers(FILE *out)
{
    fputs("Models (model.name), with their model.options\n", out);
    for (const ls_model_entry *m = ls__model_table; m->name; m++) {
        const ls_model_entry *same = ls__model_table;
        while (same->fields != m->fields) same++;
        if (same == m)
            print_entry(out, m->name, m->fields, false);
        else
            fprintf(out, "  %-20s as %s; %s\n", m->name, same->name, m->text);
    }
    fputs("\nLayers (entries of model.layers): with parameters\n", out);
    for (const ls_layer *l = ls__layer_table; l->name; l++) print_entry(out, l->name, l->fields, true);
    fputs("\nBlocks of layers; a name is a scope of the names of parameters\n", out);
    for (const ls_layer_block *b = ls__layer_blocks; b->name; b++) print_block(out, b);
    fputs("\nLayers: without parameters\n", out);
    for (int i = 0; i < LS_OP_COUNT; i++) {
        entry           e;
        ls_recipe_layer l = {.op = ls__op_by_id(i)->name, .where = ""};
        if (takes_one_input(ls__op_by_id(i)) && find_entry(&e, &l) == LS_OK && e.op)
            print_entry(out, l.op, e.op->fields, false);
    }
    fputs("\nInitialisers: a name, or {kind: NAME, std: 0.02, ...}\n ", out);
    for (int i = 0; ls__init_names[i]; i++) fprintf(out, " %s", ls__init_names[i]);
    fputc('\n', out);
}

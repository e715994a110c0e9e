/* SPDX-License-Identifier: Apache-2.0
 * Building graphs: tensors and nodes are appended, shapes inferred at once, the first error kept. */
#include "core/graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/enum_text.h"
#include "core/base/format_text.h"
#include "core/cpu/isa_table.h"

ls_graph *ls_graph_new(void)
{
    ls_arena *arena;
    if (ls_arena_new(&arena, "graph") != LS_OK) return NULL;
    ls_graph *g = ls_arena_alloc(arena, sizeof *g);
    g->arena    = arena;
    return g;
}

void ls_graph_free(ls_graph *g)
{
    if (g) ls_arena_free(g->arena);
}

ls_status ls_graph_status(const ls_graph *g)
{
    if (!g) return LS_FAIL(LS_ERR_ENV, "graph: NULL" LS_HINT "ls_graph_new returns NULL when there is no memory");
    return g->status == LS_OK ? LS_OK : ls_error_set(g->status, g->message, g->trace);
}

/* Copies the thread's last error into the graph, unless the graph already has one. */
static void *keep_error(ls_graph *g)
{
    if (g->status != LS_OK) return NULL;
    g->message = ls_arena_strdup(g->arena, ls_error_message());
    g->trace   = ls_arena_strdup(g->arena, ls_error_trace());
    return NULL;
}

/* Records an error as the graph's, unless it already has one, and returns NULL from the calling function. */
#define RETURN_GRAPH_FAIL(g, ...)                                                                                      \
    do {                                                                                                               \
        if ((g)->status == LS_OK) {                                                                                    \
            (void)LS_FAIL(LS_ERR_USAGE, __VA_ARGS__);                                                                  \
            keep_error(g);                                                                                             \
            (g)->status = LS_ERR_USAGE;                                                                                \
        }                                                                                                              \
        return NULL;                                                                                                   \
    } while (0)

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path ? path : "", '/');
    return slash ? slash + 1 : path ? path : "?";
}

/* ---- names, types and shapes ------------------------------------------------------------------------------------- */

size_t ls__dtype_bytes(ls_dtype type)
{
    static const size_t bytes[] = {
#define X(name, text, size) size,
        LS_DTYPE_LIST(X)
#undef X
    };
    return bytes[type];
}

const char *const ls__dtype_names[] = {
#define X(name, text, size) text,
    LS_DTYPE_LIST(X)
#undef X
        NULL};

const char *const ls__same_names[] = LS_ENUM_TEXTS(LS_SAME_LIST);
const char *const ls__pad_names[]  = LS_ENUM_TEXTS(LS_PAD_LIST);
const char *const ls__rope_names[] = LS_ENUM_TEXTS(LS_ROPE_LIST);

const char *ls__dtype_name(ls_dtype type) { return ls__dtype_names[type]; }

const char *ls__shape(const ls_tensor *x)
{
    if (!x) return "none";
    char  *text = ls__text_buffer();
    size_t room = LS_TEXT_BYTES, used = 0;
    if (x->batched) used += (size_t)snprintf(text, room, "B");
    for (int i = 0; i < x->rank; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", used ? " x " : "", (long long)x->dim[i]);
    if (!used) snprintf(text, room, "scalar");
    return text;
}

const char *ls__shape_and_type(const ls_tensor *x)
{
    if (!x || x->type == LS_F32) return ls__shape(x);
    char *text = ls__text_buffer();
    snprintf(text, LS_TEXT_BYTES, "%s %s", ls__shape(x), ls__dtype_name(x->type));
    return text;
}

ls_tensor *ls_output(ls_tensor *x, int i)
{
    return x && x->node && i >= 0 && i < ls__results(x->node) ? x->node->out[i] : NULL;
}

const char *ls_tensor_name(const ls_tensor *x) { return x ? x->name : "none"; }
ls_dtype    ls_tensor_type(const ls_tensor *x) { return x->type; }
bool        ls_tensor_batched(const ls_tensor *x) { return x->batched; }

int ls_tensor_dims(const ls_tensor *x, int64_t dims[LS_MAX_DIMS])
{
    if (!x) return 0;
    memcpy(dims, x->dim, sizeof x->dim);
    return x->rank;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* Makes room for one more pointer in a list of an arena.  Returns the list, which may have moved. */
static void *grow(ls_arena *arena, void *list, int used, int *room)
{
    if (used < *room) return list;
    int    more  = *room ? *room * 2 : 64;
    void **wider = ls_arena_alloc(arena, (size_t)more * sizeof *wider);
    if (used) memcpy(wider, list, (size_t)used * sizeof *wider);
    *room = more;
    return wider;
}

static ls_tensor *add_tensor(ls_graph *g, const char *name, ls_role role, ls_dtype type, bool batched, int rank,
                             const int64_t *dim)
{
    ls_tensor *t = ls_arena_alloc(g->arena, sizeof *t);
    *t           = (ls_tensor){.name = name, .graph = g, .role = role, .type = type, .batched = batched, .rank = rank};
    t->index     = g->tensors;
    for (int i = 0; i < rank; i++) t->dim[i] = dim[i];
    g->tensor               = grow(g->arena, g->tensor, g->tensors, &g->tensor_room);
    g->tensor[g->tensors++] = t;
    return t;
}

/* Whether a tensor has more than 2^42 elements: more than any memory, and far from overflow of int64_t. */
static bool too_large(const ls_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(n, t->dim[i], &n) || n > (int64_t)1 << 42) return true;
    return false;
}

static const char *scoped(ls_graph *g, const char *name)
{
    return g->scope[0] ? ls_arena_printf(g->arena, "%s.%s", g->scope, name) : ls_arena_strdup(g->arena, name);
}

static ls_tensor *find(ls_graph *g, ls_role role, const char *name)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == role && strcmp(g->tensor[i]->name, name) == 0) return g->tensor[i];
    return NULL;
}

/* Adds an input or a state: a batched tensor with dims from the user. */
static ls_tensor *add_samples(ls_input_args a, ls_role role, const char *what, const char *name)
{
    ls_graph *g                = a.g;
    int64_t   dim[LS_MAX_DIMS] = {a.dim0, a.dim1, a.dim2, a.dim3, a.dim4, a.dim5};
    int       rank             = 0;
    while (rank < LS_MAX_DIMS && dim[rank]) rank++;
    for (int i = 0; i < LS_MAX_DIMS; i++)
        if (dim[i] < 0 || (i > rank && dim[i]))
            RETURN_GRAPH_FAIL(g, "%s '%s': dim %d is %lld" LS_HINT "dims are at least 1; the batch is implicit", what,
                              name, i < rank ? i : rank, (long long)dim[i < rank ? i : rank]);
    if (find(g, role, name)) RETURN_GRAPH_FAIL(g, "%s '%s': already exists", what, name);
    ls_tensor *t = add_tensor(g, name, role, a.type, true, rank, dim);
    t->max_dim0  = dim[0];
    if (too_large(t)) RETURN_GRAPH_FAIL(g, "%s '%s': its shape %s is larger than any memory", what, name, ls__shape(t));
    return t;
}

ls_tensor *ls__input(ls_input_args a)
{
    if (!a.g || a.g->status != LS_OK) return NULL;
    return add_samples(a, LS_ROLE_INPUT, "input", ls_arena_strdup(a.g->arena, a.name));
}

ls_tensor *ls__state(ls_input_args a, ls_where where)
{
    if (!a.g || a.g->status != LS_OK) return NULL;
    ls_tensor *t = add_samples(a, LS_ROLE_STATE, "state", scoped(a.g, a.name));
    if (t) t->where = where;
    return t;
}

ls_tensor *ls__param(ls_graph *g, const char *name, ls_init init, ls_where where, ls_dims dims)
{
    if (!g || g->status != LS_OK) return NULL;
    const char *full = scoped(g, name);
    for (int i = 0; i < dims.rank; i++)
        if (dims.dim[i] <= 0)
            RETURN_GRAPH_FAIL(g, "parameter '%s' (%s:%d): dim %d is %lld, expected at least 1", full,
                              file_name(where.file), where.line, i, (long long)dims.dim[i]);
    ls_tensor *old = find(g, LS_ROLE_PARAM, full);
    if (old) {
        if (old->rank != dims.rank || memcmp(old->dim, dims.dim, (size_t)dims.rank * sizeof *dims.dim) != 0)
            RETURN_GRAPH_FAIL(g,
                              "parameter '%s' (%s:%d): already exists with the shape %s (%s:%d)" LS_HINT
                              "tied weights have one shape; otherwise choose another name",
                              full, file_name(where.file), where.line, ls__shape(old), file_name(old->where.file),
                              old->where.line);
        return old;
    }
    ls_tensor *t = add_tensor(g, full, LS_ROLE_PARAM, LS_F32, false, dims.rank, dims.dim);
    if (too_large(t))
        RETURN_GRAPH_FAIL(g, "parameter '%s' (%s:%d): its shape %s is larger than any memory", full,
                          file_name(where.file), where.line, ls__shape(t));
    t->needs_grad = true;
    t->init       = init;
    t->where      = where;
    return t;
}

void ls_scope(ls_graph *g, const char *name)
{
    if (!g) return;
    size_t used = strlen(g->scope);
    if (used + strlen(name) + 2 > sizeof g->scope) {
        if (g->status == LS_OK) {
            (void)LS_FAIL(LS_ERR_USAGE, "scope '%s.%s': expected at most %zu characters", g->scope, name,
                          sizeof g->scope - 1);
            keep_error(g);
            g->status = LS_ERR_USAGE;
        }
        return;
    }
    snprintf(g->scope + used, sizeof g->scope - used, "%s%s", used ? "." : "", name);
}

void ls_scope_end(ls_graph *g)
{
    if (!g) return;
    char *dot               = strrchr(g->scope, '.');
    *(dot ? dot : g->scope) = 0;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

const ls_op *ls__op_by_id(int op) { return ls__isa_table()->op[op]; }

const ls_op *ls__op(const ls_node *n) { return ls__op_by_id(n->op); }

int ls__results(const ls_node *n) { return ls__op(n)->results ? ls__op(n)->results : 1; }

int64_t ls__batch_sums(const ls_node *n, bool backward)
{
    const ls_op *op = ls__op(n);
    return op->batch_sums ? op->batch_sums(n, backward) : 0;
}

int64_t ls__group_rows(const ls_node *n)
{
    const ls_op *op = ls__op(n);
    return op->group_rows ? op->group_rows(n) : 0;
}

int ls__op_find(const char *name)
{
    for (int i = 0; i < LS_OP_COUNT; i++)
        if (strcmp(ls__op_by_id(i)->name, name) == 0) return i;
    return -1;
}

const char *ls__layer_name(const ls_node *n, ls_arena *memory)
{
    for (int k = 0; k < n->ins; k++) {
        const char *dot = n->in[k] && n->in[k]->role == LS_ROLE_PARAM ? strrchr(n->in[k]->name, '.') : NULL;
        if (dot) return ls_arena_printf(memory, "%.*s", (int)(dot - n->in[k]->name), n->in[k]->name);
    }
    return NULL;
}

/* The name of output i: that of the node's layer ("conv1"), or its op and position ("relu1"), and a suffix for all but
 * the first. */
static const char *out_name(const ls_node *n, int i)
{
    static const char *const        result[LS_MAX_OUT] = {"", ".last", ".last2", ".last3", ".last4"},
                             *const saved[LS_MAX_OUT]  = {".saved", ".saved2", ".saved3", ".saved4", ".saved5"};
    const int                       results            = ls__results(n);
    const char                     *suffix             = i < results ? result[i] : saved[i - results];
    ls_arena                       *arena              = n->graph->arena;
    const char                     *layer              = ls__layer_name(n, arena);
    return layer ? ls_arena_printf(arena, "%s%s", layer, suffix)
                 : ls_arena_printf(arena, "%s%d%s", ls__op(n)->name, n->index, suffix);
}

ls_tensor *ls__out(ls_node *n, int i, ls_dtype type, bool batched, int rank, const int64_t *dim)
{
    ls_tensor *t = n->out[i];
    if (!t) {
        t         = add_tensor(n->graph, out_name(n, i), LS_ROLE_VALUE, type, batched, rank, dim);
        n->out[i] = t;
    }
    memcpy(t->dim, dim, (size_t)rank * sizeof *dim);
    t->node  = n;
    t->where = n->where;
    if (i >= n->outs) n->outs = i + 1;
    return t;
}

ls_tensor *ls__out_like(ls_node *n, int i, const ls_tensor *x)
{
    return ls__out(n, i, x->type, x->batched, x->rank, x->dim);
}

ls_status ls__node_fail(const ls_node *n, const char *file, int line, const char *func, const char *format, ...)
{
    char    text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ls__fail(LS_ERR_USAGE, file, line, func, "%s (%s:%d): %s", ls__op(n)->name, file_name(n->where.file),
                    n->where.line, text);
}

ls_tensor *ls__graph_fail(ls_graph *g, ls_where where, const char *format, ...)
{
    char    text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (g) RETURN_GRAPH_FAIL(g, "%s:%d: %s", file_name(where.file), where.line, text);
    return NULL;
}

/* The graph of the first input; NULL if a required input is NULL, because an earlier call failed. */
static ls_graph *graph_of(const ls_op *op, ls_tensor *const *in)
{
    ls_graph *g = NULL;
    for (int i = 0; i < op->ins; i++) {
        if (!in[i] && !(op->optional & 1u << i)) return NULL;
        if (in[i] && !g) g = in[i]->graph;
    }
    return g;
}

/* ---- types of values --------------------------------------------------------------------------------------------- */

void ls_graph_precision(ls_graph *g, ls_dtype type)
{
    if (!g || g->status != LS_OK) return;
    if (g->nodes == 0 && (type == LS_F32 || type == LS_BF16)) {
        g->precision = type;
        return;
    }
    (void)LS_FAIL(LS_ERR_USAGE, "ls_graph_precision: expected float32 or bfloat16, and a graph without ops");
    keep_error(g);
    g->status = LS_ERR_USAGE;
}

const char *const ls__over_names[] = {"batch", NULL};

void ls_graph_norm_over(ls_graph *g, int64_t samples)
{
    if (!g || g->status != LS_OK) return;
    if (g->nodes == 0 && samples >= 0) {
        g->norm_over = samples;
        return;
    }
    (void)LS_FAIL(LS_ERR_USAGE, "ls_graph_norm_over: expected at least 0 samples, and a graph without ops");
    keep_error(g);
    g->status = LS_ERR_USAGE;
}

static bool is_param(const ls_tensor *t) { return ls__root(t)->role == LS_ROLE_PARAM; }

ls_dtype ls__input_type(const ls_node *n, int i)
{
    const bool copy = n->in[i] && is_param(n->in[i]) && ls__op(n)->narrow & 1u << i;
    return copy ? n->graph->precision : n->in[i] ? n->in[i]->type : LS_F32;
}

ls_tensor *ls__converted(ls_tensor *x, ls_dtype type)
{
    if (!x || x->type == type) return x;
    const ls_graph *g = x->graph;
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *n = g->node[i];
        if (n->op == LS_OP_cast && n->in[0] == x && n->out[0]->type == type) return n->out[0];
    }
    return ls__apply(LS_OP_cast, &(ls_cast_args){x, type}, x->where);
}

/* Input i of an op in the type that the op needs. */
static ls_tensor *in_needed_type(const ls_op *op, int i, ls_tensor *x)
{
    if (!x || (x->type != LS_F32 && x->type != LS_BF16) || is_param(x) || x->role == LS_ROLE_STATE) return x;
    if (op->narrow & 1u << i) return ls__converted(x, x->graph->precision);
    return op->either & 1u << i ? x : ls__converted(x, LS_F32);
}

ls_tensor *ls__apply(int id, const void *args, ls_where where)
{
    return ls__apply_in(graph_of(ls__op_by_id(id), args), NULL, id, args, where);
}

ls_tensor *ls__apply_in(ls_graph *g, ls_loop *loop, int id, const void *args, ls_where where)
{
    const ls_op *op = ls__op_by_id(id);
    if (!g || g->status != LS_OK) return NULL;
    ls_tensor *in[LS_MAX_IN];
    memcpy(in, args, (size_t)op->ins * sizeof *in);
    for (int i = 0; i < op->ins; i++)
        if (in[i] && in[i]->graph == g) in[i] = in_needed_type(op, i, in[i]);
    if (g->status != LS_OK) return NULL;
    ls_node *n = ls_arena_alloc(g->arena, sizeof *n);
    *n         = (ls_node){.op = id, .index = g->nodes, .ins = op->ins, .graph = g, .where = where};
    n->args    = memcpy(ls_arena_alloc(g->arena, op->args_bytes), args, op->args_bytes);
    memcpy(n->args, in, (size_t)op->ins * sizeof *in);
    memcpy(n->in, in, (size_t)op->ins * sizeof *in);
    for (int i = 0; i < n->ins; i++)
        if (n->in[i] && n->in[i]->graph != g)
            RETURN_GRAPH_FAIL(g, "%s (%s:%d): its inputs belong to different graphs", op->name, file_name(where.file),
                              where.line);
    n->loop = ls__loop_of(n);
    if (loop) n->loop = loop;
    if (g->status != LS_OK) return NULL;
    ls_status status = op->infer(n);
    if (status != LS_OK) {
        keep_error(g);
        g->status = status;
        return NULL;
    }
    for (int i = 0; i < n->outs; i++)
        if (too_large(n->out[i]))
            RETURN_GRAPH_FAIL(g, "%s (%s:%d): its result of shape %s is larger than any memory", op->name,
                              file_name(where.file), where.line, ls__shape(n->out[i]));
    for (int i = 0; i < n->ins; i++)
        if (op->updates & 1u << i && n->in[i] && ls__root(n->in[i])->role != LS_ROLE_STATE)
            RETURN_GRAPH_FAIL(g,
                              "%s (%s:%d): writes '%s' in place, which is not a state" LS_HINT "make it with ls_state",
                              op->name, file_name(where.file), where.line, n->in[i]->name);
    bool needs_grad = false;
    for (int i = 0; i < n->ins; i++)
        if (n->in[i] && n->in[i]->needs_grad && !(op->no_grad & 1u << i)) needs_grad = true;
    for (int i = 0; i < n->outs; i++) n->out[i]->needs_grad = i < ls__results(n) && needs_grad;
    for (int i = 0; i < n->outs && id != LS_OP_stack; i++) n->out[i]->loop = n->loop;
    if (op->view) n->out[0]->view_of = n->in[0];
    g->node             = grow(g->arena, g->node, g->nodes, &g->node_room);
    g->node[g->nodes++] = n;
    return n->out[0];
}

/* ---- shapes that vary -------------------------------------------------------------------------------------------- */

/* The first dim of an input in a batch. */
static int64_t dim0_of(const ls_batch *batch, const ls_tensor *input)
{
    for (int i = 0; batch && i < batch->inputs; i++)
        if (batch->dim0[i] && !strcmp(batch->name[i], input->name)) return batch->dim0[i];
    return input->max_dim0;
}

ls_status ls__graph_reshape(ls_graph *g, const ls_batch *batch)
{
    bool changed = false;
    for (int i = 0; i < g->tensors; i++) {
        ls_tensor *t = g->tensor[i];
        if (t->role != LS_ROLE_INPUT || !t->rank) continue;
        const int64_t dim = dim0_of(batch, t);
        LS_CHECK(dim >= 1 && dim <= t->max_dim0, LS_ERR_USAGE,
                 "input '%s': expected a first dim from 1 to %lld, as planned, found %lld in the batch", t->name,
                 (long long)t->max_dim0, (long long)dim);
        changed |= dim != t->dim[0];
        t->dim[0] = dim;
    }
    g->shape += changed;
    for (int i = 0; changed && i < g->nodes; i++) LS_TRY(ls__op(g->node[i])->infer(g->node[i]));
    return LS_OK;
}

void ls__graph_model(ls_graph *g, const char *model, const void *args, size_t bytes)
{
    if (!g || g->status != LS_OK) return;
    void *copy    = ls_arena_alloc(g->arena, bytes);
    g->model      = model;
    g->model_args = memcpy(copy, args, bytes);
}

/* ---- freezing ---------------------------------------------------------------------------------------------------- */

bool ls__glob(const char *glob, const char *text)
{
    for (; *glob; glob++, text++) {
        if (*glob == '*') {
            while (*glob == '*') glob++;
            for (;; text++) {
                if (ls__glob(glob, text)) return true;
                if (!*text) return false;
            }
        }
        if (!*text || (*glob != '?' && *glob != *text)) return false;
    }
    return !*text;
}

bool ls__glob_list(const char *const *globs, const char *text)
{
    bool matches = false;
    for (; *globs; globs++) {
        const bool excludes = **globs == '!';
        if (ls__glob(*globs + excludes, text)) matches = !excludes;
    }
    return matches;
}

/* Freezes the running statistics of a node that match: training uses them and does not renew them. */
static void freeze_running(ls_node *n, const char *const *globs)
{
    const ls_op *op = ls__op(n);
    for (int k = 0; op->freeze_running && k < n->ins; k++)
        if (op->no_grad & 1u << k && n->in[k] && n->in[k]->role == LS_ROLE_PARAM &&
            ls__glob_list(globs, n->in[k]->name))
            op->freeze_running(n);
}

/* Whether a node reads a value that needs a gradient. */
static bool reads_gradient(const ls_node *n)
{
    for (int k = 0; k < n->ins; k++)
        if (n->in[k] && n->in[k]->needs_grad && !(ls__op(n)->no_grad & 1u << k)) return true;
    return n->out[0]->next && reads_gradient(n->out[0]->next);
}

void ls__find_gradients(ls_graph *g, const ls_tensor *x)
{
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i]->outs; k++) g->node[i]->out[k]->needs_grad = g->node[i]->out[k] == x;
    for (bool changed = true; changed;) { /* once, unless a loop carries values */
        changed = false;
        for (int i = 0; i < g->nodes; i++) {
            const ls_node *n = g->node[i];
            for (int k = 0; k < ls__results(n) && reads_gradient(n); k++) {
                changed |= g->loops && !n->out[k]->needs_grad;
                n->out[k]->needs_grad = true;
            }
        }
    }
}

int ls__freeze(ls_graph *g, const char *const *globs)
{
    int matched = 0;
    if (!g) return 0;
    for (int i = 0; i < g->tensors; i++) {
        ls_tensor *t = g->tensor[i];
        if (t->role != LS_ROLE_PARAM || !ls__glob_list(globs, t->name)) continue;
        t->frozen     = true;
        t->needs_grad = false;
        matched++;
    }
    ls__find_gradients(g, NULL); /* a node that depends on frozen parameters alone needs no gradient either */
    for (int i = 0; i < g->nodes; i++) freeze_running(g->node[i], globs);
    return matched;
}

void ls__differentiate(ls_tensor *x)
{
    ls_freeze(x->graph, "*");
    for (int i = 0; i < x->graph->tensors; i++) x->graph->tensor[i]->needs_grad = false;
    x->needs_grad = true;
    ls__find_gradients(x->graph, x);
}

int ls_freeze(ls_graph *g, const char *glob) { return ls__freeze(g, (const char *[]){glob, NULL}); }

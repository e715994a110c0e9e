/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic of convolution and pooling: see launch/vision/layer_windows.h.
 *
 * Along one dim, position i of a value depends on the pixels [low + i jump, high + i jump] of the image; i is the image
 * itself at low = high = 0, jump = 1.  Window i of a layer covers the positions i stride - before + k dilation, so
 *
 *     low'  = low - before jump
 *     high' = high + (dilation (kernel - 1) - before) jump
 *     jump' = jump stride
 *
 * (Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks").
 */
#include "launch/vision/layer_windows.h"

#include <string.h>

enum { DIMS = 2 }; /* height, width */

/* The field of a value along one dim; size 0: not known. */
typedef struct field {
    int64_t size; /* positions of the plane */
    int64_t low, high, jump;
    bool    flat; /* the value has another shape than the plane, until a reshape restores it */
} field;

/* Returns the attribute of a node by its name, "stride_h"; 0: it has none. */
static int attribute(const ls_node *n, const char *name, const char *dim)
{
    char key[32];
    int  value = 0;
    snprintf(key, sizeof key, "%s%s", name, dim);
    for (const ls_field *f = ls__op(n)->fields; f && f->name; f++)
        if (!strcmp(f->name, key)) {
            if (f->kind == LS_FIELD_BOOL)
                value = *(const bool *)((const char *)n->args + f->offset);
            else
                memcpy(&value, (const char *)n->args + f->offset, sizeof value);
        }
    return value;
}

static bool is_op(const ls_node *n, const char *name) { return !strcmp(ls__op(n)->name, name); }

static bool is_adaptive(const ls_node *n) { return !strncmp(ls__op(n)->name, "adaptive_", 9); }

/* Whether the node has windows. */
static bool has_windows(const ls_node *n)
{
    return is_op(n, "conv2d") || is_op(n, "max_pool2d") || is_op(n, "avg_pool2d") || is_adaptive(n);
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Counts the windows inside the input and the positions in no window. */
static void count(ls_layer_axis *a)
{
    for (int64_t p = 0, covered; p < a->in; p++) {
        covered = 0;
        for (int64_t k = 0; k < a->kernel && !covered; k++) {
            const int64_t from = p + a->before - k * a->dilation; /* i stride */
            covered            = from >= 0 && from % a->stride == 0 && from / a->stride < a->out;
        }
        a->unread += !covered;
    }
    for (int64_t i = 0; i < a->out; i++) {
        const int64_t first = i * a->stride - a->before;
        a->inside += first >= 0 && first + a->dilation * (a->kernel - 1) < a->in;
    }
}

/* Describes the windows along dim d. */
static ls_layer_axis axis_of(const ls_node *n, int d)
{
    static const char *const dims[DIMS] = {"_h", "_w"}, *const sides[DIMS][2] = {{"_top", "_bottom"},
                                                                                 {"_left", "_right"}};
    const ls_tensor *x = n->in[0];
    ls_layer_axis    a = {.in = x->dim[1 + d], .out = n->out[0]->dim[1 + d], .dilation = 1};
    if (is_adaptive(n)) {
        a.spread = a.in % a.out != 0;
        a.kernel = a.in / a.out + (a.spread ? 2 : 0);
        a.kernel = smaller(a.kernel, a.in);
        a.stride = larger(a.in / a.out, 1);
        a.inside = a.out;
        return a;
    }
    const int dilation = attribute(n, "dilation", dims[d]);
    a.kernel           = is_op(n, "conv2d") ? n->in[1]->dim[2 + d] : attribute(n, "kernel", dims[d]);
    a.stride           = larger(attribute(n, "stride", dims[d]), 1);
    a.dilation         = larger(dilation, 1);
    a.ceil             = attribute(n, "ceil_mode", "") != 0;
    const int padding = attribute(n, "padding", dims[d]), first = attribute(n, "pad", sides[d][0]),
              last = attribute(n, "pad", sides[d][1]);
    a.before       = first ? first : padding;
    a.after        = last ? last : padding;
    if (attribute(n, "same", "") != LS_SAME_NONE) {
        const int64_t both = larger((a.out - 1) * a.stride + a.dilation * (a.kernel - 1) + 1 - a.in, 0);
        a.before           = both / 2;
        a.after            = both - both / 2;
    }
    count(&a);
    return a;
}

/* ---- receptive fields -------------------------------------------------------------------------------------------- */

static field behind_windows(field x, const ls_layer_axis *a)
{
    if (!x.size || a->spread) return (field){0};
    return (field){.size = a->out,
                   .low  = x.low - a->before * x.jump,
                   .high = x.high + (a->dilation * (a->kernel - 1) - a->before) * x.jump,
                   .jump = x.jump * a->stride};
}

static field behind_padding(field x, const ls_node *n, int d)
{
    static const char *const dims[DIMS] = {"_h", "_w"}, *const sides[DIMS] = {"_top", "_left"};
    const int side = attribute(n, "pad", sides[d]), padding = attribute(n, "padding", dims[d]);
    if (x.flat) return x;
    x.size = n->out[0]->dim[1 + d];
    x.low -= (side ? side : padding) * x.jump;
    x.high -= (side ? side : padding) * x.jump;
    return x;
}

/* The smallest field that contains both. */
static field both(field x, field y)
{
    if (!x.size || !y.size) return x.size ? x : y;
    return (field){
        .size = x.size, .low = smaller(x.low, y.low), .high = larger(x.high, y.high), .jump = larger(x.jump, y.jump)};
}

/* Sets the field of a node's output from those of its inputs, of[tensor index x DIMS + dim]. */
static void follow(const ls_node *n, field *of)
{
    for (int d = 0; d < DIMS; d++) {
        field f = {0};
        for (int k = 0; k < n->ins; k++)
            if (n->in[k] && n->in[k]->batched) f = both(f, of[n->in[k]->index * DIMS + d]);
        if (is_op(n, "conv_transpose2d")) f = (field){0};
        if (is_op(n, "pad2d")) f = behind_padding(f, n, d);
        of[n->out[0]->index * DIMS + d] = f;
    }
    const ls_tensor *y = n->out[0];
    field           *f = &of[y->index * DIMS];
    if (is_op(n, "reshape")) f[0].flat = f[1].flat = y->rank != 3 || y->dim[1] != f[0].size || y->dim[2] != f[1].size;
}

static void set_field(ls_layer_axis *a, field *x, field *y)
{
    *y = behind_windows(*x, a);
    if (!y->size) return;
    a->field = y->high - y->low + 1;
    a->jump  = y->jump;
    a->start = y->low;
}

int ls_layer_windows_of(const ls_graph *g, ls_arena *memory, ls_layer_windows **windows)
{
    field            *of   = ls_arena_alloc(memory, (size_t)(g->tensors + 1) * DIMS * sizeof *of);
    ls_layer_windows *list = ls_arena_alloc(memory, (size_t)(g->nodes + 1) * sizeof *list);
    int               n    = 0;
    for (int i = 0; i < g->tensors; i++)
        for (int d = 0; d < DIMS; d++)
            if (g->tensor[i]->role == LS_ROLE_INPUT && g->tensor[i]->rank == 3)
                of[i * DIMS + d] = (field){.size = g->tensor[i]->dim[1 + d], .jump = 1};
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *node = g->node[i];
        if (!has_windows(node)) {
            follow(node, of);
            continue;
        }
        ls_layer_windows *w = &list[n++];
        field            *x = &of[node->in[0]->index * DIMS], *y = &of[node->out[0]->index * DIMS];
        *w = (ls_layer_windows){.node = node, .h = axis_of(node, 0), .w = axis_of(node, 1)};
        set_field(&w->h, &x[0], &y[0]);
        set_field(&w->w, &x[1], &y[1]);
    }
    *windows = list;
    return n;
}

double ls_layer_padded_share(const ls_layer_windows *w)
{
    return 1 - (double)(w->h.inside * w->w.inside) / (double)(w->h.out * w->w.out);
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

static bool equal_axes(const ls_layer_axis *a, const ls_layer_axis *b)
{
    return a->in == b->in && a->out == b->out && a->kernel == b->kernel && a->stride == b->stride &&
           a->dilation == b->dilation && a->before == b->before && a->after == b->after;
}

/* "28 = floor((28 + 2*2 - 1*(5 - 1) - 1) / 1) + 1" */
static const char *formula(const ls_layer_axis *a, char *text, size_t bytes)
{
    char padding[48];
    if (a->spread) {
        snprintf(text, bytes, "%lld windows of up to %lld of %lld", (long long)a->out, (long long)a->kernel,
                 (long long)a->in);
        return text;
    }
    if (a->before == a->after)
        snprintf(padding, sizeof padding, "2*%lld", (long long)a->before);
    else
        snprintf(padding, sizeof padding, "%lld + %lld", (long long)a->before, (long long)a->after);
    snprintf(text, bytes, "%lld = %s((%lld + %s - %lld*(%lld - 1) - 1) / %lld) + 1", (long long)a->out,
             a->ceil ? "ceil" : "floor", (long long)a->in, padding, (long long)a->dilation, (long long)a->kernel,
             (long long)a->stride);
    return text;
}

/* "435 x 435", or "435" if both are equal and `square` is false. */
static const char *pair(int64_t h, int64_t w, char *text, size_t bytes)
{
    if (!h || !w)
        snprintf(text, bytes, "-");
    else if (h == w)
        snprintf(text, bytes, "%lld", (long long)h);
    else
        snprintf(text, bytes, "%lld x %lld", (long long)h, (long long)w);
    return text;
}

static const char *unread(const ls_layer_windows *w, char *text, size_t bytes)
{
    const int64_t h = w->h.unread, c = w->w.unread;
    const double  share = 1 - (double)((w->h.in - h) * (w->w.in - c)) / (double)(w->h.in * w->w.in);
    if (h || c)
        snprintf(text, bytes, "%lld row%s, %lld column%s: %.1f %%", (long long)h, h == 1 ? "" : "s", (long long)c,
                 c == 1 ? "" : "s", 100 * share);
    else
        snprintf(text, bytes, "-");
    return text;
}

void ls_layer_windows_print(FILE *f, const ls_graph *g, ls_arena *memory)
{
    enum { FORMULA = 52 };
    ls_layer_windows *list;
    const int         n    = ls_layer_windows_of(g, memory, &list);
    int               name = 12;
    char              text[3][96];
    if (!n) return;
    for (int i = 0; i < n; i++) {
        const int length = (int)strlen(list[i].node->out[0]->name);
        name             = length > name ? length : name;
    }
    fprintf(
        f,
        "\nWindows of convolutions and pooling\n"
        "  output: floor((input + padding - dilation*(kernel - 1) - 1) / stride) + 1, of the height, and of the width "
        "where it differs\n"
        "  field: pixels of the image, along a dim, on which an output pixel depends; jump: distance of the fields of "
        "neighbours\n"
        "  padded: share of the output pixels whose window reaches into the padding; not read: pixels of the layer's "
        "input in no window\n\n"
        "  %-*s %-*s %9s %6s %8s  %s\n",
        name, "value", FORMULA, "output", "field", "jump", "padded", "not read");
    for (int i = 0; i < n; i++) {
        const ls_layer_windows *w = &list[i];
        fprintf(f, "  %-*s %-*s %9s", name, w->node->out[0]->name, FORMULA, formula(&w->h, text[0], sizeof text[0]),
                pair(w->h.field, w->w.field, text[1], sizeof text[1]));
        fprintf(f, " %6s %6.1f %%  %s\n", pair(w->h.jump, w->w.jump, text[1], sizeof text[1]),
                100 * ls_layer_padded_share(w), unread(w, text[2], sizeof text[2]));
        if (!equal_axes(&w->h, &w->w)) fprintf(f, "  %-*s %s\n", name, "", formula(&w->w, text[0], sizeof text[0]));
    }
}

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

enum { DIMS = 3 }; /* depth, height, width; a layer has the last 1 to 3 of them */

static const char *const dim_suffix[DIMS]     = {"_d", "_h", "_w"};
static const char *const side_suffix[DIMS][2] = {{"_front", "_back"}, {"_top", "_bottom"}, {"_left", "_right"}};

/* The field of a value along one dim; size 0: not known. */
typedef struct field {
    int64_t size; /* positions of the plane */
    int64_t low, high, jump;
    bool    flat; /* the value has another shape than the plane, until a reshape restores it */
} field;

static const ls_field *field_of(const ls_node *n, const char *name)
{
    const ls_field *f = ls__op(n)->fields;
    while (f && f->name && strcmp(f->name, name) != 0) f++;
    return f && f->name ? f : NULL;
}

/* Returns the attribute of a node by its name, "stride" of "_h"; an op of one dim has no "stride_w" but "stride"
 * alone.  0: it has none. */
static int attribute(const ls_node *n, const char *name, const char *dim)
{
    char key[32];
    int  value = 0;
    snprintf(key, sizeof key, "%s%s", name, dim);
    const ls_field *f = field_of(n, key) ? field_of(n, key) : field_of(n, name);
    if (!f) return 0;
    if (f->kind == LS_FIELD_BOOL) return *(const bool *)((const char *)n->args + f->offset);
    memcpy(&value, (const char *)n->args + f->offset, sizeof value);
    return value;
}

static bool is_op(const ls_node *n, const char *name) { return !strcmp(ls__op(n)->name, name); }

static bool starts(const ls_node *n, const char *name) { return !strncmp(ls__op(n)->name, name, strlen(name)); }

static bool is_adaptive(const ls_node *n) { return starts(n, "adaptive_"); }
static bool is_padding(const ls_node *n) { return starts(n, "pad"); }
static bool is_transposed(const ls_node *n) { return starts(n, "conv_transpose"); }
static bool is_conv(const ls_node *n) { return starts(n, "conv") && ls__op(n)->dims && !is_transposed(n); }

/* Whether the node has windows. */
static bool has_windows(const ls_node *n) { return ls__op(n)->dims && !is_padding(n) && !is_transposed(n); }

/* The index of dim d in a tensor of the shape C x D x H x W, or with fewer dims; 0: it has no such dim. */
static int place_of(const ls_tensor *x, int d)
{
    const int at = x->rank - DIMS + d;
    return at > 0 ? at : 0;
}

/* The size of a tensor along dim d; 1 for a dim that it does not have. */
static int64_t size_of(const ls_tensor *x, int d) { return place_of(x, d) ? x->dim[place_of(x, d)] : 1; }

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
    ls_layer_axis a = {.in = size_of(n->in[0], d), .out = size_of(n->out[0], d), .dilation = 1};
    if (!place_of(n->in[0], d)) return (ls_layer_axis){1, 1, .kernel = 1, .stride = 1, .dilation = 1, .inside = 1};
    if (is_adaptive(n)) {
        a.spread = a.in % a.out != 0;
        a.kernel = a.in / a.out + (a.spread ? 2 : 0);
        a.kernel = smaller(a.kernel, a.in);
        a.stride = larger(a.in / a.out, 1);
        a.inside = a.out;
        return a;
    }
    const int dilation = attribute(n, "dilation", dim_suffix[d]);
    a.kernel           = is_conv(n) ? n->in[1]->dim[place_of(n->in[0], d) + 1] : attribute(n, "kernel", dim_suffix[d]);
    a.stride           = larger(attribute(n, "stride", dim_suffix[d]), 1);
    a.dilation         = larger(dilation, 1);
    a.ceil             = attribute(n, "ceil_mode", "") != 0;
    const int padding = attribute(n, "padding", dim_suffix[d]), first = attribute(n, "pad", side_suffix[d][0]),
              last = attribute(n, "pad", side_suffix[d][1]);
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
    const int side = attribute(n, "pad", side_suffix[d][0]), padding = attribute(n, "padding", dim_suffix[d]);
    if (x.flat || !place_of(n->in[0], d)) return x;
    x.size = size_of(n->out[0], d);
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
        if (is_transposed(n)) f = (field){0};
        if (is_padding(n)) f = behind_padding(f, n, d);
        of[n->out[0]->index * DIMS + d] = f;
    }
    if (!is_op(n, "reshape")) return;
    const ls_tensor *y    = n->out[0];
    field           *f    = &of[y->index * DIMS];
    bool             flat = y->rank < 2;
    for (int d = 0; d < DIMS; d++) flat = flat || size_of(y, d) != f[d].size;
    for (int d = 0; d < DIMS; d++) f[d].flat = flat;
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
            if (g->tensor[i]->role == LS_ROLE_INPUT && g->tensor[i]->rank > 1 && g->tensor[i]->rank <= 1 + DIMS)
                of[i * DIMS + d] = (field){.size = size_of(g->tensor[i], d), .jump = 1};
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *node = g->node[i];
        if (!has_windows(node)) {
            follow(node, of);
            continue;
        }
        ls_layer_windows *w = &list[n++];
        field            *x = &of[node->in[0]->index * DIMS], *y = &of[node->out[0]->index * DIMS];
        *w = (ls_layer_windows){.node = node, .d = axis_of(node, 0), .h = axis_of(node, 1), .w = axis_of(node, 2)};
        set_field(&w->d, &x[0], &y[0]);
        set_field(&w->h, &x[1], &y[1]);
        set_field(&w->w, &x[2], &y[2]);
    }
    *windows = list;
    return n;
}

double ls_layer_padded_share(const ls_layer_windows *w)
{
    return 1 - (double)(w->d.inside * w->h.inside * w->w.inside) / (double)(w->d.out * w->h.out * w->w.out);
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

/* The axes of a layer, and their number. */
static int axes_of(const ls_layer_windows *w, const ls_layer_axis *axis[DIMS])
{
    const ls_layer_axis *all[DIMS] = {&w->d, &w->h, &w->w};
    const int            dims      = w->node->in[0]->rank - 1;
    for (int i = 0; i < dims; i++) axis[i] = all[DIMS - dims + i];
    return dims;
}

/* "435 x 221", or "435" if all are equal. */
static const char *product(int n, const int64_t *size, char *text, size_t bytes)
{
    bool equal = true, known = true;
    for (int i = 0; i < n; i++) {
        equal = equal && size[i] == size[0];
        known = known && size[i];
    }
    snprintf(text, bytes, "%s", known ? "" : "-");
    for (int i = 0; known && i < (equal ? 1 : n); i++)
        snprintf(text + strlen(text), bytes - strlen(text), "%s%lld", i ? " x " : "", (long long)size[i]);
    return text;
}

/* "1 row, 2 columns: 6.8 %" */
static const char *unread(int n, const ls_layer_axis *const *axis, char *text, size_t bytes)
{
    static const char *const names[DIMS] = {"plane", "row", "column"};
    double                   read        = 1;
    bool                     some        = false;
    *text                                = 0;
    for (int i = 0; i < n; i++) {
        const int64_t count = axis[i]->unread;
        read *= (double)(axis[i]->in - count) / (double)axis[i]->in;
        some = some || count;
    }
    for (int i = 0; some && i < n; i++)
        snprintf(text + strlen(text), bytes - strlen(text), "%s%lld %s%s", i ? ", " : "", (long long)axis[i]->unread,
                 names[DIMS - n + i], axis[i]->unread == 1 ? "" : "s");
    if (some)
        snprintf(text + strlen(text), bytes - strlen(text), ": %.1f %%", 100 * (1 - read));
    else
        snprintf(text, bytes, "-");
    return text;
}

/* Prints the rows of a layer. */
static void print_layer(FILE *f, const ls_layer_windows *w, int name, int formula_width)
{
    const ls_layer_axis *axis[DIMS];
    const int            dims = axes_of(w, axis);
    int64_t              fields[DIMS], jumps[DIMS];
    char                 text[4][96];
    for (int i = 0; i < dims; i++) {
        fields[i] = axis[i]->field;
        jumps[i]  = axis[i]->jump;
    }
    fprintf(f, "  %-*s %-*s %11s %11s %6.1f %%  %s\n", name, w->node->out[0]->name, formula_width,
            formula(axis[0], text[0], sizeof text[0]), product(dims, fields, text[1], sizeof text[1]),
            product(dims, jumps, text[2], sizeof text[2]), 100 * ls_layer_padded_share(w),
            unread(dims, axis, text[3], sizeof text[3]));
    for (int i = 1; i < dims; i++) {
        bool equal = true;
        for (int k = 0; k < dims; k++) equal = equal && equal_axes(axis[k], axis[0]);
        if (!equal) fprintf(f, "  %-*s %s\n", name, "", formula(axis[i], text[0], sizeof text[0]));
    }
}

void ls_layer_windows_print(FILE *f, const ls_graph *g, ls_arena *memory)
{
    enum { FORMULA = 52 };
    ls_layer_windows *list;
    const int         n    = ls_layer_windows_of(g, memory, &list);
    int               name = 12;
    if (!n) return;
    for (int i = 0; i < n; i++) {
        const int length = (int)strlen(list[i].node->out[0]->name);
        name             = length > name ? length : name;
    }
    fprintf(
        f,
        "\nWindows of convolutions and pooling\n"
        "  output: floor((input + padding - dilation*(kernel - 1) - 1) / stride) + 1; a row for each dim where they "
        "differ\n"
        "  field: pixels of the image, along a dim, on which an output pixel depends; jump: distance of the fields of "
        "neighbours\n"
        "  padded: share of the output pixels whose window reaches into the padding; not read: pixels of the layer's "
        "input in no window\n\n"
        "  %-*s %-*s %11s %11s %8s  %s\n",
        name, "value", FORMULA, "output", "field", "jump", "padded", "not read");
    for (int i = 0; i < n; i++) print_layer(f, &list[i], name, FORMULA);
}

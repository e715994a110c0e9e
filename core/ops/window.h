/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows along each dim, for convolution and pooling: attributes, padding and the number of windows.
 *
 * Window i covers the positions i stride - before + k dilation for k < kernel.  With reach = dilation (kernel - 1) + 1
 * there are (in + before + after - reach) / stride + 1 windows.  ceil_mode rounds the quotient up, unless the last
 * window would start in the padding after the input, as PyTorch does.
 *
 * same: tensorflow    out = in / stride rounded up;  before + after = max((out - 1) stride + reach - in, 0)
 * same: pytorch       the same; stride 1 only
 * An odd element of such a padding is at the end.
 */
#ifndef LS_CORE_OPS_WINDOW_H
#define LS_CORE_OPS_WINDOW_H

#include "core/base/integer.h"
#include "core/graph/graph.h"

typedef struct ls_window {
    int64_t in, out;
    int64_t kernel, stride, dilation;
    int64_t before, after; /* padding */
    bool    adaptive;      /* window i covers positions floor(i in / out) ... ceil((i + 1) in / out) - 1 */
} ls_window;

/* The windows of a sample of up to three dims.  Along a dim that the op does not have there is one window of one
 * position. */
typedef struct ls_windows {
    ls_window d, h, w; /* depth, height, width */
} ls_windows;

enum { LS_WINDOW_DIMS = 3 };
#define LS_NO_WINDOW                                                                                                   \
    (ls_window) { .in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1 }

/* Positions of a channel of the input, and windows of a channel. */
static inline int64_t ls__windows_in(const ls_windows *a) { return a->d.in * a->h.in * a->w.in; }
static inline int64_t ls__windows_out(const ls_windows *a) { return a->d.out * a->h.out * a->w.out; }

/* Indices of the attributes of a dim. */
enum { LS_WINDOW_KERNEL, LS_WINDOW_STRIDE, LS_WINDOW_PADDING, LS_WINDOW_DILATION, LS_WINDOW_ATTRIBUTES };

/* Attributes of one dim; 0: not given. */
typedef struct ls_window_attributes {
    const char *dim;                        /* "d", "h" or "w" */
    int         both[LS_WINDOW_ATTRIBUTES]; /* values for all dims */
    int        *own[LS_WINDOW_ATTRIBUTES];  /* values for this dim, which take precedence; NULL: none */
    int         before, after;              /* padding of one side, which takes precedence over that of the dim */
    ls_same     same;
    bool        pooling; /* the default stride is the kernel, and the padding at most half of the window */
    bool        ceil_mode;
} ls_window_attributes;

/* The attributes of dim `h`, with the sides `first` and `last`, of the args struct `a`; more designated initialisers
 * may follow. */
#define LS_WINDOW_ATTRIBUTES_OF(a, h, first, last, ...)                                                                \
    (ls_window_attributes)                                                                                             \
    {                                                                                                                  \
        .dim = #h, .both = {[LS_WINDOW_STRIDE] = (a)->stride, [LS_WINDOW_PADDING] = (a)->padding},                     \
        .own    = {[LS_WINDOW_STRIDE] = &(a)->stride_##h, [LS_WINDOW_PADDING] = &(a)->padding_##h},                    \
        .before = (a)->pad_##first, .after = (a)->pad_##last, __VA_ARGS__                                              \
    }

/* The attributes of the dims d, h and w, each as `attributes` (args struct, dim, first side, last side) makes them. */
#define LS_WINDOWS_ATTRIBUTES_OF(a, attributes)                                                                        \
    ((const ls_window_attributes[LS_WINDOW_DIMS]){attributes(a, d, front, back), attributes(a, h, top, bottom),        \
                                                  attributes(a, w, left, right)})

/* Sets the padding of `same`. */
static inline ls_status ls__window_same(const ls_node *n, const ls_window_attributes *a, int64_t reach, ls_window *w)
{
    LS_NODE_CHECK(n, w->before == 0 && w->after == 0,
                  "padding along %s is %lld and %lld, expected none: 'same' computes it", a->dim, (long long)w->before,
                  (long long)w->after);
    LS_NODE_CHECK(n, a->same != LS_SAME_PYTORCH || w->stride == 1,
                  "stride_%s is %lld, expected 1 with same: pytorch" LS_HINT "same: tensorflow takes any stride",
                  a->dim, (long long)w->stride);
    const int64_t padding = ls__max(((w->in + w->stride - 1) / w->stride - 1) * w->stride + reach - w->in, 0);
    w->before             = padding / 2;
    w->after              = padding - w->before;
    return LS_OK;
}

/* Computes the number of windows. */
static inline ls_status ls__window_count(const ls_node *n, const ls_window_attributes *a, int64_t reach, ls_window *w)
{
    const int64_t free = w->in + w->before + w->after - reach;
    LS_NODE_CHECK(n, free >= 0 || (a->ceil_mode && free > -w->stride),
                  "the window along %s is %lld, expected at most the input's %lld with padding %lld and %lld" LS_HINT
                  "increase the padding or reduce the kernel",
                  a->dim, (long long)reach, (long long)w->in, (long long)w->before, (long long)w->after);
    w->out = free < 0 ? 1 : (free + (a->ceil_mode ? w->stride - 1 : 0)) / w->stride + 1;
    if (a->ceil_mode && (w->out - 1) * w->stride >= w->in + w->before) w->out--;
    LS_NODE_CHECK(n, w->out > 0, "no window starts in the input %s", ls__shape(n->in[0]));
    return LS_OK;
}

/* Sets kernel, stride, dilation and padding from the attributes of one dim.  Writes the resolved values to a->own;
 * another call then has the same result. */
static inline ls_status ls__window_resolve(const ls_node *n, const ls_window_attributes *a, ls_window *w)
{
    int value[LS_WINDOW_ATTRIBUTES] = {0};
    for (int i = 0; i < LS_WINDOW_ATTRIBUTES; i++) {
        const int fallback[] = {0, a->pooling ? value[LS_WINDOW_KERNEL] : 1, 0, 1};
        value[i]             = a->own[i] && *a->own[i] ? *a->own[i] : a->both[i] ? a->both[i] : fallback[i];
        if (a->own[i]) *a->own[i] = value[i];
    }
    const int k = value[LS_WINDOW_KERNEL], s = value[LS_WINDOW_STRIDE], p = value[LS_WINDOW_PADDING],
              d         = value[LS_WINDOW_DILATION];
    *w                  = (ls_window){.in       = w->in,
                                      .kernel   = k,
                                      .stride   = s,
                                      .dilation = d,
                                      .before   = a->before ? a->before : p,
                                      .after    = a->after ? a->after : p};
    const int64_t reach = w->dilation * (w->kernel - 1) + 1;
    LS_NODE_CHECK(n, k >= 1, "kernel_%s must be at least 1, found %d" LS_HINT ".kernel = 2 pools windows of 2 x 2",
                  a->dim, k);
    LS_NODE_CHECK(n, s >= 1 && d >= 1, "stride_%s and dilation_%s must be at least 1, found %d and %d", a->dim, a->dim,
                  s, d);
    LS_NODE_CHECK(n, w->before >= 0 && w->after >= 0, "padding along %s must be at least 0, found %lld and %lld",
                  a->dim, (long long)w->before, (long long)w->after);
    LS_NODE_CHECK(n, !a->pooling || (w->before <= reach / 2 && w->after <= reach / 2),
                  "padding along %s must be at most half of the window (%lld), found %lld and %lld", a->dim,
                  (long long)reach, (long long)w->before, (long long)w->after);
    return LS_OK;
}

/* Does the same, and computes the padding of `same` and the number of windows.  w->in is the size of the dim. */
static inline ls_status ls__window_infer(const ls_node *n, const ls_window_attributes *a, ls_window *w)
{
    LS_TRY(ls__window_resolve(n, a, w));
    const int64_t reach = w->dilation * (w->kernel - 1) + 1;
    if (a->same != LS_SAME_NONE) LS_TRY(ls__window_same(n, a, reach, w));
    return ls__window_count(n, a, reach, w);
}

/* Does the same for all dims of the input, of which the op has 1 to 3: width, before it height, before it depth. */
static inline ls_status ls__windows_infer(const ls_node *n, const ls_window_attributes a[LS_WINDOW_DIMS], ls_windows *w)
{
    ls_window *const axis[LS_WINDOW_DIMS] = {&w->d, &w->h, &w->w};
    const int        absent               = LS_WINDOW_DIMS - ls__op(n)->dims;
    for (int i = 0; i < LS_WINDOW_DIMS; i++) {
        *axis[i] = LS_NO_WINDOW;
        if (i >= absent) {
            axis[i]->in = n->in[0]->dim[1 + i - absent];
            LS_TRY(ls__window_infer(n, &a[i], axis[i]));
            continue;
        }
        bool given = a[i].before || a[i].after;
        for (int k = 0; k < LS_WINDOW_ATTRIBUTES; k++) given |= a[i].own[k] && *a[i].own[k];
        LS_NODE_CHECK(n, !given, "has attributes of the dim %s, which its input %s does not have", a[i].dim,
                      ls__shape(n->in[0]));
    }
    return LS_OK;
}

/* Declares output i: `channels` channels of one element per window. */
static inline void ls__out_windows(ls_node *n, int i, ls_dtype type, int64_t channels, const ls_windows *a)
{
    const int     dims                    = ls__op(n)->dims;
    const int64_t all[LS_WINDOW_DIMS]     = {a->d.out, a->h.out, a->w.out};
    int64_t       dim[1 + LS_WINDOW_DIMS] = {channels};
    for (int k = 0; k < dims; k++) dim[1 + k] = all[LS_WINDOW_DIMS - dims + k];
    ls__out(n, i, type, true, 1 + dims, dim);
}

#endif

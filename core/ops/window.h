/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows along one dim, for convolution and pooling: attributes, padding and the number of windows.
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

/* Indices of the attributes of a dim. */
enum { LS_WINDOW_KERNEL, LS_WINDOW_STRIDE, LS_WINDOW_PADDING, LS_WINDOW_DILATION, LS_WINDOW_ATTRIBUTES };

/* Attributes of one dim; 0: not given. */
typedef struct ls_window_attributes {
    const char *dim;                        /* "h" or "w" */
    int         both[LS_WINDOW_ATTRIBUTES]; /* values for both dims */
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

#endif

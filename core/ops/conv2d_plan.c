/* SPDX-License-Identifier: Apache-2.0
 *
 * Plan of a convolution: from the attributes of conv2d to passes and their tables.
 */
#include "core/ops/conv2d_plan.h"

#include <string.h>

#include "core/base/integer.h"
#include "core/cpu/vector/vec.h"
#include "core/ops/plane.h"

enum { TAPS_PER_COPY = 32 }; /* taps times panels of a piece, at least: a piece copies the padded sample once */

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

ls_status ls__conv_expect(const ls_node *n, bool transposed, int *groups, int64_t *out)
{
    const ls_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    const int        dims = ls__op(n)->dims;
    LS_NODE_CHECK(n, (x->type == LS_F32 || x->type == LS_BF16) && x->batched && x->rank == 1 + dims,
                  "expected x: %s of float32, found %s of %s" LS_HINT "reshape an image without channels to 1 x H x W",
                  LS_PLANES_TEXT(dims), ls__shape(x), ls__dtype_name(x->type));
    LS_NODE_CHECK(n, w->type == LS_F32 && !w->batched && w->rank == 2 + dims,
                  "expected weights %s x %s of float32, found %s", transposed ? "C x O/groups" : "O x C/groups",
                  ((const char *[]){"", "KW", "KH x KW", "KD x KH x KW"})[dims], ls__shape(w));
    if (*groups == 0) *groups = 1;
    const int64_t C = x->dim[0], O = transposed ? w->dim[1] * *groups : w->dim[0];
    const int64_t expected = transposed ? C : C / *groups, found = w->dim[transposed ? 0 : 1];
    LS_NODE_CHECK(n, *groups > 0 && C % *groups == 0 && O % *groups == 0,
                  "groups is %d, expected a divisor of the channels: %lld in and %lld out", *groups, (long long)C,
                  (long long)O);
    LS_NODE_CHECK(n, found == expected, "the weights are %s for %lld channels, but the input %s in %d groups has %lld",
                  ls__shape(w), (long long)found, ls__shape(x), *groups, (long long)expected);
    LS_NODE_CHECK(n, !b || (b->type == LS_F32 && !b->batched && b->rank == 1 && b->dim[0] == O),
                  "expected a bias of length %lld, found %s", (long long)O, ls__shape(b));
    *out = O;
    return LS_OK;
}

/* Positions of a dim in the padded input and in the output. */
static double positions(const ls_window *a) { return (double)(a->in + a->before + a->after + a->out); }

int ls__conv_kernel(const ls_tensor *w, int dim)
{
    const int at = w->rank - LS_WINDOW_DIMS + dim;
    return at < 2 ? 1 : (int)w->dim[at];
}

int64_t ls__conv_kernel_taps(const ls_windows *a) { return a->d.kernel * a->h.kernel * a->w.kernel; }

ls_status ls__conv_limit(const ls_node *n, int64_t channels, const ls_windows *a)
{
    const double most =
        (double)ls__max(channels, n->in[0]->dim[0]) * positions(&a->d) * positions(&a->h) * positions(&a->w);
    LS_NODE_CHECK(n, most < 0x1p31, "a sample of %s with padding has more than 2^31 elements", ls__shape(n->in[0]));
    return LS_OK;
}

/* ---- axes: which output positions and taps a pass has, along one dim --------------------------------------------- */

static ls_conv_axis axis_of(const ls_window *d, bool back)
{
    ls_conv_axis x = {
        .kernel = d->kernel, .stride = d->stride, .padding = d->before, .dilation = d->dilation, .back = back};
    const int64_t reach = d->dilation * (d->kernel - 1);
    x.result            = back ? d->in : d->out;
    x.source            = back ? d->out : d->in;
    x.window_lo         = back ? d->before / d->stride - reach / d->stride : -d->before;
    x.window =
        (back ? (d->in - 1 + d->before) / d->stride : (d->out - 1) * d->stride + reach - d->before) + 1 - x.window_lo;
    return x;
}

/* Number of passes along an axis: one in forward; in backward one for each remainder r of a position divided by the
 * stride. */
static int64_t axis_passes(const ls_conv_axis *x) { return x->back ? x->stride : 1; }

/* First result position of pass r. */
static int64_t axis_first(const ls_conv_axis *x, int64_t r)
{
    return x->back ? ((r - x->padding) % x->stride + x->stride) % x->stride : 0;
}

/* Number of result positions of pass r. */
static int64_t axis_points(const ls_conv_axis *x, int64_t r)
{
    const int64_t first = axis_first(x, r);
    return !x->back ? x->result : first < x->result ? (x->result - 1 - first) / x->stride + 1 : 0;
}

/* Whether pass r uses tap k. */
static bool axis_has(const ls_conv_axis *x, int64_t r, int64_t k)
{
    return !x->back || k * x->dilation % x->stride == r;
}

/* Offset of tap k in the source. */
static int64_t axis_tap(const ls_conv_axis *x, int64_t k)
{
    return x->back ? -(k * x->dilation / x->stride) : k * x->dilation;
}

/* Window position under the first result position of pass r. */
static int64_t axis_source(const ls_conv_axis *x, int64_t r)
{
    return x->back ? (axis_first(x, r) + x->padding) / x->stride - x->window_lo : 0;
}

/* Number of taps of pass r. */
static int64_t axis_taps(const ls_conv_axis *x, int64_t r)
{
    int64_t taps = 0;
    for (int64_t k = 0; k < x->kernel; k++) taps += axis_has(x, r, k);
    return taps;
}

/* ---- plan: from attributes to passes ----------------------------------------------------------------------------- */

void *ls__conv_take(ls_conv_plan *p, int64_t count, size_t size)
{
    void *at = p->base ? p->base + p->bytes : NULL;
    p->bytes += ls__conv_line_bytes(count, size);
    return at;
}

static void plan_window(ls_conv_plan *p, bool on_channels)
{
    ls_conv_window *s = &p->window;
    *s                = (ls_conv_window){.in_h = p->h.source,
                                         .in_w = p->w.source,
                                         .lo_h = p->h.window_lo,
                                         .lo_w = p->w.window_lo,
                                         .h    = p->h.window,
                                         .w    = p->w.window};
    p->depth          = p->d.window;
    p->lo_d           = p->d.window_lo;
    const bool fits =
        p->lo_d == 0 && s->lo_h == 0 && s->lo_w == 0 && p->depth <= p->d.source && s->h <= s->in_h && s->w <= s->in_w;
    p->on_channels = on_channels || (fits && p->out > V_LANES);
    /* Planes a multiple of 1 KB apart would compete for a few sets of the L1 cache: copy them with an odd number of
     * lines per plane. */
    if (fits && p->on_channels && p->type == LS_F32 && s->in_h * s->in_w % 256 != 0) {
        s->direct = true;
        p->depth  = p->d.source;
        s->h      = s->in_h;
        s->w      = s->in_w;
        s->plane  = s->in_h * s->in_w;
    } else {
        s->plane = (ls__ceil_div(s->h * s->w, 16) | 1) * 16;
    }
}

void ls__conv_plan_direction(ls_conv_plan *p, const ls_conv_shape *s, bool back, bool on_channels, void *scratch)
{
    const int64_t taps = ls__conv_kernel_taps(&s->a), C = s->in, O = s->out;
    memset(p, 0, sizeof *p);
    p->base    = scratch;
    p->d       = axis_of(&s->a.d, back);
    p->h       = axis_of(&s->a.h, back);
    p->w       = axis_of(&s->a.w, back);
    p->groups  = s->groups;
    p->type    = back ? s->y_type : s->x_type;
    p->in      = back ? O : C;
    p->out     = back ? C : O;
    p->w_in    = back ? C * taps : taps;
    p->w_out   = back ? taps : C * taps;
    p->w_group = O * C * taps;
    plan_window(p, on_channels);
    p->passes = axis_passes(&p->d) * axis_passes(&p->h) * axis_passes(&p->w);
    p->pass   = ls__conv_take(p, p->passes, sizeof *p->pass);
}

/* Fills the tap and point tables of the pass of residues rd, rh and rw. */
static void fill_tables(const ls_conv_plan *p, ls_conv_pass *q, int64_t rd, int64_t rh, int64_t rw)
{
    const ls_conv_axis *d = &p->d, *h = &p->h, *w = &p->w;
    const int64_t       line = p->window.w, planes = p->in * d->kernel;
    int64_t             row = 0, k = 0;
    for (int64_t kh = 0; kh < h->kernel; kh++)
        if (axis_has(h, rh, kh)) q->tap_row[row++] = (int32_t)axis_tap(h, kh);
    q->by_rows = !p->on_channels && ls__conv_by_rows(q, &p->window);
    /* order of the taps: rows, planes, columns for by_rows, else planes, rows, columns; planes are channels x depths */
    for (int64_t outer = 0; outer < (q->by_rows ? h->kernel : planes); outer++)
        for (int64_t inner = 0; inner < (q->by_rows ? planes : h->kernel); inner++) {
            const int64_t plane = q->by_rows ? inner : outer, kh = q->by_rows ? outer : inner;
            const int64_t c = plane / d->kernel, kd = plane % d->kernel;
            if (!axis_has(d, rd, kd) || !axis_has(h, rh, kh)) continue;
            for (int64_t kw = 0; kw < w->kernel; kw++) {
                if (!axis_has(w, rw, kw)) continue;
                q->tap[k] = (int32_t)((c * p->depth + axis_tap(d, kd)) * p->window.plane + axis_tap(h, kh) * line +
                                      axis_tap(w, kw));
                q->tap_weight[k++] = (int32_t)(c * p->w_in + (kd * h->kernel + kh) * w->kernel + kw);
            }
        }
    for (int64_t i = 0; i < q->rows; i++)
        for (int64_t j = 0; j < q->cols; j++)
            q->point[i * q->cols + j] = (int32_t)((q->src_h + i * q->step_h) * line + q->src_w + j * q->step_w);
}

/* Makes the rows of all depths rows of one plane of points, which the weight gradient needs: its points may lie
 * anywhere in the source. */
static void join_depths(const ls_conv_plan *p, ls_conv_pass *q)
{
    const int64_t points = q->rows * q->cols;
    for (int64_t i = points; i < q->depths * points; i++)
        q->point[i] = q->point[i % points] + (int32_t)(i / points * q->step_d * p->window.plane);
    q->rows *= q->depths;
    q->depths = 1;
}

/* The pass of residues rd, rh and rw, without its tables. */
static ls_conv_pass pass_of(const ls_conv_plan *p, int64_t rd, int64_t rh, int64_t rw)
{
    const ls_conv_axis *d = &p->d, *h = &p->h, *w = &p->w;
    const int64_t       plane = h->result * w->result;
    return (ls_conv_pass){.in        = p->in * axis_taps(d, rd),
                          .out       = p->out,
                          .depths    = axis_points(d, rd),
                          .src_d     = axis_source(d, rd),
                          .step_d    = d->back ? 1 : d->stride,
                          .dst_depth = (d->back ? d->stride : 1) * plane,
                          .rows      = axis_points(h, rh),
                          .cols      = axis_points(w, rw),
                          .src_h     = axis_source(h, rh),
                          .step_h    = h->back ? 1 : h->stride,
                          .src_w     = axis_source(w, rw),
                          .step_w    = w->back ? 1 : w->stride,
                          .dst       = axis_first(d, rd) * plane + axis_first(h, rh) * w->result + axis_first(w, rw),
                          .dst_row   = (h->back ? h->stride : 1) * w->result,
                          .dst_col   = w->back ? w->stride : 1,
                          .dst_plane = d->result * plane,
                          .taps      = p->in * axis_taps(d, rd) * axis_taps(h, rh) * axis_taps(w, rw),
                          .taps_h    = axis_taps(h, rh),
                          .taps_w    = axis_taps(w, rw)};
}

int64_t ls__conv_packed_channels(const ls_conv_plan *p)
{
    return ls__ceil_div(p->out, ls__conv_lanes()) * ls__conv_lanes();
}

void ls__conv_make_passes(ls_conv_plan *p, bool packs)
{
    const ls_conv_axis *d = &p->d, *h = &p->h, *w = &p->w;
    const int64_t       all_taps   = p->in * d->kernel * h->kernel * w->kernel;
    const int64_t       packed_row = ls__conv_packed_channels(p) * p->groups;
    const int64_t       planes     = packs ? axis_passes(d) : d->result; /* of points: see join_depths */
    int32_t            *tap        = ls__conv_take(p, all_taps, sizeof *tap);
    int32_t            *tap_weight = ls__conv_take(p, all_taps, sizeof *tap_weight);
    int32_t            *tap_row    = ls__conv_take(p, h->kernel * axis_passes(d) * axis_passes(w), sizeof *tap_row);
    int32_t            *point      = ls__conv_take(p, planes * h->result * w->result, sizeof *point);
    float              *packed     = ls__conv_take(p, packs ? all_taps * packed_row : 0, sizeof *packed);
    if (!p->base) return;
    for (int64_t r = 0; r < p->passes; r++) {
        const int64_t rw = r % axis_passes(w), rh = r / axis_passes(w) % axis_passes(h),
                      rd = r / axis_passes(w) / axis_passes(h);
        ls_conv_pass *q  = &p->pass[p->used];
        *q               = pass_of(p, rd, rh, rw);
        if (q->depths == 0 || q->rows == 0 || q->cols == 0) continue;
        q->tap        = tap;
        q->tap_weight = tap_weight;
        q->tap_row    = tap_row;
        q->point      = point;
        q->packed     = packed;
        fill_tables(p, q, rd, rh, rw);
        if (!packs) join_depths(p, q);
        tap += q->taps;
        tap_weight += q->taps;
        tap_row += q->taps_h;
        point += q->rows * q->cols;
        packed += q->taps * packed_row;
        p->used++;
    }
}

int64_t ls__conv_window_floats(const ls_conv_plan *p)
{
    return p->window.direct ? 0 : p->in * p->depth * p->window.plane + 4 * ls__conv_lanes();
}

int64_t ls__conv_panels_per_piece(const ls_conv_plan *p, int64_t panels)
{
    return ls__min(ls__ceil_div(TAPS_PER_COPY, p->d.kernel * p->h.kernel * p->w.kernel), panels);
}

const float *ls__conv_source(const ls_conv_plan *p, ls_array x, int64_t sample, int64_t group, float *window)
{
    const int64_t  plane = p->window.in_h * p->window.in_w, D = p->d.source;
    const int64_t  first = ls__max(p->lo_d, 0), last = ls__min(D, p->lo_d + p->depth);
    const ls_array planes = ls__from(x, (sample * p->groups + group) * p->in * D * plane);
    if (p->window.direct) return planes.data;
    for (int64_t c = 0; c < p->in; c++)
        ls__conv_fill(&p->window, last - first, ls__from(planes, (c * D + first) * plane),
                      window + (c * p->depth + first - p->lo_d) * p->window.plane);
    return window;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-dimensional convolution (LeCun 1989), really correlation, as in PyTorch.
 *
 *     x: B x C x H x W    w: O x C/G x KH x KW    b: O or none    ->    y: B x O x OH x OW
 *
 *     y[o, i, j] = b[o] + sum over c, kh, kw of  w[o, c, kh, kw] x[c, i stride_h + kh dilation_h - padding_h, j
 * stride_w + ...] OH = (H + 2 padding_h - dilation_h (KH - 1) - 1) / stride_h + 1
 *
 * with channels cut into G groups: output channels of group g see the input channels of group g alone.
 *
 *     dx[c, h, w] = sum over o, kh, kw of  w[o, c, kh, kw] dy[o, i, j]  for the (i, j) that read x[h, w] with that tap
 *     dw[o, c, kh, kw] = sum over samples, i, j of  dy[o, i, j] x[c, i stride_h + kh dilation_h - padding_h, ...]
 *     db[o] = sum over samples, i, j of  dy[o, i, j]
 *
 * The arithmetic is core/cpu/conv.h's.  Forward is one pass over the padded sample.  For dx, row h of the input is read
 * by output row i with tap kh when h + padding = i stride + kh dilation; so rows of equal residue r = (h + padding) mod
 * stride see the same taps, those with kh dilation = r mod stride, and i = (h + padding) / stride - kh dilation /
 * stride (whole divisions): each pair of residues is a pass over the padded dy, with stride 1.
 *
 * dw is made shard by shard.  A shard of many samples is cut into blocks (by its number of samples alone), which are
 * summed on their own and then added up in order, so that one large shard still feeds several threads. */
#include <omp.h>
#include <string.h>

#include "core/cpu/conv.h"
#include "core/cpu/shard_sum.h"
#include "core/graph/graph.h"

enum {
    TAPS_PER_COPY = 32, /* a piece of work fills its window once, for at least this many taps of each plane and panel */
    SHARD_BLOCKS  = 8,  /* blocks of a shard, at most                                                                */
    BLOCK_SAMPLES = 8,  /* samples of a block, if the shard has less than SHARD_BLOCKS times as many                 */
    PARTIAL_FLOATS = 1 << 19 /* partial weight gradients kept at a time, unless a single piece has more */
};

static int64_t div_floor(int64_t x, int64_t y) { return x / y - (x % y < 0); }
static int64_t min64(int64_t x, int64_t y) { return x < y ? x : y; }

/* ---- shape
 * ------------------------------------------------------------------------------------------------------------- */

static ls_status resolve(ls_node *n, const char *what, int base, int *h, int *w, int least, int fallback)
{
    if (*h == 0) *h = base ? base : fallback;
    if (*w == 0) *w = base ? base : fallback;
    LS_NODE_CHECK(n, *h >= least && *w >= least, "%s must be at least %d, found %d x %d", what, least, *h, *w);
    return LS_OK;
}

static ls_status infer(ls_node *n)
{
    ls_conv2d_args  *a = n->args;
    const ls_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    LS_NODE_CHECK(n, x->type == LS_F32 && x->batched && x->rank == 3,
                  "expected x: B x C x H x W of float32, found %s of %s" LS_HINT
                  "a picture without channels needs a reshape to 1 x H x W",
                  ls__shape(x), ls__dtype_name(x->type));
    LS_NODE_CHECK(n, w->type == LS_F32 && !w->batched && w->rank == 4,
                  "expected weights O x C/groups x KH x KW of float32, found %s", ls__shape(w));
    LS_TRY(resolve(n, "stride", a->stride, &a->stride_h, &a->stride_w, 1, 1));
    LS_TRY(resolve(n, "padding", a->padding, &a->padding_h, &a->padding_w, 0, 0));
    LS_TRY(resolve(n, "dilation", a->dilation, &a->dilation_h, &a->dilation_w, 1, 1));
    if (a->groups == 0) a->groups = 1;
    const int64_t C = x->dim[0], O = w->dim[0];
    LS_NODE_CHECK(n, a->groups > 0 && C % a->groups == 0 && O % a->groups == 0,
                  "groups must divide the channels: found %d groups, %lld channels in and %lld out", a->groups,
                  (long long)C, (long long)O);
    LS_NODE_CHECK(n, w->dim[1] == C / a->groups, "weights %s see %lld channels, but the input %s in %d groups has %lld",
                  ls__shape(w), (long long)w->dim[1], ls__shape(x), a->groups, (long long)(C / a->groups));
    LS_NODE_CHECK(n, !b || (b->type == LS_F32 && !b->batched && b->rank == 1 && b->dim[0] == O),
                  "expected a bias of %lld, found %s", (long long)O, ls__shape(b));
    const int64_t out_h =
        div_floor(x->dim[1] + 2 * a->padding_h - a->dilation_h * (w->dim[2] - 1) - 1, a->stride_h) + 1;
    const int64_t out_w =
        div_floor(x->dim[2] + 2 * a->padding_w - a->dilation_w * (w->dim[3] - 1) - 1, a->stride_w) + 1;
    LS_NODE_CHECK(n, out_h > 0 && out_w > 0,
                  "the kernel %lld x %lld (dilation %d x %d) is larger than the input %s with padding %d x %d" LS_HINT
                  "more padding, or a smaller kernel",
                  (long long)w->dim[2], (long long)w->dim[3], a->dilation_h, a->dilation_w, ls__shape(x), a->padding_h,
                  a->padding_w);
    const double most = (double)(C > O ? C : O) * ((double)x->dim[1] + 2.0 * a->padding_h + out_h) *
                        ((double)x->dim[2] + 2.0 * a->padding_w + out_w);
    LS_NODE_CHECK(n, most < 0x1p31, "a sample of %s with padding has more than 2^31 elements", ls__shape(x));
    ls__out(n, 0, LS_F32, true, 3, (const int64_t[]){O, out_h, out_w});
    return LS_OK;
}

static double flops(const ls_node *n)
{
    const ls_tensor *w = n->in[1];
    return 2.0 * (double)ls__numel(n->out[0]) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

/* ---- from attributes to passes
 * -------------------------------------------------------------------------------------------- */

/* One dim, seen from the points that are computed. */
typedef struct axis {
    int64_t points, source; /* points computed; size of the source                          */
    int64_t kernel, stride, padding, dilation;
    bool    back;     /* points are of the input, the source is dy                    */
    int64_t lo, size; /* the window on the source                                     */
} axis;

static axis axis_of(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                    bool back)
{
    axis          x     = {.kernel = kernel, .stride = stride, .padding = padding, .dilation = dilation, .back = back};
    const int64_t reach = dilation * (kernel - 1);
    x.points            = back ? in : out;
    x.source            = back ? out : in;
    x.lo                = back ? padding / stride - reach / stride : -padding;
    x.size              = (back ? (in - 1 + padding) / stride : (out - 1) * stride + reach - padding) + 1 - x.lo;
    return x;
}

/* Pass r of an axis: the points of residue r, and the taps that they see. */
static int64_t axis_passes(const axis *x) { return x->back ? x->stride : 1; }
static int64_t axis_first(const axis *x, int64_t r)
{
    return x->back ? ((r - x->padding) % x->stride + x->stride) % x->stride : 0;
}
static int64_t axis_points(const axis *x, int64_t r)
{
    const int64_t first = axis_first(x, r);
    return !x->back ? x->points : first < x->points ? (x->points - 1 - first) / x->stride + 1 : 0;
}
static bool    axis_has(const axis *x, int64_t r, int64_t k) { return !x->back || k * x->dilation % x->stride == r; }
static int64_t axis_tap(const axis *x, int64_t k) { return x->back ? -(k * x->dilation / x->stride) : k * x->dilation; }
static int64_t axis_source(const axis *x, int64_t r)
{
    return x->back ? (axis_first(x, r) + x->padding) / x->stride - x->lo : 0;
}
static int64_t axis_taps(const axis *x, int64_t r)
{
    int64_t taps = 0;
    for (int64_t k = 0; k < x->kernel; k++) taps += axis_has(x, r, k);
    return taps;
}

/* Everything about one direction of one node.  The tables lie in the scratch; sizes only: base is NULL. */
typedef struct plan {
    axis           h, w;
    int64_t        groups, in, out;      /* channels of one group: of the source, of what is computed */
    int64_t        w_in, w_out, w_group; /* strides of the weights                                  */
    ls_conv_window window;
    bool           on_channels;
    int64_t        passes, used;
    ls_conv_pass  *pass;
    size_t         bytes; /* of scratch, so far */
    char          *base;
} plan;

static void *take(plan *p, int64_t count, size_t size)
{
    void *at = p->base ? p->base + p->bytes : NULL;
    p->bytes += ((size_t)count * size + 63) & ~(size_t)63;
    return at;
}

/* on_channels: lanes lie on channels whatever the shape. */
static void plan_init(plan *p, const ls_node *n, bool back, bool on_channels, void *scratch)
{
    const ls_conv2d_args *a = n->args;
    const ls_tensor      *x = n->in[0], *w = n->in[1], *y = n->out[0];
    memset(p, 0, sizeof *p);
    p->base            = scratch;
    p->h               = axis_of(x->dim[1], y->dim[1], w->dim[2], a->stride_h, a->padding_h, a->dilation_h, back);
    p->w               = axis_of(x->dim[2], y->dim[2], w->dim[3], a->stride_w, a->padding_w, a->dilation_w, back);
    p->groups          = a->groups;
    const int64_t taps = w->dim[2] * w->dim[3], C = w->dim[1], O = w->dim[0] / a->groups;
    p->in             = back ? O : C;
    p->out            = back ? C : O;
    p->w_in           = back ? C * taps : taps;
    p->w_out          = back ? taps : C * taps;
    p->w_group        = O * C * taps;
    ls_conv_window *s = &p->window;
    *s                = (ls_conv_window){
                       .in_h = p->h.source, .in_w = p->w.source, .lo_h = p->h.lo, .lo_w = p->w.lo, .h = p->h.size, .w = p->w.size};
    /* Planes a multiple of 1 KB apart would meet in a few sets of the first cache level: an odd number of lines is
     * best. */
    const bool fits = s->lo_h == 0 && s->lo_w == 0 && s->h <= s->in_h && s->w <= s->in_w;
    p->on_channels  = on_channels || (fits && p->out > ls__conv_lanes());
    if (fits && p->on_channels && s->in_h * s->in_w % 256 != 0) {
        s->direct = true;
        s->h      = s->in_h;
        s->w      = s->in_w;
        s->plane  = s->in_h * s->in_w;
    } else {
        s->plane = (((s->h * s->w + 15) / 16) | 1) * 16;
    }
    p->passes = axis_passes(&p->h) * axis_passes(&p->w);
    p->pass   = take(p, p->passes, sizeof *p->pass);
}

/* Fills the tables of pass (rh, rw). */
static void plan_pass(const plan *p, ls_conv_pass *q, int64_t rh, int64_t rw)
{
    const axis *h = &p->h, *w = &p->w;
    int64_t     row = 0, k = 0;
    for (int64_t kh = 0; kh < h->kernel; kh++)
        if (axis_has(h, rh, kh)) q->tap_row[row++] = (int32_t)axis_tap(h, kh);
    q->by_rows = !p->on_channels && ls__conv_by_rows(q, &p->window);
    /* channels, rows, columns; or rows, channels, columns */
    for (int64_t outer = 0; outer < (q->by_rows ? h->kernel : p->in); outer++)
        for (int64_t inner = 0; inner < (q->by_rows ? p->in : h->kernel); inner++) {
            const int64_t c = q->by_rows ? inner : outer, kh = q->by_rows ? outer : inner;
            if (!axis_has(h, rh, kh)) continue;
            for (int64_t kw = 0; kw < w->kernel; kw++) {
                if (!axis_has(w, rw, kw)) continue;
                q->tap[k]          = (int32_t)(c * p->window.plane + axis_tap(h, kh) * p->window.w + axis_tap(w, kw));
                q->tap_weight[k++] = (int32_t)(c * p->w_in + kh * w->kernel + kw);
            }
        }
    for (int64_t i = 0; i < q->rows; i++)
        for (int64_t j = 0; j < q->cols; j++)
            q->point[i * q->cols + j] = (int32_t)((q->src_h + i * q->step_h) * p->window.w + q->src_w + j * q->step_w);
}

/* Lays out the tables (every tap and every point stands in one pass) and, where there is scratch, fills them.
 * `packing`: with room for packed weights. */
static void plan_passes(plan *p, bool packing)
{
    const axis   *h = &p->h, *w = &p->w;
    const int64_t all_taps = p->in * h->kernel * w->kernel, lanes = ls__conv_lanes(),
                  wide = (p->out + lanes - 1) / lanes * lanes;
    int32_t *tap = take(p, all_taps, sizeof *tap), *tap_weight = take(p, all_taps, sizeof *tap_weight);
    int32_t *tap_row = take(p, h->kernel * axis_passes(w), sizeof *tap_row),
            *point   = take(p, h->points * w->points, sizeof *point);
    float *packed    = take(p, packing ? all_taps * wide * p->groups : 0, sizeof *packed);
    if (!p->base) return;
    for (int64_t rh = 0; rh < axis_passes(h); rh++)
        for (int64_t rw = 0; rw < axis_passes(w); rw++) {
            ls_conv_pass *q = &p->pass[p->used];
            *q              = (ls_conv_pass){.in         = p->in,
                                             .out        = p->out,
                                             .rows       = axis_points(h, rh),
                                             .cols       = axis_points(w, rw),
                                             .src_h      = axis_source(h, rh),
                                             .step_h     = h->back ? 1 : h->stride,
                                             .src_w      = axis_source(w, rw),
                                             .step_w     = w->back ? 1 : w->stride,
                                             .dst        = axis_first(h, rh) * w->points + axis_first(w, rw),
                                             .dst_row    = (h->back ? h->stride : 1) * w->points,
                                             .dst_col    = w->back ? w->stride : 1,
                                             .dst_plane  = h->points * w->points,
                                             .taps_h     = axis_taps(h, rh),
                                             .taps_w     = axis_taps(w, rw),
                                             .tap        = tap,
                                             .tap_weight = tap_weight,
                                             .tap_row    = tap_row,
                                             .point      = point,
                                             .packed     = packed};
            if (q->rows == 0 || q->cols == 0) continue;
            q->taps = p->in * q->taps_h * q->taps_w;
            plan_pass(p, q, rh, rw);
            tap += q->taps;
            tap_weight += q->taps;
            tap_row += q->taps_h;
            point += q->rows * q->cols;
            packed += q->taps * wide * p->groups;
            p->used++;
        }
}

/* Floats of a window of one group, with what vectors may read behind the last row. */
static int64_t window_floats(const plan *p)
{
    return p->window.direct ? 0 : p->in * p->window.plane + 4 * ls__conv_lanes();
}

/* Panels that share one filling of the window. */
static int64_t panels_per_piece(const plan *p, int64_t panels)
{
    const int64_t most = (TAPS_PER_COPY + p->h.kernel * p->w.kernel - 1) / (p->h.kernel * p->w.kernel);
    return min64(most, panels);
}

/* The source of one sample and group: the window of this thread, filled, or the sample itself. */
static const float *source(const plan *p, const float *x, int64_t sample, int64_t group, float *window)
{
    const float *planes = x + (sample * p->groups + group) * p->in * p->window.in_h * p->window.in_w;
    if (p->window.direct) return planes;
    ls__conv_fill(&p->window, p->in, planes, window);
    return window;
}

/* ---- forward, and the gradient of the input
 * ----------------------------------------------------------------------------------- */

typedef struct pass_work {
    size_t window, work, each; /* bytes of one thread */
} pass_work;

static pass_work pass_work_of(plan *p)
{
    const size_t window = ((size_t)window_floats(p) * sizeof(float) + 63) & ~(size_t)63;
    const size_t work   = ((size_t)ls__conv_work() * sizeof(float) + 63) & ~(size_t)63;
    return (pass_work){.window = window, .work = work, .each = window + work};
}

static void run(const ls_call *c, plan *p, const float *x, const float *w, const float *b, float *y, bool add)
{
    plan_passes(p, true);
    const pass_work t   = pass_work_of(p);
    char *const     own = take(p, 0, 1);
    /* a pass may lie on rows and another on channels: then the pieces are whole groups */
    bool mixed = false;
    for (int64_t q = 1; q < p->used; q++) mixed |= p->pass[q].by_rows != p->pass[0].by_rows;
    const int64_t lanes = ls__conv_lanes(), wide = (p->out + lanes - 1) / lanes * lanes;
    const int64_t panels    = ls__conv_panels(p->out, p->pass[0].by_rows),
                  per_piece = mixed ? panels : panels_per_piece(p, panels);
    const int64_t per_group = (panels + per_piece - 1) / per_piece, plane = p->h.points * p->w.points;
#pragma omp parallel
    {
        float *window = (float *)(own + (size_t)omp_get_thread_num() * t.each),
              *work   = (float *)((char *)window + t.window);
        for (int64_t q = 0; q < p->used; q++) {
            const ls_conv_pass *pass = &p->pass[q];
            const int64_t       n    = ls__conv_panels(p->out, pass->by_rows);
#pragma omp for schedule(static) nowait
            for (int64_t i = 0; i < n * p->groups; i++)
                ls__conv_pack(pass, i % n, w + i / n * p->w_group, p->w_out, pass->packed + i / n * pass->taps * wide);
        }
        memset(window, 0, (size_t)window_floats(p) * sizeof(float));
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t i = 0; i < c->rows * p->groups * per_group; i++) {
            const int64_t piece = i % per_group, group = i / per_group % p->groups, sample = i / per_group / p->groups;
            const float  *src = source(p, x, sample, group, window);
            float        *to  = y + (sample * p->groups + group) * p->out * plane;
            for (int64_t q = 0; q < p->used; q++) {
                const ls_conv_pass *pass = &p->pass[q];
                const int64_t       n    = ls__conv_panels(p->out, pass->by_rows);
                ls__conv_run(pass, &p->window, mixed ? 0 : piece * per_piece,
                             mixed ? n : min64(n, (piece + 1) * per_piece), src,
                             pass->packed + group * pass->taps * wide, b ? b + group * p->out : NULL, to, add, work);
            }
        }
    }
}

static void forward(const ls_call *c)
{
    plan p;
    plan_init(&p, c->node, false, false, c->scratch);
    run(c, &p, c->x[0], c->x[1], c->x[2], c->y[0], false);
}

/* ---- the gradient of the weights
 * ------------------------------------------------------------------------------------------------ */

static int64_t blocks_of(int64_t samples)
{
    return samples <= BLOCK_SAMPLES ? 1 : min64(SHARD_BLOCKS, (samples + BLOCK_SAMPLES - 1) / BLOCK_SAMPLES);
}

typedef struct dw_work {
    int64_t panels, per_piece, per_group; /* pieces of a group              */
    int64_t taps, lanes;
    int64_t blocks;                  /* of all shards, at most         */
    int64_t together;                /* pieces whose partials are kept at a time */
    size_t  window, sum, work, each; /* bytes of one thread            */
    float  *partial, *bias;          /* blocks x channels x taps; blocks x O */
} dw_work;

/* First output channel (of all groups) of piece u. */
static int64_t piece_channel(const plan *p, const dw_work *d, int64_t u)
{
    return u / d->per_group * p->out +
           ls__conv_panel_first(p->out, false, min64(d->panels, u % d->per_group * d->per_piece));
}

static dw_work dw_work_of(plan *p, int64_t rows, int shards)
{
    dw_work d              = {.panels = ls__conv_panels(p->out, false),
                              .taps   = p->in * p->h.kernel * p->w.kernel,
                              .lanes  = 2 * ls__conv_lanes()};
    d.per_piece            = panels_per_piece(p, d.panels);
    d.per_group            = (d.panels + d.per_piece - 1) / d.per_piece;
    d.blocks               = min64((int64_t)shards * SHARD_BLOCKS, rows / BLOCK_SAMPLES + shards);
    const int64_t channels = min64(p->out, d.per_piece * d.lanes), O = p->out * p->groups;
    d.together         = PARTIAL_FLOATS / (channels * d.taps * d.blocks);
    d.together         = d.together < 1 ? 1 : min64(d.together, d.per_group * p->groups);
    d.window           = ((size_t)window_floats(p) * sizeof(float) + 63) & ~(size_t)63;
    d.sum              = ((size_t)(d.per_piece * d.lanes * (d.taps + 1)) * sizeof(float) + 63) & ~(size_t)63;
    d.work             = ((size_t)ls__conv_dw_work() * sizeof(float) + 63) & ~(size_t)63;
    d.each             = d.window + d.sum + d.work;
    const int64_t most = channels * d.taps * d.blocks; /* so that fewer rows never need more than more rows */
    d.partial = take(p, min64(O * d.taps * d.blocks, most > PARTIAL_FLOATS ? most : PARTIAL_FLOATS), sizeof(float));
    d.bias    = take(p, O * d.blocks, sizeof(float));
    return d;
}

/* Adds the blocks of each shard up in order, and closes the gaps: partial s of `count` floats is that of shard s. */
static void join_blocks(const ls_call *c, int64_t count, float *partial)
{
    int64_t block = 0;
    for (int s = 0; s < c->shards; s++) {
        const int64_t n  = blocks_of(c->bound[s + 1] - c->bound[s]);
        float        *to = partial + s * count;
        if (block != s) memcpy(to, partial + block * count, (size_t)count * sizeof(float));
        for (int64_t i = 1; i < n; i++) ls__add_into(count, partial + (block + i) * count, to);
        block += n;
    }
}

/* One piece for one block of samples: from zero, sample after sample. */
static void dw_piece(const ls_call *c, const plan *p, const dw_work *d, int64_t u, int64_t first, int64_t last,
                     float *dw, float *db, float *window)
{
    const ls_conv_pass *pass  = &p->pass[0];
    const int64_t       group = u / d->per_group, panel = u % d->per_group * d->per_piece,
                  end = min64(d->panels, panel + d->per_piece);
    float *sum = (float *)((char *)window + d->window), *work = (float *)((char *)sum + d->sum);
    memset(sum, 0, d->sum);
    for (int64_t b = first; b < last; b++)
        ls__conv_dw(pass, panel, end, source(p, c->x[0], b, group, window),
                    c->dy[0] + (b * p->groups + group) * p->out * pass->rows * pass->cols, sum, work);
    ls__conv_dw_store(pass, panel, end, sum, dw, db);
}

static void weight_gradient(const ls_call *c, plan *p)
{
    plan_passes(p, false);
    const dw_work d      = dw_work_of(p, c->rows, c->shards);
    char *const   own    = take(p, 0, 1);
    int64_t       blocks = 0;
    for (int s = 0; s < c->shards; s++) blocks += blocks_of(c->bound[s + 1] - c->bound[s]);
    const int64_t pieces = d.per_group * p->groups, O = p->out * p->groups;
    for (int64_t u0 = 0; u0 < pieces; u0 += d.together) {
        const int64_t u1 = min64(pieces, u0 + d.together), o0 = piece_channel(p, &d, u0),
                      o1    = u1 == pieces ? O : piece_channel(p, &d, u1);
        const int64_t count = (o1 - o0) * d.taps;
#pragma omp parallel
        {
            float *window = (float *)(own + (size_t)omp_get_thread_num() * d.each);
            memset(window, 0, (size_t)window_floats(p) * sizeof(float));
#pragma omp for schedule(static)
            for (int64_t i = 0; i < (u1 - u0) * blocks; i++) {
                const int64_t u = u0 + i / blocks, block = i % blocks;
                int           s      = 0;
                int64_t       before = 0, n; /* the shard of this block, and its blocks */
                while (before + (n = blocks_of(c->bound[s + 1] - c->bound[s])) <= block) before += n, s++;
                const int64_t first = c->bound[s], samples = c->bound[s + 1] - first, o = piece_channel(p, &d, u);
                dw_piece(c, p, &d, u, first + samples * (block - before) / n,
                         first + samples * (block - before + 1) / n, d.partial + block * count + (o - o0) * d.taps,
                         c->dx[2] ? d.bias + block * O + o : NULL, window);
            }
        }
        if (!c->dx[1]) continue;
        join_blocks(c, count, d.partial);
        ls_call part = *c;
        part.dx[1] += o0 * d.taps;
        ls__fold(&part, 1, count, d.partial);
    }
    if (!c->dx[2]) return;
    join_blocks(c, O, d.bias);
    ls__fold(c, 2, O, d.bias);
}

static void backward(const ls_call *c)
{
    plan p;
    if (c->dx[1] || c->dx[2]) {
        plan_init(&p, c->node, false, true, c->scratch);
        weight_gradient(c, &p);
    }
    if (c->dx[0]) {
        plan_init(&p, c->node, true, false, c->scratch);
        run(c, &p, c->dy[0], c->x[1], NULL, c->dx[0], c->add[0]);
    }
}

/* ---- the descriptor
 * ---------------------------------------------------------------------------------------------------------------- */

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)
{
    plan p;
    plan_init(&p, n, back, false, NULL);
    plan_passes(&p, true);
    const size_t pass = p.bytes + (size_t)threads * pass_work_of(&p).each;
    if (!back) return pass;
    plan_init(&p, n, false, true, NULL);
    plan_passes(&p, false);
    const size_t each = dw_work_of(&p, rows, shards).each, weights = p.bytes + (size_t)threads * each;
    return weights > pass ? weights : pass;
}

LS_OP(conv2d) = {
    .name       = "conv2d",
    .args_bytes = sizeof(ls_conv2d_args),
    .ins        = 3,
    .outs       = 1,
    .optional   = 1u << 2,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .fields     = LS_FIELDS(LS_FIELD(INT, ls_conv2d_args, stride), LS_FIELD(INT, ls_conv2d_args, stride_h),
                            LS_FIELD(INT, ls_conv2d_args, stride_w), LS_FIELD(INT, ls_conv2d_args, padding),
                            LS_FIELD(INT, ls_conv2d_args, padding_h), LS_FIELD(INT, ls_conv2d_args, padding_w),
                            LS_FIELD(INT, ls_conv2d_args, dilation), LS_FIELD(INT, ls_conv2d_args, dilation_h),
                            LS_FIELD(INT, ls_conv2d_args, dilation_w), LS_FIELD(INT, ls_conv2d_args, groups)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .scratch    = scratch,
    .flops      = flops,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution over one, two and three dims (LeCun 1989), computed as cross-correlation, as in PyTorch.
 *
 *     x: B x C x H x W    w: O x C/G x KH x KW    b: O or none    ->    y: B x O x OH x OW
 *     OH = (H + pad_top + pad_bottom - dilation_h (KH - 1) - 1) / stride_h + 1, OW likewise
 *
 * Forward     y[o, i, j] = b[o] + sum over c, kh, kw of  w[o, c, kh, kw] x[c, h, v]
 *             with h = i stride_h + kh dilation_h - pad_top,  v = j stride_w + kw dilation_w - pad_left
 *             The channels are cut into G groups: output channels of group g read the input channels of group g alone.
 *             conv3d has a depth before the height, with taps kd; conv1d has the width alone.
 * Backward    dx[c, h, v] = sum over o, kh, kw of  w[o, c, kh, kw] dy[o, i, j]  for the (i, j) that read x[h, v] with
 *                           tap (kh, kw)
 *             dw[o, c, kh, kw] = sum over samples, i, j of  dy[o, i, j] x[c, h, v]
 *             db[o] = sum over samples, i, j of  dy[o, i, j]
 *
 * core/ops/conv2d_plan.c plans *passes*, which the kernels of core/cpu/conv.h compute.  Forward is one pass over the
 * padded sample.  For dx, output row i reads input row h with tap kh when h + padding = i stride + kh dilation.  Input
 * rows of one residue r = (h + padding) mod stride therefore use the same taps, those with kh dilation mod stride = r,
 * and read i = (h + padding) / stride - kh dilation / stride (integer divisions): each pair of residues is one pass of
 * stride 1 over the padded dy.  With a depth a pass runs once per output depth.
 *
 * A static rule of the shape chooses other kernels where they are faster: core/cpu/winograd for 3 x 3 taps of stride 1,
 * unless the graph asks for direct sums (recipe key train.conv), core/cpu/pointwise for y and dx of 1 x 1 taps, and
 * core/cpu/depthwise for depthwise convolutions (one channel in each group) of strides 1 and 2.
 *
 * The kernels compute output channels in *panels* of some vectors.  The work of a pass is cut into *pieces*: some
 * panels of one group of one sample.  dw is computed shard by shard.  A shard of many samples is cut into *blocks* of
 * samples, by its number of samples alone; the blocks are summed separately and added in order, so that one large shard
 * occupies several threads.
 *
 * In a bfloat16 graph y is bfloat16, x may be, and the weights are rounded to bfloat16, as with PyTorch's autocast.
 * Products and sums are float32, because the windows that the kernels read are float32 in any case.
 */
#include <omp.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/cpu/depthwise.h"
#include "core/cpu/pointwise.h"
#include "core/cpu/shard_sum.h"
#include "core/cpu/winograd/winograd.h"
#include "core/ops/conv2d_plan.h"

enum {
    SHARD_BLOCKS   = 8,       /* blocks of a shard, at most                                                          */
    BLOCK_SAMPLES  = 8,       /* samples of a block, in shards of up to SHARD_BLOCKS * BLOCK_SAMPLES samples         */
    PARTIAL_FLOATS = 1 << 19, /* partial weight gradients in memory at once, unless a single piece has more          */
    TILED_CHANNELS = 64,      /* with core/cpu/winograd: output channels of a piece, at least ...                    */
    TILED_SUMS     = 8192,    /* ... and as many as have so many sums at each position, which fit into the L2 cache  */
    TILED_VALUES   = 1 << 15, /* source values of a block of tiles at each position                                  */
    TILED_LEAST    = 64,      /* tiles of such a block, at least, ...                                                */
    TILED_MOST     = 128,     /* ... and at most                                                                     */
    TILED_WEIGHTS  = 1536     /* pairs of channels for each tile of a block of samples, at most; with more, direct sums
                                 are faster than the transform of each block's gradient                              */
};

#define ATTRIBUTES(a, h, first, last)                                                                                  \
    LS_WINDOW_ATTRIBUTES_OF(a, h, first, last, .both = {kernel_##h, (a)->stride, (a)->padding, (a)->dilation},         \
                            .own[LS_WINDOW_DILATION] = &(a)->dilation_##h, .same = (a)->same)

/* ---- shape ------------------------------------------------------------------------------------------------------- */

static ls_status windows(const ls_node *n, ls_windows *a)
{
    const ls_tensor *w    = n->in[1];
    ls_conv_args    *args = n->args;
    const int kernel_d = ls__conv_kernel(w, 0), kernel_h = ls__conv_kernel(w, 1), kernel_w = ls__conv_kernel(w, 2);
    return ls__windows_infer(n, LS_WINDOWS_ATTRIBUTES_OF(args, ATTRIBUTES), a);
}

/* Returns the shape of a node.  The attributes of the node must be valid. */
static ls_conv_shape shape_of(const ls_node *n)
{
    const ls_conv_args *a = n->args;
    ls_conv_shape       s = {.groups = a->groups,
                             .in     = n->in[1]->dim[1],
                             .out    = n->in[1]->dim[0] / a->groups,
                             .x_type = n->in[0]->type,
                             .y_type = n->out[0]->type,
                             .direct = n->graph->direct_convolution};
    if (windows(n, &s.a) != LS_OK) s.groups = 0; /* unreachable: the shape rule rejects invalid attributes */
    return s;
}

static ls_status infer(ls_node *n)
{
    ls_conv_args *a = n->args;
    ls_windows    v;
    int64_t       O;
    LS_TRY(ls__conv_expect(n, false, &a->groups, &O));
    LS_TRY(windows(n, &v));
    LS_TRY(ls__conv_limit(n, O, &v));
    ls__out_windows(n, 0, n->graph->precision, O, &v);
    return LS_OK;
}

static double flops(const ls_node *n)
{
    const ls_tensor *w = n->in[1];
    return 2.0 * (double)ls__numel(n->out[0]) * (double)(ls__numel(w) / w->dim[0]);
}

/* ---- 3 x 3 taps -------------------------------------------------------------------------------------------------- */

/* Whether the convolution has no depth. */
static bool planar(const ls_conv_shape *s) { return s->a.d.in == 1 && s->a.d.out == 1 && s->a.d.kernel == 1; }

/* Returns whether a direction is computed by core/cpu/winograd, and its plan. */
static bool winograd(const ls_conv_shape *s, bool back, ls_winograd *p)
{
    const ls_window *h = &s->a.h, *w = &s->a.w;
    const int64_t    taps = LS_WINOGRAD_TAPS * LS_WINOGRAD_TAPS, reach = back ? LS_WINOGRAD_TAPS - 1 : 0;
    const int        sign = back ? 1 : -1;
    *p                    = (ls_winograd){.groups  = s->groups,
                                          .in      = back ? s->out : s->in,
                                          .out     = back ? s->in : s->out,
                                          .src_h   = back ? h->out : h->in,
                                          .src_w   = back ? w->out : w->in,
                                          .dst_h   = back ? h->in : h->out,
                                          .dst_w   = back ? w->in : w->out,
                                          .lo_h    = sign * h->before - reach,
                                          .lo_w    = sign * w->before - reach,
                                          .w_in    = back ? s->in * taps : taps,
                                          .w_out   = back ? taps : s->in * taps,
                                          .w_group = s->out * s->in * taps,
                                          .flip    = back};
    return !s->direct && planar(s) && h->kernel == LS_WINOGRAD_TAPS && w->kernel == LS_WINOGRAD_TAPS &&
           h->stride == 1 && w->stride == 1 && h->dilation == 1 && w->dilation == 1 && ls__winograd_fits(p);
}

/* ---- 1 x 1 taps -------------------------------------------------------------------------------------------------- */

enum { POINTWISE_CHANNELS = 8 }; /* channels of a group, at least, on both sides */

/* Whether the windows are the positions of the input. */
static bool positions(const ls_window *a) { return a->kernel == 1 && a->stride == 1 && a->out == a->in && !a->before; }

/* Returns whether a direction is computed by core/cpu/pointwise.c, and its arguments without arrays. */
static bool pointwise(const ls_conv_shape *s, bool back, ls_pointwise *p)
{
    *p = (ls_pointwise){.groups  = s->groups,
                        .in      = back ? s->out : s->in,
                        .out     = back ? s->in : s->out,
                        .points  = ls__windows_in(&s->a),
                        .w_in    = back ? s->in : 1,
                        .w_out   = back ? 1 : s->in,
                        .w_group = s->out * s->in};
    return positions(&s->a.d) && positions(&s->a.h) && positions(&s->a.w) &&
           ls__min(s->in, s->out) >= POINTWISE_CHANNELS;
}

/* ---- one channel in each group ----------------------------------------------------------------------------------- */

/* Returns whether a direction is computed by core/cpu/depthwise.c, and its plan. */
static bool depthwise(const ls_conv_shape *s, bool back, ls_depthwise *p)
{
    const ls_window *h = &s->a.h, *w = &s->a.w;
    return s->in == 1 && s->out == 1 && planar(s) &&
           ls__depthwise_plan(p, &(ls_depthwise_dim){h->in, h->out, h->kernel, h->stride, h->dilation, h->before},
                              &(ls_depthwise_dim){w->in, w->out, w->kernel, w->stride, w->dilation, w->before},
                              s->groups, back);
}

/* ---- y and dx: all passes over all samples ----------------------------------------------------------------------- */

typedef struct pass_sizes {
    bool    mixed;            /* some passes have lanes on rows, others on channels: pieces are whole groups */
    int64_t panels_per_piece; /* panels of one piece                                                         */
    int64_t pieces_per_group; /* pieces of one group of one sample                                           */
    int64_t packed_channels;  /* output channels of a group, padded to whole vectors                         */
    int64_t plane;            /* floats of a channel of the result                                           */
    size_t  window_bytes;     /* window of one thread                                                        */
    size_t  thread_bytes;     /* workspace of one thread: window, then that of ls__conv_run                  */
} pass_sizes;

/* Returns the workspace sizes of one thread alone; they do not depend on the tables of the passes. */
static pass_sizes thread_sizes(const ls_conv_plan *p)
{
    const size_t window = ls__conv_line_bytes(ls__conv_window_floats(p), sizeof(float));
    return (pass_sizes){.window_bytes = window,
                        .thread_bytes = window + ls__conv_line_bytes(ls__conv_work(), sizeof(float))};
}

static pass_sizes pass_sizes_of(const ls_conv_plan *p)
{
    pass_sizes    d      = thread_sizes(p);
    const int64_t panels = ls__conv_panels(p->out, p->pass[0].by_rows);
    for (int64_t q = 1; q < p->used; q++) d.mixed |= p->pass[q].by_rows != p->pass[0].by_rows;
    d.panels_per_piece = d.mixed ? panels : ls__conv_panels_per_piece(p, panels);
    d.pieces_per_group = ls__ceil_div(panels, d.panels_per_piece);
    d.packed_channels  = ls__conv_packed_channels(p);
    d.plane            = p->d.result * p->h.result * p->w.result;
    return d;
}

/* Packs the weights of all passes; the threads of a parallel region share the loop, without a barrier at its end. */
static void pack_weights(const ls_conv_plan *p, const pass_sizes *d, ls_array w)
{
    for (int64_t q = 0; q < p->used; q++) {
        const ls_conv_pass *pass   = &p->pass[q];
        const int64_t       panels = ls__conv_panels(p->out, pass->by_rows);
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < panels * p->groups; i++) {
            const int64_t group = i / panels;
            ls__conv_pack(pass, i % panels, ls__from(w, group * p->w_group), p->w_out,
                          pass->packed + group * pass->taps * d->packed_channels);
        }
    }
}

/* Runs all passes over piece i: one sample, one group, some panels. */
static void run_piece(const ls_conv_plan *p, const pass_sizes *d, const ls_conv_operands *o, int64_t i, float *window,
                      float *work)
{
    const int64_t  piece = i % d->pieces_per_group, group = i / d->pieces_per_group % p->groups;
    const int64_t  sample = i / d->pieces_per_group / p->groups;
    const float   *src    = ls__conv_source(p, o->x, sample, group, window);
    const ls_array y      = ls__from(o->y, (sample * p->groups + group) * p->out * d->plane);
    for (int64_t q = 0; q < p->used; q++) {
        const ls_conv_pass *pass   = &p->pass[q];
        const int64_t       panels = ls__conv_panels(p->out, pass->by_rows);
        const int64_t       first  = d->mixed ? 0 : piece * d->panels_per_piece;
        const int64_t       last   = d->mixed ? panels : ls__min(panels, (piece + 1) * d->panels_per_piece);
        for (int64_t k = 0; k < pass->depths; k++)
            ls__conv_run(pass, &p->window, first, last, src + (pass->src_d + k * pass->step_d) * p->window.plane,
                         pass->packed + group * pass->taps * d->packed_channels, o->b ? o->b + group * p->out : NULL,
                         ls__from(y, k * pass->dst_depth), o->add, work);
    }
}

void ls__conv_direction(const ls_conv_shape *s, bool back, int64_t samples, const ls_conv_operands *o, ls_array w,
                        void *scratch)
{
    ls_conv_plan p;
    ls_winograd  tiles;
    ls_pointwise points;
    ls_depthwise planes;
    if (depthwise(s, back, &planes)) {
        ls__depthwise_run(&planes, samples, &(ls_depthwise_operands){o->x, w, o->y, o->b, o->add}, scratch);
        return;
    }
    if (pointwise(s, back, &points)) {
        points.x    = o->x;
        points.w    = w;
        points.y    = o->y;
        points.bias = o->b;
        points.add  = o->add;
        ls__pointwise_run(&points, samples, scratch);
        return;
    }
    if (winograd(s, back, &tiles)) {
        ls__winograd_run(&tiles, samples, &(ls_winograd_operands){o->x, w, o->y, o->b, o->add}, scratch);
        return;
    }
    ls__conv_plan_direction(&p, s, back, false, scratch);
    ls__conv_make_passes(&p, true);
    const pass_sizes d       = pass_sizes_of(&p);
    char *const      threads = ls__conv_take(&p, 0, 1);
#pragma omp parallel
    {
        float *window = (float *)(threads + (size_t)omp_get_thread_num() * d.thread_bytes);
        float *work   = (float *)((char *)window + d.window_bytes);
        pack_weights(&p, &d, w);
        memset(window, 0, (size_t)ls__conv_window_floats(&p) * sizeof(float));
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t i = 0; i < samples * p.groups * d.pieces_per_group; i++) run_piece(&p, &d, o, i, window, work);
    }
}

size_t ls__conv_direction_scratch(const ls_conv_shape *s, bool back, int threads)
{
    ls_conv_plan p;
    ls_winograd  tiles;
    ls_pointwise points;
    ls_depthwise planes;
    if (depthwise(s, back, &planes)) return ls__depthwise_scratch(&planes, threads);
    if (pointwise(s, back, &points)) return ls__pointwise_scratch(&points, threads);
    if (winograd(s, back, &tiles)) return ls__winograd_scratch(&tiles, threads);
    ls__conv_plan_direction(&p, s, back, false, NULL);
    ls__conv_make_passes(&p, true);
    return p.bytes + (size_t)threads * thread_sizes(&p).thread_bytes;
}

/* ---- dw and db --------------------------------------------------------------------------------------------------- */

/* Number of blocks of a shard of `samples` samples. */
static int64_t blocks_of(int64_t samples)
{
    return samples <= BLOCK_SAMPLES ? 1 : ls__min(SHARD_BLOCKS, ls__ceil_div(samples, BLOCK_SAMPLES));
}

/* Block sizes and workspace of the weight gradient.  A partial is the sum of one piece over one block of samples. */
typedef struct dw_sizes {
    bool         tiled;                   /* core/cpu/winograd computes large blocks, ls__conv_dw the others          */
    ls_winograd  tiles;                   /* plan of core/cpu/winograd                                                */
    bool         by_planes;               /* core/cpu/depthwise.c computes all pieces                                 */
    ls_depthwise planes;                  /* its plan                                                                 */
    int64_t      piece_channels;          /* output channels of a piece: whole panels                                 */
    int64_t      pieces_per_group;        /* pieces of one group                                                      */
    int64_t      pieces_at_once;          /* number of pieces with partials in memory at the same time                */
    int64_t      taps;                    /* taps of one output channel                                               */
    int64_t      max_blocks;              /* blocks of all shards, at most                                            */
    size_t       window_bytes, sum_bytes; /* ls__conv_dw: window and running sum of one thread                        */
    size_t       thread_bytes;            /* workspace of one thread                                                  */
    float       *partial;                 /* blocks x channels x taps                                                 */
    float       *bias_partial;            /* blocks x O                                                               */
} dw_sizes;

/* Sets the pieces and the workspace of a thread. */
static void size_pieces(const ls_conv_plan *p, const ls_conv_shape *s, dw_sizes *d)
{
    const int64_t panel = 2 * ls__conv_lanes();
    ls_winograd  *t     = &d->tiles;
    size_t        work = ls__conv_line_bytes(ls__conv_dw_work(), sizeof(float)), tiled_work = 0;
    d->tiled          = winograd(s, false, t);
    d->piece_channels = ls__conv_panels_per_piece(p, ls__conv_panels(p->out, false)) * panel;
    if (d->tiled) {
        d->piece_channels = ls__max(TILED_CHANNELS, ls__round_up(TILED_SUMS / t->in, TILED_CHANNELS));
        ls__winograd_plan(t, ls__min(TILED_MOST, ls__max(TILED_LEAST, TILED_VALUES / t->in)), NULL);
        tiled_work =
            ls__conv_line_bytes(ls__winograd_weights_work(t, ls__min(p->out, d->piece_channels)), sizeof(float));
    }
    d->by_planes    = depthwise(s, false, &d->planes);
    d->window_bytes = ls__conv_line_bytes(
        d->by_planes ? ls__depthwise_weights_work(&d->planes) : ls__conv_window_floats(p), sizeof(float));
    d->sum_bytes =
        ls__conv_line_bytes(ls__min(d->piece_channels, ls__round_up(p->out, panel)) * (d->taps + 1), sizeof(float));
    work += d->sum_bytes;
    d->thread_bytes     = d->window_bytes + (work > tiled_work ? work : tiled_work);
    d->pieces_per_group = ls__ceil_div(p->out, d->piece_channels);
}

/* Returns whether a block of `samples` samples is computed by tiles. */
static bool tiled(const dw_sizes *d, int64_t samples)
{
    const ls_winograd *t = &d->tiles;
    return d->tiled && t->in * t->out <= TILED_WEIGHTS * samples * t->tiles_h * t->tiles_w;
}

static dw_sizes dw_sizes_of(ls_conv_plan *p, const ls_conv_shape *s, int64_t rows, int shards)
{
    dw_sizes d = {.taps       = p->in * ls__conv_kernel_taps(&s->a),
                  .max_blocks = ls__min((int64_t)shards * SHARD_BLOCKS, rows / BLOCK_SAMPLES + shards)};
    size_pieces(p, s, &d);
    const int64_t O        = p->out * p->groups;
    const int64_t of_piece = ls__min(p->out, d.piece_channels) * d.taps * d.max_blocks;
    d.pieces_at_once       = ls__max(1, ls__min(PARTIAL_FLOATS / of_piece, d.pieces_per_group * p->groups));
    /* the maximum with PARTIAL_FLOATS keeps the size from shrinking when the call has more rows */
    d.partial = ls__conv_take(p, ls__min(O * d.taps * d.max_blocks, ls__max(of_piece, PARTIAL_FLOATS)), sizeof(float));
    d.bias_partial = ls__conv_take(p, O * d.max_blocks, sizeof(float));
    if (d.tiled) {
        const int64_t tiles = d.tiles.rows * d.tiles.tiles_w;
        ls__winograd_plan(&d.tiles, tiles, ls__conv_take(p, d.tiles.lanes, sizeof(int32_t)));
    }
    return d;
}

/* First output channel (counted over all groups) of a piece. */
static int64_t piece_channel(const ls_conv_plan *p, const dw_sizes *d, int64_t piece)
{
    return piece / d->pieces_per_group * p->out + ls__min(p->out, piece % d->pieces_per_group * d->piece_channels);
}

/* Adds the blocks of each shard in order; then partial s, of `count` floats, is that of shard s. */
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

/* Finds the samples [*first, *last) of a block. */
static void block_samples(const ls_call *c, int64_t block, int64_t *first, int64_t *last)
{
    int     s = 0;
    int64_t n = blocks_of(c->bound[1] - c->bound[0]);
    while (n <= block) {
        block -= n;
        s++;
        n = blocks_of(c->bound[s + 1] - c->bound[s]);
    }
    const int64_t samples = c->bound[s + 1] - c->bound[s];
    *first                = c->bound[s] + samples * block / n;
    *last                 = c->bound[s] + samples * (block + 1) / n;
}

/* Operands of the weight gradient. */
typedef struct dw_operands {
    ls_array x, dy;
    bool     bias; /* db is wanted */
} dw_operands;

/* Computes the partial of one piece and block: the sum over its samples, in order, from zero. */
static void dw_partial(const ls_call *c, const dw_operands *op, const ls_conv_plan *p, const dw_sizes *d, int64_t piece,
                       int64_t block, float *dw, float *db, float *window)
{
    const int64_t group = piece / d->pieces_per_group, o = piece % d->pieces_per_group * d->piece_channels;
    const int64_t count = ls__min(p->out - o, d->piece_channels);
    int64_t       first, last;
    block_samples(c, block, &first, &last);
    if (d->by_planes) {
        ls__depthwise_weights(&d->planes, op->x, op->dy, group, first, last, dw, db, window);
        return;
    }
    if (tiled(d, last - first)) {
        float *work = (float *)((char *)window + d->window_bytes);
        ls__winograd_weights(&d->tiles, op->x, op->dy, group, o, count, first, last, dw, db, work);
        return;
    }
    const ls_conv_pass *pass  = &p->pass[0];
    const int64_t       lanes = 2 * ls__conv_lanes(), panel = o / lanes, end = panel + ls__ceil_div(count, lanes);
    float *sum = (float *)((char *)window + d->window_bytes), *work = (float *)((char *)sum + d->sum_bytes);
    memset(sum, 0, d->sum_bytes);
    for (int64_t b = first; b < last; b++)
        ls__conv_dw(pass, panel, end, ls__conv_source(p, op->x, b, group, window),
                    ls__from(op->dy, (b * p->groups + group) * p->out * pass->rows * pass->cols), sum, work);
    ls__conv_dw_store(pass, panel, end, sum, dw, db);
}

/* Computes the partials of pieces [first, last) for all blocks of samples.  `count`: floats of dw of these pieces. */
static void dw_partials(const ls_call *c, const dw_operands *o, const ls_conv_plan *p, const dw_sizes *d, int64_t first,
                        int64_t last, int64_t blocks, int64_t count, char *threads)
{
    const int64_t first_channel = piece_channel(p, d, first), O = p->out * p->groups;
#pragma omp parallel
    {
        float *window = (float *)(threads + (size_t)omp_get_thread_num() * d->thread_bytes);
        memset(window, 0, d->window_bytes);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < (last - first) * blocks; i++) {
            const int64_t piece = first + i / blocks, block = i % blocks, channel = piece_channel(p, d, piece);
            float        *dw = d->partial + block * count + (channel - first_channel) * d->taps;
            float        *db = o->bias ? d->bias_partial + block * O + channel : NULL;
            dw_partial(c, o, p, d, piece, block, dw, db, window);
        }
    }
}

/* Computes dw and db, for some pieces at once: their partials, the sum of each shard, the tree over shards. */
void ls__conv_weights(const ls_call *c, const ls_conv_shape *s, ls_array x, ls_array dy, bool bias)
{
    const dw_operands o = {x, dy, bias && c->dx[2]};
    ls_conv_plan      p;
    if (!c->dx[1] && !o.bias) return;
    ls__conv_plan_direction(&p, s, false, true, c->scratch);
    ls__conv_make_passes(&p, false);
    const dw_sizes d       = dw_sizes_of(&p, s, c->rows, c->shards);
    char *const    threads = ls__conv_take(&p, 0, 1);
    const int64_t  pieces = d.pieces_per_group * p.groups, O = p.out * p.groups;
    int64_t        blocks = 0;
    for (int i = 0; i < c->shards; i++) blocks += blocks_of(c->bound[i + 1] - c->bound[i]);
    for (int64_t first = 0; first < pieces; first += d.pieces_at_once) {
        const int64_t last    = ls__min(pieces, first + d.pieces_at_once);
        const int64_t channel = piece_channel(&p, &d, first);
        const int64_t count   = ((last == pieces ? O : piece_channel(&p, &d, last)) - channel) * d.taps;
        dw_partials(c, &o, &p, &d, first, last, blocks, count, threads);
        if (!c->dx[1]) continue;
        join_blocks(c, count, d.partial);
        ls_call part = *c; /* the gradient of these channels alone */
        part.dx[1] += channel * d.taps;
        ls__fold(&part, 1, count, d.partial);
    }
    if (!o.bias) return;
    join_blocks(c, O, d.bias_partial);
    ls__fold(c, 2, O, d.bias_partial);
}

size_t ls__conv_weights_scratch(const ls_conv_shape *s, int64_t rows, int shards, int threads)
{
    ls_conv_plan p;
    ls__conv_plan_direction(&p, s, false, true, NULL);
    ls__conv_make_passes(&p, false);
    const size_t thread_bytes = dw_sizes_of(&p, s, rows, shards).thread_bytes;
    return p.bytes + (size_t)threads * thread_bytes;
}

/* ---- the op ------------------------------------------------------------------------------------------------------ */

static void forward(const ls_call *c)
{
    const ls_conv_shape    s = shape_of(c->node);
    const ls_conv_operands o = {.x = ls__x(c, 0), .b = c->x[2], .y = ls__y(c, 0)};
    ls__conv_direction(&s, false, c->rows, &o, ls__x(c, 1), c->scratch);
}

static void backward(const ls_call *c)
{
    const ls_conv_shape    s = shape_of(c->node);
    const ls_conv_operands o = {.x = ls__dy(c, 0), .y = ls__dx(c, 0), .add = c->add[0]};
    ls__conv_weights(c, &s, ls__x(c, 0), ls__dy(c, 0), true);
    if (c->dx[0]) ls__conv_direction(&s, true, c->rows, &o, ls__x(c, 1), c->scratch);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)
{
    const ls_conv_shape s       = shape_of(n);
    const size_t        passes  = ls__conv_direction_scratch(&s, back, threads);
    const size_t        weights = back ? ls__conv_weights_scratch(&s, rows, shards, threads) : 0;
    return weights > passes ? weights : passes;
}

/* The descriptor of conv1d, conv2d or conv3d. */
#define CONV(n)                                                                                                        \
    {                                                                                                                  \
        .name = "conv" #n "d", .args_bytes = sizeof(ls_conv_args), .ins = 3, .outs = 1, .optional = 1u << 2,           \
        .saves = LS_SAVES_IN(0) | LS_SAVES_IN(1), .either = 1u << 0, .narrow = 1u << 1, .dims = n,                     \
        .fields = LS_FIELDS(LS_WINDOW_FIELDS_##n(ls_conv_args, stride), LS_WINDOW_FIELDS_##n(ls_conv_args, padding),   \
                            LS_SIDE_FIELDS_##n(ls_conv_args), LS_WINDOW_FIELDS_##n(ls_conv_args, dilation),            \
                            LS_FIELD(INT, ls_conv_args, groups), LS_FIELD_OF(ls__same_names, ls_conv_args, same)),     \
        .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward}, .scratch = scratch,        \
        .flops = flops,                                                                                                \
    }
LS_OP(conv1d) = CONV(1);
LS_OP(conv2d) = CONV(2);
LS_OP(conv3d) = CONV(3);

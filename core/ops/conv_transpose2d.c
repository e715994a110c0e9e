/* SPDX-License-Identifier: Apache-2.0
 *
 * Transposed convolution (Zeiler 2010), as in PyTorch: the gradient of a convolution with respect to its input.
 *
 *     x: B x C x H x W    w: C x O/G x KH x KW    b: O or none    ->    y: B x O x OH x OW
 *     OH = (H - 1) stride_h - pad_top - pad_bottom + dilation_h (KH - 1) + 1 + output_padding_h, OW likewise
 *
 * Forward     y[o, h, v] = b[o] + sum over c, kh, kw of  w[c, o, kh, kw] x[c, i, j]  for the (i, j) with
 *             h = i stride_h + kh dilation_h - pad_top,  v = j stride_w + kw dilation_w - pad_left
 * Backward    dx is the convolution of dy with w, and dw its gradient of the weights with dy as the input and x as the
 *             gradient of the output;  db[o] = sum over samples, h, v of dy[o, h, v]
 *
 * All passes are those of conv2d, for the convolution that maps a tensor of the shape of y to one of the shape of x.
 */
#include "core/cpu/vector/column_sum.h"
#include "core/ops/conv2d_plan.h"

#define ATTRIBUTES(a, h, first, last)                                                                                  \
    LS_WINDOW_ATTRIBUTES_OF(a, h, first, last, .both = {kernel_##h, (a)->stride, (a)->padding, (a)->dilation},         \
                            .own[LS_WINDOW_DILATION] = &(a)->dilation_##h)

/* Resolves the attributes of one dim.  w->out is the size of the input; w->in receives that of the output. */
static ls_status axis(const ls_node *n, const ls_window_attributes *a, int both, int *own, ls_window *w)
{
    const int64_t out = w->out;
    if (*own == 0) *own = both;
    LS_TRY(ls__window_resolve(n, a, w));
    LS_NODE_CHECK(n, *own >= 0 && *own < ls__max(w->stride, w->dilation),
                  "output_padding_%s is %d, expected 0 ... %lld: less than the stride or the dilation", a->dim, *own,
                  (long long)ls__max(w->stride, w->dilation) - 1);
    w->out = out;
    w->in  = (out - 1) * w->stride - w->before - w->after + w->dilation * (w->kernel - 1) + 1 + *own;
    LS_NODE_CHECK(n, w->in > 0, "the output along %s has size %lld, expected at least 1" LS_HINT "reduce the padding",
                  a->dim, (long long)w->in);
    return LS_OK;
}

static ls_status windows(const ls_node *n, ls_window *h, ls_window *w)
{
    ls_conv_transpose2d_args *a        = n->args;
    const int                 kernel_h = (int)n->in[1]->dim[2], kernel_w = (int)n->in[1]->dim[3];
    h->out = n->in[0]->dim[1];
    w->out = n->in[0]->dim[2];
    LS_TRY(axis(n, &ATTRIBUTES(a, h, top, bottom), a->output_padding, &a->output_padding_h, h));
    return axis(n, &ATTRIBUTES(a, w, left, right), a->output_padding, &a->output_padding_w, w);
}

/* Returns the convolution from y to x.  The attributes of the node must be valid. */
static ls_conv_shape shape_of(const ls_node *n)
{
    const ls_conv_transpose2d_args *a = n->args;
    ls_conv_shape                   s = {.groups = a->groups,
                                         .in     = n->in[1]->dim[1],
                                         .out    = n->in[1]->dim[0] / a->groups,
                                         .x_type = n->out[0]->type,
                                         .y_type = n->in[0]->type,
                                         .direct = n->graph->direct_convolution};
    s.a.d                             = LS_NO_WINDOW;
    if (windows(n, &s.a.h, &s.a.w) != LS_OK) s.groups = 0; /* unreachable: the shape rule rejects invalid attributes */
    return s;
}

static ls_status infer(ls_node *n)
{
    ls_conv_transpose2d_args *a = n->args;
    ls_windows                v = {.d = LS_NO_WINDOW};
    int64_t                   O;
    LS_TRY(ls__conv_expect(n, true, &a->groups, &O));
    LS_TRY(windows(n, &v.h, &v.w));
    LS_TRY(ls__conv_limit(n, O, &v));
    ls__out(n, 0, n->graph->precision, true, 3, (const int64_t[]){O, v.h.in, v.w.in});
    return LS_OK;
}

static void forward(const ls_call *c)
{
    const ls_conv_shape    s = shape_of(c->node);
    const ls_conv_operands o = {.x = ls__x(c, 0), .b = c->x[2], .y = ls__y(c, 0)};
    ls__conv_direction(&s, true, c->rows, &o, ls__x(c, 1), c->scratch);
}

/* Computes db: the sum of each channel of each sample, then the sum over samples. */
static void backward_bias(const ls_call *c)
{
    const ls_tensor *y        = c->node->out[0];
    const int64_t    channels = c->rows * y->dim[0], plane = y->dim[1] * y->dim[2];
    const ls_array   dy  = ls__dy(c, 0);
    float           *sum = c->scratch;
#pragma omp parallel for schedule(static) if (channels * plane >= LS_MAP_PARALLEL)
    for (int64_t i = 0; i < channels; i++)
        sum[i] = dy.type == LS_BF16 ? v_sum_as(LS_BF16, dy.data, i * plane, plane)
                                    : v_sum_as(LS_F32, dy.data, i * plane, plane);
    ls__column_sums(c, 2, 1, y->dim[0], ls__f32(sum), (ls_array){0}, sum + channels);
}

static void backward(const ls_call *c)
{
    const ls_conv_shape    s = shape_of(c->node);
    const ls_conv_operands o = {.x = ls__dy(c, 0), .y = ls__dx(c, 0), .add = c->add[0]};
    ls__conv_weights(c, &s, ls__dy(c, 0), ls__x(c, 0), false);
    if (c->dx[2]) backward_bias(c);
    if (c->dx[0]) ls__conv_direction(&s, false, c->rows, &o, ls__x(c, 1), c->scratch);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)
{
    const ls_conv_shape s      = shape_of(n);
    const size_t        passes = ls__conv_direction_scratch(&s, !back, threads);
    if (!back) return passes;
    const size_t weights = ls__conv_weights_scratch(&s, rows, shards, threads), O = (size_t)n->out[0]->dim[0];
    const size_t bias = sizeof(float) * ((size_t)rows * O + ls__column_sums_scratch((int64_t)O, shards));
    const size_t most = weights > bias ? weights : bias;
    return most > passes ? most : passes;
}

static double flops(const ls_node *n)
{
    const ls_tensor *w = n->in[1];
    return 2.0 * (double)ls__numel(n->in[0]) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

#define INT_FIELD(member) LS_FIELD(INT, ls_conv_transpose2d_args, member)
LS_OP(conv_transpose2d) = {
    .name       = "conv_transpose2d",
    .args_bytes = sizeof(ls_conv_transpose2d_args),
    .ins        = 3,
    .outs       = 1,
    .optional   = 1u << 2,
    .dims       = 2,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .either     = 1u << 0,
    .narrow     = 1u << 1,
    .fields     = LS_FIELDS(INT_FIELD(stride), INT_FIELD(stride_h), INT_FIELD(stride_w), INT_FIELD(padding),
                            INT_FIELD(padding_h), INT_FIELD(padding_w), INT_FIELD(pad_top), INT_FIELD(pad_bottom),
                            INT_FIELD(pad_left), INT_FIELD(pad_right), INT_FIELD(output_padding),
                            INT_FIELD(output_padding_h), INT_FIELD(output_padding_w), INT_FIELD(dilation),
                            INT_FIELD(dilation_h), INT_FIELD(dilation_w), INT_FIELD(groups)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .scratch    = scratch,
    .flops      = flops,
};

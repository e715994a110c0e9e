/* SPDX-License-Identifier: Apache-2.0
 *
 * List of all ops.  The enum LS_OP_... (core/ops/op_prototypes.h), the kernel tables (core/cpu/isa_table.c) and the
 * completeness test are made from it.
 */
#define LS_OP_LIST(X)                                                                                                  \
    X(linear)                                                                                                          \
    X(conv1d)                                                                                                          \
    X(conv2d)                                                                                                          \
    X(conv3d)                                                                                                          \
    X(conv_transpose2d)                                                                                                \
    X(max_pool1d)                                                                                                      \
    X(max_pool2d)                                                                                                      \
    X(max_pool3d)                                                                                                      \
    X(avg_pool1d)                                                                                                      \
    X(avg_pool2d)                                                                                                      \
    X(avg_pool3d)                                                                                                      \
    X(adaptive_max_pool1d)                                                                                             \
    X(adaptive_max_pool2d)                                                                                             \
    X(adaptive_max_pool3d)                                                                                             \
    X(adaptive_avg_pool1d)                                                                                             \
    X(adaptive_avg_pool2d)                                                                                             \
    X(adaptive_avg_pool3d)                                                                                             \
    X(pad1d)                                                                                                           \
    X(pad2d)                                                                                                           \
    X(pad3d)                                                                                                           \
    X(relu)                                                                                                            \
    X(relu6)                                                                                                           \
    X(leaky_relu)                                                                                                      \
    X(tanh)                                                                                                            \
    X(sigmoid)                                                                                                         \
    X(gelu)                                                                                                            \
    X(dropout)                                                                                                         \
    X(dropout2d)                                                                                                       \
    X(drop_path)                                                                                                       \
    X(add)                                                                                                             \
    X(mul)                                                                                                             \
    X(scale)                                                                                                           \
    X(reshape)                                                                                                         \
    X(permute)                                                                                                         \
    X(sum)                                                                                                             \
    X(mean)                                                                                                            \
    X(sequence_mean)                                                                                                   \
    X(softmax)                                                                                                         \
    X(log_softmax)                                                                                                     \
    X(attention)                                                                                                       \
    X(additive_attention)                                                                                              \
    X(cross_entropy)                                                                                                   \
    X(linear_cross_entropy)                                                                                            \
    X(mse)                                                                                                             \
    X(mae)                                                                                                             \
    X(rnn)                                                                                                             \
    X(lstm)                                                                                                            \
    X(gru)                                                                                                             \
    X(lstm_cell)                                                                                                       \
    X(gru_cell)                                                                                                        \
    X(concat)                                                                                                          \
    X(prepend)                                                                                                         \
    X(select)                                                                                                          \
    X(stack)                                                                                                           \
    X(carry)                                                                                                           \
    X(embedding)                                                                                                       \
    X(layer_norm)                                                                                                      \
    X(batch_norm)                                                                                                      \
    X(group_norm)                                                                                                      \
    X(local_response_norm)                                                                                             \
    X(add_position)                                                                                                    \
    X(matmul)                                                                                                          \
    X(mask)                                                                                                            \
    X(rms_norm)                                                                                                        \
    X(silu)                                                                                                            \
    X(hardswish)                                                                                                       \
    X(swiglu)                                                                                                          \
    X(geglu)                                                                                                           \
    X(rotary)                                                                                                          \
    X(cast)

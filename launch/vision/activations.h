/* SPDX-License-Identifier: Apache-2.0
 * Activations of convolutional networks: which values of a graph they are, and Grad-CAM. */
#ifndef LS_LAUNCH_VISION_ACTIVATIONS_H
#define LS_LAUNCH_VISION_ACTIVATIONS_H

#include "core/graph/graph.h"
#include "launch/run/run_setup.h"

/* Returns the end of a layer that begins with node `n`: its output after the norms, sums and nonlinearities that only
 * it feeds and that keep its shape.  conv2d, batch_norm, add, relu: the output of the relu. */
ls_tensor *ls_layer_end(const ls_node *n);

/* Returns whether the node is a convolution of images. */
bool ls_is_conv(const ls_node *n);

/* Builds the run's model, in float32, in a graph of its own: *image, its input, and *logits. */
ls_status ls_rebuild_classifier(const ls_run *run, ls_graph *g, ls_tensor **image, ls_tensor **logits);

/* The parameters of a run, or of a folder that it has opened. */
ls_params *ls_run_params(const ls_run *run);

/* ---- Grad-CAM ---------------------------------------------------------------------------------------------------- */

typedef struct ls_grad_cam ls_grad_cam;

/* Compiles the model with the gradient of a logit with respect to the last convolutional activation of more than one
 * pixel.  *cam is NULL if the model has none. */
ls_status ls_grad_cam_new(ls_grad_cam **cam, const ls_run *run);
void      ls_grad_cam_free(ls_grad_cam *cam); /* NULL is allowed */

/* The size of the maps, and the convolution's name with the activation's shape. */
int         ls_grad_cam_height(const ls_grad_cam *cam);
int         ls_grad_cam_width(const ls_grad_cam *cam);
const char *ls_grad_cam_layer(const ls_grad_cam *cam);

/* Computes the map of a class for an image as the model reads it: height x width values from 0 to 1.  All are 0 where
 * no pixel speaks for the class. */
ls_status ls_grad_cam_map(ls_grad_cam *cam, const float *image, int class, float *map);

#endif

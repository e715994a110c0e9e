/* SPDX-License-Identifier: Apache-2.0
 * Opens a trained model without its dataset, and writes a model. */
#ifndef LS_LAUNCH_RUN_OPEN_MODEL_H
#define LS_LAUNCH_RUN_OPEN_MODEL_H

#include "launch/lockstep.h"
#include "launch/run/run_setup.h"

/* Opens the model of a run directory, of one of its checkpoints, or of a folder in the format of Hugging Face.
 * precision: "float32" or "bfloat16"; NULL: that of the run's recipe, float32 for a folder.  Collective. */
ls_status ls_run_open_model(ls_run *run, const char *path, const char *precision);

/* Opens a safetensors file of a model for images, with the parameter names of torchvision, timm or transformers.
 * architecture: its name there, such as "resnet50".  Its images are side x side pixels, resized and normalised as for
 * ImageNet.  Collective. */
ls_status ls_run_open_file(ls_run *run, const char *file, const char *architecture, int side);

/* Writes the run's model as a safetensors file, with the description of its dataset in the metadata: it says how the
 * inputs are made and names the classes.  Not collective. */
ls_status ls_run_save_model(ls_run *run, const char *path);

#endif

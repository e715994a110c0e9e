/* SPDX-License-Identifier: Apache-2.0
 * Writes a model as a folder that other libraries load. */
#ifndef LS_LAUNCH_TRANSFER_EXPORT_MODEL_H
#define LS_LAUNCH_TRANSFER_EXPORT_MODEL_H

#include "launch/run/run_setup.h"

typedef enum ls_export_format {
    LS_EXPORT_TIMM,        /* also for torchvision, and for this program to read again */
    LS_EXPORT_TRANSFORMERS /* ResNet                                                   */
} ls_export_format;

/* Writes the parameters, float32, and config.json into a new folder.  The model is one of dist/interop/image_models.h,
 * opened by ls_run_open_model or ls_run_open_file.  LS_ERR_USAGE: the format cannot hold the model, or the folder
 * exists.  Collective. */
ls_status ls_export_model(ls_run *run, const char *folder, ls_export_format format);

#endif

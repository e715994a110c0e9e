/* SPDX-License-Identifier: Apache-2.0
 * The examination of an image classifier at the end of its training, as a section of report.html. */
#ifndef LS_LAUNCH_VISION_EXAMINE_H
#define LS_LAUNCH_VISION_EXAMINE_H

#include "launch/run/run_setup.h"

/* Evaluates the run's model on its held-out split, and writes the section: results by class, calibration, the worst
 * mistakes with Grad-CAM.  Sets run->examined on rank 0; its bytes do not depend on the number of ranks and threads.
 * Collective. */
ls_status ls_examine_classifier(ls_run *run);

#endif

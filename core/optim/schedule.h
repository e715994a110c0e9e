/* SPDX-License-Identifier: Apache-2.0
 * Checks and settings of learning-rate schedules and optimizers.  Not public. */
#ifndef LS_CORE_OPTIM_SCHEDULE_H
#define LS_CORE_OPTIM_SCHEDULE_H

#include "core/core.h"

/* Checks all settings.  LS_ERR_USAGE: a setting is out of range, or the schedule does not have it. */
ls_status ls__schedule_check(const ls_schedule *s);

/* Returns whether the schedule or optimizer has the setting at an offset in ls_schedule or ls_optim, bytes. */
bool ls__schedule_has(ls_schedule_kind kind, size_t offset);
bool ls__optim_has(ls_optim_kind kind, size_t offset);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Checks and settings of learning-rate schedules and optimizers.  Not public. */
#ifndef LS_CORE_OPTIM_SCHEDULE_H
#define LS_CORE_OPTIM_SCHEDULE_H

#include "core/core.h"

/* LS_ERR_USAGE names a setting that is out of range or that the schedule does not have. */
ls_status ls__schedule_check(const ls_schedule *s);

/* Whether the schedule or optimizer has the setting at this offset in ls_schedule or ls_optim. */
bool ls__schedule_has(ls_schedule_kind kind, size_t offset);
bool ls__optim_has(ls_optim_kind kind, size_t offset);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Marks the declarations of a public header: exported from the shared library, with C linkage in C++.  Everything else
 * is hidden (-fvisibility=hidden).
 *
 *     LS_PUBLIC_BEGIN
 *     ls_status ls_comm_self(ls_comm **comm);
 *     LS_PUBLIC_END
 */
#ifndef LS_CORE_BASE_PUBLIC_H
#define LS_CORE_BASE_PUBLIC_H

#if defined(__GNUC__)
#define LS__VISIBILITY_PUSH _Pragma("GCC visibility push(default)")
#define LS__VISIBILITY_POP _Pragma("GCC visibility pop")
#else
#define LS__VISIBILITY_PUSH
#define LS__VISIBILITY_POP
#endif

/* clang-format off */
#ifdef __cplusplus
#define LS_PUBLIC_BEGIN LS__VISIBILITY_PUSH extern "C" {
#define LS_PUBLIC_END } LS__VISIBILITY_POP
#else
#define LS_PUBLIC_BEGIN LS__VISIBILITY_PUSH
#define LS_PUBLIC_END LS__VISIBILITY_POP
#endif
/* clang-format on */

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Status and errors.  Every function that can fail returns an ls_status; the text of the error, its trace and its hint
 * are kept per thread until the next failure:
 *
 *     ls_status read_header(const char *path)
 *     {
 *         LS_CHECK(magic == 0x803, LS_ERR_DATA, "%s: expected the magic number 0x803, found 0x%x"
 *                  LS_HINT "is this an idx file of images?", path, magic);
 *         LS_TRY(read_dims(path));
 *         return LS_OK;
 *     }
 *
 * A message says what was expected, what was found, where, and what to do.  Only `main` ends the process.
 */
#ifndef LS_CORE_BASE_STATUS_H
#define LS_CORE_BASE_STATUS_H

#include "core/base/public.h"

LS_PUBLIC_BEGIN

/* The status of a call is also the exit code of the program that ends with it. */
#define LS_STATUS_LIST(X)                                                                                              \
    X(OK, 0, "done")                                                                                                   \
    X(ERR_FAILED, 1, "failed")                                                                                         \
    X(ERR_USAGE, 2, "wrong usage or recipe")                                                                           \
    X(ERR_DATA, 3, "bad data")                                                                                         \
    X(ERR_ENV, 4, "the environment does not allow it")                                                                 \
    X(ERR_DIVERGED, 5, "the training diverged")                                                                        \
    X(STOPPED, 75, "stopped with a checkpoint, on a signal or as its time was over")

typedef enum ls_status {
#define X(name, code, text) LS_##name = code,
    LS_STATUS_LIST(X)
#undef X
} ls_status;

#if defined(__GNUC__)
#define LS_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define LS_PRINTF(text, first)
#endif

/* Goes between the message and what to do about it. */
#define LS_HINT "\n  hint: "

/* Starts an error: keeps the message and the place, and is worth `status`. */
#define LS_FAIL(status, ...) ls__fail((status), __FILE__, __LINE__, __func__, __VA_ARGS__)

/* Returns from the calling function with an error unless `condition` holds. */
#define LS_CHECK(condition, status, ...)                                                                               \
    do {                                                                                                               \
        if (!(condition)) return LS_FAIL((status), __VA_ARGS__);                                                       \
    } while (0)

/* Returns from the calling function if `call` failed, adding this place to the trace. */
#define LS_TRY(call)                                                                                                   \
    do {                                                                                                               \
        ls_status ls__status = (call);                                                                                 \
        if (ls__status != LS_OK) return ls__trace(ls__status, __FILE__, __LINE__, __func__);                           \
    } while (0)

/* Same, but goes to a label with `*status` set: for functions that hold something to release. */
#define LS_TRY_GOTO(status, call, label)                                                                               \
    do {                                                                                                               \
        if (((status) = (call)) != LS_OK) {                                                                            \
            ls__trace((status), __FILE__, __LINE__, __func__);                                                         \
            goto label;                                                                                                \
        }                                                                                                              \
    } while (0)

/* The message of this thread's last error, hint included; "" before the first.  Valid until the next error. */
const char *ls_error_message(void);

/* Where it happened, one "  at function (file:line)" per line, innermost first. */
const char *ls_error_trace(void);

/* A status in words: "bad data". */
const char *ls_status_text(ls_status status);

/* Replaces this thread's error with one made elsewhere (another thread or rank). */
ls_status ls_error_set(ls_status status, const char *message, const char *trace);

ls_status ls__fail(ls_status status, const char *file, int line, const char *func, const char *format, ...)
    LS_PRINTF(5, 6);
ls_status ls__trace(ls_status status, const char *file, int line, const char *func);

LS_PUBLIC_END
#endif

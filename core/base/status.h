/* SPDX-License-Identifier: Apache-2.0
 *
 * Status and errors.  Every function that can fail returns an ls_status.  The message of the error, with its hint, and
 * its trace are kept per thread until the next error:
 *
 *     ls_status read_header(const char *path)
 *     {
 *         LS_CHECK(magic == 0x803, LS_ERR_DATA, "%s: expected the magic number 0x803, found 0x%x"
 *                  LS_HINT "is this an idx file of images?", path, magic);
 *         LS_TRY(read_dims(path));
 *         return LS_OK;
 *     }
 *
 * A message has the object at fault, what was expected, what was found, and a hint what to do.  Only `main` ends the
 * process, with three exceptions: no memory (arena.h), the watchdog (dist/health), and the guard of MPI_Init
 * (dist/comm).
 */
#ifndef LS_CORE_BASE_STATUS_H
#define LS_CORE_BASE_STATUS_H

#include "core/base/public.h"

LS_PUBLIC_BEGIN

/* Statuses.  Their values are the exit codes of the program. */
#define LS_STATUS_LIST(X)                                                                                              \
    X(OK, 0, "done")                                                                                                   \
    X(ERR_FAILED, 1, "failed")                                                                                         \
    X(ERR_USAGE, 2, "wrong usage or recipe")                                                                           \
    X(ERR_DATA, 3, "bad data")                                                                                         \
    X(ERR_ENV, 4, "the environment does not allow it")                                                                 \
    X(ERR_DIVERGED, 5, "the training diverged")                                                                        \
    X(STOPPED, 75, "checkpointed and stopped: signal received or time limit reached")

typedef enum ls_status {
#define X(name, code, text) LS_##name = code,
    LS_STATUS_LIST(X)
#undef X
} ls_status;

enum { LS_ERROR_BYTES = 4096 }; /* of a message and of a trace; longer ones are cut */

#if defined(__GNUC__)
#define LS_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define LS_PRINTF(text, first)
#endif

/* Separates a message from its hint. */
#define LS_HINT "\n  hint: "

/* Records an error with its message and place.  Its value is `status`. */
#define LS_FAIL(status, ...) ls__fail((status), __FILE__, __LINE__, __func__, __VA_ARGS__)

/* Returns an error from the calling function unless `condition` holds. */
#define LS_CHECK(condition, status, ...)                                                                               \
    do {                                                                                                               \
        if (!(condition)) return LS_FAIL((status), __VA_ARGS__);                                                       \
    } while (0)

/* Returns from the calling function if `call` fails, and adds this place to the trace. */
#define LS_TRY(call)                                                                                                   \
    do {                                                                                                               \
        ls_status ls__status = (call);                                                                                 \
        if (ls__status != LS_OK) return ls__trace(ls__status, __FILE__, __LINE__, __func__);                           \
    } while (0)

/* Sets `status` and, if `call` fails, jumps to `label`: for functions that have something to release. */
#define LS_TRY_GOTO(status, call, label)                                                                               \
    do {                                                                                                               \
        if (((status) = (call)) != LS_OK) {                                                                            \
            ls__trace((status), __FILE__, __LINE__, __func__);                                                         \
            goto label;                                                                                                \
        }                                                                                                              \
    } while (0)

/* The message of this thread's last error, with its hint; "" before the first.  Valid until the next error. */
const char *ls_error_message(void);

/* The trace of this thread's last error: one "  at function (file:line)" per line, innermost first. */
const char *ls_error_trace(void);

/* The text of a status: "bad data". */
const char *ls_status_text(ls_status status);

/* Replaces this thread's error with one made elsewhere (another thread or rank).  Returns `status`. */
ls_status ls_error_set(ls_status status, const char *message, const char *trace);

/* A copy of an error, which keeps it across a cleanup that can fail as well:
 *
 *     ls_error first = ls_error_save(status);
 *     (void)remove_temporary_files();
 *     return ls_error_restore(&first);
 */
typedef struct ls_error {
    ls_status status;
    char      message[LS_ERROR_BYTES];
    char      trace[LS_ERROR_BYTES];
} ls_error;
ls_error  ls_error_save(ls_status status);
ls_status ls_error_restore(const ls_error *error); /* returns its status */

ls_status ls__fail(ls_status status, const char *file, int line, const char *func, const char *format, ...)
    LS_PRINTF(5, 6);
ls_status ls__trace(ls_status status, const char *file, int line, const char *func);

LS_PUBLIC_END
#endif

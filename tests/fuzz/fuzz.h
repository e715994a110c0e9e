/* SPDX-License-Identifier: Apache-2.0
 *
 * A fuzz target is a function of bytes that must return for any bytes, with LS_OK or with an error that has a message.
 * Built alone (LOCKSTEP_FUZZ=ON) it is a libFuzzer program; included by a test_*_fuzz_replay.c it is one of its cases.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "tests/datasets/dataset_files_for_tests.h"

#ifdef LS_FUZZ_REPLAY
#define FUZZ_TARGET(name) static void fuzz_##name(const uint8_t *data, size_t bytes)
#else
#define FUZZ_TARGET(name)                                                                                              \
    static void fuzz_##name(const uint8_t *data, size_t bytes);                                                        \
    int         LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);                                             \
    int         LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)                                              \
    {                                                                                                                  \
        fuzz_##name(data, bytes);                                                                                      \
        return 0;                                                                                                      \
    }                                                                                                                  \
    static void fuzz_##name(const uint8_t *data, size_t bytes)
#endif

/* HDF5 1.10 leaks a few hundred bytes on some damaged files. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }

/* HDF5 allocates as much memory as a damaged file states, and handles a NULL result.  Let malloc of the sanitizer
 * return NULL instead of aborting. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static char fuzz_path[FILES_PATH];

static inline void fuzz_folder_end(void) { folder_remove(fuzz_path); }

/* Returns a temporary folder, one for the whole process. */
static inline const char *fuzz_folder(void)
{
    if (!fuzz_path[0]) {
        folder_make(fuzz_path);
        atexit(fuzz_folder_end);
    }
    return fuzz_path;
}

static inline void fuzz_expect(int condition)
{
    if (!condition) abort();
}

/* Checks that an error has a message. */
static inline void fuzz_status(ls_status status) { fuzz_expect(status == LS_OK || strlen(ls_error_message()) > 10); }

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Runs fuzz targets in the normal tests on their committed seeds: each seed unchanged, truncated, and with
 * pseudo-random changes that are the same in every run.
 *
 *     #define LS_FUZZ_REPLAY
 *     #include "tests/fuzz/fuzz_import_mnist.c"
 *     #include "tests/fuzz/replay.h"
 *     static void import_mnist(void **state) { replay("import_mnist", fuzz_import_mnist, 40); }
 */
#ifndef TESTS_FUZZ_REPLAY_H
#define TESTS_FUZZ_REPLAY_H

#include "core/base/philox.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit.h"

enum { REPLAY_BYTES = 1 << 16, REPLAY_CUTS = 16 };

/* Makes one to four changes: a byte, a bit, an extreme value, some bytes copied, or the end removed. */
static inline size_t replay_change(uint8_t *data, size_t bytes, uint64_t key, uint64_t round)
{
    uint32_t changes = 1 + ls_philox(key, round, 0).v[0] % 4;
    for (uint32_t k = 1; k <= changes && bytes > 0; k++) {
        ls_philox4 c  = ls_philox(key, round, k);
        size_t     at = c.v[0] % bytes, from = c.v[2] % bytes;
        size_t     room = bytes - (at > from ? at : from), four = room < 4 ? room : 4;
        switch (c.v[1] % 5) {
        case 0:
            data[at] = (uint8_t)c.v[2];
            break;
        case 1:
            data[at] ^= (uint8_t)(1u << c.v[2] % 8);
            break;
        case 2:
            memset(data + at, c.v[2] & 1 ? 0xff : 0, four);
            break;
        case 3:
            memmove(data + at, data + from, four);
            break;
        default:
            bytes = c.v[2] % 4 ? bytes : at + 1;
        }
    }
    return bytes;
}

static inline void replay(const char *name, void (*target)(const uint8_t *data, size_t bytes), int rounds)
{
    static uint8_t data[REPLAY_BYTES], changed[REPLAY_BYTES];
    char           folder[1024], path[2048];
    int            files = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", LOCKSTEP_SOURCE, name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        size_t bytes = file_read(path, data, REPLAY_BYTES);
        assert_in_range(bytes, 1, REPLAY_BYTES - 1);
        target(data, bytes);
        for (size_t cut = 0; cut < REPLAY_CUTS && cut < bytes; cut++) target(data, bytes * cut / REPLAY_CUTS);
        for (int round = 0; round < rounds; round++) {
            memcpy(changed, data, bytes);
            target(changed, replay_change(changed, bytes, ls_key(1, e->d_name), (uint64_t)round));
        }
        files++;
    }
    closedir(dir);
    assert_true(files > 0);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * The fuzz targets on their committed seeds, each as it is, cut, and with bytes changed in ways that are the same every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define LS_FUZZ_REPLAY
#include "core/base/philox.h"
#include "tests/fuzz/fuzz_idx.c"
#include "tests/fuzz/fuzz_picture.c"
#include "tests/fuzz/fuzz_shard.c"

enum { MOST = 1 << 16 };

typedef struct target {
    const char *name;
    void      (*run)(const uint8_t *data, size_t bytes);
    int         rounds; /* mutations of each seed */
} target;

/* One to four changes: a byte, a bit, an extreme value in four bytes, a piece moved, the end cut off. */
static size_t mutate(uint8_t *data, size_t bytes, uint64_t key, int round)
{
    ls_philox4 r = ls_philox(key, (uint64_t)round, 0);
    for (unsigned k = 0; k <= r.v[0] % 4 && bytes > 8; k++) {
        ls_philox4 c  = ls_philox(key, (uint64_t)round, k + 1);
        size_t     at = c.v[0] % bytes, last = bytes - 4;
        switch (c.v[1] % 5) {
        case 0: data[at] = (uint8_t)c.v[2]; break;
        case 1: data[at] ^= (uint8_t)(1 << c.v[2] % 8); break;
        case 2: memset(data + (at < last ? at : last), c.v[2] & 1 ? 0xff : 0, 4); break;
        case 3: memmove(data + (at < last ? at : last), data + c.v[2] % last, 4); break;
        default: bytes = c.v[2] % 4 ? bytes : at + 1;
        }
    }
    return bytes;
}

static void replay_file(const target *t, const char *path)
{
    static uint8_t data[MOST], changed[MOST];
    size_t         bytes = file_read(path, data, MOST);
    assert_in_range(bytes, 1, MOST - 1);
    t->run(data, bytes);
    for (int cut = 0; cut < 16; cut++) t->run(data, bytes * (size_t)cut / 16);
    for (int round = 0; round < t->rounds; round++) {
        memcpy(changed, data, bytes);
        t->run(changed, mutate(changed, bytes, ls_key(1, t->name), round));
    }
}

static void replay(void **state)
{
    const target *t = *state;
    char          folder[1024], path[1400];
    int           files = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", LOCKSTEP_SOURCE, t->name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)); files++) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        replay_file(t, path);
    }
    closedir(dir);
    assert_true(files > 4);
}

int main(void)
{
    target idx = {"idx", fuzz_idx, 15}, picture = {"picture", fuzz_picture, 100}, shard = {"shard", fuzz_shard, 30};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(replay, &idx),
        cmocka_unit_test_prestate(replay, &picture),
        cmocka_unit_test_prestate(replay, &shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * */
/* labels: io */
/* A damaged checkpoint is never loaded, and the older one is: flipped bytes, truncated, missing and exchanged files, in
 * each of its files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/dist/checkpoint/checkpoint_model.h"

static char              folder[64];
static const char *const files[] = {"part-0000.h5", "part-0001.h5", "part-0002.h5", "manifest.xxh64"};
enum { FILES = sizeof files / sizeof *files, PARTS = FILES - 1 };

static void shell(const char *format, ...)
{
    char    command[1024], full[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(full, sizeof full, "cd %s && %s", folder, command);
    if (system(full) != 0) fail_msg("%s", full);
}

/* Writes a checkpoint as PARTS ranks do.  File i has the partition of writer shares[i] and the file number numbers[i];
 * in a correct checkpoint both are i. */
static void save_as(float scale, int64_t step, const int shares[PARTS], const int numbers[PARTS])
{
    model       m;
    ls_state    share;
    ls_arena   *arena;
    ls_progress p = {.step = step, .isa = "v3"};
    uint64_t    sums[PARTS];
    int64_t     bytes;
    char        path[LS_PATH_BYTES], part[LS_PATH_BYTES];
    model_make(&m, scale);
    assert_int_equal(ls_arena_new(&arena, "test"), LS_OK);
    assert_int_equal(ls__checkpoint_temporary(path, folder, step), LS_OK);
    assert_int_equal(mkdir(path, 0777), 0);
    for (int i = 0; i < PARTS; i++) {
        ls__state_partition(&m.state, shares[i], PARTS, arena, &share);
        snprintf(part, sizeof part, "%.4000s/%s", path, files[i]);
        assert_int_equal(ls__checkpoint_file_write(part, &share, &p, numbers[i], PARTS, &sums[i], &bytes), LS_OK);
    }
    assert_int_equal(ls__checkpoint_publish(folder, &p, PARTS, sums), LS_OK);
    ls_arena_free(arena);
}

static const int in_order[PARTS] = {0, 1, 2};

static void save(float scale, int64_t step) { save_as(scale, step, in_order, in_order); }

static int set_up(void **state)
{
    strcpy(folder, "/tmp/lockstep-damage-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    save(1, 10);
    save(2, 20);
    shell("cp -r step-00000020 good");
    return freopen("/dev/null", "w", stderr) == NULL; /* each damage prints a warning */
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void expect(float scale, int64_t step, const char *what)
{
    model       m;
    ls_progress p;
    bool        found = false;
    model_make(&m, 0);
    ls_status status = ls__checkpoint_load(NULL, &m.state, folder, &p, &found);
    if (status != LS_OK || !found || p.step != step || !model_is(&m, scale))
        fail_msg("%s: expected the checkpoint of step %d, found status %d, step %d, %s", what, (int)step, (int)status,
                 (int)p.step, model_is(&m, scale) ? "its values" : "other values");
}

static void test_intact(void **state) { expect(2, 20, "nothing"); }

static size_t read_file(const char *name, unsigned char *bytes, size_t room)
{
    char path[256];
    snprintf(path, sizeof path, "%s/step-00000020/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

static void write_file(const char *name, const unsigned char *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/step-00000020/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void test_flipped_bytes(void **state)
{
    static unsigned char bytes[1 << 16];
    for (int i = 0; i < FILES; i++) {
        size_t n = read_file(files[i], bytes, sizeof bytes);
        assert_true(n > 0 && n < sizeof bytes);
        for (size_t at = 0; at < n; at += i == PARTS ? 1 : 61) {
            char what[64];
            snprintf(what, sizeof what, "byte %zu of %s", at, files[i]);
            bytes[at] ^= (unsigned char)(1 << at % 8);
            write_file(files[i], bytes, n);
            expect(1, 10, what);
            bytes[at] ^= (unsigned char)(1 << at % 8);
        }
        write_file(files[i], bytes, n);
        expect(2, 20, files[i]);
    }
}

static void test_files_that_end_early(void **state)
{
    static unsigned char bytes[1 << 16];
    for (int i = 0; i < FILES; i++) {
        size_t n = read_file(files[i], bytes, sizeof bytes);
        for (size_t end = 0; end < n; end += i == PARTS ? 1 : 499) {
            char what[64];
            snprintf(what, sizeof what, "%zu bytes of %s", end, files[i]);
            write_file(files[i], bytes, end);
            expect(1, 10, what);
        }
        write_file(files[i], bytes, n);
    }
    expect(2, 20, "all restored");
}

static void test_files_mixed_up(void **state)
{
    static const char *const damages[] = {
        "rm part-0000.h5",
        "rm part-0002.h5",
        "rm manifest.xxh64",
        "rm *",
        "cp part-0000.h5 part-0001.h5",
        "mv part-0000.h5 x; mv part-0001.h5 part-0000.h5; mv x part-0001.h5",
        "cp ../step-00000010/part-0001.h5 .",
        "cp ../step-00000010/* .",
        "head -n 2 ../good/manifest.xxh64 > manifest.xxh64",
        "tail -n 2 ../good/manifest.xxh64 > manifest.xxh64",
        "tac ../good/manifest.xxh64 > manifest.xxh64",
        "cat ../good/manifest.xxh64 >> manifest.xxh64",
        "echo >> manifest.xxh64",
        "rm part-0001.h5; mkdir part-0001.h5",
        "rm part-0001.h5; mkfifo part-0001.h5",
        "rm manifest.xxh64; mkfifo manifest.xxh64",
        /* each file has the checksum of the manifest, but they belong to different checkpoints */
        "cp ../step-00000010/part-0001.h5 .; { head -n 1 ../good/manifest.xxh64; sed -n 2p "
        "../step-00000010/manifest.xxh64; tail -n 1 ../good/manifest.xxh64; } > manifest.xxh64",
        "cp part-0000.h5 part-0001.h5; sed -n '1p;1s/0000/0001/p;3p' ../good/manifest.xxh64 > manifest.xxh64",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        shell("cd step-00000020 && { %s; }", damages[i]);
        expect(1, 10, damages[i]);
        shell("rm -r step-00000020 && cp -r good step-00000020");
        expect(2, 20, "restored");
    }
}

/* Every file is intact and has the checksum of the manifest, but the ranges of the arrays overlap or have gaps. */
static void test_ranges_that_do_not_fit(void **state)
{
    static const int shares[][PARTS] = {{0, 0, 2}, {0, 1, 1}, {1, 1, 2}, {0, 2, 2}}, swapped[PARTS] = {0, 2, 1};
    char             what[64];
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        snprintf(what, sizeof what, "partitions %d %d %d", shares[i][0], shares[i][1], shares[i][2]);
        shell("rm -r step-00000020");
        save_as(2, 20, shares[i], in_order);
        expect(1, 10, what);
    }
    shell("rm -r step-00000020");
    save_as(2, 20, in_order, swapped);
    expect(1, 10, "files with other numbers");
    shell("rm -r step-00000020");
    save_as(2, 20, swapped, in_order);
    expect(2, 20, "files in another order"); /* the order of the ranges does not matter */
}

static void test_earlier_format(void **state)
{
    model       m;
    ls_progress p;
    bool        found;
    model_make(&m, 0);
    shell("mkdir step-00000030 && touch step-00000030/state.h5 step-00000030/state.xxh64");
    assert_int_equal(ls__checkpoint_load(NULL, &m.state, folder, &p, &found), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "expected format version 2, found 1"));
    shell("rm -r step-00000030");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intact),
        cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_files_that_end_early),
        cmocka_unit_test(test_files_mixed_up),
        cmocka_unit_test(test_ranges_that_do_not_fit),
        cmocka_unit_test(test_earlier_format),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

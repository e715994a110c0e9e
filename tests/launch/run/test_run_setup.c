/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a run: the planned arena is used completely, and training allocates nothing after its second step. */
#include "launch/commands/command_run.h"
#include "launch/run/evaluate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dist/trainer/trainer.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
enum { COUNTS = 0 }; /* AddressSanitizer replaces the allocator */
static atomic_long allocations;
#else
enum { COUNTS = 1 };
/* malloc, calloc and realloc that count; they replace those of glibc in the program and its libraries. */
extern void       *__libc_malloc(size_t bytes);
extern void       *__libc_calloc(size_t n, size_t bytes);
extern void       *__libc_realloc(void *p, size_t bytes);
static atomic_long allocations;

void *malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(p, bytes);
}
#endif

static void open_run(ls_run *r, int n, char **argv)
{
    ls_args args;
    assert_int_equal(ls_command_start(r, &args, n, argv), LS_OK);
    if (ls_run_recipe(r, args.positional[0], args.overrides, args.override) != LS_OK)
        fail_msg("%s", ls_error_message());
    assert_int_equal(ls_run_data(r, LS_SPLITS_BOTH), LS_OK);
    assert_int_equal(ls_run_graph(r), LS_OK);
    if (ls_run_trainer(r) != LS_OK) fail_msg("%s", ls_error_message());
}

static char *lenet[] = {"train", "lenet5-digits", "data.train_count=600", "data.test_count=100", "train.batch=60"};
static char *micro[] = {"train",          "lenet5-digits",      "data.train_count=600", "data.test_count=100",
                        "train.batch=60", "train.accumulate=4", "optim.name=adamw",     "optim.momentum=0"};

static const struct {
    const char *name;
    int         n;
    char      **argv;
} runs[] = {{"lenet5", 5, lenet}, {"lenet5 in micro-steps", 8, micro}};

static ls_loader *open_loader(ls_run *r)
{
    ls_loader *loader;
    assert_int_equal(ls_loader_new(&loader, r->train, .batch = r->recipe->train.batch, .shards = r->shards,
                                   .ranks = r->ranks, .rank = r->rank, .seed = 1),
                     LS_OK);
    return loader;
}

/* Steps 3 to 30, across the ends of epochs, allocate nothing. */
static void allocates_nothing_after_the_second_step(void **state)
{
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        ls_run     r;
        ls_batch   batch;
        ls_metrics m;
        open_run(&r, runs[k].n, runs[k].argv);
        ls_loader *loader = open_loader(&r);
        long       before = 0;
        uint64_t   blocks = 0;
        for (int i = 0; i < 30; i++) {
            assert_true(ls_loader_next(loader, &batch));
            assert_int_equal(ls_trainer_step(r.trainer, &batch, &m), LS_OK);
            if (i == 1) before = atomic_load(&allocations), blocks = ls_alloc_count();
        }
        long after = atomic_load(&allocations);
        if (COUNTS && after != before) fail_msg("%s: %ld allocations in steps 3 to 30", runs[k].name, after - before);
        assert_int_equal(ls_alloc_count(), blocks);
        assert_true(!COUNTS || before > 0); /* the counter works */
        ls_loader_free(loader);
        ls_command_finish(&r, LS_OK);
    }
}

/* The program uses the planned arena to its last byte, and the resident memory stays below the announced size. */
static void uses_the_planned_memory(void **state)
{
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        ls_run         r;
        ls_batch       batch;
        ls_metrics     m;
        ls_memory_line lines[LS_MEMORY_LINES];
        size_t         planned, bytes = 0;
        ls_scores      scores;
        open_run(&r, runs[k].n, runs[k].argv);
        ls_loader *loader = open_loader(&r);
        for (int i = 0; i < 3; i++) {
            assert_true(ls_loader_next(loader, &batch));
            assert_int_equal(ls_trainer_step(r.trainer, &batch, &m), LS_OK);
        }
        assert_int_equal(ls_run_evaluate_split(&r, r.test, &scores), LS_OK);
        size_t high = ls__trainer_high_water(r.trainer, &planned);
        assert_int_equal(high, planned);
        for (int i = ls__trainer_memory(r.trainer, lines) - 1; i >= 0; i--) {
            bytes += lines[i].planned;
            assert_true(lines[i].touched <= lines[i].planned);
        }
        assert_int_equal(bytes, ls_trainer_planned_bytes(r.trainer));
        assert_true(ls_trainer_peak_bytes(r.trainer) <= bytes);
        ls_loader_free(loader);
        ls_command_finish(&r, LS_OK);
    }
}

static void shares_the_cores(void **state)
{
    ls_run  r;
    ls_args args;
    unsetenv("OMP_NUM_THREADS");
    assert_int_equal(ls_command_start(&r, &args, 2, lenet), LS_OK);
    assert_true(r.threads >= 1);
    assert_int_equal(r.ranks, 1);
    ls_command_finish(&r, LS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_nothing_after_the_second_step),
        cmocka_unit_test(uses_the_planned_memory),
        cmocka_unit_test(shares_the_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

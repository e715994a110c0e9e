/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 300 */
/* train.precision=bfloat16 and --precision, from the command line and as a C program: training, resuming after a kill,
 * evaluation, generation, explain, and what is refused. */
#define RUN                                                                                                            \
    "train ./tiny.yaml data.path=words train.precision=bfloat16 checkpoint.every=4 optim.lr=0.05 "                     \
    "log.every=1 "
#include "tests/launch/words.h"

#include "core/base/isa.h"
#include "launch/lockstep.h"

/* ---- training ---------------------------------------------------------------------------------------------------- */

static void the_run_names_its_precision(void **state)
{
    make_reference();
    json_t *all = events_of("reference");
    assert_string_equal(string(json_array_get(all, 0), "precision"), "bfloat16");
    json_decref(all);
    assert_non_null(strstr(text_of("reference/report.html"), "B x 16 x 48 bfloat16"));
    assert_non_null(strstr(text_of("reference/report.html"), "train.precision"));
    assert_int_equal(run(RUN "run.dir=short train.max_steps=2"), 0);
    assert_non_null(strstr(text_of("err"), ", bfloat16\n"));
    assert_int_equal(run(RUN "run.dir=short train.max_steps=2 train.precision=float32 --fresh"), 0);
    assert_null(strstr(text_of("err"), "bfloat16"));
    assert_null(strstr(text_of("short/metrics.jsonl"), "precision"));
    assert_null(strstr(text_of("short/report.html"), "bfloat16"));
}

/* A processor without AVX512_BF16: a note says so, once. */
static void a_lower_level_is_noted(void **state)
{
#if defined(__x86_64__)
    assert_int_equal(run(RUN "run.dir=low train.max_steps=2", .ranks = 2, .before = "LOCKSTEP_ISA=v2"), 0);
    assert_int_equal(count_of(text_of("err"), "note: train.precision=bfloat16: no AVX512_BF16: "), 1);
#endif
}

/* A run that continues at another level has the same bits, and no warning says otherwise.  Only amx adds in another
 * order: a run that leaves it is warned. */
static void levels_give_the_same_bits(void **state)
{
#if defined(__x86_64__)
    static const char *const levels[] = {"LOCKSTEP_ISA=v4", "LOCKSTEP_ISA=v3"};
    if (ls_isa_best() < LS_ISA_V4) skip();
    assert_int_equal(run(RUN "run.dir=v3", .before = "LOCKSTEP_ISA=v3"), 0);
    char *v3 = digests_of("v3");
    for (int i = 0; i < 2; i++) {
        const bool amx = ls_isa_best() == LS_ISA_AMX;
        assert_int_equal(
            run(RUN "run.dir=level --fresh train.max_steps=6", .before = amx ? "LOCKSTEP_ISA=v4_bf16" : ""), 0);
        assert_int_equal(run(RUN "run.dir=level", .before = levels[i]), 0);
        char *found = digests_of("level");
        assert_string_equal(found, v3);
        free(found);
        assert_null(strstr(text_of("err"), "warning"));
    }
    if (ls_isa_best() == LS_ISA_AMX) {
        assert_int_equal(run(RUN "run.dir=level --fresh train.max_steps=6"), 0);
        assert_int_equal(run(RUN "run.dir=level", .before = "LOCKSTEP_ISA=v4_bf16"), 0);
        assert_non_null(strstr(text_of("err"), "LOCKSTEP_ISA=amx keeps them"));
    }
    free(v3);
#endif
}

static void ranks_give_the_same_bits(void **state)
{
    make_reference();
    assert_int_equal(run(RUN "run.dir=other", .ranks = 2), 0);
    must_be_like_reference("other", "2 ranks");
}

static void survives_kill_9(void **state)
{
    static const struct {
        int step, before, after;
    } cases[] = {{6, 2, 1}, {11, 0, 2}};
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kill_at(cases[i].step, cases[i].before, "KILL");
        continue_on(cases[i].after);
        assert_int_equal(system("rm -rf killed"), 0);
    }
    assert_true(interrupted >= 1); /* a run may end before the kill */
}

static void another_precision_is_another_recipe(void **state)
{
    assert_int_equal(run(RUN "run.dir=part train.max_steps=4"), 0);
    assert_int_equal(run(RUN "run.dir=part train.max_steps=8 train.precision=float32", .ranks = 2), 2);
    assert_int_equal(count_of(text_of("err"), "lockstep: error:"), 1);
    assert_non_null(strstr(text_of("err"), "train.precision          bfloat16 there, float32 here"));
    assert_int_equal(run(RUN "run.dir=part train.max_steps=8", .ranks = 2), 0);
}

/* ---- a trained model --------------------------------------------------------------------------------------------- */

/* Loss of the reference run on its held-out split. */
static double loss_with(const char *precision)
{
    ls_comm  *comm;
    ls_run   *trained;
    ls_scores scores;
    assert_int_equal(ls_comm_self(&comm), LS_OK);
    assert_int_equal(ls_run_open(&trained, comm, "reference", &(ls_open_options){.precision = precision}), LS_OK);
    assert_int_equal(ls_run_evaluate(trained, NULL, &scores), LS_OK);
    ls_run_free(trained);
    ls_comm_free(comm);
    return scores.loss;
}

static void a_program_chooses_the_precision(void **state)
{
    ls_comm *comm;
    ls_run  *none;
    make_reference();
    const double bfloat16 = loss_with("bfloat16"), float32 = loss_with("float32");
    assert_true(bfloat16 == loss_with(NULL)); /* that of the recipe */
    assert_true(bfloat16 != float32);
    assert_true(fabs(bfloat16 - float32) < 0.01);
    assert_int_equal(ls_comm_self(&comm), LS_OK);
    assert_int_equal(ls_run_open(&none, comm, "reference", &(ls_open_options){.precision = "half"}), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "precision: expected float32 or bfloat16, found 'half'"));
    ls_comm_free(comm);
}

static void eval_takes_a_precision(void **state)
{
    char expected[64];
    make_reference();
    snprintf(expected, sizeof expected, "valid loss     %.4f\n", loss_with("float32"));
    assert_int_equal(run("eval reference --precision float32", .ranks = 2), 0);
    assert_null(strstr(text_of("err"), "bfloat16"));
    assert_non_null(strstr(text_of("out"), expected));
    snprintf(expected, sizeof expected, "valid loss     %.4f\n", loss_with("bfloat16"));
    assert_int_equal(run("eval reference", .ranks = 2), 0);
    assert_non_null(strstr(text_of("err"), "reference/checkpoints/step-00000030, bfloat16\n"));
    assert_non_null(strstr(text_of("out"), expected));
    assert_int_equal(run("eval reference --precision bfloat16"), 0);
    assert_non_null(strstr(text_of("out"), expected));
}

static char *generated(const char *arguments)
{
    char line[256];
    snprintf(line, sizeof line, "generate %s --max-tokens 1000", arguments);
    if (run(line, .ranks = 2) != 0) fail_msg("%s: %s", line, text_of("err"));
    return strdup(text_of("out"));
}

/* The run and a folder in the format of Hugging Face with its model give the same text in each precision. */
static void generate_takes_a_precision(void **state)
{
    make_reference();
    assert_int_equal(
        system("mkdir folder && cd reference && cp model.safetensors config.json tokenizer.json ../folder"), 0);
    char *bfloat16 = generated("reference"), *float32 = generated("reference --precision float32"),
         *asked           = generated("reference --precision bfloat16"),
         *folder_bfloat16 = generated("folder --precision bfloat16"), *folder_float32 = generated("folder");
    assert_string_equal(asked, bfloat16);
    assert_string_equal(folder_bfloat16, bfloat16);
    assert_string_equal(folder_float32, float32);
    assert_string_not_equal(bfloat16, float32);
    free(bfloat16), free(float32), free(asked), free(folder_bfloat16), free(folder_float32);
}

static void other_values_are_refused(void **state)
{
    static const char *const lines[] = {"eval reference --precision half",       "eval reference --precision ''",
                                        "generate reference --precision int32",  "generate folder --precision BFLOAT16",
                                        "predict reference x.png --precision 1", "bench gemm --precision half"};
    make_reference();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const int code = run(lines[i], .ranks = i == 0 ? 2 : 0);
        if (code != 2 || count_of(text_of("err"), "precision: expected float32 or bfloat16, found '") != 1)
            fail_msg("%s: exit code %d: %s", lines[i], code, text_of("err"));
    }
}

/* ---- explain ----------------------------------------------------------------------------------------------------- */

/* Returns the number after `key`. */
static long long number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at) fail_msg("expected '%s' in: %s", key, text);
    return atoll(at + strlen(key));
}

/* Prints the sizes of the plan that `lockstep explain` has printed as it compares them. */
static void sizes_of_plan(const char *out, char text[96])
{
    const char *memory = strstr(out, "Memory of rank 0");
    assert_non_null(memory);
    snprintf(text, 96, "step arena %lld bytes, all %lld bytes", number_after(out, "\nstep arena "),
             number_after(memory, "\n  all "));
}

static void explain_prints_types_and_both_plans(void **state)
{
    char float32[96], bfloat16[96], line[128];
    assert_int_equal(run("explain ./tiny.yaml data.path=words train.batch=64"), 0);
    assert_null(strstr(text_of("out"), "bfloat16"));
    sizes_of_plan(text_of("out"), float32);
    assert_int_equal(run("explain ./tiny.yaml data.path=words train.batch=64 train.precision=bfloat16"), 0);
    const char *out = text_of("out");
    sizes_of_plan(out, bfloat16);
    snprintf(line, sizeof line, "\n  in float32:  %s\n", float32);
    assert_non_null(strstr(out, line));
    snprintf(line, sizeof line, "\n  in bfloat16: %s, ", bfloat16);
    assert_non_null(strstr(out, line));
    assert_true(number_after(out, "in bfloat16: step arena ") < number_after(out, "in float32:  step arena "));
    assert_non_null(strstr(out, "linear               B x 16 x 48 bfloat16"));              /* layers */
    assert_non_null(strstr(out, "-> transformer.h.0.attn.c_attn  [B x 16 x 48 bfloat16]")); /* program */
    assert_non_null(strstr(out, "transformer.h.0.attn.c_attn.weight, bfloat16, "));         /* the parameter's copy */
    assert_non_null(strstr(out, " d transformer.h.0.attn.c_attn, bfloat16"));               /* plan */
    assert_null(strstr(out, " float32]"));                                                  /* float32 is not named */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_run_names_its_precision),
                                       cmocka_unit_test(a_lower_level_is_noted),
                                       cmocka_unit_test(levels_give_the_same_bits),
                                       cmocka_unit_test(ranks_give_the_same_bits),
                                       cmocka_unit_test(survives_kill_9),
                                       cmocka_unit_test(another_precision_is_another_recipe),
                                       cmocka_unit_test(a_program_chooses_the_precision),
                                       cmocka_unit_test(eval_takes_a_precision),
                                       cmocka_unit_test(generate_takes_a_precision),
                                       cmocka_unit_test(other_values_are_refused),
                                       cmocka_unit_test(explain_prints_types_and_both_plans)};
    return cmocka_run_group_tests(tests, make_words, tear_down);
}

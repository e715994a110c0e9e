/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * `lockstep bleu`: its lines, as sacreBLEU prints them, files of several forms, and refused inputs. */
#include <sys/wait.h>

#include "tests/datasets/dataset_files_for_tests.h"
#include "unit.h"

#define VERSION "|version:lockstep-" LS_VERSION

static char folder[FILES_PATH];

static void write_lines(const char *name, const char *text, size_t bytes)
{
    char path[FILES_PATH + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file_write(path, text, bytes);
}

#define WRITE(name, text) write_lines(name, text, sizeof(text) - 1)

/* Runs a shell command in the folder; returns the exit code and the printed text. */
static int run(const char *line, char text[8192])
{
    char command[2 * FILES_PATH + 1024];
    snprintf(command, sizeof command, "cd %s && export B=%s && %s", folder, LOCKSTEP_PROGRAM, line);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(text, 1, 8191, pipe);
    text[n]  = 0;
    return WEXITSTATUS(pclose(pipe));
}

static int setup(void **state)
{
    char text[8192];
    folder_make(folder);
    WRITE("ref", "The dog bit the man.\nIt was not unexpected, he said.\nThe man bit him first.\n");
    WRITE("ref2", "The dog had bit the man.\nNo one was surprised, he said.\nThe man had bitten the dog.\n");
    WRITE("hyp", "The dog bit the man.\nIt wasn't surprising, he said.\nThe man had just bitten him.\n");
    WRITE("crlf", "The dog bit the man.\r\nIt wasn't surprising, he said.\r\nThe man had just bitten him.");
    WRITE("bad", "The dog bit a man.\n\nMan dog.\n");
    WRITE("two", "one\ntwo\n");
    WRITE("latin1", "one\ntwo\nsch\xf6n\n");
    WRITE("surrogate", "one\n\xed\xa0\x80\nthree\n");
    WRITE("empty", "");
    assert_int_equal(run("gzip -k hyp ref && head -c 60 hyp.gz >cut.gz && mkdir directory", text), 0);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

/* The scores of sacreBLEU 2.6.0 for these files. */
static void one_system_is_one_line(void **state)
{
    static const char expected[] = "BLEU|nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp" VERSION
                                   " = 52.2 85.0/58.8/50.0/36.4 (BP = 0.951 ratio = 0.952 hyp_len = 20 ref_len = 21)\n";
    char text[8192], other[8192];
    assert_int_equal(run("$B bleu hyp --ref ref --ref ref2", text), 0);
    assert_string_equal(text, expected);
    assert_int_equal(run("$B bleu crlf --ref=ref --ref=ref2", other), 0);
    assert_string_equal(other, expected);
    assert_int_equal(run("$B bleu hyp.gz --ref ref.gz --ref ref2", other), 0);
    assert_string_equal(other, expected);
    assert_int_equal(run("$B bleu hyp --ref ref --chrf --word-order 2 --lowercase --width 4 --tokenize intl", text), 0);
    assert_string_equal(text, "   BLEU|nrefs:1|case:lc|eff:no|tok:intl|smooth:exp" VERSION
                              " = 43.9366 68.2/47.4/37.5/30.8 (BP = 1.000 ratio = 1.100 hyp_len = 22 ref_len = 20)\n"
                              "chrF2++|nrefs:1|case:lc|eff:yes|nc:6|nw:2|space:no" VERSION " = 56.0607\n");
}

static void an_interval_is_printed(void **state)
{
    char text[8192];
    assert_int_equal(run("$B bleu hyp --ref ref --confidence --resamples 200 --seed 7", text), 0);
    assert_non_null(strstr(text, "BLEU|nrefs:1|bs:200|seed:7|case:mixed|eff:no|tok:13a|smooth:exp" VERSION " = "));
    assert_non_null(strstr(text, " (μ = "));
    assert_non_null(strstr(text, " ± "));
}

static void systems_are_compared(void **state)
{
    char text[8192], again[8192];
    assert_int_equal(run("$B bleu hyp bad hyp --ref ref --chrf", text), 0);
    assert_int_equal(strncmp(text, "System         BLEU (μ ± 95% CI)", 30), 0);
    assert_non_null(strstr(text, "Baseline: hyp  "));
    assert_non_null(strstr(text, "\nbad  "));
    assert_non_null(strstr(text, "(p = 0."));
    assert_non_null(strstr(text, "chrF2|nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:0|space:no" VERSION));
    assert_int_equal(run("$B bleu hyp bad hyp --ref ref --chrf --seed 12345 --resamples 1000", again), 0);
    assert_string_equal(text, again);
}

static void tokenized_text_is_noted(void **state)
{
    char text[8192];
    assert_int_equal(run("yes 'a b .' | head -100 >tok && $B bleu tok --ref tok 2>&1 >/dev/null", text), 0);
    assert_string_equal(text, "note: tok: 100 lines end in ' .'; BLEU expects plain text, so detokenize it\n");
    assert_int_equal(run("$B bleu tok --ref tok --tokenize none 2>&1 >/dev/null", text), 0);
    assert_string_equal(text, "");
}

static void mistakes_have_one_message(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *message;
    } cases[] = {
        {"hyp", LS_ERR_USAGE, "bleu: --ref: expected a file of references, found none"},
        {"--ref ref", LS_ERR_USAGE, "bleu: expected  HYP [HYP2 ...]  but found 0 arguments"},
        {"hyp --ref", LS_ERR_USAGE, "bleu: --ref: expected FILE, found the end of the line"},
        {"hyp --ref ref --tokenize zh", LS_ERR_USAGE, "--tokenize: expected one of 13a intl none char, found 'zh'"},
        {"hyp --ref ref --smooth add", LS_ERR_USAGE, "--smooth: expected one of exp none floor add-k, found 'add'"},
        {"hyp --ref ref --smooth-value 1", LS_ERR_USAGE, "bleu: --smooth-value: expected --smooth floor or"},
        {"hyp --ref ref --smooth floor --smooth-value x", LS_ERR_USAGE, "--smooth-value: expected a number from"},
        {"hyp --ref ref --word-order 3", LS_ERR_USAGE, "--word-order: expected a whole number from 0 to 2, found '3'"},
        {"hyp --ref ref --width -1", LS_ERR_USAGE, "--width: expected a whole number from 0 to 15, found '-1'"},
        {"hyp bad --ref ref --resamples 1", LS_ERR_USAGE, "--resamples: expected a whole number from 2"},
        {"hyp --ref ref --seed -1", LS_ERR_USAGE, "--seed: expected a whole number from 0"},
        {"hyp --ref ref --chrf=2", LS_ERR_USAGE, "--chrf: expected no value, found '2'"},
        {"hyp --ref ref --chrff", LS_ERR_USAGE, "option '--chrff': unknown"},
        {"hyp --ref none", LS_ERR_DATA, "none: No such file or directory"},
        {"directory --ref ref", LS_ERR_DATA, "directory: cannot be read: Is a directory"},
        {"empty --ref ref", LS_ERR_DATA, "empty: expected one sentence per line, found an empty file"},
        {"two --ref ref", LS_ERR_DATA, "two: expected 3 lines, as in ref, found 2"},
        {"hyp --ref ref --ref two", LS_ERR_DATA, "two: expected 3 lines, as in ref, found 2"},
        {"latin1 --ref ref", LS_ERR_DATA, "latin1:3: expected UTF-8, found the byte 0xF6 after 3 bytes"},
        {"hyp --ref surrogate", LS_ERR_DATA, "surrogate:2: expected UTF-8, found the byte 0xED after 0 bytes"},
        {"cut.gz --ref ref", LS_ERR_DATA, "cut.gz: cannot be read: "},
    };
    char line[256], text[8192];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "$B bleu %s 2>&1", cases[i].arguments);
        int code = run(line, text);
        if (code != cases[i].code || !strstr(text, cases[i].message))
            fail_msg("bleu %s: exit code %d:\n%s", cases[i].arguments, code, text);
        assert_null(strstr(strchr(text, '\n') + 1, "lockstep: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_system_is_one_line),    cmocka_unit_test(an_interval_is_printed),
        cmocka_unit_test(systems_are_compared),      cmocka_unit_test(tokenized_text_is_noted),
        cmocka_unit_test(mistakes_have_one_message),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

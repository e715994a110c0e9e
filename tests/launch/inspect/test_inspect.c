/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * leaks: foreign (fontconfig)
 * timeout: 300
 * `lockstep explain --attention`, `--dot-product`, `--positions`, `--scores` and `--valley`: the computed values, the
 * pictures, and refused input.
 */
#include "tests/launch/run_program.h"

#include <math.h>

#include "launch/inspect/inspect.h"

static const char *const model =
    "data: {path: ./data, context: 24}\nmodel: {name: gpt, options: {layers: 2, heads: 2, width: 16, context: 24%s}}\n"
    "train: {batch: 8, max_steps: 4, epochs: 0}\noptim: {name: adamw, lr: 0.01}\n";

static void write_recipe(const char *path, const char *options)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, model, options);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    folder_enter();
    FILE *f = fopen("text", "w");
    for (int i = 0; i < 60; i++) fputs("the quick brown fox jumps over the lazy dog. \n", f);
    fclose(f);
    write_recipe("learned.yaml", "");
    write_recipe("rotary.yaml", ", position: rotary");
    write_recipe("sinusoidal.yaml", ", position: sinusoidal");
    write_recipe("none.yaml", ", position: none");
    return run("data import text text data --tokenizer chars") || run("train ./learned.yaml run.dir=r");
}

static int tear_down(void **state)
{
    (void)state;
    folder_leave();
    return 0;
}

/* ---- computed values --------------------------------------------------------------------------------------------- */

enum { N = 12, VOCABULARY = 30 };

typedef struct small {
    ls_arena               *memory;
    ls_recipe              *recipe;
    ls_graph               *g;
    ls_params              *params;
    const ls_attention_map *map;
    int                     layers;
} small;

static small small_of(const char *recipe)
{
    small      s = {0};
    ls_tensor *logits;
    int32_t    tokens[N];
    assert_int_equal(ls_isa_init(), LS_OK);
    assert_int_equal(ls_arena_new(&s.memory, "test"), LS_OK);
    assert_int_equal(ls_recipe_load(&s.recipe, recipe, 0, NULL), LS_OK);
    s.g                   = ls_graph_new();
    ls_language_inputs in = {.x = ls_input(s.g, "tokens", LS_I32, N)};
    assert_int_equal(ls_recipe_build_language(s.recipe, s.g, &in, VOCABULARY, &logits), LS_OK);
    assert_int_equal(ls_params_new(&s.params, s.g, 3), LS_OK);
    for (int i = 0; i < N; i++) tokens[i] = i * 7 % VOCABULARY;
    assert_int_equal(ls_attention_maps(s.recipe, s.params, VOCABULARY, tokens, N, s.memory, &s.map, &s.layers), LS_OK);
    return s;
}

static void small_free(small *s)
{
    ls_params_free(s->params);
    ls_graph_free(s->g);
    ls_recipe_free(s->recipe);
    ls_arena_free(s->memory);
}

static void rows_of_maps_sum_to_one(void **state)
{
    (void)state;
    small s = small_of("./learned.yaml");
    assert_int_equal(s.layers, 2);
    assert_string_equal(s.map[1].name, "transformer.h.1.attn");
    for (int i = 0; i < s.layers; i++) {
        const ls_attention_map *m = &s.map[i];
        assert_true(m->heads == 2 && m->tokens == N && m->width == 8);
        for (int64_t r = 0; r < m->heads * N; r++) {
            double sum = 0, top = 0;
            for (int64_t k = 0; k < N; k++) {
                sum += (double)m->weights[r * N + k];
                if (k > r % N) assert_true(m->weights[r * N + k] == 0); /* later tokens are masked */
            }
            assert_true(fabs(sum - 1) < 1e-5);
            /* The weights are the softmax of the scaled scores. */
            for (int64_t k = 0; k <= r % N; k++)
                top += exp((double)(m->scale * (m->scores[r * N + k] - m->scores[r * N])));
            assert_true(fabs((double)m->weights[r * N] - 1 / top) < 1e-4);
        }
    }
    small_free(&s);
}

static void the_scale_is_an_option(void **state)
{
    (void)state;
    write_recipe("unscaled.yaml", ", attention_scale: 1");
    small with = small_of("./learned.yaml"), without = small_of("./unscaled.yaml");
    assert_true(fabs((double)with.map[0].scale - 1 / sqrt(8)) < 1e-6);
    assert_true(without.map[0].scale == 1);
    assert_memory_equal(with.map[0].scores, without.map[0].scores,
                        2 * N * N * sizeof(float)); /* scores before the scale are equal */
    small_free(&with);
    small_free(&without);
}

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

/* Queries, keys and values of the op attention give the weights that separate ops compute. */
static void weights_are_those_of_separate_ops(void **state)
{
    (void)state;
    small              s = small_of("./rotary.yaml");
    ls_graph          *g = ls_graph_new();
    ls_tensor         *logits, *out[2];
    ls_model          *separate;
    int32_t            tokens[N];
    int                n  = 0;
    ls_language_inputs in = {.x = ls_input(g, "tokens", LS_I32, N), .textbook = true};
    for (int i = 0; i < N; i++) tokens[i] = i * 7 % VOCABULARY;
    assert_int_equal(ls_recipe_build_language(s.recipe, g, &in, VOCABULARY, &logits), LS_OK);
    for (int i = 0; i < g->nodes; i++)
        if (ends_in(g->node[i]->out[0]->name, ".weights")) out[n++] = g->node[i]->out[0];
    assert_int_equal(n, 2);
    assert_int_equal(ls_model_new(&separate, g, s.params, out, n, 1), LS_OK);
    assert_int_equal(
        ls_model_run(separate,
                     &(ls_batch){.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = 1, .global_rows = 1}),
        LS_OK);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 2 * N * N; i++)
            assert_true(fabs((double)(s.map[k].weights[i] - ls_model_output(separate, k)[i])) < 1e-6);
    /* The output of a head is the sum of its values. */
    const ls_attention_map *m = &s.map[1];
    for (int c = 0; c < 8; c++) {
        double sum = 0;
        for (int t = 0; t < N; t++) sum += (double)m->weights[(N + 5) * N + t] * (double)m->v[(N + t) * 8 + c];
        assert_true(fabs(sum - (double)m->y[(N + 5) * 8 + c]) < 1e-6);
    }
    assert_true(m->causal && m->columns == 16);
    ls_model_free(separate);
    ls_graph_free(g);
    small_free(&s);
}

/* Heads that share keys and values, norms of heads, a window and a cap: the sums of the values are the op's output. */
static void outputs_are_those_of_the_op(void **state)
{
    (void)state;
    save_text("shared.yaml",
              "data: {path: ./data, context: 24}\nmodel: {name: decoder, options: {layers: 2, heads: 4, "
              "kv_heads: 2, width: 16, hidden: 24, context: 24, window: 5, attention_cap: 2, qk_norm: true}}\n"
              "train: {batch: 8, max_steps: 4, epochs: 0}\noptim: {name: adamw, lr: 0.01}\n");
    small              s = small_of("./shared.yaml");
    ls_graph          *g = ls_graph_new();
    ls_tensor         *logits, *out[4];
    ls_model          *whole;
    int32_t            tokens[N];
    int                n  = 0;
    ls_language_inputs in = {.x = ls_input(g, "tokens", LS_I32, N)};
    for (int i = 0; i < N; i++) tokens[i] = i * 7 % VOCABULARY;
    assert_int_equal(ls_recipe_build_language(s.recipe, g, &in, VOCABULARY, &logits), LS_OK);
    for (int i = 0; i < g->nodes; i++)
        if (!strcmp(ls__op(g->node[i])->name, "attention")) out[n++] = g->node[i]->out[0];
    assert_int_equal(n, 2);
    assert_int_equal(ls_model_new(&whole, g, s.params, out, n, 1), LS_OK);
    const ls_batch batch = {.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = 1, .global_rows = 1};
    assert_int_equal(ls_model_run(whole, &batch), LS_OK);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 4 * N * 4; i++) {
            const int head = i / (N * 4), t = i / 4 % N, c = i % 4;
            assert_true(fabsf(s.map[k].y[i] - ls_model_output(whole, k)[t * 16 + head * 4 + c]) < 1e-5f);
        }
    ls_model_free(whole);
    ls_graph_free(g);
    small_free(&s);
}

/* Points of a plane in five dimensions keep their distances. */
static void principal_components_of_a_plane(void **state)
{
    (void)state;
    enum { POINTS = 4, WIDTH = 5 };
    const double a[POINTS] = {3, -1, 0.5, 2}, b[POINTS] = {0.2, 1, -0.7, 0};
    float        rows[POINTS * WIDTH];
    double       x[POINTS], y[POINTS];
    ls_arena    *memory;
    assert_int_equal(ls_arena_new(&memory, "test"), LS_OK);
    for (int i = 0; i < POINTS; i++)
        for (int c = 0; c < WIDTH; c++)
            rows[i * WIDTH + c] = (float)(c == 1 ? 7 + 0.6 * a[i] : c == 3 ? 0.8 * a[i] : c == 4 ? b[i] - 2 : 1);
    assert_true(fabs(ls_principal_components(rows, POINTS, WIDTH, memory, x, y) - 1) < 1e-5);
    for (int i = 0; i < POINTS; i++)
        for (int k = 0; k < i; k++)
            assert_true(fabs(hypot(x[i] - x[k], y[i] - y[k]) - hypot(a[i] - a[k], b[i] - b[k])) < 1e-4);
    assert_true(x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + x[3] * x[3] > 4); /* the first component is the longer one */
    ls_arena_free(memory);
}

static void positions_match_their_formula(void **state)
{
    (void)state;
    ls_positions p;
    small        s = small_of("./learned.yaml");
    assert_int_equal(ls_positions_of(s.g, s.params, N, s.memory, &p), LS_OK);
    assert_true(p.kind == LS_ENCODING_LEARNED && p.rows == 24 && p.cols == 16);
    double product = 0;
    for (int c = 0; c < 16; c++) product += (double)p.table[3 * 16 + c] * (double)p.table[5 * 16 + c];
    assert_true(fabs(product - (double)p.dots[3 * 24 + 5]) < 1e-6);
    small_free(&s);
    s = small_of("./sinusoidal.yaml");
    assert_int_equal(ls_positions_of(s.g, s.params, N, s.memory, &p), LS_OK);
    assert_true(p.kind == LS_ENCODING_SINUSOIDAL && p.rows == N && p.cols == 16);
    assert_true(fabs((double)p.table[5 * 16 + 2] - sin(5 / pow(10000, 2.0 / 16))) < 1e-5);
    small_free(&s);
    s = small_of("./rotary.yaml");
    assert_int_equal(ls_positions_of(s.g, s.params, N, s.memory, &p), LS_OK);
    assert_true(p.kind == LS_ENCODING_ROTARY && p.rows == N && p.cols == 8);
    for (int d = 0; d < N; d++) { /* a function of the distance alone */
        double sum = 0;
        for (int i = 0; i < 4; i++) sum += cos(d * pow(10000, -2.0 * i / 8));
        assert_true(fabs(p.mean[d] - sum) < 1e-4);
        assert_true(fabs((double)p.dots[(N - 1) * N + N - 1 - d] - sum) < 1e-4);
    }
    small_free(&s);
}

static void scores_of_known_statistics(void **state)
{
    (void)state;
    ls_arena      *memory;
    ls_score_stats s;
    const float    two[] = {1, 1, 3, -1}; /* rows of two scores: equal, and 4 apart */
    const float   *random;
    assert_int_equal(ls_arena_new(&memory, "test"), LS_OK);
    assert_int_equal(ls_score_measure(two, 1, 2, 0.5f, false, memory, &s), LS_OK);
    double p = 1 / (1 + exp(-2));
    assert_true(fabs(s.largest - (0.5 + p) / 2) < 1e-6);
    assert_true(fabs(s.entropy - (log(2) - p * log(p) - (1 - p) * log(1 - p)) / 2) < 1e-6);
    assert_true(fabs(s.variance - 0.5) < 1e-6); /* variance of 0.5, 0.5, 1.5, -0.5 */
    assert_true(s.gradient > 0);
    assert_int_equal(ls_score_measure((float[]){100, 0, 0, 100}, 1, 2, 1, false, memory, &s), LS_OK);
    assert_true(s.gradient < 1e-30 && s.largest > 0.999999); /* saturated */
    for (int64_t d = 16; d <= 256; d *= 16) {
        assert_int_equal(ls_score_random(8, 32, d, 1, memory, &random), LS_OK);
        assert_int_equal(ls_score_measure(random, 8, 32, 1, false, memory, &s), LS_OK);
        assert_true(fabs(s.variance / (double)d - 1) < 0.1);
    }
    ls_arena_free(memory);
}

/* Gradient descent in float64, and rates that are no better than the best one. */
static void a_path_follows_the_rule(void **state)
{
    (void)state;
    static ls_valley_path path, best;
    ls_optim              sgd = ls_sgd(.lr = 0.01f), adam = ls_adam(.betas = {0.9f, 0.999f});
    double                x = -1.2, y = 1.2;
    assert_int_equal(ls_isa_init(), LS_OK);
    ls_valley_walk(&sgd, &path);
    for (int t = 0; t <= LS_VALLEY_STEPS; t++) {
        const double wall = y - x * x, dx = -2 * (1 - x) - 40 * x * wall, dy = 20 * wall;
        assert_true(fabs(path.x[t] - x) < 1e-4 && fabs(path.y[t] - y) < 1e-4);
        assert_true(fabs(path.height[t] - ls_valley_height(x, y)) < 1e-3);
        x -= 0.01 * dx;
        y -= 0.01 * dy;
    }
    assert_true(fabs(ls_valley_height(2, 3) - 11) < 1e-12);
    ls_valley_best(&sgd, LS_OPTIM_ADAM, &best);
    assert_string_equal(best.name, "adam");
    for (double rate = 1e-3; rate < 1; rate *= 1.2589254) {
        adam.lr = (float)rate;
        ls_valley_walk(&adam, &path);
        assert_true(best.height[LS_VALLEY_STEPS] < 1.01 * path.height[LS_VALLEY_STEPS] || rate < 2e-3);
    }
    adam = ls_adam(.betas = {0, 0.5f}); /* the settings of the recipe count for its own optimizer */
    ls_valley_best(&adam, LS_OPTIM_ADAM, &path);
    assert_true(path.height[LS_VALLEY_STEPS] != best.height[LS_VALLEY_STEPS]);
}

/* ---- the pictures ------------------------------------------------------------------------------------------------ */

static void picture_size(const char *path, int *width, int *height)
{
    unsigned char head[24];
    FILE         *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(head, 1, sizeof head, f), sizeof head);
    fclose(f);
    assert_memory_equal(head, "\x89PNG\r\n\x1a\n", 8);
    *width  = head[16] << 24 | head[17] << 16 | head[18] << 8 | head[19];
    *height = head[20] << 24 | head[21] << 16 | head[22] << 8 | head[23];
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 22);
    fread(text, 1, (1 << 22) - 1, f);
    fclose(f);
    return text;
}

static int pictures_in(const char *path)
{
    char *text = read_all(path);
    int   n    = 0;
    for (const char *at = text; (at = strstr(at, "data:image/png;base64,iVBORw0KGgo")); at++) n++;
    free(text);
    return n;
}

static void the_pictures(void **state)
{
    (void)state;
    int width, height, wide, high;
    assert_int_equal(pictures_in("r/report.html"), 0);
    assert_int_equal(run("explain r --attention 'the quick brown'"), 0);
    picture_size("r/attention.png", &width, &height);
    assert_int_equal(pictures_in("r/report.html"), 1);
    assert_int_equal(run("explain r --attention 'the quick brown fox' --png other.png"), 0);
    picture_size("other.png", &wide, &high);
    assert_true(width > 15 * 20 * 2 && height > 15 * 20 * 2 &&
                wide != width); /* two layers of two heads, 15 tokens of at least 20 pixels */
    assert_int_equal(pictures_in("r/report.html"), 1);
    assert_int_equal(run("explain r --positions"), 0);
    assert_int_equal(run("explain r --scores"), 0);
    picture_size("r/positions.png", &width, &height);
    assert_true(width == 1754 && height == 700);
    picture_size("r/scores.png", &width, &height);
    assert_true(width == 1620 && height == 610);
    assert_int_equal(run("explain r --dot-product 'the quick' --layer 1 --head 1"), 0);
    assert_non_null(strstr(text_of("out"), "transformer.h.1.attn, head 1 of 2, width d = 8; query: token 8, k"));
    picture_size("r/dot-product.png", &width, &height);
    assert_true(width > 1400 && height > 1000);
    assert_int_equal(run("explain r --valley"), 0);
    picture_size("r/valley.png", &width, &height);
    assert_true(width == 1480 && height == 1380);
    assert_int_equal(pictures_in("r/report.html"), 5);
    assert_int_equal(run("train ./learned.yaml run.dir=r"), 0); /* a rewritten report includes the pictures */
    assert_int_equal(pictures_in("r/report.html"), 5);
    assert_int_equal(run("explain ./rotary.yaml --positions"), 0);
    picture_size("rotary-positions.png", &width, &height);
    assert_int_equal(run("train ./learned.yaml run.dir=r --fresh"), 0);
    assert_int_equal(pictures_in("r/report.html"), 0);
}

/* ---- refused input ----------------------------------------------------------------------------------------------- */

static void bad_input(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        int         code;
        const char *says;
    } cases[] = {
        {"explain r --attention ''", 2, "expected a text, found nothing"},
        {"explain r --attention 'the quick brown fox jumps over'", 2,
         "the text has 30 tokens, more than the context of 24"},
        {"explain r --attention 'THE'", 3, "U+0054"},
        {"explain ./learned.yaml --attention 'the'", 2, "expected the folder of a run"},
        {"explain r --dot-product ''", 2, "--dot-product: expected a text, found nothing"},
        {"explain r --dot-product the --layer 2", 2, "--layer: expected 0 to 1, the last layer, found 2"},
        {"explain r --dot-product the --head 2", 2, "--head: expected 0 to 1, the last head, found 2"},
        {"explain r --attention the --head 1", 2, "--layer and --head: expected together with --dot-product"},
        {"explain r --attention the --positions", 2, "found more"},
        {"explain r --attention the --png ''", 2, "--png: expected the name of a file"},
        {"explain r --attention the --png nowhere/at.png", 4, "nowhere/at.png: cannot be written"},
        {"explain ./learned.yaml --png x.png", 2, "--png: expected together with"},
        {"explain ./none.yaml --positions", 2, "the model has no position encoding"},
        {"explain lenet5-digits --positions", 2, "expected a language model, found one for image classification"},
        {"explain p --attention the", 2, "expected a language model, found one for image classification"},
    };
    assert_int_equal(
        run("train lenet5-digits data.train_count=40 data.test_count=10 train.batch=8 train.epochs=1 run.dir=p"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int   code = run(cases[i].arguments);
        char *text = read_all("err");
        if (code != cases[i].code || !strstr(text, cases[i].says))
            fail_msg("%s: exit code %d, expected %d; expected '%s' in: %s", cases[i].arguments, code, cases[i].code,
                     cases[i].says, text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_maps_sum_to_one),
                                       cmocka_unit_test(the_scale_is_an_option),
                                       cmocka_unit_test(weights_are_those_of_separate_ops),
                                       cmocka_unit_test(outputs_are_those_of_the_op),
                                       cmocka_unit_test(principal_components_of_a_plane),
                                       cmocka_unit_test(positions_match_their_formula),
                                       cmocka_unit_test(scores_of_known_statistics),
                                       cmocka_unit_test(a_path_follows_the_rule),
                                       cmocka_unit_test(the_pictures),
                                       cmocka_unit_test(bad_input)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

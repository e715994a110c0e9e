/* SPDX-License-Identifier: Apache-2.0
 * `lockstep explain RUN --attention TEXT`: computes and draws the softmax weights of each head of each layer on a text.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/data/dataset_source.h"
#include "launch/inspect/inspect.h"

/* ---- the maps ---------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

static bool is_op(const ls_node *n, const char *name) { return !strcmp(ls__op(n)->name, name); }

/* Returns the node that computes t if its op has this name, else NULL. */
static const ls_node *made_by(const ls_tensor *t, const char *op)
{
    return t && t->node && is_op(t->node, op) ? t->node : NULL;
}

/* Finds the parts of attention before its softmax `n`: the scores q k, their factor and the head width.  Returns false
 * if `n` is not the softmax of an attention. */
static bool parts_of(const ls_node *n, ls_attention_map *map, ls_tensor **scores)
{
    const ls_node *mask = made_by(n->in[0], "mask"), *scale = made_by(mask ? mask->in[0] : n->in[0], "scale");
    const ls_node *product = scale ? made_by(scale->in[0], "matmul") : NULL;
    if (!product || n->out[0]->rank != 3) return false;
    map->heads  = n->out[0]->dim[0];
    map->tokens = n->out[0]->dim[1];
    map->width  = product->in[0]->dim[2];
    map->scale  = ((const ls_scale_args *)scale->args)->factor;
    *scores     = product->out[0];
    return true;
}

static ls_status run_maps(ls_graph *g, ls_params *params, const int32_t *tokens, ls_arena *memory,
                          const ls_attention_map **maps, int *layers)
{
    ls_tensor       **out = ls_arena_alloc(memory, 2 * (size_t)(g->nodes + 1) * sizeof *out);
    ls_attention_map *map = ls_arena_alloc(memory, (size_t)(g->nodes + 1) * sizeof *map);
    ls_model         *model;
    int               n = 0;
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *node = g->node[i];
        if (!is_op(node, "softmax") || !ends_in(node->out[0]->name, ".weights") ||
            !parts_of(node, &map[n], &out[2 * n + 1]))
            continue;
        out[2 * n] = node->out[0];
        map[n++].name =
            ls_arena_printf(memory, "%.*s", (int)(strlen(node->out[0]->name) - strlen(".weights")), node->out[0]->name);
    }
    LS_CHECK(n, LS_ERR_USAGE, "explain: --attention: the model has no attention");
    LS_TRY(ls_model_new(&model, g, params, out, 2 * n, 1));
    ls_status status = ls_model_run(
        model, &(ls_batch){.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = 1, .global_rows = 1});
    for (int i = 0; i < n && status == LS_OK; i++) {
        size_t bytes   = (size_t)(map[i].heads * map[i].tokens * map[i].tokens) * sizeof(float);
        float *copy    = ls_arena_alloc(memory, 2 * bytes);
        map[i].weights = memcpy(copy, ls_model_output(model, 2 * i), bytes);
        map[i].scores  = memcpy(copy + bytes / sizeof *copy, ls_model_output(model, 2 * i + 1), bytes);
    }
    ls_model_free(model);
    *maps   = map;
    *layers = n;
    return status;
}

ls_status ls_attention_maps(const ls_recipe *recipe, ls_params *params, int64_t vocabulary, const int32_t *tokens,
                            int64_t n, ls_arena *memory, const ls_attention_map **maps, int *layers)
{
    ls_graph          *g = ls_graph_new();
    ls_tensor         *logits;
    ls_language_inputs in     = {.x = ls_input(g, "tokens", LS_I32, n), .textbook = true};
    ls_status          status = ls_recipe_build_language(recipe, g, &in, vocabulary, &logits);
    if (status == LS_OK) status = run_maps(g, params, tokens, memory, maps, layers);
    ls_graph_free(g);
    return status;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { MARGIN = 28, GAP = 26, HEAD = 22, TITLE = 92, BAR = 96, CELL_TEXT = 10 /* least distance of labels, pixels */ };

const char *ls_token_label(const ls_tokenizer *t, int32_t id, ls_arena *memory)
{
    enum { ROOM = 96, MOST = 14 };
    size_t      bytes = 0, used = 0;
    int         characters = 0;
    const char *text       = ls_tokenizer_token(t, id, &bytes);
    char       *out        = ls_arena_alloc(memory, ROOM);
    for (size_t i = 0; text && i < bytes;) {
        const unsigned char c     = (unsigned char)text[i];
        size_t              n     = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        bool                whole = n && i + n <= bytes;
        for (size_t k = 1; whole && k < n; k++) whole = ((unsigned char)text[i + k] & 0xc0) == 0x80;
        if (characters++ == MOST) {
            used += (size_t)snprintf(out + used, ROOM - used, "…");
            break;
        }
        if (c == ' ')
            used += (size_t)snprintf(out + used, ROOM - used, "␣");
        else if (c == '\n')
            used += (size_t)snprintf(out + used, ROOM - used, "↵");
        else if (whole && c >= 0x20 && c != 0x7f)
            used += (size_t)snprintf(out + used, ROOM - used, "%.*s", (int)n, text + i);
        else
            used += (size_t)snprintf(out + used, ROOM - used, "<%02x>", c);
        i += whole ? n : 1;
    }
    out[used] = 0;
    return out;
}

typedef struct page {
    ls_png                 *plot;
    const ls_attention_map *map;
    int                     layers;
    int64_t                 tokens;
    const char            **label;
    double      cell, side, left, below; /* pixels: a token, a map, the labels left of it, the labels below it */
    ls_png_font font;
    int64_t     every; /* every so many tokens, one has a label */
} page;

static void measure(page *p, ls_png *any)
{
    double widest = 0;
    p->cell       = fmin(28, fmax(p->tokens <= 64 ? 10 : 2, floor(420 / (double)p->tokens)));
    p->side       = p->cell * (double)p->tokens;
    p->every      = (int64_t)ceil(CELL_TEXT / p->cell);
    p->font       = (ls_png_font){.size = fmin(15, fmax(10, p->cell)), .align = 1};
    for (int64_t t = 0; t < p->tokens; t++) widest = fmax(widest, ls_png_text_width(any, &p->font, p->label[t]));
    p->left = p->below = widest + 12;
}

static void draw_map(const page *p, int layer, int head, double x, double y)
{
    const ls_attention_map *m       = &p->map[layer];
    ls_png_font             upright = p->font, letter = p->font; /* single letters are upright, words rotated */
    upright.upright         = true;
    letter.align            = 0;
    const ls_png_font title = {.size = 13, .align = -1, .faint = true};
    ls_png_text(p->plot, x, y - 12, &title, "layer %d · head %d", layer, head);
    ls_png_heat(p->plot, &(ls_heat){.x      = x,
                                    .y      = y,
                                    .width  = p->side,
                                    .height = p->side,
                                    .rows   = m->tokens,
                                    .cols   = m->tokens,
                                    .value  = m->weights + (int64_t)head * m->tokens * m->tokens,
                                    .high   = 1,
                                    .root   = true,
                                    .lower  = true});
    for (int64_t t = 0; t < p->tokens; t += p->every) {
        double at = p->cell * ((double)t + 0.5);
        if (head == 0) ls_png_text(p->plot, x - 5, y + at, &p->font, "%s", p->label[t]);
        if (layer < p->layers - 1) continue;
        bool stands = ls_png_text_width(p->plot, &letter, p->label[t]) <= 1.1 * (double)p->every * p->cell;
        ls_png_text(p->plot, x + at, y + p->side + (stands ? 10 : 5), stands ? &letter : &upright, "%s", p->label[t]);
    }
}

static ls_status draw(page *p, const char *from)
{
    int64_t heads = 0;
    ls_png *any;
    LS_TRY(ls_png_new(&any, 1, 1)); /* measures text */
    measure(p, any);
    ls_png_free(any);
    for (int i = 0; i < p->layers; i++) heads = p->map[i].heads > heads ? p->map[i].heads : heads;
    const double across = p->side + GAP, down = p->side + GAP + HEAD;
    const double width  = fmax(MARGIN + p->left + (double)heads * across + BAR, 760),
                 height = TITLE + HEAD + p->layers * down + p->below + MARGIN;
    LS_TRY(ls_png_new(&p->plot, width, height));
    ls_png_text(p->plot, MARGIN, 32, &(ls_png_font){.size = 20, .align = -1, .bold = true}, "Attention");
    ls_png_text(p->plot, MARGIN, 58, &(ls_png_font){.size = 13, .align = -1, .faint = true},
                "Row: query token. Column: key token. The weights of a row sum to 1; later tokens are masked.");
    ls_png_text(p->plot, MARGIN, 78, &(ls_png_font){.size = 13, .align = -1, .faint = true}, "%s · %lld tokens", from,
                (long long)p->tokens);
    for (int layer = 0; layer < p->layers; layer++)
        for (int head = 0; head < p->map[layer].heads; head++)
            draw_map(p, layer, head, MARGIN + p->left + head * across, TITLE + HEAD + 10 + layer * down);
    ls_png_colours(p->plot, &(ls_heat){.high = 1, .root = true}, MARGIN + p->left + (double)heads * across,
                   TITLE + HEAD + 10, 16, fmin(p->side, 330));
    return LS_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static ls_status check_tokens(const ls_run *run, const ls_tokens *tokens)
{
    LS_CHECK(tokens->count, LS_ERR_USAGE,
             "explain: --attention: expected a text, found nothing" LS_HINT "--attention 'to be, or not to be'");
    LS_CHECK(tokens->count <= run->data.context, LS_ERR_USAGE,
             "explain: --attention: the text has %lld tokens, more than the context of %lld of the model" LS_HINT
             "pass a shorter text",
             (long long)tokens->count, (long long)run->data.context);
    for (int64_t i = 0; i < tokens->count; i++)
        LS_CHECK(tokens->id[i] < run->data.classes, LS_ERR_DATA,
                 "explain: --attention: token %d of the text is outside the model's vocabulary of %d", tokens->id[i],
                 run->data.classes);
    return LS_OK;
}

static ls_status show_attention(const ls_inspected *s, const ls_inspect_options *options, const ls_tokenizer *t,
                                ls_tokens *tokens)
{
    ls_run     *run  = s->run;
    const char *text = options->text;
    page        p    = {0};
    LS_TRY(ls_tokenizer_encode(t, text, strlen(text), tokens));
    LS_TRY(check_tokens(run, tokens));
    if (tokens->replaced)
        fprintf(stderr, "note: --attention: %lld invalid bytes of the text were replaced by U+FFFD\n",
                (long long)tokens->replaced);
    LS_TRY(ls_attention_maps(run->recipe, ls_trainer_params(run->trainer), run->data.classes, tokens->id, tokens->count,
                             run->memory, &p.map, &p.layers));
    p.tokens = tokens->count;
    p.label  = ls_arena_alloc(run->memory, (size_t)p.tokens * sizeof *p.label);
    for (int64_t i = 0; i < p.tokens; i++) p.label[i] = ls_token_label(t, tokens->id[i], run->memory);
    ls_status status = draw(&p, s->from);
    if (status == LS_OK) status = ls_inspect_save(s, options, p.plot, "attention");
    ls_png_free(p.plot);
    return status;
}

ls_status ls__explain_attention(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected  s;
    ls_tokenizer *t      = NULL;
    ls_tokens     tokens = {0};
    LS_TRY(ls_inspect(&s, run, options, true, false));
    LS_TRY(ls_data_tokenizer(&t, &run->data));
    ls_status status = t ? show_attention(&s, options, t, &tokens)
                         : LS_FAIL(LS_ERR_DATA, "%s: expected a tokenizer.json beside data.json, found none", s.folder);
    ls_tokens_free(&tokens);
    ls_tokenizer_free(t);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * `lockstep explain RUN --attention TEXT`: computes and draws the softmax weights of each head of each layer on a text.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/inspect/inspect.h"

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { MARGIN = 28, GAP = 26, HEAD = 22, TITLE = 92, BAR = 96, CELL_TEXT = 10 /* least distance of labels, pixels */ };

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
                                    .lower  = m->causal});
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
                "Row: query token. Column: key token. The weights of a row sum to 1%s.",
                p->map[0].causal ? "; later tokens are masked" : "");
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

ls_status ls__explain_attention(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected s;
    ls_attended  t;
    LS_TRY(ls_inspect_text(&s, run, options, "attention", &t));
    page      p      = {.map = t.map, .layers = t.layers, .tokens = t.tokens, .label = t.label};
    ls_status status = draw(&p, s.from);
    if (status == LS_OK) status = ls_inspect_save(&s, options, p.plot, "attention");
    ls_png_free(p.plot);
    return status;
}

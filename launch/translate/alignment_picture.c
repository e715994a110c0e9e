/* SPDX-License-Identifier: Apache-2.0
 * Draws and prints weights of attention between the tokens of a line and of its translation. */
#include "launch/translate/alignment_picture.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "launch/inspect/inspect.h"

enum { CELL = 30, MARGIN = 24, GAP = 8, TITLE = 62, BAR = 84 };

static const ls_png_font row_font = {.size = 15, .align = 1}, column_font = {.size = 15, .align = -1, .upright = true};

static bool is_letter(char c) { return isalnum((unsigned char)c) || (c & 0x80); }

/* Removes a mark of white space from the begin or the end of a text that has more than the mark. */
static bool remove_space(const char **text, bool at_end, ls_arena *memory)
{
    static const char space[] = "␣";
    const size_t      bytes = strlen(*text), mark = strlen(space), at = at_end && bytes > mark ? bytes - mark : 0;
    if (strncmp(*text + at, space, mark) != 0) return false;
    if (bytes > mark) *text = at_end ? ls_arena_printf(memory, "%.*s", (int)at, *text) : *text + mark;
    return true;
}

/* Labels of n tokens, the last one an end token.  A token that continues a word begins with a middle dot. */
static const char **labels_of(const ls_tokenizer *t, const int32_t *token, int64_t n, ls_arena *memory)
{
    const char **label = ls_arena_alloc(memory, (size_t)n * sizeof *label);
    bool         open  = false; /* the token before ends within a word */
    for (int64_t i = 0; i < n - 1; i++) {
        const char *text  = ls_token_label(t, token[i], memory);
        const bool  apart = remove_space(&text, false, memory), ends = remove_space(&text, true, memory);
        label[i] = !apart && open && is_letter(*text) ? ls_arena_printf(memory, "·%s", text) : text;
        open     = !ends && *text && is_letter(text[strlen(text) - 1]);
    }
    label[n - 1] = "<end>";
    return label;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static double widest(ls_png *any, const ls_png_font *font, const char *const *label, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, ls_png_text_width(any, font, label[i]));
    return most;
}

ls_status ls_alignment_draw(ls_png **plot, const ls_run *run, const ls_translated *t, const char *title,
                            const char *text, ls_arena *memory)
{
    const int64_t rows = t->tokens + 1, cols = t->source_tokens;
    const char  **row   = labels_of(run->tokenizer, t->token, rows, memory),
               **column = labels_of(run->source_tokenizer, t->source, cols, memory);
    ls_png *any;
    LS_TRY(ls_png_new(&any, 1, 1)); /* measures text */
    const double above = widest(any, &column_font, column, cols), left = widest(any, &row_font, row, rows);
    ls_png_free(any);
    const double x = MARGIN + left + GAP, y = (title ? MARGIN + TITLE : MARGIN) + above + GAP,
                 width = (double)(cols * CELL), height = (double)(rows * CELL);
    const ls_heat heat = {
        .x = x, .y = y, .width = width, .height = height, .rows = rows, .cols = cols, .value = t->weights, .high = 1};
    LS_TRY(ls_png_new(plot, fmax(x + width + BAR, title ? 640 : 0), y + height + MARGIN));
    if (title) {
        ls_png_text(*plot, MARGIN, 32, &(ls_png_font){.size = 20, .align = -1, .bold = true}, "%s", title);
        ls_png_text(*plot, MARGIN, 58, &(ls_png_font){.size = 13, .align = -1, .faint = true}, "%s", text);
    }
    for (int64_t i = 0; i < rows; i++)
        ls_png_text(*plot, x - GAP, y + CELL * ((double)i + 0.5), &row_font, "%s", row[i]);
    for (int64_t i = 0; i < cols; i++)
        ls_png_text(*plot, x + CELL * ((double)i + 0.5), y - GAP, &column_font, "%s", column[i]);
    ls_png_heat(*plot, &heat);
    ls_png_colours(*plot, &heat, x + width + 20, y, 14, fmin(height, 240));
    return LS_OK;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

static int characters(const char *text)
{
    int n = 0;
    for (; *text; text++) n += (*text & 0xc0) != 0x80;
    return n;
}

static int longest(const char *const *label, int64_t n)
{
    int most = 0;
    for (int64_t i = 0; i < n; i++) most = characters(label[i]) > most ? characters(label[i]) : most;
    return most;
}

/* Prints character k of a text, or a space. */
static void print_character(FILE *f, const char *text, int k)
{
    for (; k > 0 && *text; k--) do
            text++;
        while ((*text & 0xc0) == 0x80);
    if (k < 0 || !*text) {
        fputc(' ', f);
        return;
    }
    do fputc(*text++, f);
    while ((*text & 0xc0) == 0x80);
}

void ls_alignment_print(FILE *f, const ls_run *run, const ls_translated *t, ls_arena *memory)
{
    static const char *const shade[]  = {"  ", "░░", "▒▒", "▓▓", "██"};
    static const float       least[5] = {0, 0.05f, 0.25f, 0.5f, 0.75f};
    const int64_t            rows = t->tokens + 1, cols = t->source_tokens;
    const char             **row = labels_of(run->tokenizer, t->token, rows, memory),
               **column          = labels_of(run->source_tokenizer, t->source, cols, memory);
    const int left = longest(row, rows), above = longest(column, cols);
    for (int line = 0; line < above; line++) { /* the labels of the columns, from top to bottom */
        fprintf(f, "%*s ", left, "");
        for (int64_t c = 0; c < cols; c++) {
            fputc(' ', f);
            print_character(f, column[c], line - above + characters(column[c]));
        }
        fputc('\n', f);
    }
    for (int64_t r = 0; r < rows; r++) {
        fprintf(f, "%*s%s ", left - characters(row[r]), "", row[r]);
        for (int64_t c = 0; c < cols; c++) {
            const float w     = t->weights[r * cols + c];
            int         level = 4;
            while (w < least[level]) level--;
            fputs(shade[level], f);
        }
        fputc('\n', f);
    }
}

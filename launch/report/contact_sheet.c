/* SPDX-License-Identifier: Apache-2.0
 * Contact sheets: images with text below them, as a PNG file. */
#include "launch/report/contact_sheet.h"

#include <stdlib.h>
#include <string.h>

enum { CELL = 72, GAP = 4, TEXT = 16, LETTER_WIDTH = 3, LETTER_HEIGHT = 5, DOT = 2 };

ls_status ls_sheet_open(ls_sheet *s, const ls_dataset_info *info, int rows, int columns)
{
    const int longest = info->height > info->width ? info->height : info->width;
    /* Small images are scaled by whole factors, so that they stay sharp. */
    const int cell = longest <= CELL ? CELL / longest * longest : CELL;
    const int high = cell * info->height / longest, wide = cell * info->width / longest;
    *s                 = (ls_sheet){.channels     = info->channels,
                                    .image_height = info->height,
                                    .image_width  = info->width,
                                    .cell         = cell,
                                    .cell_height  = high > 1 ? high : 1,
                                    .cell_width   = wide > 1 ? wide : 1,
                                    .height       = rows * (cell + TEXT + GAP) + GAP,
                                    .width        = columns * (cell + GAP) + GAP};
    const size_t bytes = 3 * (size_t)s->height * (size_t)s->width;
    s->rgb             = malloc(bytes);
    LS_CHECK(s->rgb, LS_ERR_ENV, "%s: no memory for %zu bytes of a picture", info->path, bytes);
    memset(s->rgb, 245, bytes);
    return LS_OK;
}

void ls_sheet_close(ls_sheet *s)
{
    free(s->rgb);
    s->rgb = NULL;
}

ls_status ls_sheet_write(ls_sheet *s, const char *path)
{
    ls_status status = ls_image_write(path, 3, s->height, s->width, s->rgb);
    ls_sheet_close(s);
    return status;
}

static void put(ls_sheet *s, int y, int x, const uint8_t colour[3])
{
    if (y >= 0 && y < s->height && x >= 0 && x < s->width)
        memcpy(s->rgb + 3 * ((size_t)y * (size_t)s->width + (size_t)x), colour, 3);
}

/* Letters of 3 x 5 dots.  A row is an octal digit, with its highest bit at the left. */
static const struct {
    char letter;
    char rows[LETTER_HEIGHT + 1];
} font[] = {{'0', "75557"}, {'1', "26227"}, {'2', "71747"}, {'3', "71717"}, {'4', "55711"}, {'5', "74717"},
            {'6', "74757"}, {'7', "71122"}, {'8', "75757"}, {'9', "75717"}, {'A', "75755"}, {'B', "65656"},
            {'C', "74447"}, {'D', "65556"}, {'E', "74647"}, {'F', "74644"}, {'G', "74557"}, {'H', "55755"},
            {'I', "72227"}, {'J', "11157"}, {'K', "55655"}, {'L', "44447"}, {'M', "57755"}, {'N', "65555"},
            {'O', "75557"}, {'P', "75744"}, {'Q', "75571"}, {'R', "75655"}, {'S', "74717"}, {'T', "72222"},
            {'U', "55557"}, {'V', "55552"}, {'W', "55775"}, {'X', "55255"}, {'Y', "55222"}, {'Z', "71247"},
            {'-', "00700"}, {'_', "00007"}, {'.', "00002"}, {'/', "11244"}};

static void draw_text(ls_sheet *s, int y, int x, const char *text, int most)
{
    static const uint8_t colour[3] = {70, 70, 80};
    for (; *text && most; text++, most--, x += (LETTER_WIDTH + 1) * DOT) {
        char upper = *text >= 'a' && *text <= 'z' ? (char)(*text - 32) : *text;
        for (size_t k = 0; k < sizeof font / sizeof *font; k++) {
            if (font[k].letter != upper) continue;
            for (int i = 0; i < LETTER_HEIGHT * DOT; i++)
                for (int j = 0; j < LETTER_WIDTH * DOT; j++)
                    if ((font[k].rows[i / DOT] - '0') & (4 >> j / DOT)) put(s, y + i, x + j, colour);
        }
    }
}

void ls_sheet_draw(ls_sheet *s, int row, int column, const uint8_t *pixels, const char *text)
{
    const size_t plane = (size_t)s->image_height * (size_t)s->image_width;
    const int    top = GAP + row * (s->cell + TEXT + GAP), left = GAP + column * (s->cell + GAP);
    for (int i = 0; i < s->cell_height; i++)
        for (int j = 0; j < s->cell_width; j++) {
            size_t at = (size_t)(i * s->image_height / s->cell_height) * (size_t)s->image_width +
                        (size_t)(j * s->image_width / s->cell_width);
            uint8_t colour[3];
            for (int c = 0; c < 3; c++) colour[c] = pixels[(s->channels < 3 ? 0 : (size_t)c * plane) + at];
            put(s, top + i, left + j, colour);
        }
    draw_text(s, top + s->cell + DOT, left, text, s->cell / ((LETTER_WIDTH + 1) * DOT));
}

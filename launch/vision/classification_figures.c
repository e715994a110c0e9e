/* SPDX-License-Identifier: Apache-2.0
 * Figures of a classification as HTML and SVG: confusion matrix, confused pairs, accuracy by class, reliability. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/svg_chart.h"
#include "launch/report/unit_text.h"
#include "launch/tasks/task.h"
#include "launch/vision/classification.h"

enum {
    HALF         = 560, /* width of a picture in one of the page's two columns, pixels                        */
    FULL         = 1120,
    HALF_CLASSES = 20,  /* with more classes, matrix and accuracies take the full width                       */
    MOST_CLASSES = 100, /* in the matrix; of more classes, it has those with the most mistakes                */
    MOST_PAIRS   = 10
};

static void put_text(FILE *f, double x, double y, const char *anchor, const char *class, const char *text)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, class);
    ls_html(f, text);
    fputs("</text>", f);
}

/* Copies a name, cut to `most` characters of UTF-8. */
static const char *cut(const char *name, int most, char out[96])
{
    size_t bytes = 0, shown = 0;
    int    n = 0;
    while (name[bytes] && bytes < 80) {
        do bytes++;
        while (((unsigned char)name[bytes] & 0xc0) == 0x80);
        if (++n == most - 1) shown = bytes;
        if (n > most) break;
    }
    if (n > most || name[bytes])
        snprintf(out, 96, "%.*s…", (int)shown, name);
    else
        snprintf(out, 96, "%s", name);
    return out;
}

static int characters(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static double share(int64_t part, int64_t of) { return of ? (double)part / (double)of : 0; }

static void begin_card(FILE *f, const char *class, const char *title)
{
    fprintf(f, "<figure class=\"card %s\"><figcaption><b>%s</b>", class, title);
}

/* ---- confusion matrix -------------------------------------------------------------------------------------------- */

typedef struct matrix {
    const ls_classification *c;
    int                      n; /* classes shown                */
    int *class;                 /* which ones                   */
    double cell, left, top, width, height, font;
    int    letters; /* longest name, characters     */
} matrix;

/* Mistakes in which a class is the label or the prediction. */
static int64_t errors_of(const ls_classification *c, int class)
{
    return c->labelled[class] + c->predicted[class] - 2 * c->count[(int64_t) class * c->classes + class];
}

/* Chooses the classes of the matrix, in their order. */
static void choose_classes(matrix *m)
{
    const ls_classification *c = m->c;
    m->n                       = c->classes < MOST_CLASSES ? c->classes : MOST_CLASSES;
    int64_t least              = 0; /* errors of the last class that is shown */
    for (int64_t low = 0, high = c->samples * 2 + 1; c->classes > m->n && low < high;) {
        const int64_t middle = low + (high - low) / 2;
        int           more   = 0;
        for (int i = 0; i < c->classes; i++) more += errors_of(c, i) > middle;
        if (more <= m->n)
            least = high = middle;
        else
            low = middle + 1;
    }
    int more = 0, n = 0;
    for (int i = 0; i < c->classes; i++) more += errors_of(c, i) > least;
    for (int i = 0, equal = m->n - more; i < c->classes && n < m->n; i++)
        if (c->classes <= m->n || errors_of(c, i) > least || (errors_of(c, i) == least && equal-- > 0))
            m->class[n++] = i;
    m->n = n;
}

static void measure_matrix(matrix *m)
{
    enum { MOST_LETTERS = 18, MOST_CELL = 48 };
    const double width = m->n > HALF_CLASSES ? FULL : HALF;
    for (int i = 0; i < m->n; i++) {
        const int n = characters(m->c->name[m->class[i]]);
        m->letters  = n > m->letters ? n : m->letters;
    }
    if (m->letters > MOST_LETTERS) m->letters = MOST_LETTERS;
    for (m->font = 11.5; m->font > 5; m->font -= 0.25) {
        m->left = 30 + m->letters * m->font * 0.62;
        m->cell = floor((width - m->left - 4) / m->n * 4) / 4;
        if (m->font <= 0.95 * m->cell) break;
    }
    if (m->cell > MOST_CELL) m->cell = MOST_CELL;
    m->top    = 26 + (m->letters * m->font * 0.62 > m->cell ? m->letters * m->font * 0.62 : m->font);
    m->width  = m->left + m->n * m->cell + 4;
    m->height = m->top + m->n * m->cell + 4;
}

static void write_names(FILE *f, const matrix *m)
{
    char       text[96];
    const bool stand = m->letters * m->font * 0.62 > m->cell;
    fprintf(f, "<g style=\"font-size:%.2fpx\" class=\"names\">\n", m->font);
    for (int i = 0; i < m->n; i++) {
        const char  *name   = cut(m->c->name[m->class[i]], m->letters, text);
        const double middle = (i + 0.5) * m->cell, base = m->font * 0.35;
        put_text(f, m->left - 6, m->top + middle + base, "end", "tick", name);
        if (stand) {
            fprintf(f, "<text transform=\"translate(%.1f %.1f) rotate(-90)\" class=\"tick\">", m->left + middle + base,
                    m->top - 6);
            ls_html(f, name);
            fputs("</text>\n", f);
        } else {
            put_text(f, m->left + middle, m->top - 7, "middle", "tick", name);
        }
    }
    fputs("</g>\n", f);
    put_text(f, m->left + m->n * m->cell / 2, 12, "middle", "axis", "predicted class");
    fprintf(
        f,
        "<text transform=\"translate(12 %.1f) rotate(-90)\" text-anchor=\"middle\" class=\"axis\">true class</text>\n",
        m->top + m->n * m->cell / 2);
}

/* Lines between the classes, or with many classes after each tenth one. */
static void write_grid(FILE *f, const matrix *m)
{
    const int    every = m->n > 40 ? 10 : 1;
    const double side  = m->n * m->cell;
    fputs("<path class=\"lines\" d=\"", f);
    for (int i = 0;; i += every) {
        const double at = (i < m->n ? i : m->n) * m->cell;
        fprintf(f, "M%.1f %.1fh%.1fM%.1f %.1fv%.1f", m->left, m->top + at, side, m->left + at, m->top, side);
        if (i >= m->n) break;
    }
    fputs("\"/>\n", f);
}

static void short_count(char *out, size_t room, int64_t n)
{
    if (n < 10000)
        snprintf(out, room, "%lld", (long long)n);
    else
        snprintf(out, room, n < 100000 ? "%.1fk" : "%.0fk", (double)n / 1e3);
}

static void write_cell(FILE *f, const matrix *m, int row, int column)
{
    enum { TEXT_CELL = 22 }; /* least size of a cell with a number */
    const ls_classification *c     = m->c;
    const int                label = m->class[row], predicted = m->class[column];
    const int64_t            count = c->count[(int64_t)label * c->classes + predicted];
    const double             part  = share(count, c->labelled[label]);
    /* The square root makes rare mistakes visible. */
    const double opacity = label == predicted ? 0.06 + 0.84 * part : fmin(0.95, fmax(0.14, 1.1 * sqrt(part)));
    const double x = m->left + column * m->cell, y = m->top + row * m->cell;
    char         text[32];
    if (!count) return;
    fprintf(f, "<rect class=\"f%d\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" opacity=\"%.2f\"><title>",
            label != predicted, x, y, m->cell, m->cell, opacity);
    ls_html(f, c->name[label]);
    if (label != predicted) {
        fputs(" as ", f);
        ls_html(f, c->name[predicted]);
    }
    fprintf(f, ": %lld of %lld</title></rect>", (long long)count, (long long)c->labelled[label]);
    if (m->cell < TEXT_CELL) return;
    short_count(text, sizeof text, count);
    const double size = fmin(12.5, 1.55 * m->cell / (double)(strlen(text) > 3 ? strlen(text) : 3));
    fprintf(f, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" style=\"font-size:%.1fpx\">%s</text>",
            opacity > 0.62 ? "number on" : "number", x + m->cell / 2, y + m->cell / 2 + 0.36 * size, size, text);
}

static void write_matrix(FILE *f, const ls_classification *c)
{
    matrix m = {.c = c};
    m.class  = calloc((size_t)c->classes, sizeof *m.class);
    if (!m.class) return;
    choose_classes(&m);
    measure_matrix(&m);
    begin_card(f, m.n > HALF_CLASSES ? "full" : "", "Confusion matrix");
    fputs("<span class=\"key\"><i class=\"b0 square\"></i>right</span><span class=\"key\"><i class=\"b1 "
          "square\"></i>wrong, "
          "as a share of the true class</span></figcaption>\n",
          f);
    fprintf(f,
            "<svg viewBox=\"0 0 %.0f %.0f\" style=\"max-width:%.0fpx;margin:0 auto\" class=\"matrix\" role=\"img\" "
            "aria-label=\"Confusion matrix\">\n",
            m.width, m.height, m.width);
    write_names(f, &m);
    fprintf(f, "<rect class=\"back\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", m.left, m.top,
            m.n * m.cell, m.n * m.cell);
    for (int i = 0; i < m.n; i++) {
        for (int k = 0; k < m.n; k++) write_cell(f, &m, i, k);
        fputc('\n', f);
    }
    write_grid(f, &m);
    fputs("</svg>", f);
    if (m.n < c->classes)
        fprintf(f, "<p class=\"note\">The %d of %d classes with the most mistakes.</p>", m.n, c->classes);
    fputs("</figure>\n", f);
    free(m.class);
}

/* ---- confused pairs ---------------------------------------------------------------------------------------------- */

static void write_pairs(FILE *f, const ls_classification *c)
{
    ls_confused_pair pair[MOST_PAIRS];
    char             count[32];
    const int        n = ls_most_confused(c, pair, MOST_PAIRS);
    begin_card(f, "pairs", "Most confused classes");
    fputs("</figcaption>\n", f);
    if (!n) {
        fputs("<p class=\"note\">No mistake.</p></figure>\n", f);
        return;
    }
    fputs("<div class=\"scroll\"><table><tr><th>True class</th><th>Predicted</th><th class=\"n\">Samples</th><th "
          "class=\"n\">Of the true class</th></tr>\n",
          f);
    for (int i = 0; i < n; i++) {
        ls__count_text(count, sizeof count, pair[i].samples);
        fputs("<tr><td>", f);
        ls_html(f, c->name[pair[i].label]);
        fputs("</td><td>", f);
        ls_html(f, c->name[pair[i].predicted]);
        fprintf(f, "</td><td class=\"n\">%s</td><td class=\"n\">%.1f %%</td></tr>\n", count,
                100 * share(pair[i].samples, c->labelled[pair[i].label]));
    }
    fputs("</table></div></figure>\n", f);
}

/* ---- accuracy by class ------------------------------------------------------------------------------------------- */

typedef struct class_rows {
    const ls_classification *c;
    int                     *order; /* classes by accuracy                              */
    int                      columns, rows;
    double                   width, column, names; /* of the picture, a column, its names */
    double                   low;                  /* accuracy at the left end of the axis */
    int                      letters;
} class_rows;

static double accuracy_of(const ls_classification *c, int class)
{
    return share(c->count[(int64_t) class * c->classes + class], c->labelled[class]);
}

/* Orders the classes with samples by accuracy.  Returns their number. */
static int order_classes(const ls_classification *c, int *order)
{
    int n = 0;
    for (int i = 0; i < c->classes; i++) {
        if (!c->labelled[i]) continue;
        int at = n++;
        for (; at > 0 && accuracy_of(c, order[at - 1]) > accuracy_of(c, i); at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return n;
}

static double x_of(const class_rows *r, double left, double accuracy)
{
    return left + r->names + 10 + (r->column - r->names - 10 - 68) * (accuracy - r->low) / (1 - r->low);
}

static void write_class(FILE *f, const class_rows *r, int class, double left, double y)
{
    const ls_classification *c        = r->c;
    const double             accuracy = accuracy_of(c, class);
    double                   low, high;
    char                     text[96];
    ls_share_interval(accuracy, c->labelled[class], &low, &high);
    put_text(f, left + r->names, y + 4, "end", "tick", cut(c->name[class], r->letters, text));
    fprintf(f,
            "<line class=\"whisker s0\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><circle class=\"point s0\" "
            "cx=\"%.1f\" cy=\"%.1f\" r=\"3.4\"><title>",
            x_of(r, left, fmax(low, r->low)), x_of(r, left, high), y, y, x_of(r, left, accuracy), y);
    ls_html(f, c->name[class]);
    fprintf(f, ": %lld of %lld right, 95 %% interval %.1f to %.1f %%</title></circle>",
            (long long)c->count[(int64_t) class * c->classes + class], (long long)c->labelled[class], 100 * low,
            100 * high);
    snprintf(text, sizeof text, "%.1f %%", 100 * accuracy);
    put_text(f, left + r->column - 14, y + 4, "end", "value", text);
    fputc('\n', f);
}

static void write_class_axis(FILE *f, const class_rows *r, double left, double top, double bottom)
{
    const double range = 1 - r->low, step = range > 0.6    ? 0.25
                                            : range > 0.25 ? 0.1
                                            : range > 0.15 ? 0.05
                                            : range > 0.05 ? 0.02
                                                           : 0.01;
    char         text[32];
    for (double at = ceil(r->low / step - 1e-9) * step; at < 1 + 1e-9; at += step) {
        const double x = x_of(r, left, at);
        snprintf(text, sizeof text, "%.0f", fabs(100 * at));
        fprintf(f, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x, top, bottom);
        put_text(f, x, bottom + 15, "middle", "tick", text);
    }
    const double x = x_of(r, left, share(r->c->correct, r->c->samples));
    fprintf(f, "<line class=\"mean s1\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x, x, top, bottom);
}

static void measure_classes(class_rows *r, int n)
{
    enum { COLUMN_ROWS = 25 };
    const ls_classification *c   = r->c;
    double                   low = 1;
    r->columns                   = n > HALF_CLASSES ? (n + COLUMN_ROWS - 1) / COLUMN_ROWS : 1;
    if (n > HALF_CLASSES && r->columns < 3) r->columns = 3;
    if (r->columns > 4) r->columns = 4;
    r->rows   = (n + r->columns - 1) / r->columns;
    r->width  = n > HALF_CLASSES ? FULL : HALF;
    r->column = r->width / r->columns;
    for (int i = 0; i < n; i++) {
        double    least, most;
        const int length = characters(c->name[r->order[i]]);
        ls_share_interval(accuracy_of(c, r->order[i]), c->labelled[r->order[i]], &least, &most);
        low        = fmin(low, least);
        r->letters = length > r->letters ? length : r->letters;
    }
    const int most = r->columns > 1 ? 14 : 18;
    if (r->letters > most) r->letters = most;
    r->names = r->letters * 6.8;
    r->low   = low > 0.9 ? floor(low * 100 - 1e-9) / 100 : floor(low * 10 - 1e-9) / 10;
    if (r->low < 0) r->low = 0;
}

static void write_never(FILE *f, const ls_classification *c)
{
    enum { MOST_NAMES = 30 };
    int n = 0;
    for (int i = 0; i < c->classes; i++) {
        if (c->predicted[i] || n++ >= MOST_NAMES) continue;
        fputs(n > 1 ? ", " : "<p class=\"note bad\">Never predicted: ", f);
        ls_html(f, c->name[i]);
    }
    if (n > MOST_NAMES) fprintf(f, " and %d more", n - MOST_NAMES);
    if (n) fputs("</p>", f);
}

static void write_classes(FILE *f, const ls_classification *c)
{
    enum { ROW = 21, TOP = 8, BOTTOM = 24 };
    class_rows r = {.c = c};
    r.order      = calloc((size_t)c->classes, sizeof *r.order);
    if (!r.order) return;
    const int all = order_classes(c, r.order), n = all < MOST_CLASSES ? all : MOST_CLASSES;
    measure_classes(&r, n);
    begin_card(f, n > HALF_CLASSES ? "full" : "", "Accuracy by class");
    fprintf(f,
            "<span class=\"key\"><i class=\"b0\"></i>class, with its 95 %% interval</span><span class=\"key\"><i "
            "class=\"b1\"></i>all <em>%.2f %%</em></span></figcaption>\n<svg viewBox=\"0 0 %.0f %d\" role=\"img\" "
            "aria-label=\"Accuracy by class\">\n",
            100 * share(c->correct, c->samples), r.width, TOP + r.rows * ROW + BOTTOM);
    for (int k = 0; k < r.columns; k++)
        if (k * r.rows < n) write_class_axis(f, &r, k * r.column, TOP, TOP + r.rows * ROW);
    for (int i = 0; i < n; i++)
        write_class(f, &r, r.order[i], (double)(i / r.rows) * r.column, TOP + (i % r.rows + 0.5) * ROW);
    fputs("</svg>\n", f);
    if (n < all) fprintf(f, "<p class=\"note\">The %d of %d classes with the lowest accuracy.</p>", n, all);
    write_never(f, c);
    fputs("</figure>\n", f);
    free(r.order);
}

/* ---- reliability ------------------------------------------------------------------------------------------------- */

enum {
    PLOT_LEFT   = 54,
    PLOT_RIGHT  = 14,
    PLOT_TOP    = 12,
    PLOT_SIDE   = 178,
    COUNT_TOP   = 204,
    COUNT_SIDE  = 44,
    PLOT_HEIGHT = 290
};

static double bin_x(double confidence) { return PLOT_LEFT + (HALF - PLOT_LEFT - PLOT_RIGHT) * confidence; }

static void write_bin(FILE *f, const ls_classification *c, int i, double most)
{
    const ls_confidence_bin *b = &c->bin[i];
    const double             x = bin_x((double)i / LS_BINS), width = bin_x(1.0 / LS_BINS) - PLOT_LEFT;
    if (!b->samples) return;
    const double accuracy = share(b->correct, b->samples), confidence = b->confidence / (double)b->samples;
    const double y = PLOT_TOP + PLOT_SIDE * (1 - accuracy), at = PLOT_TOP + PLOT_SIDE * (1 - confidence);
    const double count = COUNT_SIDE * share(b->samples, (int64_t)most);
    fprintf(f,
            "<g><title>confidence %.2f to %.2f: %lld samples, mean confidence %.1f %%, accuracy %.1f %%</title>"
            "<rect class=\"f0\" opacity=\"%.2f\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
            "<rect class=\"gap s1\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
            "<rect class=\"f0\" opacity=\".45\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></g>\n",
            (double)i / LS_BINS, (i + 1.0) / LS_BINS, (long long)b->samples, 100 * confidence, 100 * accuracy,
            0.25 + 0.55 * sqrt(share(b->samples, (int64_t)most)), x + 1, y, width - 2, PLOT_TOP + PLOT_SIDE - y, x + 1,
            fmin(y, at), width - 2, fabs(y - at), x + 1, COUNT_TOP + COUNT_SIDE - count, width - 2, count);
}

static void write_reliability(FILE *f, const ls_classification *c)
{
    int64_t most = 1;
    char    text[32];
    for (int i = 0; i < LS_BINS; i++) most = c->bin[i].samples > most ? c->bin[i].samples : most;
    begin_card(f, "", "Calibration");
    fprintf(f,
            "<span class=\"key\"><i class=\"b0\"></i>accuracy <em>%.2f %%</em></span><span class=\"key\"><i "
            "class=\"b1\"></i>gap to the mean confidence <em>%.2f %%</em></span><span class=\"key\">expected "
            "calibration error <em>%.2f %%</em></span></figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-label=\"Calibration\">\n",
            100 * share(c->correct, c->samples), 100 * c->confidence, 100 * c->calibration_error, HALF, PLOT_HEIGHT);
    for (int i = 0; i <= 4; i++) {
        const double y = PLOT_TOP + PLOT_SIDE * (1 - i / 4.0);
        snprintf(text, sizeof text, "%d", 25 * i);
        fprintf(f, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", PLOT_LEFT, HALF - PLOT_RIGHT,
                y, y);
        put_text(f, PLOT_LEFT - 8, y + 4, "end", "tick", text);
    }
    for (int i = 0; i < LS_BINS; i++) write_bin(f, c, i, (double)most);
    fprintf(f, "<line class=\"mean\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", PLOT_LEFT, HALF - PLOT_RIGHT,
            PLOT_TOP + PLOT_SIDE, PLOT_TOP);
    fprintf(f, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", PLOT_LEFT, HALF - PLOT_RIGHT,
            COUNT_TOP + COUNT_SIDE, COUNT_TOP + COUNT_SIDE);
    ls__count_text(text, sizeof text, most);
    put_text(f, PLOT_LEFT - 8, COUNT_TOP + 10, "end", "tick", text);
    put_text(f, PLOT_LEFT - 8, COUNT_TOP + COUNT_SIDE, "end", "tick", "samples");
    for (int i = 0; i <= 4; i++) {
        snprintf(text, sizeof text, "%d", 25 * i);
        put_text(f, bin_x(i / 4.0), COUNT_TOP + COUNT_SIDE + 16, i == 4 ? "end" : "middle", "tick", text);
    }
    put_text(f, bin_x(0.5), PLOT_HEIGHT - 8, "middle", "tick", "confidence, %: probability of the predicted class");
    fputs("</svg></figure>\n", f);
}

void ls_classification_html(FILE *f, const ls_classification *c)
{
    const bool half = c->classes <= HALF_CLASSES;
    fputs(half ? "<div class=\"stack\">\n" : "", f);
    write_matrix(f, c);
    if (half) write_classes(f, c);
    fputs(half ? "</div><div class=\"stack\">\n" : "", f);
    write_reliability(f, c);
    write_pairs(f, c);
    fputs(half ? "</div>\n" : "", f);
    if (!half) write_classes(f, c);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Pen strokes of the synthetic digits: for each class a few skeletons, as points on a smooth curve.  The unit is a
 * hundredth of the writing box, x to the right, y down.  Internal; only synthetic_digits.c includes it.
 */
#ifndef LS_DATASETS_IMAGE_DIGIT_STROKES_H
#define LS_DATASETS_IMAGE_DIGIT_STROKES_H

#include <stdint.h>

/* Marks after a point.  TURN: a corner, where one curve ends and the next begins; LIFT: the pen is lifted; REST: the
 * end. */
enum { TURN = -1, LIFT = -2, REST = -3 };
enum { MAX_PEN = 48 };

typedef struct skeleton {
    uint8_t digit;
    uint8_t width; /* width of the writing box, hundredths of its height */
    uint8_t often; /* relative frequency within the class     */
    int8_t  pen[MAX_PEN];
} skeleton;

static const skeleton skeletons[] = {
    /* Variants of 0: closed; started at the right with a small overlap; with the ends apart */
    {0, 72, 4, {54, 0, 28, 6, 12, 30, 8, 62, 24, 92, 50, 100, 76, 91, 92, 62, 90, 30, 74, 7, 44, 2, REST}},
    {0, 74, 3, {70, 10, 46, 2, 20, 20, 9, 54, 18, 86, 44, 100, 72, 92, 90, 62, 88, 28, 66, 6, 46, 10, REST}},
    {0, 68, 2, {40, 4, 18, 22, 8, 54, 18, 88, 44, 100, 72, 90, 90, 60, 88, 26, 68, 4, REST}},
    {0, 66, 1, {62, 0, 32, 10, 12, 40, 10, 74, 30, 98, 60, 97, 84, 74, 92, 40, 78, 12, 52, 8, REST}},

    /* Variants of 1: a stroke; bent; with an upstroke; with an upstroke and a foot */
    {1, 30, 5, {52, 0, 50, 50, 48, 100, REST}},
    {1, 34, 3, {62, 0, 52, 48, 38, 100, REST}},
    {1, 46, 3, {16, 28, 38, 16, 58, 0, TURN, 56, 50, 52, 100, REST}},
    {1, 56, 1, {18, 24, 40, 12, 54, 0, TURN, 53, 52, 52, 98, LIFT, 16, 100, 52, 98, 90, 99, REST}},

    /* Variants of 2: with a straight foot; with a loop at the lower left; the round way into the foot; angular */
    {2, 74, 4, {12, 24, 30, 4, 62, 2, 82, 22, 70, 50, 40, 78, 10, 99, TURN, 50, 96, 92, 98, REST}},
    {2, 78, 3, {14, 22, 40, 0, 74, 10, 76, 38, 50, 68, 22, 92, 6, 88, 16, 76, 42, 84, 68, 98, 94, 92, REST}},
    {2, 72, 2, {10, 30, 22, 6, 54, 0, 80, 18, 74, 46, 44, 74, 14, 96, 40, 94, 70, 98, 94, 88, REST}},
    {2, 68, 1, {16, 10, 50, 2, 84, 14, 80, 34, 48, 68, 12, 98, TURN, 54, 100, 88, 96, REST}},

    /* Variants of 3: two bowls that meet in a point; a small loop in the middle; flat on top; wide below */
    {3, 66, 4, {12, 12, 44, 0, 78, 14, 70, 36, 38, 47, TURN, 70, 54, 88, 76, 66, 98, 32, 100, 8, 84, REST}},
    {3, 64, 2, {14, 16, 44, 0, 78, 14, 68, 40, 44, 50, 36, 45, 56, 46, 86, 66, 78, 94, 42, 101, 10, 88, REST}},
    {3, 66, 1, {12, 3, 48, 2, 86, 2, TURN, 66, 22, 44, 40, TURN, 76, 50, 90, 76, 62, 99, 30, 99, 8, 86, REST}},
    {3, 70, 2, {20, 6, 52, 0, 72, 16, 60, 36, 34, 44, TURN, 72, 46, 92, 70, 74, 94, 40, 101, 6, 92, REST}},

    /* Variants of 4: open; closed; one stroke from the left; open and angular */
    {4, 70, 4, {24, 2, 16, 30, 12, 56, TURN, 48, 58, 90, 52, LIFT, 78, 6, 72, 52, 66, 100, REST}},
    {4, 72, 2, {66, 0, 38, 34, 8, 66, TURN, 50, 68, 94, 66, LIFT, 66, 2, 65, 52, 64, 100, REST}},
    {4, 68, 3, {18, 4, 12, 34, 24, 54, 54, 50, 82, 34, LIFT, 86, 2, 78, 50, 66, 100, REST}},
    {4, 66, 2, {32, 0, 8, 50, TURN, 48, 46, 86, 48, LIFT, 62, 14, 58, 56, 52, 100, REST}},

    /* Variants of 5: one stroke from the right; the hat last; like an S */
    {5, 68, 3, {88, 3, 56, 4, 26, 3, TURN, 22, 24, 18, 44, TURN, 50, 36, 82, 52, 84, 82, 52, 100, 10, 92, REST}},
    {5, 72, 3, {26, 6, 22, 26, 18, 46, TURN, 52, 38, 82, 58, 74, 90, 40, 101, 8, 90, LIFT, 25, 6, 60, 2, 92, 0, REST}},
    {5, 64, 2, {84, 4, 50, 3, 24, 16, 28, 40, 60, 52, 82, 72, 66, 96, 34, 100, 12, 94, REST}},

    /* Variants of 6: a wide bow; a closed bowl ending inside; a straight stem */
    {6, 62, 4, {74, 2, 40, 22, 14, 58, 20, 92, 54, 100, 82, 80, 70, 56, 40, 56, 16, 76, REST}},
    {6, 60, 2, {60, 0, 26, 34, 10, 72, 32, 100, 70, 96, 84, 72, 58, 54, 30, 66, 22, 82, REST}},
    {6, 50, 2, {46, 0, 26, 44, 16, 80, 42, 100, 76, 86, 68, 62, 40, 62, 22, 78, REST}},

    /* Variants of 7: plain; with a bar; with a hook at the left; rounded */
    {7, 68, 4, {8, 6, 48, 4, 88, 3, TURN, 62, 46, 42, 100, REST}},
    {7, 70, 2, {8, 6, 48, 3, 88, 4, TURN, 64, 44, 44, 100, LIFT, 30, 52, 56, 50, 82, 48, REST}},
    {7, 70, 2, {10, 24, 14, 4, TURN, 50, 7, 90, 5, TURN, 68, 42, 52, 72, 46, 100, REST}},
    {7, 64, 2, {8, 10, 44, 8, 76, 2, 84, 16, 64, 50, 42, 100, REST}},

    /* Variants of 8: one line from the upper right, crossing; from the upper left; two rings */
    {8, 62, 4, {80, 14, 50, 0, 20, 14, 32, 40, 68, 58, 84, 82, 52, 101, 18, 84, 32, 58, 68, 40, 84, 18, REST}},
    {8, 60, 2, {30, 8, 22, 30, 62, 52, 84, 78, 54, 101, 18, 84, 30, 58, 66, 40, 78, 16, 52, 0, 28, 10, REST}},
    {8, 58, 2, {52, 0,  24, 10, 24, 34, 50, 46,  76, 34, 76, 10, 48, 1,  LIFT,
                50, 46, 18, 62, 18, 90, 50, 101, 82, 90, 82, 62, 48, 46, REST}},

    /* Variants of 9: a loop and a slanted stem; a straight stem; a curved tail; loop and stem in one curve */
    {9, 58, 4, {80, 14, 48, 0, 16, 20, 24, 46, 56, 44, 82, 16, TURN, 78, 56, 68, 100, REST}},
    {9, 54, 2, {78, 18, 50, 2, 16, 20, 22, 48, 54, 48, 80, 18, TURN, 82, 60, 80, 100, REST}},
    {9, 60, 2, {78, 12, 46, 0, 14, 22, 26, 48, 58, 42, 82, 12, TURN, 84, 60, 62, 94, 22, 92, REST}},
    {9, 62, 2, {82, 22, 56, 2, 20, 12, 16, 38, 44, 50, 74, 34, 82, 14, 76, 60, 50, 100, REST}},
};

#endif

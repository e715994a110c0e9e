/* SPDX-License-Identifier: Apache-2.0
 *
 * The orientation of an image, from EXIF or XMP.  EXIF is a TIFF header:
 *
 *     bytes 0..1   "II": little-endian, "MM": big-endian
 *     bytes 2..3   42
 *     bytes 4..7   offset of the first directory: a count of entries, then entries of 12 bytes: tag, type, count, value
 *
 * Damaged metadata count as none, because the pixels are intact.
 */
#include <string.h>

#include "datasets/image/image_decode.h"

enum { ORIENTATION = 0x112, SHORT = 3, LONG = 4 };

static uint32_t number(const uint8_t *b, int bytes, bool big)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | b[big ? i : bytes - 1 - i];
    return value;
}

static int valid(uint32_t orientation) { return orientation >= 1 && orientation <= 8 ? (int)orientation : 0; }

int ls__exif_orientation(const uint8_t *data, size_t bytes)
{
    if (bytes < 8 || (memcmp(data, "II", 2) != 0 && memcmp(data, "MM", 2) != 0)) return 0;
    bool   big = data[0] == 'M';
    size_t at  = number(data + 4, 4, big);
    if (number(data + 2, 2, big) != 42 || at > bytes - 2) return 0;
    uint32_t entries = number(data + at, 2, big);
    int      found   = 0;
    at += 2;
    for (uint32_t i = 0; i < entries && bytes - at >= 12; i++, at += 12) {
        const uint8_t *entry = data + at;
        uint32_t       type  = number(entry + 2, 2, big);
        if (number(entry, 2, big) != ORIENTATION || (type != SHORT && type != LONG)) continue;
        if (number(entry + 4, 4, big) == 1) found = valid(number(entry + 8, type == SHORT ? 2 : 4, big));
    }
    return found;
}

/* XMP is XML with tiff:Orientation="6" or <tiff:Orientation>6</tiff:Orientation>. */
int ls__xmp_orientation(const uint8_t *data, size_t bytes)
{
    static const char name[] = "tiff:Orientation";
    const size_t      length = sizeof name - 1;
    for (const uint8_t *at = data; (at = memmem(at, (size_t)(data + bytes - at), name, length)); at += length) {
        const uint8_t *value = at + length;
        size_t         left  = (size_t)(data + bytes - value);
        size_t         skip  = left > 2 && !memcmp(value, "=\"", 2) ? 2 : left > 1 && *value == '>' ? 1 : 0;
        if (skip && value[skip] >= '0' && value[skip] <= '9') return valid((uint32_t)(value[skip] - '0'));
    }
    return 0;
}

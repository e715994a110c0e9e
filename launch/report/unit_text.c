/* SPDX-License-Identifier: Apache-2.0
 * Quantities as text: see launch/report/unit_text.h. */
#include "launch/report/unit_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void ls__time_text(char *out, size_t room, double seconds)
{
    long long s = llround(seconds);
    if (s < 3600)
        snprintf(out, room, "%lld:%02lld", s / 60, s % 60);
    else if (s < 48 * 3600)
        snprintf(out, room, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, room, "%lld d %02lld h", s / 86400, s / 3600 % 24);
}

void ls__count_text(char *out, size_t room, int64_t n)
{
    char digits[32];
    int  length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < length && at + 2 < (int)room; i++) {
        if (i && digits[i - 1] != '-' && (length - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

const char *ls_processor_name(void)
{
    static char name[128];
    FILE       *f = *name ? NULL : fopen("/proc/cpuinfo", "re");
    char        line[512];
    while (f && !*name && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f) fclose(f);
    return name;
}

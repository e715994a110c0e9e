/* SPDX-License-Identifier: Apache-2.0
 * State and start time of a process, parsed from /proc/PID/stat. */
#include "dist/comm/process_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool ls__process_state(int process, char *state, int64_t *started)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t n = read(file, text, sizeof text - 1);
    close(file);
    if (n <= 0) return false;
    text[n] = 0;
    /* The process name is in parentheses and may itself contain parentheses and spaces. */
    const char *end_of_name = strrchr(text, ')');
    long long   ticks;
    if (!end_of_name ||
        sscanf(end_of_name + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
               state, &ticks) != 2)
        return false;
    *started = ticks;
    return true;
}

bool ls__process_runs(int process, int64_t started, char *state)
{
    int64_t found;
    return ls__process_state(process, state, &found) && found == started && *state != 'Z' && *state != 'X';
}

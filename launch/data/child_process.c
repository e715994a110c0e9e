/* SPDX-License-Identifier: Apache-2.0
 * Runs other programs: see launch/data/child_process.h. */
#include "launch/data/child_process.h"

#include <errno.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

int ls__child_run(const char *const *argv)
{
    pid_t child;
    int   state, error = posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (error) return -1;
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR) return 1;
    if (WIFEXITED(state)) return WEXITSTATUS(state) == 127 ? -1 : WEXITSTATUS(state);
    return 1;
}

ls_status ls__archive_extract(const char *archive, const char *folder)
{
    const char *tar[] = {"tar", "--extract", "--no-same-owner", "--file", archive, "--directory", folder, NULL};
    LS_CHECK(mkdir(folder, 0777) == 0, LS_ERR_ENV, "%s: cannot create the folder: %s", folder, strerror(errno));
    int code = ls__child_run(tar);
    LS_CHECK(code >= 0, LS_ERR_ENV, "%s: cannot be extracted: tar is not installed", archive);
    LS_CHECK(code == 0, LS_ERR_DATA,
             "%s: cannot be extracted (tar exited with %d)" LS_HINT
             "the archive is damaged, the disk is full, or its decompressor is missing (Debian: apt install xz-utils)",
             archive, code);
    return LS_OK;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void ls__tree_remove(const char *folder)
{
    enum { OPEN_FOLDERS = 16 };
    nftw(folder, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

/* SPDX-License-Identifier: Apache-2.0
 * Writes, reads and checks data.json: see launch/data/dataset_card.h. */
#include "launch/data/dataset_card.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "launch/tasks/task.h"

#define REMAKE LS_HINT "the file describes the run's dataset; repeat the same `lockstep train` to write it again"

ls_status ls_dataset_card_text(const char *name, const ls_dataset_card *card, ls_arena *memory, const char **text)
{
    const ls_task *task   = ls_task_of(&card->info);
    json_t        *json   = json_pack("{s:s}", "kind", task->card);
    ls_status      status = LS_OK;
    char          *dump   = NULL;
    if (json) status = task->write_card(json, card);
    if (json && status == LS_OK) dump = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(card->scaler ? 17 : 9));
    json_decref(json);
    if (status == LS_OK && !dump) status = LS_FAIL(LS_ERR_ENV, "%s: no memory to write the dataset card", name);
    if (status == LS_OK) *text = ls_arena_strdup(memory, dump);
    free(dump);
    return status;
}

ls_status ls_dataset_card_write(const char *path, const ls_dataset_card *card, ls_arena *memory)
{
    const char *text;
    LS_TRY(ls_dataset_card_text(path, card, memory, &text));
    return ls__file_save(path, text, strlen(text));
}

/* Reads the fields of a card. */
static ls_status take_card(const char *name, const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    const ls_task *task = ls_task_of_card(json_string_value(json_object_get(json, "kind")));
    LS_CHECK(task->read_card(json, card, memory), LS_ERR_DATA,
             "%s: expected a complete description of %s, found missing or invalid values" REMAKE, name, task->data);
    return LS_OK;
}

ls_status ls_dataset_card_parse(const char *name, const char *text, ls_dataset_card *card, ls_arena *memory)
{
    json_error_t error;
    json_t      *json = json_loads(text, 0, &error);
    *card             = (ls_dataset_card){.info = {.split = "", .path = name}};
    LS_CHECK(json, LS_ERR_DATA, "%s: its description of the dataset: line %d: %s", name, error.line, error.text);
    ls_status status = take_card(name, json, card, memory);
    json_decref(json);
    return status;
}

ls_status ls_dataset_card_read(const char *path, ls_dataset_card *card, ls_arena *memory)
{
    json_error_t error;
    int          file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block on a pipe, which is refused */
    struct stat  st;
    *card = (ls_dataset_card){.info = {.split = "", .path = path}};
    LS_CHECK(file >= 0, LS_ERR_DATA, "%s: %s" REMAKE, path, strerror(errno));
    bool    plain = fstat(file, &st) == 0 && S_ISREG(st.st_mode);
    json_t *json  = plain ? json_loadfd(file, 0, &error) : NULL;
    close(file);
    LS_CHECK(plain, LS_ERR_DATA, "%s: expected a file" REMAKE, path);
    LS_CHECK(json, LS_ERR_DATA, "%s:%d: %s" REMAKE, path, error.line, error.text);
    ls_status status = take_card(path, json, card, memory);
    json_decref(json);
    return status;
}

ls_status ls_dataset_card_check(const char *folder, const ls_dataset_info *info, ls_arena *memory)
{
    ls_dataset_card card;
    const char     *path = ls_arena_printf(memory, "%s/data.json", folder);
    const ls_task  *task = ls_task_of(info);
    if (access(path, F_OK) != 0) return LS_OK;
    LS_TRY(ls_dataset_card_read(path, &card, memory));
    ls_scaler_free(card.scaler);
    LS_CHECK(ls_task_of(&card.info) == task, LS_ERR_USAGE, "%s: the run was started with %s, but the dataset holds %s",
             folder, ls_task_of(&card.info)->data, task->data);
    return task->check_card ? task->check_card(folder, &card.info, info) : LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * How a model expects the turns of a conversation: the templates of published models, by name. */
#ifndef LS_LAUNCH_GENERATE_CHAT_TEMPLATE_H
#define LS_LAUNCH_GENERATE_CHAT_TEMPLATE_H

#include "core/base/arena.h"
#include "core/core.h"

typedef struct ls_chat_template {
    const char *name;
    const char *shipped[4]; /* FNV-1a hashes of the template's text in published folders; ended by NULL */
    const char *begin;      /* first text of a conversation */
    const char *turn, *end; /* of a turn, around its text; %s in `turn` is the role */
    const char *system, *user, *assistant; /* roles; system NULL: the text stands before that of the first user turn */
    const char *preamble;                  /* of the system turn, which is then always there; NULL: none */
    const char *default_system;            /* text of the system turn where none is given; NULL: no such turn */
    bool        trims;                     /* white space around a text is removed */
    bool        no_system;                 /* a conversation has no system turn */
} ls_chat_template;

/* Returns the template of a name; NULL: `known` lists the names. */
const ls_chat_template *ls_chat_template_named(const char *name, char known[256]);

/* Finds the template of a folder as Hugging Face writes it, from chat_template.jinja or tokenizer_config.json, by its
 * text.  LS_ERR_DATA: the folder has no template, or an unknown one. */
ls_status ls_chat_template_of(const char *folder, const ls_chat_template **t);

/* Returns the text of a conversation of one user turn, up to the beginning of the answer.  system NULL: the default.
 * The result is NULL if a system turn is given and the template has none. */
const char *ls_chat_prompt(const ls_chat_template *t, const char *system, const char *user, ls_arena *memory);

#endif

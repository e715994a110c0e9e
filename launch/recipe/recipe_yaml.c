/* SPDX-License-Identifier: Apache-2.0
 *
 * Parses YAML into a small tree of nodes with their file, line and column, from libyaml's events.  A recipe consists of
 * scalars, lists and maps, a few levels deep.  Other features of YAML (anchors, aliases, tags, several documents) are
 * refused with their place, and so are texts that are too large or nested too deeply.
 */
#include <string.h>
#include <yaml.h>

#include "launch/recipe/recipe_internal.h"

enum { MOST_BYTES = 256 << 10, MOST_DEPTH = 16, MOST_NODES = 20000 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t  event;
    ls_arena     *arena;
    const char   *file; /* NULL: an override */
    const char   *text;
    int           nodes;
} reader;

static const char *place(const reader *r, yaml_mark_t mark)
{
    if (!r->file) return "command line";
    return ls_arena_printf(r->arena, "%s:%zu:%zu", r->file, mark.line + 1, mark.column + 1);
}

/* Returns the length in bytes of the UTF-8 character at p (RFC 3629), 0 if the bytes are no valid character. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80) return 1;
    size_t   length = p[0] >= 0xC2 && p[0] < 0xE0   ? 2
                      : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
                      : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                                    : 0;
    unsigned low    = p[0] == 0xE0   ? 0xA0
                      : p[0] == 0xF0 ? 0x90
                                     : 0x80,
             high   = p[0] == 0xED   ? 0x9F
                      : p[0] == 0xF4 ? 0x8F
                                     : 0xBF;
    if (!length || length > left || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xBF) return 0;
    return length;
}

static ls_status check_text(const reader *r, const char *text, size_t bytes)
{
    const char *file = r->file ? r->file : "command line";
    size_t      line = 1, column = 1;
    LS_CHECK(bytes <= MOST_BYTES, LS_ERR_USAGE,
             "%s: %zu bytes: expected a recipe of at most %d" LS_HINT "is this the right file?", file, bytes,
             MOST_BYTES);
    for (size_t i = 0, length; i < bytes; i += length) {
        length = utf8_length((const unsigned char *)text + i, bytes - i);
        LS_CHECK(length && text[i], LS_ERR_USAGE,
                 "%s:%zu:%zu: expected UTF-8 text, found the byte 0x%02x" LS_HINT "is this a recipe?", file, line,
                 column, (unsigned char)text[i]);
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return LS_OK;
}

/* Returns whether a line is indented with a tab, for which libyaml's message is "found character that cannot start any
 * token". */
static bool tab_before(const reader *r, yaml_mark_t mark)
{
    const char *p = r->text;
    for (size_t line = 0; line < mark.line; line++) {
        p = strchr(p, '\n');
        if (!p) return false;
        p++;
    }
    return p[strspn(p, " ")] == '\t';
}

static ls_status next(reader *r)
{
    if (yaml_parser_parse(&r->parser, &r->event)) return LS_OK;
    const yaml_parser_t *p    = &r->parser;
    const char          *hint = tab_before(r, p->problem_mark) ? LS_HINT "indent with spaces: YAML allows no tabs" : "";
    const char          *problem = p->problem ? p->problem : "not YAML";
    return LS_FAIL(LS_ERR_USAGE, "%s: %s%s%s%s", place(r, p->problem_mark), problem, p->context ? " " : "",
                   p->context ? p->context : "", hint);
}

static ls_status read_node(reader *r, ls_yaml **node, int depth);

static ls_status read_children(reader *r, ls_yaml *parent, int depth)
{
    bool              map  = parent->kind == LS_YAML_MAP;
    yaml_event_type_t end  = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    ls_yaml         **last = &parent->first;
    for (;;) {
        LS_TRY(next(r));
        if (r->event.type == end) break;
        ls_yaml *key = NULL, *child;
        if (map) {
            LS_TRY(read_node(r, &key, depth));
            LS_CHECK(key->kind == LS_YAML_SCALAR && *key->text, LS_ERR_USAGE, "%s: expected a key, found %s",
                     key->where, ls__yaml_describe(r->arena, key));
            for (const ls_yaml *other = parent->first; other; other = other->next)
                LS_CHECK(strcmp(other->key, key->text) != 0, LS_ERR_USAGE,
                         "%s: the key '%s' is given twice; first at %s", key->where, key->text, other->key_where);
            LS_TRY(next(r));
        }
        LS_TRY(read_node(r, &child, depth));
        if (map) {
            child->key       = key->text;
            child->key_where = key->where;
        }
        *last = child;
        last  = &child->next;
    }
    yaml_event_delete(&r->event);
    return LS_OK;
}

/* Reads the node that starts with the current event. */
static ls_status read_node(reader *r, ls_yaml **node, int depth)
{
    yaml_event_t e       = r->event; /* deleted below */
    const char  *where   = place(r, e.start_mark);
    const char  *refused = NULL;
    ls_yaml     *y       = ls_arena_alloc(r->arena, sizeof *y);
    memset(&r->event, 0, sizeof r->event);
    y->where = where;
    if (e.type == YAML_SCALAR_EVENT) {
        y->kind   = LS_YAML_SCALAR;
        y->quoted = e.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (strlen((const char *)e.data.scalar.value) != e.data.scalar.length)
            refused = "a zero byte";
        else
            y->text = ls_arena_strdup(r->arena, (const char *)e.data.scalar.value);
        if (e.data.scalar.anchor) refused = "an anchor";
        if (e.data.scalar.tag) refused = "a tag";
    } else if (e.type == YAML_SEQUENCE_START_EVENT) {
        y->kind = LS_YAML_LIST;
        if (e.data.sequence_start.anchor) refused = "an anchor";
        if (e.data.sequence_start.tag) refused = "a tag";
    } else if (e.type == YAML_MAPPING_START_EVENT) {
        y->kind = LS_YAML_MAP;
        if (e.data.mapping_start.anchor) refused = "an anchor";
        if (e.data.mapping_start.tag) refused = "a tag";
    } else {
        refused = "an alias";
    }
    yaml_event_delete(&e);
    LS_CHECK(!refused, LS_ERR_USAGE,
             "%s: expected plain values, found %s" LS_HINT
             "recipes have no anchors, aliases or tags: write the value out",
             where, refused);
    LS_CHECK(depth < MOST_DEPTH, LS_ERR_USAGE, "%s: expected at most %d levels of nesting, found more", where,
             MOST_DEPTH);
    LS_CHECK(++r->nodes <= MOST_NODES, LS_ERR_USAGE, "%s: expected at most %d values, found more", where, MOST_NODES);
    *node = y;
    return y->kind == LS_YAML_SCALAR ? LS_OK : read_children(r, y, depth + 1);
}

static ls_status read_document(reader *r, ls_yaml **root)
{
    LS_TRY(next(r)); /* the start of the stream */
    yaml_event_delete(&r->event);
    LS_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return LS_OK;
    yaml_event_delete(&r->event);
    LS_TRY(next(r));
    LS_TRY(read_node(r, root, 0));
    LS_TRY(next(r)); /* the end of the document */
    yaml_event_delete(&r->event);
    LS_TRY(next(r));
    LS_CHECK(r->event.type == YAML_STREAM_END_EVENT, LS_ERR_USAGE, "%s: expected one document, found a second",
             place(r, r->event.start_mark));
    return LS_OK;
}

ls_status ls__yaml_read(ls_yaml **root, ls_arena *arena, const char *text, size_t bytes, const char *file)
{
    reader r = {.arena = arena, .file = file};
    *root    = NULL;
    if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* byte order mark, which libyaml would read as text */
        text += 3;
        bytes -= 3;
    }
    LS_TRY(check_text(&r, text, bytes));
    char *copy = ls_arena_alloc(arena, bytes + 1);
    if (bytes) memcpy(copy, text, bytes);
    r.text = copy;
    LS_CHECK(yaml_parser_initialize(&r.parser), LS_ERR_ENV, "%s: no memory for the YAML parser",
             file ? file : "command line");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)copy, bytes);
    ls_status status = read_document(&r, root);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (status != LS_OK) *root = NULL;
    return status;
}

bool ls__yaml_is_null(const ls_yaml *y)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (y->kind == LS_YAML_SCALAR && !y->quoted && !strcmp(y->text, nulls[i])) return true;
    return false;
}

const char *ls__yaml_describe(ls_arena *arena, const ls_yaml *y)
{
    if (y->kind == LS_YAML_LIST) return "a list";
    if (y->kind == LS_YAML_MAP) return "a map";
    if (ls__yaml_is_null(y)) return "nothing";
    return ls_arena_printf(arena, "%s'%.60s'%s", y->quoted ? "the text " : "", y->text,
                           strlen(y->text) > 60 ? "..." : "");
}

void ls__yaml_print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7F)
            fprintf(out, "\\x%02x", *p);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

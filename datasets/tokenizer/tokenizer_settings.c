/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a tokenizer.json: how texts are normalized and split into words, and which tokens are put around them.
 *
 * A tokenizer that loads gives the same tokens as Hugging Face's library.  So any setting that would change the tokens
 * and is not supported is an error, which names the key, the expected and the found value.
 */
#include "datasets/tokenizer/tokenizer_settings.h"

#include <stdio.h>
#include <string.h>

#include "core/base/format_text.h"
#include "datasets/tokenizer/tokenizer_normalize.h"
#include "datasets/tokenizer/tokenizer_wordpiece.h"

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static bool type_is(const json_t *j, const char *type)
{
    const char *text = json_string_value(json_object_get(j, "type"));
    return text && strcmp(text, type) == 0;
}

static bool text_is(const json_t *j, const char *text)
{
    return json_is_string(j) && strcmp(json_string_value(j), text) == 0;
}

static bool is_true(const json_t *j, const char *key, bool fallback)
{
    const json_t *value = json_object_get(j, key);
    return value && !json_is_null(value) ? json_is_true(value) : fallback;
}

enum { MAX_STEPS = 4 };

/* The steps of a normalizer, a pre-tokenizer, or a post-processor. */
typedef struct steps {
    const json_t *step[MAX_STEPS];
    size_t        count; /* may be larger than MAX_STEPS, and is no supported form then */
} steps;

/* Finds the steps: none for null, those of a Sequence, or the value itself. */
static steps steps_of(const json_t *value, const char *list)
{
    steps         s = {0};
    const json_t *step, *all = json_object_get(value, list);
    size_t        i;
    if (!value || json_is_null(value)) return s;
    if (!type_is(value, "Sequence")) return (steps){{value}, 1};
    json_array_foreach((json_t *)(uintptr_t)all, i, step) if (i < MAX_STEPS) s.step[i] = step;
    s.count                                                                            = json_array_size(all);
    return s;
}

/* The types of the steps, for messages: "Digits, ByteLevel". */
static const char *steps_text(const steps *s)
{
    const char *text = s->count ? "" : "null";
    for (size_t i = 0; i < s->count && i < MAX_STEPS; i++) {
        const char *type = json_string_value(json_object_get(s->step[i], "type"));
        text = ls__text("%s%s%s", text, i ? ", " : "", type ? ls__vocab_show(type) : ls__json_kind(s->step[i]));
    }
    return s->count > MAX_STEPS ? ls__text("%s, ...", text) : text;
}

/* ---- normalizer -------------------------------------------------------------------------------------------------- */

static void take_bert_normalizer(ls_vocab_file *l, const json_t *step)
{
    const json_t *accents = json_object_get(step, "strip_accents");
    l->lowercase          = is_true(step, "lowercase", true);
    l->rules.clean        = is_true(step, "clean_text", true);
    l->rules.chinese      = is_true(step, "handle_chinese_chars", true);
    l->rules.strip        = json_is_boolean(accents) ? json_is_true(accents) : l->lowercase;
}

/* Reads one step of the normalizer; false: it is not supported. */
static bool take_normalizer_step(ls_vocab_file *l, const json_t *step)
{
    const json_t *pattern = json_object_get(json_object_get(step, "pattern"), "String");
    const bool    lower = type_is(step, "Lowercase"), replace = type_is(step, "Replace");
    const bool    lines =
        replace && text_is(pattern, "\n") && text_is(json_object_get(step, "content"), " " LS_END_WORD " ");
    const bool nfc     = type_is(step, "NFC") && l->words;
    const bool prepend = type_is(step, "Prepend") && text_is(json_object_get(step, "prepend"), LS_SPACE_MARK);
    const bool marks   = replace && text_is(pattern, " ") && text_is(json_object_get(step, "content"), LS_SPACE_MARK);
    if (l->spaces) {
        l->rules.prepend |= prepend;
        l->rules.marks |= marks;
        return prepend || marks;
    }
    l->lowercase |= lower;
    l->line_ends |= lines;
    l->rules.nfc |= nfc;
    if (l->wordpiece && type_is(step, "BertNormalizer")) {
        take_bert_normalizer(l, step);
        return true;
    }
    return !l->wordpiece && (lower || lines || nfc);
}

static ls_status take_normalizer(ls_vocab_file *l, const json_t *root)
{
    const steps s    = steps_of(json_object_get(root, "normalizer"), "normalizers");
    bool        good = s.count <= (l->wordpiece ? 1 : MAX_STEPS);
    for (size_t i = 0; i < s.count && good; i++) good = take_normalizer_step(l, s.step[i]);
    if (l->rules.nfc) good = good && s.count == 1;
    if (l->spaces) good = good && (l->metaspace ? s.count == 0 : l->rules.marks && s.count == 1u + l->rules.prepend);
    LS_CHECK(good, LS_ERR_DATA, "%s: normalizer: expected %s, found %s" LS_HINT "this setting is not supported",
             l->path,
             l->wordpiece   ? "BertNormalizer"
             : l->metaspace ? "null, because Metaspace replaces spaces"
             : l->spaces    ? "Replace of ' ' by '" LS_SPACE_MARK "', with or without Prepend"
                            : "null, Lowercase, NFC, or Replace of newlines by ' " LS_END_WORD " ' for words",
             steps_text(&s));
    LS_CHECK(
        l->line_ends == l->spaced, LS_ERR_DATA,
        "%s: normalizer: expected Replace of newlines by ' %s ' for words that WhitespaceSplit separates, and for no "
        "others",
        l->path, LS_END_WORD);
    LS_CHECK(!l->spaced || !json_array_size(l->added), LS_ERR_DATA,
             "%s: added_tokens: expected none for a tokenizer of words, found %zu", l->path, json_array_size(l->added));
    return LS_OK;
}

/* ---- pre-tokenizer ----------------------------------------------------------------------------------------------- */

/* True for a Split with a regular expression that isolates its matches. */
static bool splits_by(const json_t *step, const char *pattern)
{
    return type_is(step, "Split") && text_is(json_object_get(json_object_get(step, "pattern"), "Regex"), pattern) &&
           text_is(json_object_get(step, "behavior"), "Isolated") && !is_true(step, "invert", false);
}

/* Returns the longest number of a Split by the regular expression of cl100k; 0: the step is another. */
static int cl100k_digits(const json_t *step)
{
#define CL100K(number)                                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" number                                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    static const struct {
        const char *pattern;
        int         digits;
    } form[] = {{CL100K("\\p{N}"), 1}, {CL100K("\\p{N}{1,3}"), 3}};
    for (size_t i = 0; i < sizeof form / sizeof *form; i++)
        if (splits_by(step, form[i].pattern)) return form[i].digits;
    return 0;
}

/* Reads Metaspace; false: it has a setting that is not supported. */
static bool take_metaspace(ls_vocab_file *l, const json_t *step)
{
    static const char *const scheme[] = {"never", "first", "always"};
    const char              *text     = json_string_value(json_object_get(step, "prepend_scheme"));
    const json_t            *adds     = json_object_get(step, "add_prefix_space");
    int                      k        = text ? 0 : LS_PREFIX_ALWAYS;
    while (text && k < 3 && strcmp(text, scheme[k])) k++;
    if (k == 3 || !text_is(json_object_get(step, "replacement"), LS_SPACE_MARK)) return false;
    if (json_is_false(adds) && k != LS_PREFIX_NEVER) return false; /* the library refuses this, too */
    l->metaspace    = true;
    l->rules.prefix = (uint8_t)k;
    l->rules.each   = is_true(step, "split", true);
    return true;
}

/* True for the Split of Gemma: at spaces, of which its normalizer leaves none. */
static bool splits_at_spaces(const json_t *step)
{
    return type_is(step, "Split") && text_is(json_object_get(json_object_get(step, "pattern"), "String"), " ") &&
           text_is(json_object_get(step, "behavior"), "MergedWithPrevious") && !is_true(step, "invert", false);
}

/* True for the forms of sentencepiece: without a pre-tokenizer, and with Gemma's or Metaspace. */
static bool take_spaces(ls_vocab_file *l, const json_t *root, const steps *s)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (s->count == 0) return normalizer && !json_is_null(normalizer);
    if (s->count > 1) return false;
    return type_is(s->step[0], "Metaspace") ? take_metaspace(l, s->step[0]) : splits_at_spaces(s->step[0]);
}

/* Reads how texts are split into words. */
static ls_status take_words(ls_vocab_file *l, const json_t *root)
{
    const steps   s     = steps_of(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    const json_t *first = s.step[0], *level = s.count == 1 ? s.step[0] : s.count == 2 ? s.step[1] : NULL;
    const bool    byte_level = type_is(level, "ByteLevel"), regex = is_true(level, "use_regex", true);
    const bool    digits  = type_is(first, "Digits") && is_true(first, "individual_digits", false);
    const int     longest = s.count == 2 && !regex ? cl100k_digits(first) : 0;
    l->spaced             = s.count == 1 && type_is(first, "WhitespaceSplit");
    l->wordpiece          = s.count == 1 && type_is(first, "BertPreTokenizer");
    l->spaces             = take_spaces(l, root, &s);
    if (l->spaces) l->rules.split = LS_SPLIT_SPACES;
    if (l->spaced || l->wordpiece || l->spaces) return LS_OK;
    l->chars        = byte_level && s.count == 2 && splits_by(first, "[\\s\\S]") && !regex;
    l->words        = byte_level && (longest || (regex && (s.count == 1 || digits)));
    l->rules.split  = longest ? LS_SPLIT_CL100K : s.count == 2 && digits ? LS_SPLIT_DIGITS : LS_SPLIT_GPT2;
    l->rules.digits = (uint8_t)longest;
    LS_CHECK(l->chars || l->words || (byte_level && s.count == 1), LS_ERR_DATA,
             "%s: pre_tokenizer: expected ByteLevel, Digits (individual_digits) and ByteLevel, Split as Qwen2's or "
             "Llama 3's and ByteLevel, Metaspace, Split as Gemma's, BertPreTokenizer, or WhitespaceSplit, "
             "found %s" LS_HINT "this way to split texts into words is not supported",
             l->path, steps_text(&s));
    LS_CHECK(!is_true(level, "add_prefix_space", true), LS_ERR_DATA,
             "%s: pre_tokenizer: expected add_prefix_space false" LS_HINT
             "save the tokenizer with ByteLevel(add_prefix_space=False)",
             l->path);
    return LS_OK;
}

/* ---- post-processor ---------------------------------------------------------------------------------------------- */

static ls_status template_token(const ls_vocab_file *l, const json_t *id, int64_t type, ls_template *to)
{
    LS_CHECK(json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < l->size, LS_ERR_DATA,
             "%s: post_processor: expected the id of a token, 0 to %lld, found %s" LS_HINT
             "the file contradicts itself: download it again",
             l->path, (long long)l->size - 1,
             json_is_integer(id) ? ls__text("%lld", (long long)json_integer_value(id)) : ls__json_kind(id));
    LS_CHECK(to->count < LS_MAX_TEMPLATE, LS_ERR_DATA, "%s: post_processor: expected at most %d tokens around a text",
             l->path, LS_MAX_TEMPLATE);
    to->item[to->count++] = (ls_template_item){(int32_t)json_integer_value(id), (int32_t)type};
    return LS_OK;
}

/* Reads one list of a template: {"SpecialToken": {"id", "type_id"}} or {"Sequence": {"id", "type_id"}} each. */
static ls_status take_template(ls_vocab_file *l, const json_t *processor, const char *key, ls_template *to)
{
    const json_t *list = json_object_get(processor, key), *known = json_object_get(processor, "special_tokens");
    const int     texts = strcmp(key, "pair") ? 1 : 2;
    const json_t *piece, *id;
    size_t        i, k;
    int           next = 0; /* text that is expected next: 0 is A, 1 is B */
    *to                = (ls_template){0};
    json_array_foreach((json_t *)(uintptr_t)list, i, piece)
    {
        const json_t *text = json_object_get(piece, "Sequence"), *token = json_object_get(piece, "SpecialToken");
        const json_t *type = json_object_get(text ? text : token, "type_id");
        const char   *name = json_string_value(json_object_get(text ? text : token, "id"));
        LS_CHECK(name && json_is_integer(type) && json_integer_value(type) >= 0 && json_integer_value(type) <= 1,
                 LS_ERR_DATA, "%s: post_processor.%s: expected SpecialToken or Sequence with an id and type_id 0 or 1",
                 l->path, key);
        if (text) {
            LS_CHECK(next < texts && !strcmp(name, next ? "B" : "A") && to->count < LS_MAX_TEMPLATE, LS_ERR_DATA,
                     "%s: post_processor.%s: expected %s, once, found '%s'", l->path, key,
                     texts == 1 ? "the text A" : "the texts A and B in this order", ls__vocab_show(name));
            to->item[to->count++] =
                (ls_template_item){next++ ? LS_TEMPLATE_B : LS_TEMPLATE_A, (int32_t)json_integer_value(type)};
            continue;
        }
        const json_t *ids = json_object_get(json_object_get(known, name), "ids");
        LS_CHECK(json_array_size(ids) > 0, LS_ERR_DATA,
                 "%s: post_processor.special_tokens: expected '%s' with its ids, found %s", l->path,
                 ls__vocab_show(name), ls__json_kind(ids));
        json_array_foreach((json_t *)(uintptr_t)ids, k, id) LS_TRY(template_token(l, id, json_integer_value(type), to));
    }
    LS_CHECK(next == texts || (texts == 2 && !to->count), LS_ERR_DATA, "%s: post_processor.%s: expected %s, found %s",
             l->path, key, texts == 1 ? "the text A" : "the texts A and B", next ? "A alone" : "none");
    return LS_OK;
}

/* Reads BertProcessing or RobertaProcessing: cls A sep B sep, or cls A sep sep B sep with types 0. */
static ls_status take_cls_and_sep(ls_vocab_file *l, const json_t *processor)
{
    const json_t          *cls  = json_array_get(json_object_get(processor, "cls"), 1);
    const json_t          *sep  = json_array_get(json_object_get(processor, "sep"), 1);
    const bool             bert = type_is(processor, "BertProcessing");
    const int32_t          last = bert;
    const ls_template_item a = {LS_TEMPLATE_A, 0}, b = {LS_TEMPLATE_B, last};
    l->single = l->pair = (ls_template){0};
    LS_TRY(template_token(l, cls, 0, &l->single));
    l->single.item[l->single.count++] = a;
    LS_TRY(template_token(l, sep, 0, &l->single));
    l->pair = l->single;
    if (!bert) LS_TRY(template_token(l, sep, 0, &l->pair));
    l->pair.item[l->pair.count++] = b;
    LS_TRY(template_token(l, sep, last, &l->pair));
    return LS_OK;
}

ls_status ls__settings_template(ls_vocab_file *l, const json_t *root)
{
    const steps s        = steps_of(json_object_get(root, "post_processor"), "processors");
    int         adding   = 0;
    bool        expected = s.count <= MAX_STEPS;
    l->single            = (ls_template){{{LS_TEMPLATE_A, 0}}, 1};
    l->pair              = (ls_template){{{LS_TEMPLATE_A, 0}, {LS_TEMPLATE_B, 1}}, 2};
    for (size_t i = 0; i < s.count && expected; i++) {
        const json_t *step = s.step[i];
        const bool    form = type_is(step, "TemplateProcessing");
        const bool    cls  = type_is(step, "BertProcessing") || type_is(step, "RobertaProcessing");
        expected           = (form || cls || type_is(step, "ByteLevel")) && (adding += form || cls) <= 1;
        if (form && expected) {
            LS_TRY(take_template(l, step, "single", &l->single));
            LS_TRY(take_template(l, step, "pair", &l->pair));
        }
        if (cls && expected) LS_TRY(take_cls_and_sep(l, step));
    }
    LS_CHECK(expected, LS_ERR_DATA,
             "%s: post_processor: expected null, ByteLevel, and one of TemplateProcessing, BertProcessing and "
             "RobertaProcessing, found %s" LS_HINT "this setting is not supported",
             l->path, steps_text(&s));
    return LS_OK;
}

/* ---- settings that must be unset --------------------------------------------------------------------------------- */

/* Checks settings that are not supported: each must be null, false, 0 or empty. */
static ls_status check_unused(const ls_vocab_file *l, const json_t *object, const char *prefix, const char *const *keys,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        bool          none  = !value || json_is_null(value) || json_is_false(value) ||
                    (json_is_number(value) && json_number_value(value) == 0) ||
                    (json_is_string(value) && json_string_length(value) == 0);
        LS_CHECK(none, LS_ERR_DATA, "%s: %s%s: expected null, found %s" LS_HINT "this setting is not supported",
                 l->path, prefix, keys[i],
                 json_is_string(value) ? ls__vocab_show(json_string_value(value)) : ls__json_kind(value));
    }
    return LS_OK;
}

/* Reads the settings of the model WordPiece. */
static ls_status take_wordpiece(ls_vocab_file *l, const json_t *model)
{
    const json_t *prefix  = json_object_get(model, "continuing_subword_prefix");
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");
    LS_CHECK(text_is(prefix, LS_CONTINUES), LS_ERR_DATA,
             "%s: model.continuing_subword_prefix: expected '%s', found %s" LS_HINT "this setting is not supported",
             l->path, LS_CONTINUES,
             json_is_string(prefix) ? ls__vocab_show(json_string_value(prefix)) : ls__json_kind(prefix));
    LS_CHECK(json_is_integer(longest) && json_integer_value(longest) >= 1 &&
                 json_integer_value(longest) <= LS_MAX_PIECED_WORD,
             LS_ERR_DATA, "%s: model.max_input_chars_per_word: expected 1 to %d, found %s", l->path, LS_MAX_PIECED_WORD,
             json_is_integer(longest) ? ls__text("%lld", (long long)json_integer_value(longest))
                                      : ls__json_kind(longest));
    l->max_word = (uint32_t)json_integer_value(longest);
    return LS_OK;
}

/* Checks that the decoder is of the tokenizer's kind. */
static ls_status check_decoder(const ls_vocab_file *l, const json_t *root)
{
    static const char *const spaced[] = {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace", NULL};
    static const char *const pieces[] = {"WordPiece", NULL}, *const bytes[] = {"ByteLevel", NULL};
    const char *const *known = l->spaces ? spaced : l->wordpiece ? pieces : bytes;
    const steps        s     = steps_of(json_object_get(root, "decoder"), "decoders");
    bool               good  = s.count <= MAX_STEPS;
    for (size_t i = 0; i < s.count && good; i++) {
        size_t k = 0;
        while (known[k] && !type_is(s.step[i], known[k])) k++;
        good = known[k];
    }
    LS_CHECK(good, LS_ERR_DATA, "%s: decoder: expected %s or null, found %s" LS_HINT "this setting is not supported",
             l->path, l->spaces ? "Replace, ByteFallback, Fuse, Strip, Metaspace" : known[0], steps_text(&s));
    return LS_OK;
}

ls_status ls__settings_read(ls_vocab_file *l, const json_t *root)
{
    static const char *const unused[] = {"dropout", "end_of_word_suffix", "continuing_subword_prefix", "byte_fallback",
                                         "ignore_merges"};
    const json_t            *model    = json_object_get(root, "model");
    LS_TRY(take_words(l, root));
    LS_TRY(take_normalizer(l, root));
    LS_TRY(check_decoder(l, root));
    if (l->wordpiece) return take_wordpiece(l, model);
    l->rules.whole = (l->words || l->spaces) && is_true(model, "ignore_merges", false);
    LS_CHECK(!l->spaces || is_true(model, "byte_fallback", false), LS_ERR_DATA,
             "%s: model.byte_fallback: expected true for a tokenizer of characters, found %s" LS_HINT
             "this setting is not supported",
             l->path, ls__json_kind(json_object_get(model, "byte_fallback")));
    LS_TRY(
        check_unused(l, model, "model.", unused, sizeof unused / sizeof *unused - (l->words || l->spaces) - l->spaces));
    return LS_OK;
}

/* ---- tokenizer_config.json --------------------------------------------------------------------------------------- */

ls_status ls__settings_roles(ls_vocab_file *l, const json_t *config)
{
    static const char *const key[] = LS_ENUM_TEXTS(LS_TOKEN_ROLE_LIST);
    for (int r = 0; r < LS_TOKEN_ROLES; r++) {
        const json_t *value   = json_object_get(config, key[r]);
        const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
        LS_CHECK(!content || json_is_null(content) || json_is_string(content), LS_ERR_DATA,
                 "%s: %s: expected the text of a token, found %s", l->config_path, key[r], ls__json_kind(content));
        l->role[r] = -1;
        for (int64_t id = 0; json_is_string(content) && id < l->size; id++)
            if (text_is(content, l->written[id])) l->role[r] = (int32_t)id;
    }
    return LS_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Enums and their texts from one list.  A list has one row per enumerator, in order of value: the enumerator spelled
 * out in full, then its text, then whatever else a user of the list needs.
 *
 *     #define LS_OVERLAP_LIST(X) X(LS_OVERLAP_AUTO, "auto") X(LS_OVERLAP_OFF, "off")
 *     typedef enum ls_overlap { LS_ENUMERATORS(LS_OVERLAP_LIST) } ls_overlap;
 *     static const char *const overlap_texts[] = LS_ENUM_TEXTS(LS_OVERLAP_LIST);
 *
 *     overlap_texts[LS_OVERLAP_OFF]                "off"
 *     ls__enum_find(overlap_texts, "off")          LS_OVERLAP_OFF; -1 for an unknown text
 *
 * Enumerators are upper case.  The exception is LS_OP_<op>: it carries the name of the op as that stands in its file.
 */
#ifndef LS_CORE_BASE_ENUM_TEXT_H
#define LS_CORE_BASE_ENUM_TEXT_H

/* The body of the enum: the enumerators, from 0 on, each followed by a comma. */
#define LS_ENUMERATORS(LIST) LIST(LS__ENUM_NAME)
/* The initialiser of an array of the texts, by value, ended by NULL. */
#define LS_ENUM_TEXTS(LIST)                                                                                            \
    {                                                                                                                  \
        LIST(LS__ENUM_TEXT) 0                                                                                          \
    }
/* Number of enumerators. */
#define LS_ENUM_COUNT(LIST) (0 LIST(LS__ENUM_ONE))

#define LS__ENUM_NAME(...) LS__FIRST(__VA_ARGS__, ),
#define LS__ENUM_TEXT(...) LS__SECOND(__VA_ARGS__, ),
#define LS__ENUM_ONE(...) +1
#define LS__FIRST(first, ...) first
#define LS__SECOND(first, second, ...) second

/* The value whose text is `text`; -1: none.  `texts` ends with NULL. */
int ls__enum_find(const char *const *texts, const char *text);

#endif

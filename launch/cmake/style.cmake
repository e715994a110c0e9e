# SPDX-License-Identifier: Apache-2.0
# Embeds launch/report/report.css, without its opening comment, as the C array of lines ls__report_css; STYLE_C: the generated file.
set(STYLE_C ${CMAKE_BINARY_DIR}/report_css.c)
file(READ ${CMAKE_SOURCE_DIR}/launch/report/report.css body)
string(FIND "${body}" "*/\n" comment_end)
math(EXPR comment_end "${comment_end} + 3")
string(SUBSTRING "${body}" ${comment_end} -1 body)
string(REPLACE "\\" "\\\\" body "${body}")
string(REPLACE "\"" "\\\"" body "${body}")
string(REPLACE "\n" "\\n\",\n    \"" body "${body}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/launch/report/report.css)
file(CONFIGURE OUTPUT ${STYLE_C} @ONLY CONTENT
     "/* Generated from launch/report/report.css. */\n#include \"launch/report/report_html.h\"\n\nconst char *const ls__report_css[] = {\n    \"${body}\",\n    0};\n")

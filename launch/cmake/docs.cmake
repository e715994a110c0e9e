# SPDX-License-Identifier: Apache-2.0
# cmake --build build/release --target docs: the API reference of the public headers, as HTML in build/release/docs.
# A warning of Doxygen fails the target.  Sources keep plain C comments; the filter below turns them into Doxygen's.
find_program(LOCKSTEP_DOXYGEN doxygen)
if(NOT LOCKSTEP_DOXYGEN)
  add_custom_target(docs
    COMMAND ${CMAKE_COMMAND} -E echo "docs: doxygen not found; install it (Debian: apt install doxygen) and run cmake again"
    COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
  return()
endif()
set(DOXYGEN_INPUT "")
foreach(header ${LOCKSTEP_PUBLIC_HEADERS})
  string(APPEND DOXYGEN_INPUT " \\\n    ${CMAKE_SOURCE_DIR}/${header}")
endforeach()
configure_file(launch/cmake/Doxyfile.in ${CMAKE_BINARY_DIR}/Doxyfile @ONLY)
add_custom_target(docs
  COMMAND ${LOCKSTEP_DOXYGEN} ${CMAKE_BINARY_DIR}/Doxyfile
  COMMAND ${CMAKE_COMMAND} -E echo "docs: ${CMAKE_BINARY_DIR}/docs/html/index.html"
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)

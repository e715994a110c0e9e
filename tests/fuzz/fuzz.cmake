# SPDX-License-Identifier: Apache-2.0
# LOCKSTEP_FUZZ=ON: tests/fuzz/fuzz_X.c becomes build/<preset>/fuzz/fuzz_X, by clang, whatever compiles the rest:
#     build/release/fuzz/fuzz_idx -max_total_time=300 found/ tests/fuzz/corpus/idx
find_program(LOCKSTEP_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
if(NOT LOCKSTEP_CLANG)
  message(FATAL_ERROR "LOCKSTEP_FUZZ=ON needs clang, and none was found (Debian: apt install clang)")
endif()
file(GLOB FUZZ_TARGETS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
file(GLOB FUZZ_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/datasets/*.c)
list(APPEND FUZZ_SOURCES ${CMAKE_SOURCE_DIR}/core/base/status.c ${CMAKE_SOURCE_DIR}/core/base/arena.c ${CMAKE_SOURCE_DIR}/core/base/share.c)
set(FUZZ_LIBRARIES ${HDF5_LINK_LIBRARIES} ${PNG_LINK_LIBRARIES} ${JPEG_LINK_LIBRARIES} ${XXHASH_LINK_LIBRARIES} ${ZLIB_LIBRARIES})
foreach(dir ${HDF5_INCLUDE_DIRS} ${PNG_INCLUDE_DIRS} ${JPEG_INCLUDE_DIRS} ${XXHASH_INCLUDE_DIRS})
  list(APPEND FUZZ_INCLUDES -I${dir})
endforeach()
foreach(target ${FUZZ_TARGETS})
  get_filename_component(name ${target} NAME_WE)
  set(program ${CMAKE_BINARY_DIR}/fuzz/${name})
  add_custom_command(
    OUTPUT ${program}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/fuzz
    COMMAND ${LOCKSTEP_CLANG} -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE
            -I${CMAKE_SOURCE_DIR} ${FUZZ_INCLUDES} ${target} ${FUZZ_SOURCES} ${FUZZ_LIBRARIES} -lpthread -lm -o ${program}
    DEPENDS ${target} ${FUZZ_SOURCES} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz.h
    VERBATIM)
  list(APPEND FUZZ_PROGRAMS ${program})
endforeach()
add_custom_target(fuzz ALL DEPENDS ${FUZZ_PROGRAMS})

# SPDX-License-Identifier: Apache-2.0
# LOCKSTEP_FUZZ=ON: clang compiles tests/fuzz/fuzz_X.c to build/<preset>/fuzz/fuzz_X, whichever compiler builds the rest:
#     build/release/fuzz/fuzz_import_mnist -max_total_time=300 found/ tests/fuzz/corpus/import_mnist
#     build/release/fuzz/fuzz_recipe -max_total_time=300 found/ launch/recipes
find_program(LOCKSTEP_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
if(NOT LOCKSTEP_CLANG)
  message(FATAL_ERROR "LOCKSTEP_FUZZ=ON needs clang, and none was found (Debian: apt install clang)")
endif()
file(GLOB FUZZ_TARGETS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz_*.c)
# The folder that a target includes is compiled into it with the sanitizers, with core/io.  All else comes from the library.
file(GLOB_RECURSE FUZZ_datasets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/io/*.c ${CMAKE_SOURCE_DIR}/datasets/*.c)
file(GLOB_RECURSE FUZZ_dist CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/io/*.c ${CMAKE_SOURCE_DIR}/dist/*.c)
file(GLOB FUZZ_launch CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/launch/recipe/*.c ${CMAKE_SOURCE_DIR}/launch/score/*.c
     ${CMAKE_SOURCE_DIR}/launch/data/pretrained.c ${CMAKE_SOURCE_DIR}/launch/data/dataset_card.c)
list(APPEND FUZZ_launch ${RECIPES_C})
set(FUZZ_LIBRARIES ${HDF5_LINK_LIBRARIES} ${PNG_LINK_LIBRARIES} ${JPEG_LINK_LIBRARIES} ${XXHASH_LINK_LIBRARIES} ${JANSSON_LINK_LIBRARIES} ${YAML_LINK_LIBRARIES} ${ZLIB_LIBRARIES}
    ${CAIRO_LINK_LIBRARIES} ${NETTLE_LINK_LIBRARIES} ${MPI_C_LIBRARIES} ${OpenMP_C_LIBRARIES})
foreach(dir ${HDF5_INCLUDE_DIRS} ${PNG_INCLUDE_DIRS} ${JPEG_INCLUDE_DIRS} ${XXHASH_INCLUDE_DIRS} ${JANSSON_INCLUDE_DIRS} ${YAML_INCLUDE_DIRS} ${MPI_C_INCLUDE_DIRS})
  list(APPEND FUZZ_INCLUDES -I${dir})
endforeach()
foreach(target ${FUZZ_TARGETS})
  get_filename_component(name ${target} NAME_WE)
  set(program ${CMAKE_BINARY_DIR}/fuzz/${name})
  file(STRINGS ${target} includes REGEX "^#include \"(dist|launch)/")
  set(folder datasets)
  if(includes MATCHES "\"(dist|launch)/")
    set(folder ${CMAKE_MATCH_1})
  endif()
  add_custom_command(
    OUTPUT ${program}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/fuzz
    COMMAND ${LOCKSTEP_CLANG} -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE
            -I${CMAKE_SOURCE_DIR} ${FUZZ_INCLUDES} ${target} ${FUZZ_${folder}} $<TARGET_FILE:lockstep_static>
            ${FUZZ_LIBRARIES} -lpthread -lm -ldl -o ${program}
    DEPENDS ${target} ${FUZZ_${folder}} lockstep_static ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/fuzz.h
    VERBATIM)
  list(APPEND FUZZ_PROGRAMS ${program})
endforeach()
add_custom_target(fuzz ALL DEPENDS ${FUZZ_PROGRAMS})

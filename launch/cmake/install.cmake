# SPDX-License-Identifier: Apache-2.0
# cmake --install: the program, the library, headers, pkg-config and CMake package files, recipes.
include(CMakePackageConfigHelpers)
file(WRITE ${CMAKE_BINARY_DIR}/lockstep.h
     "/* SPDX-License-Identifier: Apache-2.0\n * All of Lockstep's public interface. */\n#include \"core/core.h\"\n#include \"dist/dist.h\"\n#include \"datasets/datasets.h\"\n#include \"launch/lockstep.h\"\n")
install(TARGETS lockstep RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS liblockstep EXPORT lockstep LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}) # as lockstep::lockstep
install(FILES ${CMAKE_BINARY_DIR}/lockstep.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)
# Every public header.  The API reference documents these, and lockstep.h includes them.
set(LOCKSTEP_PUBLIC_HEADERS
    core/base/enum_text.h core/base/public.h core/base/status.h core/core.h core/ops/op_list.h core/ops/op_prototypes.h core/nn/layers.h core/models/models.h
    core/optim/optim.h dist/dist.h datasets/datasets.h datasets/tokenizer/tokenizer.h
    launch/lockstep.h)
foreach(header ${LOCKSTEP_PUBLIC_HEADERS})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep/${folder})
endforeach()
install(DIRECTORY launch/recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/lockstep/recipes FILES_MATCHING PATTERN "*.yaml")
# The macros of the public headers override default initialisers on purpose.
target_compile_options(liblockstep INTERFACE $<INSTALL_INTERFACE:$<$<COMPILE_LANGUAGE:C>:-Wno-override-init>>)
target_include_directories(liblockstep INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/lockstep>)

# Relative to where the .pc file lies: the installed tree can be moved.
file(RELATIVE_PATH LOCKSTEP_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(launch/cmake/lockstep.pc.in ${CMAKE_BINARY_DIR}/lockstep.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lockstep.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(EXPORT lockstep NAMESPACE lockstep:: FILE lockstepTargets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
configure_package_config_file(launch/cmake/lockstepConfig.cmake.in ${CMAKE_BINARY_DIR}/lockstepConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/lockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/lockstepConfig.cmake ${CMAKE_BINARY_DIR}/lockstepConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)

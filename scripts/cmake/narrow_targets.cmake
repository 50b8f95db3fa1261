# One place for compiler settings, and one function per kind of target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  if(NOT DEFINED ENV{CCACHE_BASEDIR})
    # Paths relative to the checkout: another one, as continuous integration makes, finds what this one compiled.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  endif()
endif()

add_library(narrow_options INTERFACE)
target_include_directories(narrow_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
# Off: missing field initializers, which designated initializers leave out on purpose; and two checks that give false
# alarms inside std::vector and std::string when g++ 12 optimizes.
target_compile_options(narrow_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wno-missing-field-initializers $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-restrict>)
# Contracting a*b+c into one rounding differs from CPU to CPU: the same bytes everywhere need two roundings.
target_compile_options(narrow_options INTERFACE -ffp-contract=off)
if(NARROW_WERROR)
  target_compile_options(narrow_options INTERFACE -Werror)
endif()
if(NARROW_SANITIZE)
  target_compile_options(narrow_options INTERFACE -fsanitize=${NARROW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(narrow_options INTERFACE -fsanitize=${NARROW_SANITIZE})
  target_compile_definitions(narrow_options INTERFACE NARROW_SANITIZED=1)
endif()

if(NARROW_BUILD_FUZZERS)
  target_compile_options(narrow_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# narrow_library(lib/tensor SOURCES a.cc ... DEPS narrow_base ...) defines narrow_tensor.
function(narrow_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(narrow_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(narrow_${name} PUBLIC narrow_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# narrow_test(quant SOURCES a_test.cc ... DEPS narrow_quant [LABEL unit threads]) defines the program quant_test and the
# ctest entry quant. Labels (default unit): unit, program (runs narrow), threads (also run under ThreadSanitizer), slow.
function(narrow_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABEL" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPS} narrow_test_support GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()

# Finds every dependency. ONNX and oneDNN come from NARROW_DEPS (scripts/setup.sh) unless CMake already knows others.
list(APPEND CMAKE_PREFIX_PATH ${NARROW_DEPS}/onnx ${NARROW_DEPS}/onednn)

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(ONNX CONFIG REQUIRED)
find_package(dnnl 3.2 CONFIG REQUIRED)
find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig)
find_library(HWY_LIBRARY hwy REQUIRED)
find_path(HWY_INCLUDE hwy/highway.h REQUIRED)
find_library(RE2_LIBRARY re2 REQUIRED)
find_path(RE2_INCLUDE re2/re2.h REQUIRED)
find_library(ZIP_LIBRARY zip REQUIRED)
find_path(ZIP_INCLUDE zip.h REQUIRED)

add_library(narrow_hwy INTERFACE)
target_include_directories(narrow_hwy SYSTEM INTERFACE ${HWY_INCLUDE})
target_link_libraries(narrow_hwy INTERFACE ${HWY_LIBRARY})
# Ice Lake and later (VNNI, VBMI); Highway leaves it out unless asked.
target_compile_definitions(narrow_hwy INTERFACE HWY_WANT_AVX3_DL)

add_library(narrow_re2 INTERFACE)
target_include_directories(narrow_re2 SYSTEM INTERFACE ${RE2_INCLUDE})
target_link_libraries(narrow_re2 INTERFACE ${RE2_LIBRARY})

add_library(narrow_zip INTERFACE)
target_include_directories(narrow_zip SYSTEM INTERFACE ${ZIP_INCLUDE})
target_link_libraries(narrow_zip INTERFACE ${ZIP_LIBRARY})

# ONNX under the name that its own package exports, whichever install was found.
add_library(narrow_onnx INTERFACE)
target_link_libraries(narrow_onnx INTERFACE ONNX::onnx)

if(NARROW_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(NARROW_BUILD_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

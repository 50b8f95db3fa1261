// The one oneDNN engine, a stream per thread, and oneDNN's errors as ours.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
#include <utility>

#include "lib/base/error.h"
#include "lib/tensor/tensor.h"

namespace narrow::onednn {

const dnnl::engine& cpu_engine();

/// The calling thread's own stream: streams are not to be shared between threads.
const dnnl::stream& thread_stream();

/// Throws Error(kind) "what: oneDNN's message (status name)".
[[noreturn]] void throw_as(ErrorKind kind, std::string_view what, const dnnl::error& error);

/// Throws Error(kInternal) unless `status` is success.
void check_status(dnnl_status_t status, std::string_view what);

/// Runs body(); a dnnl::error that leaves it becomes Error(kind).
template <class Body>
decltype(auto) translating_errors(ErrorKind kind, std::string_view what, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const dnnl::error& error) {
    throw_as(kind, what, error);
  }
}

/// float32, int32, int8 or uint8; Error(kUnsupported) for others.
dnnl::memory::data_type dnnl_type(DataType type);

/// Row-major descriptor.
dnnl::memory::desc plain_desc(const Shape& shape, DataType type);

/// Descriptor of [N, C, spatial...] with C innermost.
dnnl::memory::desc channels_last_desc(const Shape& shape, DataType type);

/// A memory object that owns its bytes and holds `values`.
template <class T>
dnnl::memory constant_memory(std::span<const T> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  dnnl::memory memory(plain_desc(shape, data_type_of<T>()), cpu_engine());
  std::copy(values.begin(), values.end(), static_cast<T*>(memory.get_data_handle()));
  return memory;
}

/// Attributes every primitive here starts from: the scratchpad is the caller's, so that one primitive can run on
/// several threads at once.
dnnl::primitive_attr base_attributes();

}  // namespace narrow::onednn

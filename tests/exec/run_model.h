// Runs small float models of tests.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/exec/float_program.h"
#include "tests/support/model_text.h"

namespace narrow::exec {

inline std::vector<Tensor> run_text(std::string_view graph, const Feed& feed, int opset = 17) {
  Workspace workspace;
  return compile_float(test::graph_from_text(graph, opset)).run(feed, workspace);
}

inline Tensor floats(Shape shape, std::initializer_list<float> values) { return Tensor::of<float>(std::move(shape), values); }

template <class T>
std::vector<T> values_of(const Tensor& tensor) {
  return {tensor.data<T>().begin(), tensor.data<T>().end()};
}

/// Values in [-1, 1), the same on every run.
inline Tensor pseudo_random(Shape shape, uint32_t seed) {
  Tensor result(DataType::kFloat32, std::move(shape));
  for (float& value : result.mutable_data<float>()) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(seed >> 8) / 8388608.0F - 1.0F;
  }
  return result;
}

}  // namespace narrow::exec

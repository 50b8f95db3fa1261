// Whether the data look like what the model was trained with.
#pragma once

#include <string>
#include <vector>

#include "apps/data_source.h"
#include "lib/graph/model.h"

namespace narrow::apps {

struct InputCheck {
  const graph::Model& loaded;      // the user's: its BatchNormalization tells what it was trained with
  const graph::Model& normalized;  // its biases do
  const DataSource& data;
  std::vector<int64_t> samples;  // a few of them are run
};

/// A line for each doubt that is sure: samples that are flat; a first BatchNormalization whose input has many times (or
/// a small part of) the power or the variance that its running statistics tell; pixels as they are (0 and more, beyond
/// 64) that drown the first layer's bias. Models of one float32 input alone.
std::vector<std::string> input_warnings(const InputCheck& check);

}  // namespace narrow::apps

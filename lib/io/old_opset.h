#pragma once

#include <filesystem>

#include "lib/graph/model.h"

namespace narrow::io {

/// The oldest opset that everything else knows.
inline constexpr int kOldestOpset = 7;
/// What older models are brought to: from here on Constant, which the converter makes of attributes, has all types.
inline constexpr int kRaisedOpset = 9;

/// A model of an opset before kOldestOpset in the forms of kRaisedOpset. ONNX's converter does most; what it has no way
/// for is done here first: broadcasting along an axis, and attributes that have got other names or types. Throws
/// Error(kUnsupported) naming a node that neither can bring there.
void raise_old_opset(graph::Model& model);

/// BatchNormalization with spatial = 0, which opset 9 has no more, normalized each element of a sample by itself:
/// becomes one of flat samples.
void flatten_batch_normalization(graph::Model& model);

/// The opset that a model's file gives, which load_model() may have raised; 0 if it gives none. Throws as load_model().
int opset_of_file(const std::filesystem::path& path);

}  // namespace narrow::io

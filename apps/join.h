// Tensors of several feeds as one.
#pragma once

#include <string>
#include <vector>

#include "lib/tensor/tensor.h"

namespace narrow::apps {

/// The tensors one after the other on axis 0; scalars are rows. `what` is how messages call them. Throws Error(kUsage)
/// where types or the other axes differ, or what they are has no axes (sequences, optionals).
Tensor joined(const std::vector<Tensor>& parts, const std::string& what);

}  // namespace narrow::apps

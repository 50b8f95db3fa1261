// Whether a model treats its samples one by one: then a batch may be cut, its parts run apart, and their results be
// joined. Every node needs a rule that says so; operators without one, and dependence on the number of samples other
// than through shapes, make the answer no.
#pragma once

#include "lib/runtime/integer_step.h"

namespace narrow::runtime {

/// True if axis 0 of every input and output of the graph is that of samples, of any number, and no sample's results
/// depend on another sample. The context's constants must be folded.
bool treats_samples_apart(const LowerContext& context);

}  // namespace narrow::runtime

// Bringing the inputs of a step into the memory order that its kernel takes.
#pragma once

#include <span>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/tensor/tensor.h"

namespace narrow::exec {

/// Converts slots[i] for each i of `inputs` (-1: absent) as `use` asks. The converted copy replaces the slot's tensor,
/// so that its next reader does not convert it again.
void arrange_layouts(LayoutUse use, std::span<const int> inputs, std::vector<Tensor>& slots, Workspace& workspace);

/// The shape in the order of memory, outermost first: [N, spatial..., C] for channels-last.
Shape memory_shape(const Shape& shape, Layout layout);

/// Position in memory_shape() of a logical axis.
size_t memory_axis(size_t axis, size_t rank, Layout layout);

}  // namespace narrow::exec

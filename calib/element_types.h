// Arrays of one element type for inputs of another, where nothing that matters is lost.
#pragma once

#include "lib/tensor/tensor.h"

namespace narrow::calib {

/// What an input of `type` is fed as until the last step: float32 for float16 and bfloat16, which round it at the end.
DataType fed_type(DataType type);

/// True if arrays of `from` may feed an input of `to`: the type itself; integers and booleans for any integer type or
/// float32; other floats for float32; what feeds float32 for float16 and bfloat16.
bool feeds_type(DataType from, DataType to);

/// The elements in another type that feeds_type allows. float64 is rounded; integers must be exact in the new type.
/// Throws Error(kData) naming the first element that is not.
Tensor to_type(const Tensor& tensor, DataType to);

/// Of integers and booleans for float16 and bfloat16, which to_type rounds. Throws Error(kData) naming the first
/// element that the type does not hold exactly.
void check_exact(const Tensor& tensor, DataType to);

}  // namespace narrow::calib

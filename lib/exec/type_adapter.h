// Runs kernels on element types that they do not know themselves.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

/// What an operator does with inputs of types beyond numbers of 8 to 64 bits.
enum class TypeUse {
  /// Small floats (float16, bfloat16, float8) run as float32 where the schema says that they are numbers (allows no
  /// strings).
  kBySchema,
  /// The kernel takes all types itself.
  kNative,
  /// Small floats run as float32, though the schema allows other types too.
  kWidens,
  /// Elements are moved, not looked at: 4-bit and 2-bit elements run as bytes, strings as the numbers they have in
  /// sorted
  /// order ("" has 0, as any operator's fill value).
  kMoves,
  /// Both, for operators that also compare or interpolate.
  kMovesAndWidens,
};

using KernelFactory = KernelPtr (*)(const KernelRequest& request);

/// The kernel that `make` gives, in front of it the conversions that `use` asks for; outputs get the type of the inputs
/// with which they share a type variable of the schema. Inputs that need none cost nothing. By schema,
/// operators with an attribute that names a type (dtype, to, ...) do their own conversions.
KernelPtr adapt_types(const KernelRequest& request, TypeUse use, KernelFactory make);

}  // namespace narrow::exec

// What one step of a program computes.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::exec {

struct RunOptions;

/// Which memory orders a kernel takes; the program converts inputs before the call where they differ.
enum class LayoutUse {
  kPlain,         // inputs and outputs plain
  kChannelsLast,  // inputs of rank >= 3 channels-last; outputs as the kernel makes them
  kAny,           // any order, the same for all non-scalar inputs of equal rank; outputs keep it
};

/// Immutable after construction and safe to run from several threads at once: what a run needs beyond its inputs comes
/// from the workspace, and caches inside are guarded.
class Kernel {
 public:
  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  virtual ~Kernel() = default;

  /// Fills outputs from inputs. An absent optional input is an undefined Tensor; an output whose value nobody needs may
  /// be left undefined. Inputs at their last use are moved in, so an exclusive() input may be computed into and moved
  /// to an output. Throws Error(kModel) for shapes that do not fit the operator.
  virtual void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const = 0;

  /// For kernels that run programs of their own (control flow): the listener hears of the values inside too.
  virtual void run_observed(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace,
                            const RunOptions& /*options*/) const {
    run(inputs, outputs, workspace);
  }

  /// Compiles what run() would for a first input of this shape, where it knows; throws nothing that run() would not.
  virtual void prepare(const Shape& /*first_input*/) const {}

  virtual LayoutUse layout_use() const { return LayoutUse::kPlain; }

  /// What computes it, such as "onednn:jit:avx512_core" or "reference", for profiles and reports.
  virtual std::string implementation() const { return "reference"; }
};

using KernelPtr = std::unique_ptr<const Kernel>;

}  // namespace narrow::exec

// A oneDNN primitive together with its constant arguments.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/onednn/engine.h"
#include "lib/tensor/workspace.h"

namespace narrow::onednn {

/// May run on several threads at once: each run borrows a set of memory handles, made when all others are in use, so
/// that a steady run allocates nothing. Scratch memory comes from the caller's workspace.
class BoundPrimitive {
 public:
  struct Argument {
    int id = 0;  // DNNL_ARG_...
    dnnl::memory::desc desc;
  };
  using Constants = std::vector<std::pair<int, dnnl::memory>>;

  BoundPrimitive(const dnnl::primitive_desc_base& descriptor, dnnl::primitive primitive, Constants constants,
                 std::vector<Argument> arguments);

  /// `data` holds the memory of the arguments in their order.
  void execute(std::span<const std::byte* const> data, Workspace& workspace) const;

  /// oneDNN's name of the implementation.
  const std::string& implementation() const { return implementation_; }

 private:
  struct Handles {
    std::vector<dnnl::memory> memories;  // of the arguments, then the scratchpad
    std::vector<dnnl_exec_arg_t> list;
  };
  std::unique_ptr<Handles> take_handles() const;

  dnnl::primitive primitive_;
  std::string implementation_;
  Constants constants_;
  std::vector<Argument> arguments_;
  int64_t scratch_bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Handles>> free_;
};

}  // namespace narrow::onednn

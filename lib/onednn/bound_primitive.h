// A oneDNN primitive together with its constant arguments.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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

  /// `data` holds the memory of the arguments in their order. Runs on as many threads as were set at construction, for
  /// which oneDNN planned it.
  void execute(std::span<const std::byte* const> data, Workspace& workspace) const;

  /// "onednn:" and its name of the implementation.
  const std::string& implementation() const { return implementation_; }

  int threads() const { return threads_; }
  const std::vector<Argument>& arguments() const { return arguments_; }

  /// Equal for primitives that are alike but for the contents of their constants.
  std::vector<int64_t> plan_key() const;

 private:
  struct Handles {
    std::vector<dnnl::memory> memories;  // of the arguments, then the scratchpad
    std::vector<dnnl_exec_arg_t> list;
  };
  std::unique_ptr<Handles> take_handles() const;

  dnnl::primitive primitive_;
  std::string implementation_;
  int threads_ = 1;
  Constants constants_;
  std::vector<Argument> arguments_;
  std::optional<Argument> scratchpad_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Handles>> free_;
};

using MakePrimitive = std::function<std::shared_ptr<const BoundPrimitive>()>;

/// What a primitive has to do, in multiply-accumulates of `type`.
struct Work {
  double operations = 0;
  DataType type = DataType::kFloat32;
  bool window_slides = false;  // a convolution with more than one position
};

/// Results with few terms each, as of depthwise convolutions, take as long as if they had so many.
inline constexpr int64_t kFewestTerms = 32;

/// make() for the calling thread's thread count or for one thread. The latter where there is so little to do that
/// waiting for other threads takes longer, and where they would change float32 results: oneDNN splits some sums by
/// thread (long ones with few results, mostly), and says nowhere which. Hence, for float32, a trial on noise: several
/// threads must compute bit for bit what one does.
/// The trial is spared where the kernel is known to share out results only, and where its answer is known.
std::shared_ptr<const BoundPrimitive> plan_threads(const MakePrimitive& make, const Work& work);

}  // namespace narrow::onednn

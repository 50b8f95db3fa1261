#include "lib/onednn/bound_primitive.h"

#include <cstring>

#include "lib/base/thread_scope.h"

namespace narrow::onednn {
namespace {

// What OpenMP takes to start and to end a parallel region, as measured.
constexpr double kWorthABarrier = 5e-6;

// Rough: what a core with 512-bit vectors reaches in small convolutions.
double seconds_on_one_thread(const Work& work) {
  constexpr double kFloatRate = 30e9;
  const double rate = work.type == DataType::kFloat32 ? kFloatRate : 4 * kFloatRate;
  return work.operations / rate;
}

// Kernels that share out results among threads, never the terms of a sum.
bool is_direct_convolution(std::string_view implementation) {
  return implementation.starts_with("brgconv") || implementation.starts_with("brdgmm") ||
         implementation.starts_with("jit:");
}

// Results are compared until so many of them are equal: two orders of summation agree on a single one too often.
constexpr int64_t kComparedResults = 256;

void fill_with_noise(Tensor& tensor, uint32_t& state) {
  for (float& value : tensor.mutable_data<float>()) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
    value = static_cast<float>(state >> 8) * 0x1p-23F - 1.0F;
  }
}

// Runs both on the same noise; true if all results agree bit for bit.
bool compute_the_same(const BoundPrimitive& a, const BoundPrimitive& b) {
  Workspace workspace;
  uint32_t state = 1;
  std::vector<Tensor> tensors;
  Tensor other_result;
  size_t result_index = 0;
  for (const auto& argument : a.arguments()) {
    if (argument.id == DNNL_ARG_DST) result_index = tensors.size();
    tensors.emplace_back(DataType::kFloat32, Shape{static_cast<int64_t>(argument.desc.get_size() / sizeof(float))});
  }
  Tensor& result = tensors[result_index];
  for (int64_t compared = 0; compared < kComparedResults; compared += result.size()) {
    for (Tensor& tensor : tensors) fill_with_noise(tensor, state);
    std::vector<const std::byte*> data;
    for (const Tensor& tensor : tensors) data.push_back(tensor.bytes());
    a.execute(data, workspace);
    other_result = Tensor(DataType::kFloat32, result.shape());
    data[result_index] = other_result.bytes();
    b.execute(data, workspace);
    if (std::memcmp(result.bytes(), other_result.bytes(), result.byte_size()) != 0) return false;
  }
  return true;
}

}  // namespace

BoundPrimitive::BoundPrimitive(const dnnl::primitive_desc_base& descriptor, dnnl::primitive primitive,
                               Constants constants, std::vector<Argument> arguments)
    : primitive_(std::move(primitive)),
      implementation_(descriptor.impl_info_str()),
      threads_(thread_count()),
      constants_(std::move(constants)),
      arguments_(std::move(arguments)) {
  const dnnl::memory::desc scratchpad = descriptor.scratchpad_desc();
  if (scratchpad.get_size() > 0) scratchpad_ = Argument{.id = DNNL_ARG_SCRATCHPAD, .desc = scratchpad};
}

std::unique_ptr<BoundPrimitive::Handles> BoundPrimitive::take_handles() const {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      auto handles = std::move(free_.back());
      free_.pop_back();
      return handles;
    }
  }
  auto handles = std::make_unique<Handles>();
  for (const auto& [id, memory] : constants_) handles->list.push_back({id, memory.get()});
  const auto add = [&](const Argument& argument) {
    handles->memories.push_back(dnnl::memory(argument.desc, cpu_engine(), DNNL_MEMORY_NONE));
    handles->list.push_back({argument.id, handles->memories.back().get()});
  };
  for (const Argument& argument : arguments_) add(argument);
  if (scratchpad_) add(*scratchpad_);
  return handles;
}

void BoundPrimitive::execute(std::span<const std::byte* const> data, Workspace& workspace) const {
  ensure(data.size() == arguments_.size(), "one address for each argument");
  auto handles = translating_errors(ErrorKind::kInternal, "memory handles", [&] { return take_handles(); });
  const auto bind = [&](size_t i, const std::byte* address) {
    check_status(dnnl_memory_set_data_handle(handles->memories[i].get(), const_cast<std::byte*>(address)), "bind");
  };
  for (size_t i = 0; i < data.size(); ++i) bind(i, data[i]);
  Tensor scratch;
  if (scratchpad_) {
    scratch = workspace.allocate(DataType::kUint8, {static_cast<int64_t>(scratchpad_->desc.get_size())});
    bind(data.size(), scratch.bytes());
  }
  const ThreadCountScope threads(threads_);
  check_status(dnnl_primitive_execute(primitive_.get(), thread_stream().get(), static_cast<int>(handles->list.size()),
                                      handles->list.data()),
               implementation_);
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(handles));
}

std::shared_ptr<const BoundPrimitive> plan_threads(const MakePrimitive& make, const Work& work) {
  if (seconds_on_one_thread(work) < kWorthABarrier) {
    const ThreadCountScope one(1);
    return make();
  }
  auto planned = make();
  if (planned->threads() == 1 || work.type != DataType::kFloat32) return planned;
  if (work.window_slides && is_direct_convolution(planned->implementation())) return planned;
  const ThreadCountScope one(1);
  auto single = make();
  return compute_the_same(*planned, *single) ? planned : single;
}

}  // namespace narrow::onednn

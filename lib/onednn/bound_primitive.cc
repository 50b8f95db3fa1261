#include "lib/onednn/bound_primitive.h"

#include <cstring>
#include <map>

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

constexpr std::string_view kLibrary = "onednn:";

// Kernels that share out results among threads, never the terms of a sum.
bool is_direct_convolution(std::string_view implementation) {
  ensure(implementation.starts_with(kLibrary), "an implementation's name begins with its library's");
  implementation.remove_prefix(kLibrary.size());
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

void add_dims(const dnnl::memory::dims& dims, std::vector<int64_t>& key) {
  key.push_back(static_cast<int64_t>(dims.size()));
  key.insert(key.end(), dims.begin(), dims.end());
}

void add_window(const_dnnl_primitive_desc_t descriptor, std::vector<int64_t>& key) {
  constexpr size_t kSpatialAxes = 3;
  for (const dnnl_query_t query : {dnnl_query_strides, dnnl_query_dilations, dnnl_query_padding_l}) {
    const dnnl_dims_t* values = nullptr;
    if (dnnl_primitive_desc_query(descriptor, query, 0, &values) != dnnl_success) continue;  // it has no window
    key.insert(key.end(), *values, *values + kSpatialAxes);
  }
}

void add_post_operations(const_dnnl_primitive_desc_t descriptor, std::vector<int64_t>& key) {
  const_dnnl_primitive_attr_t attributes = nullptr;
  const_dnnl_post_ops_t behind = nullptr;
  check_status(dnnl_primitive_desc_get_attr(descriptor, &attributes), "attributes");
  check_status(dnnl_primitive_attr_get_post_ops(attributes, &behind), "post-operations");
  for (int i = 0; i < dnnl_post_ops_len(behind); ++i) key.push_back(dnnl_post_ops_get_kind(behind, i));
}

// Answers of trials. Layers of one shape are many, and a trial costs two runs.
class Trials {
 public:
  // Of several threads that ask for the same, each may make the trial: the answers are equal.
  template <class Try>
  bool answer(const std::vector<int64_t>& key, const Try& make_trial) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = answers_.find(key); known != answers_.end()) return known->second;
    }
    const bool answer = make_trial();
    const std::lock_guard lock(mutex_);
    if (answers_.size() >= kMost) answers_.clear();
    answers_.emplace(key, answer);
    return answer;
  }

 private:
  static constexpr size_t kMost = 1024;  // shapes may differ from run to run
  std::mutex mutex_;
  std::map<std::vector<int64_t>, bool> answers_;
};

Trials& trials() {
  static Trials all;
  return all;
}

}  // namespace

BoundPrimitive::BoundPrimitive(const dnnl::primitive_desc_base& descriptor, dnnl::primitive primitive,
                               Constants constants, std::vector<Argument> arguments)
    : primitive_(std::move(primitive)),
      implementation_(std::string(kLibrary) + descriptor.impl_info_str()),
      threads_(thread_count()),
      constants_(std::move(constants)),
      arguments_(std::move(arguments)) {
  const dnnl::memory::desc scratchpad = descriptor.scratchpad_desc();
  if (scratchpad.get_size() > 0) scratchpad_ = Argument{.id = DNNL_ARG_SCRATCHPAD, .desc = scratchpad};
}

std::vector<int64_t> BoundPrimitive::plan_key() const {
  std::vector<int64_t> key{threads_, scratchpad_ ? static_cast<int64_t>(scratchpad_->desc.get_size()) : 0};
  key.insert(key.end(), implementation_.begin(), implementation_.end());
  for (const Argument& argument : arguments_) {
    key.push_back(argument.id);
    add_dims(argument.desc.get_dims(), key);
    add_dims(argument.desc.get_strides(), key);
  }
  for (const auto& [id, memory] : constants_) {
    key.push_back(id);
    add_dims(memory.get_desc().get_dims(), key);
  }
  add_window(primitive_.get_primitive_desc(), key);
  add_post_operations(primitive_.get_primitive_desc(), key);
  return key;
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
  std::shared_ptr<const BoundPrimitive> single;
  const auto make_single = [&] {
    const ThreadCountScope one(1);
    single = make();
  };
  const bool same = trials().answer(planned->plan_key(), [&] {
    make_single();
    return compute_the_same(*planned, *single);
  });
  if (same) return planned;
  if (!single) make_single();
  return single;
}

}  // namespace narrow::onednn

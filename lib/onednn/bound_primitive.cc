#include "lib/onednn/bound_primitive.h"

namespace narrow::onednn {

BoundPrimitive::BoundPrimitive(const dnnl::primitive_desc_base& descriptor, dnnl::primitive primitive,
                               Constants constants, std::vector<Argument> arguments)
    : primitive_(std::move(primitive)),
      implementation_(descriptor.impl_info_str()),
      constants_(std::move(constants)),
      arguments_(std::move(arguments)) {
  const dnnl::memory::desc scratchpad = descriptor.scratchpad_desc();
  scratch_bytes_ = static_cast<int64_t>(scratchpad.get_size());
  if (scratch_bytes_ > 0) arguments_.push_back({DNNL_ARG_SCRATCHPAD, scratchpad});
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
  for (const Argument& argument : arguments_) {
    handles->memories.push_back(dnnl::memory(argument.desc, cpu_engine(), DNNL_MEMORY_NONE));
    handles->list.push_back({argument.id, handles->memories.back().get()});
  }
  return handles;
}

void BoundPrimitive::execute(std::span<const std::byte* const> data, Workspace& workspace) const {
  ensure(data.size() + (scratch_bytes_ > 0 ? 1 : 0) == arguments_.size(), "one address for each argument");
  auto handles = translating_errors(ErrorKind::kInternal, "memory handles", [&] { return take_handles(); });
  const auto bind = [&](size_t i, const std::byte* address) {
    check_status(dnnl_memory_set_data_handle(handles->memories[i].get(), const_cast<std::byte*>(address)), "bind");
  };
  for (size_t i = 0; i < data.size(); ++i) bind(i, data[i]);
  Tensor scratch;
  if (scratch_bytes_ > 0) {
    scratch = workspace.allocate(DataType::kUint8, {scratch_bytes_});
    bind(data.size(), scratch.bytes());
  }
  check_status(dnnl_primitive_execute(primitive_.get(), thread_stream().get(), static_cast<int>(handles->list.size()),
                                      handles->list.data()),
               implementation_);
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(handles));
}

}  // namespace narrow::onednn

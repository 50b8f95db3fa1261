#include "lib/onednn/packed_weights.h"

#include "lib/base/mapped_pages.h"
#include "lib/base/packing_scope.h"

namespace narrow::onednn {

PackedWeights::PackedWeights(Tensor weights, const dnnl::memory::desc& desc)
    : weights_(std::move(weights)), plain_(desc, cpu_engine(), const_cast<std::byte*>(weights_.bytes())) {}

dnnl::memory::desc PackedWeights::any_desc() const {
  const dnnl::memory::desc desc = plain_.get_desc();
  return {desc.get_dims(), desc.get_data_type(), dnnl::memory::format_tag::any};
}

dnnl::memory PackedWeights::get(const dnnl::memory::desc& wanted) const {
  const std::lock_guard lock(mutex_);
  if (wanted == plain_.get_desc()) return plain_;
  for (const dnnl::memory& memory : packed_) {
    if (memory.get_desc() == wanted) return memory;
  }
  return translating_errors(ErrorKind::kUnsupported, "packing weights", [&] {
    dnnl::memory packed(wanted, cpu_engine());
    dnnl::memory plain = plain_;
    const PackingScope threads(wanted.get_size());
    dnnl::reorder(plain, packed).execute(thread_stream(), plain, packed);
    release_pages(weights_.bytes(), weights_.byte_size());
    return packed_.emplace_back(std::move(packed));
  });
}

}  // namespace narrow::onednn

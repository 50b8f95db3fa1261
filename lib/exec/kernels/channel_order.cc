#include "lib/exec/channel_order.h"
#include "lib/exec/kernels/copy_bytes.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

// Loops whose steps the compiler knows become vectors.
template <class Element>
struct PixelMove {
  const int64_t* channels = nullptr;
  int64_t count = 0;
  int64_t step = 0;  // between all neighbours; 0: they differ

  void move(const Element* source, Element* target) const {
    if (step == 2) {
      const Element* const from = source + channels[0];
      for (int64_t c = 0; c < count; ++c) target[c] = from[2 * c];
      return;
    }
    for (int64_t c = 0; c < count; ++c) target[c] = source[channels[c]];
  }
};

int64_t common_step(const std::vector<int64_t>& channels) {
  const int64_t step = channels.size() > 1 ? channels[1] - channels[0] : 0;
  for (size_t c = 2; c < channels.size(); ++c) {
    if (channels[c] - channels[c - 1] != step) return 0;
  }
  return step;
}

// Images one behind the other.
void copy_planes(const Tensor& source, const std::vector<int64_t>& channels, Tensor& result) {
  const auto count = static_cast<int64_t>(channels.size());
  const int64_t of_source = source.shape()[1];
  const auto plane = static_cast<int64_t>(source.byte_size()) / (source.shape()[0] * of_source);
  std::byte* target = result.mutable_bytes();
  parallel_for(source.shape()[0] * count, std::max<int64_t>(1, kElementGrain / plane), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = i / count * of_source + channels[static_cast<size_t>(i % count)];
      copy_bytes(source.bytes() + from * plane, target + i * plane, static_cast<size_t>(plane));
    }
  });
}

void move_pixels(const Tensor& source, const std::vector<int64_t>& channels, Tensor& result) {
  const auto count = static_cast<int64_t>(channels.size());
  const int64_t of_source = source.shape()[1];
  dispatch_width(source.type(), [&]<class Element>() {
    const auto* from = reinterpret_cast<const Element*>(source.bytes());
    auto* to = reinterpret_cast<Element*>(result.mutable_bytes());
    const PixelMove<Element> pixel{.channels = channels.data(), .count = count, .step = common_step(channels)};
    parallel_for(source.size() / of_source, std::max<int64_t>(1, kElementGrain / count),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) pixel.move(from + i * of_source, to + i * count);
                 });
  });
}

}  // namespace

KernelPtr make_channel_order(Shape shape, std::vector<int64_t> channels) {
  return kernel_of(
      [shape = std::move(shape), channels = std::move(channels)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                                 Workspace& workspace) {
        const Tensor& source = required(inputs, 0);
        Shape expected = shape;
        if (expected[0] < 0 && source.rank() > 0) expected[0] = source.shape()[0];
        if (source.shape() != expected) {
          throw Error(ErrorKind::kModel, "its input has shape {}, the model says {}", shape_text(source.shape()),
                      shape_text(shape));
        }
        expected[1] = static_cast<int64_t>(channels.size());
        outputs[0] = workspace.allocate(source.type(), expected, source.layout());
        if (outputs[0].size() == 0) return;
        if (source.layout() == Layout::kPlain) return copy_planes(source, channels, outputs[0]);
        move_pixels(source, channels, outputs[0]);
      },
      LayoutUse::kAny);
}

}  // namespace narrow::exec

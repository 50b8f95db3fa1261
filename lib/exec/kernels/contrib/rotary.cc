// RotaryEmbedding of com.microsoft: pairs of elements of a head turned by an angle of their position.
#include "lib/exec/kernels/contrib/rotary.h"

#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

struct RotarySpec {
  int64_t heads = 0;         // 0: as many as the caches' width makes of the hidden size
  int64_t rotated = 0;       // leading elements of a head that turn; 0: all
  bool interleaved = false;  // pairs are neighbours; otherwise half the turned elements apart
};

// [B, S, N, D] or [B, N, S, D] seen as rows of D elements.
struct HeadRows {
  int64_t batch = 1;
  int64_t length = 1;
  int64_t heads = 1;
  int64_t size = 1;
  bool heads_first = false;

  int64_t rows() const { return batch * length * heads; }
  int64_t image(int64_t row) const { return row / (length * heads); }
  int64_t position(int64_t row) const {
    const int64_t within = row % (length * heads);
    return heads_first ? within % length : within / heads;
  }
};

HeadRows head_rows(const Shape& shape, const RotarySpec& spec, int64_t cache_width) {
  if (shape.size() == 4) return {shape[0], shape[2], shape[1], shape[3], true};
  if (shape.size() != 3) throw Error(ErrorKind::kModel, "input {}", shape_text(shape));
  const int64_t heads = spec.heads > 0 ? spec.heads : shape[2] / (2 * cache_width);
  if (heads < 1 || shape[2] % heads != 0) throw Error(ErrorKind::kModel, "{} columns for {} heads", shape[2], heads);
  return {shape[0], shape[1], heads, shape[2] / heads, false};
}

}  // namespace

// input, position_ids ([1]: the first position, or [B, S]), cos_cache and sin_cache [positions, pairs].
KernelPtr make_rotary_embedding(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const RotarySpec spec{.heads = graph::int_attribute(node, "num_heads", 0),
                        .rotated = graph::int_attribute(node, "rotary_embedding_dim", 0),
                        .interleaved = graph::int_attribute(node, "interleaved", 0) != 0};
  if (graph::float_attribute(node, "scale", 1.0F) != 1.0F) refuse(request, "a scale other than 1");
  return kernel_of([=, ids = Operand(request, 1), cosines = Operand(request, 2), sines = Operand(request, 3)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& cosine = cosines.required_in(inputs);
    const Tensor& sine = sines.required_in(inputs);
    if (cosine.rank() != 2 || cosine.shape() != sine.shape() || cosine.type() != x.type() || sine.type() != x.type()) {
      throw Error(ErrorKind::kModel, "caches {} and {}", shape_text(cosine.shape()), shape_text(sine.shape()));
    }
    const int64_t pairs = cosine.shape()[1];
    const HeadRows rows = head_rows(x.shape(), spec, pairs);
    const std::vector<int64_t> positions = int_list(ids.required_in(inputs));
    const bool by_element = positions.size() != 1 || rows.batch * rows.length == 1;
    if (2 * pairs > rows.size || (spec.rotated > 0 && spec.rotated != 2 * pairs) ||
        (by_element && static_cast<int64_t>(positions.size()) != rows.batch * rows.length)) {
      throw Error(ErrorKind::kModel, "caches or positions do not fit {}", shape_text(x.shape()));
    }
    outputs[0] = workspace.allocate(x.type(), x.shape());
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = outputs[0].mutable_data<T>().data();
      parallel_for(rows.rows(), std::max<int64_t>(1, kElementGrain / rows.size), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t s = rows.position(row);
          const int64_t at =
              by_element ? positions[static_cast<size_t>(rows.image(row) * rows.length + s)] : positions[0] + s;
          if (at < 0 || at >= cosine.shape()[0]) throw Error(ErrorKind::kModel, "position {}", at);
          const T* line = from + row * rows.size;
          std::copy(line + 2 * pairs, line + rows.size, to + row * rows.size + 2 * pairs);
          turn_pairs(line, cosine.data<T>().data() + at * pairs, sine.data<T>().data() + at * pairs, pairs,
                     spec.interleaved, to + row * rows.size);
        }
      });
    });
  });
}

}  // namespace narrow::exec

// Einsum: operands from left to right, two at a time as one batched matrix product of transposed views.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/einsum_equation.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/gemm.h"
#include "lib/exec/kernels/strided.h"
#include "lib/tensor/convert.h"

namespace narrow::exec {
namespace {

using Extents = std::map<int, int64_t>;

// A tensor whose axes have names, each once.
struct Named {
  Tensor tensor;
  Labels labels;
};

bool contains(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

Shape shape_of(const Labels& labels, const Extents& extents) {
  Shape shape;
  for (const int label : labels) shape.push_back(extents.at(label));
  return shape;
}

// The longest extent of each label; 1 broadcasts.
Extents extents_of(const std::vector<Labels>& labels, std::span<Tensor> inputs) {
  Extents extents;
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t axis = 0; axis < labels[i].size(); ++axis) {
      const int64_t size = inputs[i].shape()[axis];
      int64_t& extent = extents.emplace(labels[i][axis], size).first->second;
      if (extent == 1) extent = size;
      if (size != 1 && size != extent) {
        throw Error(ErrorKind::kModel, "operand {}: an axis of {} where others have {}", i, size, extent);
      }
    }
  }
  return extents;
}

// Axes in the order of `wanted`; copies only where the order differs.
Tensor arranged(const Named& x, const Labels& wanted, const Extents& extents, Workspace& workspace) {
  const Shape shape = shape_of(wanted, extents);
  if (x.labels == wanted) return x.tensor.shape() == shape ? x.tensor : x.tensor.reshaped(shape);
  const std::vector<int64_t> own = dense_strides(x.tensor.shape());
  std::vector<int64_t> strides;
  for (const int label : wanted) {
    strides.push_back(own[static_cast<size_t>(std::find(x.labels.begin(), x.labels.end(), label) - x.labels.begin())]);
  }
  Tensor result = workspace.allocate(x.tensor.type(), shape);
  if (result.size() > 0) copy_strided(result.type(), x.tensor.bytes(), strides, result.mutable_bytes(), shape);
  return result;
}

// Repeated labels become the diagonal; axes of 1 that broadcast are dropped.
Named named_operand(const Tensor& x, const Labels& labels, const Extents& extents, Workspace& workspace) {
  const std::vector<int64_t> own = dense_strides(x.shape());
  Named result;
  std::vector<int64_t> strides;
  bool same = true;
  for (size_t axis = 0; axis < labels.size(); ++axis) {
    if (x.shape()[axis] == 1 && extents.at(labels[axis]) != 1) continue;
    const auto found = std::find(result.labels.begin(), result.labels.end(), labels[axis]);
    if (found != result.labels.end()) {
      strides[static_cast<size_t>(found - result.labels.begin())] += own[axis];
      same = false;
    } else {
      result.labels.push_back(labels[axis]);
      strides.push_back(own[axis]);
    }
  }
  const Shape shape = shape_of(result.labels, extents);
  if (same) {
    result.tensor = x.reshaped(shape);
    return result;
  }
  result.tensor = workspace.allocate(x.type(), shape);
  if (result.tensor.size() > 0) {
    copy_strided(x.type(), x.bytes(), strides, result.tensor.mutable_bytes(), shape);
  }
  return result;
}

// Sums over the labels that are not in `kept`.
Named summed(const Named& x, const std::set<int>& kept, const Extents& extents, Workspace& workspace) {
  Labels order;
  Labels gone;
  for (const int label : x.labels) (kept.contains(label) ? order : gone).push_back(label);
  if (gone.empty()) return x;
  Named result{{}, order};
  order.insert(order.end(), gone.begin(), gone.end());
  const Tensor rows = arranged(x, order, extents, workspace);
  result.tensor = workspace.allocate(x.tensor.type(), shape_of(result.labels, extents));
  const int64_t width = product(shape_of(gone, extents));
  dispatch_type(NumberTypes(), x.tensor.type(), [&]<class T>() {
    const T* from = rows.data<T>().data();
    T* to = result.tensor.mutable_data<T>().data();
    parallel_for(result.tensor.size(), std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, width)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) {
                     T sum{};
                     for (int64_t i = row * width; i < (row + 1) * width; ++i) sum = static_cast<T>(sum + from[i]);
                     to[row] = sum;
                   }
                 });
  });
  return result;
}

struct PairLabels {
  Labels batch;       // in both and kept
  Labels contracted;  // in both, summed over
  Labels left;        // kept, in one only
  Labels right;
};

PairLabels classify(const Named& a, const Named& b, const std::set<int>& kept) {
  PairLabels pair;
  for (const int label : a.labels) {
    if (!contains(b.labels, label)) {
      pair.left.push_back(label);
    } else {
      (kept.contains(label) ? pair.batch : pair.contracted).push_back(label);
    }
  }
  for (const int label : b.labels) {
    if (!contains(a.labels, label)) pair.right.push_back(label);
  }
  return pair;
}

Labels joined(const Labels& a, const Labels& b, const Labels& c) {
  Labels all = a;
  all.insert(all.end(), b.begin(), b.end());
  all.insert(all.end(), c.begin(), c.end());
  return all;
}

// [batch, left, contracted] x [batch, contracted, right] = [batch, left, right].
Named multiplied(const Named& a, const Named& b, const std::set<int>& kept, const Extents& extents,
                 const onednn::Matmul& fast, Workspace& workspace) {
  const PairLabels pair = classify(a, b, kept);
  const int64_t batch = product(shape_of(pair.batch, extents));
  const int64_t rows = product(shape_of(pair.left, extents));
  const int64_t depth = product(shape_of(pair.contracted, extents));
  const int64_t columns = product(shape_of(pair.right, extents));
  const Tensor left = arranged(a, joined(pair.batch, pair.left, pair.contracted), extents, workspace);
  const Tensor right = arranged(b, joined(pair.batch, pair.contracted, pair.right), extents, workspace);
  Named result{{}, joined(pair.batch, pair.left, pair.right)};
  result.tensor =
      matrix_product(left.reshaped({batch, rows, depth}), right.reshaped({batch, depth, columns}), fast, workspace)
          .reshaped(shape_of(result.labels, extents));
  return result;
}

Tensor einsum(const EinsumEquation& equation, std::span<Tensor> inputs, const onednn::Matmul& fast,
              Workspace& workspace) {
  const size_t count = equation.operands.size();
  if (inputs.size() != count) throw Error(ErrorKind::kModel, "{} operands for {} terms", inputs.size(), count);
  std::vector<Labels> labels;
  size_t ellipsis = 0;
  for (size_t i = 0; i < count; ++i) {
    const EinsumTerm& term = equation.operands[i];
    labels.push_back(labels_of(term, required(inputs, i).rank()));
    if (inputs[i].type() != inputs[0].type()) throw Error(ErrorKind::kModel, "operands of different types");
    if (term.has_ellipsis) ellipsis = std::max(ellipsis, inputs[i].rank() - term.before.size() - term.after.size());
  }
  const Extents extents = extents_of(labels, inputs);
  const Labels wanted = result_labels(equation.result, ellipsis);
  std::vector<Named> operands;
  for (size_t i = 0; i < count; ++i) operands.push_back(named_operand(inputs[i], labels[i], extents, workspace));
  Named result;
  for (size_t i = 0; i < count; ++i) {
    // Everything but the labels of the result, of later operands and of the other operand can be summed away.
    std::set<int> later(wanted.begin(), wanted.end());
    for (size_t k = i + 1; k < count; ++k) later.insert(operands[k].labels.begin(), operands[k].labels.end());
    if (i == 0) {
      result = summed(operands[0], later, extents, workspace);
      continue;
    }
    std::set<int> both = later;
    both.insert(operands[i].labels.begin(), operands[i].labels.end());
    result = summed(result, both, extents, workspace);
    both = later;
    both.insert(result.labels.begin(), result.labels.end());
    const Named next = summed(operands[i], both, extents, workspace);
    result = multiplied(result, next, later, extents, fast, workspace);
  }
  for (const int label : wanted) {
    if (!contains(result.labels, label)) throw Error(ErrorKind::kModel, "an ellipsis that no operand has");
  }
  return arranged(result, wanted, extents, workspace);
}

bool is_narrow_integer(DataType type) {
  constexpr std::array kNarrow{DataType::kInt8, DataType::kUint8, DataType::kInt16, DataType::kUint16};
  return std::find(kNarrow.begin(), kNarrow.end(), type) != kNarrow.end();
}

/// Products of integers of up to 16 bits are those of uint32, of which as many low bits are kept: sums wrap around.
Tensor einsum_of_any(const EinsumEquation& equation, std::span<Tensor> inputs, const onednn::Matmul& fast,
                     Workspace& workspace) {
  const DataType type = inputs.empty() ? DataType::kUndefined : inputs[0].type();
  if (!is_narrow_integer(type)) return einsum(equation, inputs, fast, workspace);
  std::vector<Tensor> wide;
  for (const Tensor& input : inputs) wide.push_back(convert_elements(input, DataType::kUint32, workspace));
  return convert_elements(einsum(equation, wide, fast, workspace), type, workspace);
}

}  // namespace

KernelPtr make_einsum(const KernelRequest& request) {
  const EinsumEquation equation = in_context(fmt::format("node '{}'", request.node->name()), [&] {
    return parse_einsum(graph::string_attribute(*request.node, "equation", ""));
  });
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of([equation, fast](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    outputs[0] = einsum_of_any(equation, inputs, *fast, workspace);
  });
}

}  // namespace narrow::exec

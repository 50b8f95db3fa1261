// Transpose, DepthToSpace, SpaceToDepth, Expand and Tile: strided copies.
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/strided.h"

namespace narrow::exec {
namespace {

void check_permutation(const std::vector<int64_t>& order, size_t rank) {
  std::vector<bool> seen(rank, false);
  for (const int64_t axis : order) {
    if (axis >= 0 && axis < static_cast<int64_t>(rank)) seen[static_cast<size_t>(axis)] = true;
  }
  if (order.size() != rank || std::find(seen.begin(), seen.end(), false) != seen.end()) {
    throw Error(ErrorKind::kModel, "perm {} is no permutation of {} axes", shape_text(order), rank);
  }
}

// Where the permutation only exchanges two blocks of neighbouring axes, it is a transposed matrix for each index of the
// axes before: those matrices' rows and columns. {0, 0} for other permutations.
struct Matrices {
  int64_t rows = 0;
  int64_t columns = 0;
};
Matrices exchanged_blocks(const Shape& shape, const std::vector<int64_t>& order) {
  size_t kept = 0;
  while (kept < order.size() && order[kept] == static_cast<int64_t>(kept)) ++kept;
  if (kept == order.size()) return {};
  const auto rank = static_cast<int64_t>(order.size());
  const int64_t first = order[kept];
  const auto begin = static_cast<int64_t>(kept);
  for (int64_t i = begin; i < rank; ++i) {
    const int64_t wanted = first + i - begin < rank ? first + i - begin : first + i - begin - (rank - begin);
    if (order[static_cast<size_t>(i)] != wanted) return {};
  }
  Matrices result{1, 1};
  for (int64_t i = begin; i < rank; ++i) (i < first ? result.rows : result.columns) *= shape[static_cast<size_t>(i)];
  return result;
}

// The matrices' elements are those of images with `columns` channels, channels last, which are wanted plain.
Tensor transposed(const Tensor& input, const Matrices& matrices, Shape shape, Workspace& workspace) {
  const Shape image{input.size() / (matrices.rows * matrices.columns), matrices.columns, matrices.rows};
  auto owner = std::make_shared<const Tensor>(input);
  const Tensor view(input.type(), image, Layout::kChannelsLast, std::move(owner), input.bytes(), /*writable=*/false);
  return to_layout(view, Layout::kPlain, workspace).reshaped(std::move(shape));
}

}  // namespace

KernelPtr make_transpose(const KernelRequest& request) {
  return kernel_of(
      [perm = graph::ints_attribute(*request.node, "perm")](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                            Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        std::vector<int64_t> order = perm;
        if (order.empty()) {
          for (size_t axis = input.rank(); axis-- > 0;) order.push_back(static_cast<int64_t>(axis));
        }
        check_permutation(order, input.rank());
        const Matrices matrices = exchanged_blocks(input.shape(), order);
        if (matrices.rows > 1 && matrices.columns > 1 && input.layout() == Layout::kPlain && input.size() > 0 &&
            (data_type_bits(input.type()) == 8 || input.type() == DataType::kFloat32)) {
          Shape shape;
          for (const int64_t axis : order) shape.push_back(input.shape()[static_cast<size_t>(axis)]);
          outputs[0] = transposed(input, matrices, std::move(shape), workspace);
          return;
        }
        outputs[0] = permuted(input, order, workspace, Layout::kChannelsLast);
      },
      LayoutUse::kAny);
}

KernelPtr make_depth_to_space(const KernelRequest& request) {
  const int64_t block = graph::int_attribute(*request.node, "blocksize", 0);
  const bool column_first = graph::string_attribute(*request.node, "mode", "DCR") == "CRD";
  if (block <= 0) refuse(request, "blocksize is missing");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Shape shape = required(inputs, 0).shape();
    if (shape.size() != 4 || shape[1] % (block * block) != 0) {
      throw Error(ErrorKind::kModel, "blocks of {} do not fit {}", block, shape_text(shape));
    }
    const int64_t depth = shape[1] / (block * block);
    const Tensor split = column_first ? inputs[0].reshaped({shape[0], depth, block, block, shape[2], shape[3]})
                                      : inputs[0].reshaped({shape[0], block, block, depth, shape[2], shape[3]});
    const std::vector<int64_t> order =
        column_first ? std::vector<int64_t>{0, 1, 4, 2, 5, 3} : std::vector<int64_t>{0, 3, 4, 1, 5, 2};
    outputs[0] = permuted(split, order, workspace).reshaped({shape[0], depth, shape[2] * block, shape[3] * block});
  });
}

KernelPtr make_space_to_depth(const KernelRequest& request) {
  const int64_t block = graph::int_attribute(*request.node, "blocksize", 0);
  if (block <= 0) refuse(request, "blocksize is missing");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Shape shape = required(inputs, 0).shape();
    if (shape.size() != 4 || shape[2] % block != 0 || shape[3] % block != 0) {
      throw Error(ErrorKind::kModel, "blocks of {} do not fit {}", block, shape_text(shape));
    }
    const int64_t rows = shape[2] / block;
    const int64_t columns = shape[3] / block;
    const Tensor split = inputs[0].reshaped({shape[0], shape[1], rows, block, columns, block});
    outputs[0] =
        permuted(split, {0, 3, 5, 1, 2, 4}, workspace).reshaped({shape[0], shape[1] * block * block, rows, columns});
  });
}

KernelPtr make_expand(const KernelRequest& request) {
  return kernel_of(
      [target = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        const std::vector<int64_t> wanted = int_list(target.required_in(inputs));
        const size_t rank = std::max(input.rank(), wanted.size());
        Shape shape(rank, 1);
        std::vector<int64_t> strides(rank, 0);
        const std::vector<int64_t> dense = dense_strides(input.shape());
        for (size_t axis = 0; axis < rank; ++axis) {
          const size_t skipped = rank - input.rank();
          const int64_t have = axis < skipped ? 1 : input.shape()[axis - skipped];
          const int64_t want = axis < rank - wanted.size() ? 1 : wanted[axis - (rank - wanted.size())];
          if (have != want && have != 1 && want != 1) {
            throw Error(ErrorKind::kModel, "{} does not expand to {}", shape_text(input.shape()), shape_text(wanted));
          }
          shape[axis] = have == 1 ? want : have;
          strides[axis] = have == 1 ? 0 : dense[axis - skipped];
        }
        outputs[0] = workspace.allocate(input.type(), shape);
        copy_strided(input.type(), input.bytes(), strides, outputs[0].mutable_bytes(), shape);
      });
}

KernelPtr make_tile(const KernelRequest& request) {
  if (request.opset < 6) refuse(request, "Tile of opset 5 and older");
  return kernel_of(
      [repeats = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        const std::vector<int64_t> counts = int_list(repeats.required_in(inputs));
        if (counts.size() != input.rank()) {
          throw Error(ErrorKind::kModel, "{} repeats for a tensor of rank {}", counts.size(), input.rank());
        }
        // Each axis is two loops: the repeats, which do not move, and the elements.
        const std::vector<int64_t> dense = dense_strides(input.shape());
        Shape loops;
        Shape shape;
        std::vector<int64_t> strides;
        for (size_t axis = 0; axis < counts.size(); ++axis) {
          loops.insert(loops.end(), {counts[axis], input.shape()[axis]});
          strides.insert(strides.end(), {0, dense[axis]});
          shape.push_back(counts[axis] * input.shape()[axis]);
        }
        outputs[0] = workspace.allocate(input.type(), shape);
        copy_strided(input.type(), input.bytes(), strides, outputs[0].mutable_bytes(), loops);
      });
}

}  // namespace narrow::exec

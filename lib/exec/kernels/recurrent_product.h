// The matrix products of RNN, GRU and LSTM: of the inputs of all steps, and of each step's state.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/exec/float_program.h"
#include "lib/exec/kernel.h"
#include "lib/exec/kernels/concat.h"
#include "lib/exec/kernels/recurrent_cell.h"

namespace narrow::exec {

/// y = x * matrix^T. Safe to use from several threads at once.
class GateProduct {
 public:
  GateProduct() = default;
  GateProduct(const GateProduct&) = delete;
  GateProduct& operator=(const GateProduct&) = delete;
  virtual ~GateProduct() = default;

  /// x [rows, columns of the matrix] -> [rows, rows of the matrix], float32 or, of float64, that.
  virtual Tensor multiply(const Tensor& x, Workspace& workspace) const = 0;
  virtual std::string implementation() const { return "reference"; }
};

using GateProductPtr = std::shared_ptr<const GateProduct>;

/// Those of one direction.
struct DirectionProducts {
  GateProductPtr input;      // W
  GateProductPtr recurrent;  // R; of a GRU that resets before its product, the rows of z and r
  GateProductPtr candidate;  // those of h, there
};

/// The weights of a node, in whatever form.
struct RecurrentWeights {
  int64_t input_size = 0;
  size_t hidden_size = 0;
  std::vector<DirectionProducts> directions;
};

/// By rows [rows.begin, rows.begin + rows.size) of direction `direction` of float32 or float64 weights
/// [directions, rows, columns]. `constant`: the matrix is packed once.
GateProductPtr float_product(const Tensor& weights, size_t direction, Piece rows, bool constant, Workspace& workspace);

/// `product` of x rounded to the codes of 8 bits that cover its range, as DynamicQuantizeLinear rounds.
GateProductPtr rounding_product(GateProductPtr product);

/// A kernel as product: its input 0 is x.
GateProductPtr kernel_product(KernelPtr kernel);

/// The rows of R [directions, gates * hidden, hidden] by product.
struct RecurrentRows {
  Piece first;      // all, or z and r
  Piece candidate;  // h, of a GRU that resets before its product; size 0: there is no second product
};
RecurrentRows recurrent_rows(const CellSpec& spec);

/// The kernel of an RNN, GRU, LSTM or DynamicQuantizeLSTM whose products are given: its inputs W and R are not read, x
/// is whatever the products of the input take, everything else is float32. Throws as exec::make_kernel.
KernelPtr make_recurrent_of(const KernelRequest& request, RecurrentWeights weights);
/// What the node computes, its hidden size apart.
CellSpec cell_spec(const onnx::NodeProto& node);

}  // namespace narrow::exec

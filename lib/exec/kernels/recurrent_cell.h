// One step of RNN, GRU and LSTM for the sequences of a batch. Formulas: ONNX's operator documentation.
#pragma once

#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "lib/exec/kernels/recurrent_activation.h"

namespace narrow::exec {

enum class CellKind { kRnn, kGru, kLstm };

struct CellSpec {
  CellKind kind = CellKind::kRnn;
  size_t hidden = 0;
  double clip = std::numeric_limits<double>::infinity();  // of what goes into an activation
  bool linear_before_reset = false;                       // GRU: the reset gate multiplies after the matrix, not before
  bool input_forget = false;                              // LSTM: forget gate = 1 - input gate
};

/// Number of blocks of `hidden` rows in the weights: 1, 3 (z, r, h) or 4 (i, o, f, c).
size_t gate_count(CellKind kind);

/// What a step works on, by sequence.
template <class T>
struct StepView {
  // [gates * hidden] each: x W^T + biases, overwritten; nullptr: the sequence has ended, its state stays.
  std::vector<T*> gates;
  const T* recurrent =
      nullptr;          // [batch, gates * hidden]: h R^T (GRU that resets before: only z and r, [batch, 2 * hidden])
  T* hidden = nullptr;  // [batch, hidden], updated
  T* cell = nullptr;    // [batch, hidden], updated; LSTM only
};

/// Parameters of one direction.
template <class T>
struct CellParameters {
  std::span<const Activation> activations;  // RNN: f; GRU: f, g; LSTM: f, g, h
  const T* peepholes = nullptr;             // LSTM: [3 * hidden] of i, o, f, or nullptr
  const T* reset_bias = nullptr;            // GRU with linear_before_reset: [hidden], added inside, or nullptr
  std::function<const T*(const T* reset)> times_hidden_weights;  // GRU that resets before: [batch, hidden] x R_h^T
};

/// Computes into `view`; `scratch` is for its own use.
template <class T>
void run_cell(const CellSpec& spec, const CellParameters<T>& parameters, StepView<T>& view, std::vector<T>& scratch);

}  // namespace narrow::exec

// Activations of RNN, GRU and LSTM, by name.
#pragma once

#include <span>
#include <vector>

#include "lib/exec/float_program.h"

namespace narrow::exec {

enum class ActivationKind {
  kAffine,
  kElu,
  kHardSigmoid,
  kLeakyRelu,
  kRelu,
  kScaledTanh,
  kSigmoid,
  kSoftplus,
  kSoftsign,
  kTanh,
  kThresholdedRelu,
};

struct Activation {
  ActivationKind kind = ActivationKind::kTanh;
  double alpha = 0;
  double beta = 0;
};

/// The node's activations, direction after direction: its attributes activations, activation_alpha and activation_beta,
/// whose values go to those that take one, in order; `defaults` for each direction where it has none. Refuses unknown
/// names and another number than the directions need.
std::vector<Activation> read_activations(const KernelRequest& request, const std::vector<ActivationKind>& defaults,
                                         size_t directions);

/// In place. T: float or double.
template <class T>
void activate(const Activation& activation, std::span<T> values);

}  // namespace narrow::exec

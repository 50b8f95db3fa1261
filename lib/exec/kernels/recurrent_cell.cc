#include "lib/exec/kernels/recurrent_cell.h"

#include <algorithm>

namespace narrow::exec {
namespace {

template <class T>
void clip_and_activate(const CellSpec& spec, const Activation& activation, std::span<T> values) {
  const T clip = static_cast<T>(spec.clip);
  if (clip < std::numeric_limits<T>::infinity()) {
    for (T& value : values) value = std::min(std::max(value, -clip), clip);
  }
  activate(activation, values);
}

template <class T>
void add(const T* from, std::span<T> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

template <class T>
void add_product(const T* a, const T* b, std::span<T> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += a[i] * b[i];
}

template <class T>
void run_rnn(const CellSpec& spec, const CellParameters<T>& parameters, StepView<T>& view) {
  for (size_t b = 0; b < view.gates.size(); ++b) {
    if (view.gates[b] == nullptr) continue;
    const std::span<T> gate(view.gates[b], spec.hidden);
    add(view.recurrent + b * spec.hidden, gate);
    clip_and_activate(spec, parameters.activations[0], gate);
    std::copy(gate.begin(), gate.end(), view.hidden + b * spec.hidden);
  }
}

template <class T>
void finish_gru(const CellSpec& spec, const CellParameters<T>& parameters, T* gates, T* hidden) {
  const size_t n = spec.hidden;
  const std::span<T> candidate(gates + 2 * n, n);
  clip_and_activate(spec, parameters.activations[1], candidate);
  for (size_t i = 0; i < n; ++i) hidden[i] = (T{1} - gates[i]) * candidate[i] + gates[i] * hidden[i];
}

template <class T>
void run_gru(const CellSpec& spec, const CellParameters<T>& parameters, StepView<T>& view, std::vector<T>& scratch) {
  const size_t n = spec.hidden;
  const size_t blocks = spec.linear_before_reset ? 3 : 2;
  scratch.assign(view.gates.size() * n, T{0});
  for (size_t b = 0; b < view.gates.size(); ++b) {
    if (view.gates[b] == nullptr) continue;
    const std::span<T> update_and_reset(view.gates[b], 2 * n);
    const T* recurrent = view.recurrent + b * blocks * n;
    add(recurrent, update_and_reset);
    clip_and_activate(spec, parameters.activations[0], update_and_reset);
    const T* reset = view.gates[b] + n;
    T* hidden = view.hidden + b * n;
    if (!spec.linear_before_reset) {
      add_product(reset, static_cast<const T*>(hidden), std::span(scratch).subspan(b * n, n));
      continue;
    }
    T* candidate = view.gates[b] + 2 * n;
    for (size_t i = 0; i < n; ++i) {
      const T bias = parameters.reset_bias == nullptr ? T{0} : parameters.reset_bias[i];
      candidate[i] += reset[i] * (recurrent[2 * n + i] + bias);
    }
    finish_gru(spec, parameters, view.gates[b], hidden);
  }
  if (spec.linear_before_reset) return;
  const T* product = parameters.times_hidden_weights(scratch.data());
  for (size_t b = 0; b < view.gates.size(); ++b) {
    if (view.gates[b] == nullptr) continue;
    add(product + b * n, std::span<T>(view.gates[b] + 2 * n, n));
    finish_gru(spec, parameters, view.gates[b], view.hidden + b * n);
  }
}

template <class T>
void run_lstm(const CellSpec& spec, const CellParameters<T>& parameters, StepView<T>& view, std::vector<T>& scratch) {
  const size_t n = spec.hidden;
  const T* peepholes = parameters.peepholes;
  scratch.resize(n);
  for (size_t b = 0; b < view.gates.size(); ++b) {
    if (view.gates[b] == nullptr) continue;
    T* gates = view.gates[b];
    T* cell = view.cell + b * n;
    add(view.recurrent + b * 4 * n, std::span<T>(gates, 4 * n));
    const std::span<T> input(gates, n);
    const std::span<T> output(gates + n, n);
    const std::span<T> forget(gates + 2 * n, n);
    const std::span<T> candidate(gates + 3 * n, n);
    if (peepholes != nullptr) {
      add_product(peepholes, static_cast<const T*>(cell), input);
      add_product(peepholes + 2 * n, static_cast<const T*>(cell), forget);
    }
    clip_and_activate(spec, parameters.activations[0], input);
    if (spec.input_forget) {
      for (size_t i = 0; i < n; ++i) forget[i] = T{1} - input[i];
    } else {
      clip_and_activate(spec, parameters.activations[0], forget);
    }
    clip_and_activate(spec, parameters.activations[1], candidate);
    for (size_t i = 0; i < n; ++i) cell[i] = forget[i] * cell[i] + input[i] * candidate[i];
    if (peepholes != nullptr) add_product(peepholes + n, static_cast<const T*>(cell), output);
    clip_and_activate(spec, parameters.activations[0], output);
    std::copy(cell, cell + n, scratch.begin());
    activate(parameters.activations[2], std::span<T>(scratch.data(), n));
    for (size_t i = 0; i < n; ++i) view.hidden[b * n + i] = output[i] * scratch[i];
  }
}

}  // namespace

size_t gate_count(CellKind kind) {
  return kind == CellKind::kRnn ? 1 : kind == CellKind::kGru ? 3 : 4;
}

template <class T>
void run_cell(const CellSpec& spec, const CellParameters<T>& parameters, StepView<T>& view, std::vector<T>& scratch) {
  switch (spec.kind) {
    case CellKind::kRnn:
      return run_rnn(spec, parameters, view);
    case CellKind::kGru:
      return run_gru(spec, parameters, view, scratch);
    case CellKind::kLstm:
      return run_lstm(spec, parameters, view, scratch);
  }
}

template void run_cell<float>(const CellSpec&, const CellParameters<float>&, StepView<float>&, std::vector<float>&);
template void run_cell<double>(const CellSpec&, const CellParameters<double>&, StepView<double>&, std::vector<double>&);

}  // namespace narrow::exec

#include "lib/quant/usual_inputs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/mapped_pages.h"
#include "lib/base/parallel.h"
#include "lib/quant/page_release.h"
#include "lib/quant/sum_places.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/small_float.h"

namespace narrow::quant {
namespace {

constexpr double kSquaredMean = 0.5;  // of the second moment; 0.64 where half of a normal distribution is cut away
constexpr double kLikeness = 0.9;     // correlation of neighbours in space
constexpr double kUnlike = 0.01;      // what each has for itself
constexpr size_t kMostAlike = 32;     // larger kernels count as so many channels
constexpr int64_t kElementsPerTask = int64_t{1} << 13;

using Matrix = std::vector<double>;  // row-major, square

/// Sizes of a kernel's axes; {1} where it has none, or too many elements.
std::vector<int64_t> kernel_shape(const Shape& shape, const SumAxes& sum_axes) {
  std::vector<int64_t> kernel;
  if (sum_axes.size() > 1) {
    for (const int64_t axis : sum_axes.front()) kernel.push_back(shape[static_cast<size_t>(axis)]);
  }
  const auto elements = std::accumulate(kernel.begin(), kernel.end(), int64_t{1}, std::multiplies<>());
  if (elements > static_cast<int64_t>(kMostAlike)) kernel.clear();
  return kernel.empty() ? std::vector<int64_t>{1} : kernel;
}

/// Steps from one element of the kernel to another.
int64_t distance(int64_t a, int64_t b, const std::vector<int64_t>& kernel) {
  int64_t steps = 0;
  for (size_t i = kernel.size(); i-- > 0;) {
    steps += std::abs(a % kernel[i] - b % kernel[i]);
    a /= kernel[i];
    b /= kernel[i];
  }
  return steps;
}

/// Takes element `j` out of the inverse of a covariance: what is left is that of the others.
void eliminate(Matrix& inverse, size_t size, size_t j) {
  const double pivot = inverse[j * size + j];
  for (size_t a = 0; a < size; ++a) {
    const double factor = inverse[a * size + j] / pivot;
    if (a == j || factor == 0) continue;
    for (size_t b = 0; b < size; ++b) {
      if (b != j) inverse[a * size + b] -= factor * inverse[j * size + b];
    }
  }
}

/// By Gauss and Jordan; the matrix is positive definite.
Matrix inverse_of(Matrix matrix, size_t size) {
  Matrix inverse(size * size, 0.0);
  for (size_t i = 0; i < size; ++i) inverse[i * size + i] = 1;
  for (size_t i = 0; i < size; ++i) {
    const double pivot = matrix[i * size + i];
    for (size_t c = 0; c < size; ++c) {
      matrix[i * size + c] /= pivot;
      inverse[i * size + c] /= pivot;
    }
    for (size_t r = 0; r < size; ++r) {
      const double factor = r == i ? 0 : matrix[r * size + i];
      if (factor == 0) continue;
      for (size_t c = 0; c < size; ++c) {
        matrix[r * size + c] -= factor * matrix[i * size + c];
        inverse[r * size + c] -= factor * inverse[i * size + c];
      }
    }
  }
  return inverse;
}

/// Rounds the weights of one output after the other.
class OutputRounder {
 public:
  OutputRounder(DataType type, const std::vector<int64_t>& kernel)
      : type_(type),
        size_(static_cast<size_t>(std::accumulate(kernel.begin(), kernel.end(), int64_t{1}, std::multiplies<>()))) {
    Matrix alike(size_ * size_);
    for (size_t a = 0; a < size_; ++a) {
      for (size_t b = 0; b < size_; ++b) {
        const auto steps = static_cast<double>(distance(static_cast<int64_t>(a), static_cast<int64_t>(b), kernel));
        alike[a * size_ + b] = (1 - kSquaredMean) * std::pow(kLikeness, steps) + (a == b ? kUnlike : 0);
      }
    }
    inverse_ = inverse_of(std::move(alike), size_);
    pull_.resize(size_);
    for (size_t a = 0; a < size_; ++a) {
      for (size_t b = 0; b < size_; ++b) pull_[a] += inverse_[a * size_ + b];
    }
    total_pull_ = std::accumulate(pull_.begin(), pull_.end(), 0.0);
  }

  /// `weights`: kernel after kernel. `rounded` gets numbers of the type.
  void round(std::span<const float> weights, std::span<float> rounded) {
    const size_t kernels = weights.size() / size_;
    sort_kernels(weights, kernels);
    double sum = 0;  // of the errors so far
    for (size_t done = 0; done < kernels; ++done) {
      const size_t first = order_[done] * size_;
      round_kernel(weights.subspan(first, size_), rounded.subspan(first, size_), sum, kernels - done);
      for (size_t i = first; i < first + size_; ++i) sum += static_cast<double>(rounded[i]) - weights[i];
    }
  }

 private:
  /// Kernels with the coarsest steps first.
  void sort_kernels(std::span<const float> weights, size_t kernels) {
    std::vector<float> largest(kernels, 0.0F);
    for (size_t i = 0; i < kernels * size_; ++i) {
      largest[i / size_] = std::max(largest[i / size_], std::abs(weights[i]));
    }
    order_.resize(kernels);
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return largest[a] > largest[b]; });
  }

  /// `left`: kernels that are not rounded yet, this one among them; all of them share in making up for `sum`.
  void round_kernel(std::span<const float> weights, std::span<float> rounded, double sum, size_t left) {
    const double mean = 1 / (1 / kSquaredMean + static_cast<double>(left - 1) * total_pull_);
    const double shift = mean * sum / (1 + mean * total_pull_);
    target_.assign(weights.begin(), weights.end());
    for (size_t i = 0; i < size_; ++i) target_[i] -= shift * pull_[i];
    open_ = inverse_;
    const double common = mean / (1 + mean * total_pull_);
    for (size_t a = 0; a < size_; ++a) {
      for (size_t b = 0; b < size_; ++b) open_[a * size_ + b] -= common * pull_[a] * pull_[b];
    }
    kernel_order_.resize(size_);
    std::iota(kernel_order_.begin(), kernel_order_.end(), size_t{0});
    std::stable_sort(kernel_order_.begin(), kernel_order_.end(),
                     [&](size_t a, size_t b) { return std::abs(weights[a]) > std::abs(weights[b]); });
    for (size_t next = 0; next < size_; ++next) {
      const size_t j = kernel_order_[next];
      rounded[j] = nearest(target_[j]);
      const double error = (target_[j] - static_cast<double>(rounded[j])) / open_[j * size_ + j];
      for (size_t later = next + 1; later < size_; ++later) {
        const size_t k = kernel_order_[later];
        target_[k] -= error * open_[k * size_ + j];
      }
      eliminate(open_, size_, j);
    }
  }

  float nearest(double value) const {
    const auto real = static_cast<float>(value);
    return type_ == DataType::kFloat16 ? number<kSmallFloat<DataType::kFloat16>>(real)
                                       : number<kSmallFloat<DataType::kBfloat16>>(real);
  }

  template <SmallFloat format>
  static float number(float real) {
    return decode_float<format>(encode_float<format>(real, Overflow::kSaturate));
  }

  DataType type_;
  size_t size_;
  Matrix inverse_;            // of the second moments less those of the mean
  std::vector<double> pull_;  // how far a kernel's weights go for a unit of force on their sum
  double total_pull_ = 0;
  std::vector<size_t> order_;
  std::vector<size_t> kernel_order_;
  std::vector<double> target_;
  Matrix open_;  // the inverse without the elements that are rounded
};

/// A rounded bias is (1 + d) b. With weights (1 + a d) w the output's error is d (a p + b) of the product p, least in
/// the mean square for a = -b E[p] / E[p^2]; never more than the bias's own d.
double follow_bias(std::span<const float> weights, float bias, float rounded) {
  if (bias == 0) return 1;
  double sum = 0;
  double squares = 0;
  for (const float weight : weights) {
    sum += weight;
    squares += static_cast<double>(weight) * weight;
  }
  const double mean = std::sqrt(kSquaredMean) * sum;
  const double moment = mean * mean + (1 - kSquaredMean) * squares;
  const double share = moment > 0 ? std::clamp(-bias * mean / moment, 0.0, 1.0) : 0.0;
  return 1 + share * (static_cast<double>(rounded) / bias - 1);
}

}  // namespace

Tensor round_for_usual_inputs(const Tensor& real, DataType type, const SumAxes& sum_axes, const Tensor& bias) {
  Workspace workspace;
  if (real.size() == 0 || sum_axes.empty()) return convert_elements(real, type, workspace);
  const SumPlaces order = sum_places(real.shape(), sum_axes, ElementGroups(real.shape(), {}), 1).back();
  const std::vector<int64_t> kernel = kernel_shape(real.shape(), sum_axes);
  const bool biased = bias.defined() && bias.size() == static_cast<int64_t>(order.sums());
  const Tensor rounded_bias = biased ? to_float32(convert_elements(bias, type, workspace)) : Tensor();
  const auto weights = real.data<float>();
  const size_t elements = order.terms();
  ensure(order.sums() * elements == weights.size(), "each element is a term of one sum");
  // No copy of a large weight beside its halves, of which each is written once.
  Tensor result(type, real.shape());
  auto* const halves = reinterpret_cast<uint16_t*>(result.mutable_bytes());
  const Release release = [&] { release_pages(real.bytes(), real.byte_size()); };
  const auto grain = std::max<int64_t>(1, kElementsPerTask / static_cast<int64_t>(elements));
  parallel_for(static_cast<int64_t>(order.sums()), grain, [&](int64_t begin, int64_t end) {
    OutputRounder rounder(type, kernel);
    PageRelease pages(release);
    std::vector<float> own(elements);
    std::vector<float> rounded(elements);
    std::vector<uint16_t> codes(elements);
    for (auto output = static_cast<size_t>(begin); output < static_cast<size_t>(end); ++output) {
      const int64_t start = order.starts[output];
      for (size_t i = 0; i < elements; ++i) own[i] = weights[static_cast<size_t>(start + order.offsets[i])];
      if (biased) {
        const double factor = follow_bias(own, bias.data<float>()[output], rounded_bias.data<float>()[output]);
        for (float& weight : own) weight = static_cast<float>(weight * factor);
      }
      rounder.round(own, rounded);
      encode_floats(type, rounded, reinterpret_cast<std::byte*>(codes.data()));
      for (size_t i = 0; i < elements; ++i) halves[static_cast<size_t>(start + order.offsets[i])] = codes[i];
      pages.passed(elements);
    }
  });
  return result;
}

}  // namespace narrow::quant

#include "apps/random_feed.h"

#include <cstring>

#include "lib/base/error.h"
#include "lib/tensor/shape.h"

namespace narrow::apps {
namespace {

/// Deterministic and spread over [0, 1): xorshift64 (Marsaglia 2003).
class Noise {
 public:
  float next() {
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return static_cast<float>(state_ >> 40U) / 16777216.0F;
  }

 private:
  uint64_t state_ = 88172645463325252ULL;
};

Tensor random_input(const calib::InputSpec& spec, int64_t batch, Noise& noise) {
  if (spec.form != graph::ValueForm::kTensor) {
    throw Error(ErrorKind::kUsage, "input '{}' is {}: give --data", spec.name,
                spec.form == graph::ValueForm::kOptional ? "an optional" : "a sequence");
  }
  if (!spec.shape) {
    throw Error(ErrorKind::kUsage, "input '{}' has no known rank: give --data", spec.name);
  }
  Shape shape = *spec.shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] >= 0) continue;
    if (axis > 0) {
      throw Error(ErrorKind::kUsage, "input '{}' has shape {}: only the first axis may be free; give --data", spec.name,
                  shape_text(*spec.shape));
    }
    shape[axis] = batch;
  }
  if (batch > 1 && (shape.empty() || shape[0] != batch)) {
    throw Error(ErrorKind::kUsage, "input '{}' has shape {}: --batch {} does not fit", spec.name,
                shape_text(*spec.shape), batch);
  }
  if (spec.type == DataType::kString) {  // a number as text, which most that reads strings can do something with
    return Tensor::of_strings(shape, std::vector<std::string>(static_cast<size_t>(element_count(shape)), "0"));
  }
  Tensor tensor(spec.type, shape);
  if (spec.type == DataType::kFloat32) {
    for (float& value : tensor.mutable_data<float>()) value = noise.next();
  } else {
    std::memset(tensor.mutable_bytes(), 0, tensor.byte_size());
  }
  return tensor;
}

}  // namespace

exec::Feed random_feed(const std::vector<calib::InputSpec>& inputs, int64_t batch) {
  Noise noise;
  exec::Feed feed;
  for (const calib::InputSpec& spec : inputs) feed[spec.name] = random_input(spec, batch, noise);
  return feed;
}

}  // namespace narrow::apps

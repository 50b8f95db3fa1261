// Activations behind a product: as one node, or spelled out as exporters do.
#include <cmath>
#include <limits>
#include <numbers>

#include "lib/exec/fuse.h"
#include "lib/graph/attributes.h"

namespace narrow::exec {
namespace {

using onednn::Activation;

class ActivationMatcher {
 public:
  ActivationMatcher(const std::string& value, const FusionContext& context)
      : value_(value), context_(context), readers_(context.hidden_readers(value)) {}

  std::optional<ActivationMatch> match() const {
    if (readers_.size() == 1) return match_one(*readers_[0]);
    if (readers_.size() != 2) return std::nullopt;
    for (const bool swapped : {false, true}) {
      const onnx::NodeProto& gate = *readers_[swapped ? 1 : 0];
      const onnx::NodeProto& product = *readers_[swapped ? 0 : 1];
      if (product.op_type() != "Mul") continue;
      if (auto found = match_gate(gate, product)) return found;
    }
    return std::nullopt;
  }

 private:
  float number(const onnx::NodeProto& node, const char* name, float otherwise) const {
    return graph::float_attribute(node, name, otherwise);
  }

  // The other operand of a commuting node, if it is one number.
  std::optional<float> scalar_beside(const onnx::NodeProto& node, const std::string& value) const {
    if (node.input_size() != 2 || context_.opset(node) < 7) return std::nullopt;
    const int other = node.input(0) == value ? 1 : 0;
    if (node.input(1 - other) != value || node.input(other) == value) return std::nullopt;
    const Tensor* constant = context_.float_constant(node, other);
    // A constant of higher rank than the value would raise the result's.
    if (constant == nullptr || constant->size() != 1 || constant->rank() > 1) return std::nullopt;
    return constant->data<float>()[0];
  }

  std::optional<float> divisor_of(const onnx::NodeProto& node, const std::string& value) const {
    if (node.op_type() == "Mul") {
      const auto factor = scalar_beside(node, value);
      return factor && *factor != 0 ? std::optional(1 / *factor) : std::nullopt;
    }
    if (node.op_type() != "Div" || node.input(0) != value) return std::nullopt;
    return scalar_beside(node, value);
  }

  std::optional<ActivationMatch> match_linear(const onnx::NodeProto& node) const {
    const auto constant = scalar_beside(node, value_);
    const std::string& op = node.op_type();
    if (!constant || ((op == "Sub" || op == "Div") && node.input(0) != value_)) return std::nullopt;
    Activation linear{.kind = Activation::Kind::kLinear, .alpha = 1, .beta = 0};
    if (op == "Add") linear.beta = *constant;
    if (op == "Sub") linear.beta = -*constant;
    if (op == "Mul") linear.alpha = *constant;
    if (op == "Div") linear.alpha = 1 / *constant;
    if (!std::isfinite(linear.alpha) || !std::isfinite(linear.beta)) return std::nullopt;
    return ActivationMatch{{&node}, linear};
  }

  std::optional<ActivationMatch> match_one(const onnx::NodeProto& node) const {
    using Kind = Activation::Kind;
    const std::string& op = node.op_type();
    const auto found = [&](Kind kind, float alpha = 1, float beta = 0) {
      return ActivationMatch{{&node}, {.kind = kind, .alpha = alpha, .beta = beta}};
    };
    if (op == "Add" || op == "Sub" || op == "Mul" || op == "Div") return match_linear(node);
    if (op == "Relu") return found(Kind::kClamp, 0, std::numeric_limits<float>::infinity());
    if (op == "Clip") return match_clip(node);
    if (op == "LeakyRelu") return found(Kind::kLeakyRelu, number(node, "alpha", 0.01F));
    if (op == "Sigmoid") return found(Kind::kSigmoid);
    if (op == "Tanh") return found(Kind::kTanh);
    if (op == "HardSigmoid") return found(Kind::kHardSigmoid, number(node, "alpha", 0.2F), number(node, "beta", 0.5F));
    if (op == "HardSwish") return found(Kind::kHardSwish, 1.0F / 6, 0.5F);
    if (op == "Swish") return found(Kind::kSwish, number(node, "alpha", 1.0F));
    if (op == "Gelu") {
      const std::string approximate = graph::string_attribute(node, "approximate", "none");
      if (approximate == "none") return found(Kind::kGelu);
      if (approximate == "tanh") return found(Kind::kGeluTanh);
    }
    return std::nullopt;
  }

  std::optional<ActivationMatch> match_clip(const onnx::NodeProto& clip) const {
    if (clip.input(0) != value_) return std::nullopt;
    const auto bounds = clip_bounds(clip);
    if (!bounds) return std::nullopt;
    return ActivationMatch{{&clip}, {.kind = Activation::Kind::kClamp, .alpha = bounds->low, .beta = bounds->high}};
  }

  std::optional<onednn::Clamp> clip_bounds(const onnx::NodeProto& clip) const {
    onednn::Clamp clamp;
    if (clip.op_type() == "Relu") clamp.low = 0;
    if (clip.op_type() == "Clip" && context_.opset(clip) < 11) {
      clamp.low = number(clip, "min", clamp.low);
      clamp.high = number(clip, "max", clamp.high);
    } else {
      for (int i = 1; i < clip.input_size(); ++i) {
        if (clip.input(i).empty()) continue;
        const Tensor* bound = context_.float_constant(clip, i);
        if (bound == nullptr || bound->size() != 1) return std::nullopt;
        (i == 1 ? clamp.low : clamp.high) = bound->data<float>()[0];
      }
    }
    // Of crossed bounds ONNX lets the upper one win; leave that to the Clip kernel.
    if (!(clamp.low <= clamp.high)) return std::nullopt;
    return clamp;
  }

  // x -> gate ... -> Mul with x.
  std::optional<ActivationMatch> match_gate(const onnx::NodeProto& gate, const onnx::NodeProto& product) const {
    using Kind = Activation::Kind;
    const std::string& op = gate.op_type();
    if (op == "Sigmoid" || op == "HardSigmoid") {
      if (!multiplies(product, gate.output(0))) return std::nullopt;
      const Activation activation = op == "Sigmoid" ? Activation{.kind = Kind::kSwish, .alpha = 1, .beta = 0}
                                                    : Activation{.kind = Kind::kHardSwish,
                                                                 .alpha = number(gate, "alpha", 0.2F),
                                                                 .beta = number(gate, "beta", 0.5F)};
      return ActivationMatch{{&gate, &product}, activation};
    }
    if (op == "Add") return match_hard_swish(gate, product);
    return match_gelu(gate, product);
  }

  // The product is of x and `other`, which nothing else reads.
  bool multiplies(const onnx::NodeProto& product, const std::string& other) const {
    return context_.only_reader(other) == &product && ((product.input(0) == value_ && product.input(1) == other) ||
                                                       (product.input(1) == value_ && product.input(0) == other));
  }

  // x * clip(x + shift, 0, high) / high.
  std::optional<ActivationMatch> match_hard_swish(const onnx::NodeProto& add, const onnx::NodeProto& product) const {
    const auto shift = scalar_beside(add, value_);
    const onnx::NodeProto* clip = shift ? context_.only_reader(add.output(0)) : nullptr;
    if (clip == nullptr || clip->op_type() != "Clip" || clip->input(0) != add.output(0)) return std::nullopt;
    const auto bounds = clip_bounds(*clip);
    if (!bounds || bounds->low != 0 || !std::isfinite(bounds->high) || bounds->high <= 0) return std::nullopt;
    if (!multiplies(product, clip->output(0))) return std::nullopt;
    const onnx::NodeProto* scale = context_.only_reader(product.output(0));
    if (scale == nullptr || divisor_of(*scale, product.output(0)) != bounds->high) return std::nullopt;
    return ActivationMatch{
        {&add, clip, &product, scale},
        {.kind = Activation::Kind::kHardSwish, .alpha = 1 / bounds->high, .beta = *shift / bounds->high}};
  }

  // x * (erf(x / sqrt(2)) + 1) * 0.5, the half behind the product or between x and it.
  std::optional<ActivationMatch> match_gelu(const onnx::NodeProto& divide, const onnx::NodeProto& product) const {
    const auto near = [](std::optional<float> number, double wanted) {
      return number && std::abs(*number / wanted - 1) < 1e-5;
    };
    if (!near(divisor_of(divide, value_), std::numbers::sqrt2)) return std::nullopt;
    const onnx::NodeProto* erf = context_.only_reader(divide.output(0));
    if (erf == nullptr || erf->op_type() != "Erf") return std::nullopt;
    const onnx::NodeProto* add = context_.only_reader(erf->output(0));
    if (add == nullptr || add->op_type() != "Add" || scalar_beside(*add, erf->output(0)) != 1.0F) return std::nullopt;
    const Activation gelu{.kind = Activation::Kind::kGelu, .alpha = 0, .beta = 0};
    const onnx::NodeProto* other = context_.only_reader(product.output(0));
    if (other == nullptr) return std::nullopt;
    if (multiplies(product, add->output(0)) && near(divisor_of(*other, product.output(0)), 2)) {
      return ActivationMatch{{&divide, erf, add, &product, other}, gelu};
    }
    const bool halves_first = near(divisor_of(product, value_), 2) && other->op_type() == "Mul" &&
                              context_.only_reader(add->output(0)) == other;
    if (!halves_first) return std::nullopt;
    return ActivationMatch{{&divide, erf, add, &product, other}, gelu};
  }

  const std::string& value_;
  const FusionContext& context_;
  std::vector<const onnx::NodeProto*> readers_;
};

}  // namespace

std::optional<ActivationMatch> match_activation(const std::string& value, const FusionContext& context) {
  return ActivationMatcher(value, context).match();
}

}  // namespace narrow::exec

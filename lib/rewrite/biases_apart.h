// Biases of convolutions as sums behind them.
#pragma once

#include "lib/graph/model.h"

namespace narrow::rewrite {

/// OpenVINO (2026.4) spells a bias as a sum whose shape it takes from the convolution's own result. Where that is not
/// known beforehand, the shape of what lies behind, or a recurrent layer's, may be read there too; then the sum no
/// longer fuses with the convolution but with the quantization behind it, which adds the first channel's bias to all
/// channels. So convolutions of results with an unknown dimension, which a QuantizeLinear reads, at most behind Relu
/// and Clip, have their constant biases as an Add behind them, which fuses in either case. `original`: the model that
/// `model`, a QDQ model, was made of; results have their inferred shapes there.
void set_biases_apart(const graph::Model& original, graph::Model& model);

}  // namespace narrow::rewrite

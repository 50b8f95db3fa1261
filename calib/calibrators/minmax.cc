// Min-max: the range is what was seen, so nothing is clipped. B. Jacob et al., "Quantization and Training of Neural
// Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3 (arXiv:1712.05877).
#include "calib/calibrators/calibrators.h"

namespace narrow::calib {

quant::Range minmax_range(const ValueStatistics& seen) {
  return {seen.min, seen.max};
}

}  // namespace narrow::calib

// Sums of products of bytes by AVX-512 VNNI, requantized: what integer convolutions and matrix products are made of.
// The integers are those of every other integer product here (OutputTransform).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/onednn/dense_line.h"
#include "lib/onednn/output_transform.h"
#include "lib/tensor/tensor.h"

namespace narrow::onednn {

struct Dense8Spec {
  int64_t columns = 0;    // results of one position
  int64_t runs = 1;       // stretches of neighbouring source bytes that a result is summed over
  int64_t run_bytes = 0;  // of each
  bool signed_source = false;
  DataType destination = DataType::kUint8;  // uint8, int8, int32 or float32
};

/// Immutable.
class Dense8 {
 public:
  /// True if the CPU has the instructions, oneDNN may use them too, and has none for bytes that are faster still (AMX).
  static bool available();

  /// `weights` [columns][runs][run_bytes].
  Dense8(const Dense8Spec& spec, const int8_t* weights, const OutputTransform& transform);

  /// Computed together: 64 columns, the last block fewer.
  int64_t blocks() const;
  /// Columns of blocks [first, end), on the calling thread. The source's sign bits are flipped if it is signed; up to
  /// three bytes behind each run are read.
  void compute(std::span<const DenseLine> lines, int64_t first, int64_t end) const;
  void compute(std::span<const DenseLine> lines) const { compute(lines, 0, blocks()); }

  const Dense8Spec& spec() const { return packed_.spec; }
  /// Byte of a real zero in the source, as `compute` reads it.
  std::byte padding() const { return std::byte{packed_.padding}; }
  bool flips_signs() const { return packed_.spec.signed_source; }
  int64_t run_bytes() const { return packed_.spec.run_bytes; }
  int64_t result_bytes() const;  // of a position
  /// How many positions a thread should have at least: fewer take less time than a barrier.
  int64_t fewest_positions() const;

  /// What the loops read. By column, padded to whole registers.
  struct Packed {
    Dense8Spec spec;
    int64_t quads = 0;           // groups of four terms in a run
    Tensor weights;              // int8 [block][run][quad][column][term]
    std::vector<int32_t> start;  // where sums begin: the zero point's share, the bias where that is exact
    std::vector<float> bias;     // empty: none that is left
    std::vector<float> multipliers;
    float low = 0;  // of the rounded steps, before the zero point; of the result if that is real
    float high = 0;
    bool clamps = false;  // the limits do something
    int32_t zero_point = 0;
    uint8_t padding = 0;
  };

 private:
  Packed packed_;
};

}  // namespace narrow::onednn

#include "lib/onednn/dense8.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "lib/base/parallel.h"
#include "lib/onednn/dense8_tile.h"
#include "lib/onednn/isa.h"

namespace narrow::onednn {
namespace {

constexpr int64_t kRegister = 16;          // columns
constexpr int64_t kBlock = 4 * kRegister;  // columns
constexpr int64_t kTerms = 4;              // that one instruction sums

#if HWY_ARCH_X86
// By registers of columns: so many positions that their sums, a register of each and the source's bytes are 32 at most.
constexpr std::array<int64_t, 5> kMostRows{0, 16, 12, 8, 6};

using TileFunction = void (*)(const Dense8::Packed&, const Dense8Tile&);
using TileFunctions = std::array<TileFunction, 17>;  // by positions

template <int kWidth, int... kRows>
constexpr TileFunctions tiles_of(std::integer_sequence<int, kRows...>) {
  return {nullptr, compute_tile<kRows + 1, kWidth>...};
}

constexpr std::array<TileFunctions, 5> kTiles{TileFunctions{}, tiles_of<1>(std::make_integer_sequence<int, 16>()),
                                              tiles_of<2>(std::make_integer_sequence<int, 12>()),
                                              tiles_of<3>(std::make_integer_sequence<int, 8>()),
                                              tiles_of<4>(std::make_integer_sequence<int, 6>())};

// Tiles of nearly equal size: a short one waits for its sums.
void compute_line(const Dense8::Packed& packed, const DenseLine& line, Dense8Tile tile) {
  const auto width = static_cast<size_t>(std::min<int64_t>(4, (tile.left + kRegister - 1) / kRegister));
  const bool bytes = packed.spec.destination == DataType::kUint8 || packed.spec.destination == DataType::kInt8;
  const int64_t element = bytes ? 1 : 4;
  const int64_t tiles = (line.count + kMostRows[width] - 1) / kMostRows[width];
  tile.step = line.step;
  tile.run_step = line.run_step;
  tile.result_step = line.result_step;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = line.count * i / tiles;
    const int64_t end = line.count * (i + 1) / tiles;
    tile.source = line.source + first * line.step;
    tile.result = line.result + first * line.result_step + tile.column * element;
    kTiles[width][static_cast<size_t>(end - first)](packed, tile);
  }
}
#endif

// Columns apart, so that threads write to lines of their own.
constexpr int64_t kColumnsAtOnce = 16;
constexpr int64_t kWeightsWorthAThread = 1 << 16;

template <class Body>
void for_columns(int64_t columns, int64_t terms, const Body& body) {
  const int64_t pieces = (columns + kColumnsAtOnce - 1) / kColumnsAtOnce;
  const int64_t grain = kWeightsWorthAThread / std::max<int64_t>(1, terms * kColumnsAtOnce);
  parallel_for(pieces, grain, [&](int64_t begin, int64_t end) {
    body(begin * kColumnsAtOnce, std::min(end * kColumnsAtOnce, columns));
  });
}

Tensor pack(const Dense8Spec& spec, const int8_t* weights, int64_t quads) {
  const int64_t padded = (spec.columns + kRegister - 1) / kRegister * kRegister;
  Tensor packed(DataType::kInt8, {padded * spec.runs * quads * kTerms});
  int8_t* to = packed.mutable_data<int8_t>().data();
  if (padded != spec.columns || spec.run_bytes % kTerms != 0) std::fill(to, to + packed.size(), int8_t{0});
  for_columns(spec.columns, spec.runs * spec.run_bytes, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t block = c / kBlock * kBlock;
      const int64_t width = std::min(kBlock, padded - block);
      int8_t* column = to + (block * spec.runs * quads + c - block) * kTerms;
      for (int64_t run = 0; run < spec.runs; ++run) {
        const int8_t* from = weights + (c * spec.runs + run) * spec.run_bytes;
        int8_t* quad = column + run * quads * width * kTerms;
        const int64_t whole = spec.run_bytes / kTerms;
        for (int64_t i = 0; i < whole; ++i) std::memcpy(quad + i * width * kTerms, from + i * kTerms, kTerms);
        std::copy(from + whole * kTerms, from + spec.run_bytes, quad + whole * width * kTerms);
      }
    }
  });
  return packed;
}

struct ColumnSums {
  int64_t sum = 0;
  int64_t largest = 0;  // of products with bytes, whatever the bytes
};

ColumnSums sums_of(const int8_t* weights, int64_t terms) {
  constexpr int64_t kWithoutOverflow = 1 << 16;
  ColumnSums sums;
  for (int64_t first = 0; first < terms; first += kWithoutOverflow) {
    const int64_t end = std::min(terms, first + kWithoutOverflow);
    int32_t sum = 0;
    int32_t magnitudes = 0;
    for (int64_t i = first; i < end; ++i) {
      sum += weights[i];
      magnitudes += std::abs(int32_t{weights[i]});
    }
    sums.sum += sum;
    sums.largest += int64_t{255} * magnitudes;
  }
  return sums;
}

// True if sums and biases, and sums of both, are such that float32 rounds at most once: then it does not matter whether
// they are added as integers or as float32.
bool adds_exactly(const std::vector<float>& bias, const std::vector<int64_t>& largest_sums) {
  constexpr int64_t kExact = 1 << 24;
  for (size_t c = 0; c < bias.size(); ++c) {
    const bool whole = bias[c] == std::nearbyint(bias[c]) && std::abs(bias[c]) <= static_cast<float>(kExact);
    if (!whole || largest_sums[c] > kExact) return false;
  }
  return true;
}

// Limits in steps; beyond a thousand of them everything saturates, whatever the zero point.
void set_limits(const Clamp& clamp, const std::vector<int64_t>& largest_sums, Dense8::Packed& packed) {
  if (packed.spec.destination == DataType::kFloat32) {
    packed.low = clamp.low;
    packed.high = clamp.high;
    return;
  }
  constexpr float kFar = 1024;
  constexpr double kConvertible = 1 << 30;
  packed.low = std::max(clamp.low, -kFar);
  packed.high = std::min(clamp.high, kFar);
  packed.clamps = packed.low > -kFar || packed.high < kFar;
  for (size_t c = 0; c < largest_sums.size(); ++c) {
    const double bias = packed.bias.empty() ? 0 : std::abs(static_cast<double>(packed.bias[c]));
    const double most = static_cast<double>(largest_sums[c]) + bias + std::abs(static_cast<double>(packed.start[c]));
    packed.clamps = packed.clamps || !(most * std::abs(static_cast<double>(packed.multipliers[c])) < kConvertible);
  }
}

}  // namespace

bool Dense8::available() {
  return has_avx512_vnni() && effective_isa().find("amx") == std::string::npos;
}

Dense8::Dense8(const Dense8Spec& spec, const int8_t* weights, const OutputTransform& transform) {
  packed_.spec = spec;
  packed_.quads = (spec.run_bytes + kTerms - 1) / kTerms;
  packed_.weights = pack(spec, weights, packed_.quads);
  const auto columns = static_cast<size_t>(spec.columns);
  const auto padded = static_cast<size_t>(packed_.weights.size() / (packed_.quads * spec.runs * kTerms));
  const int32_t zero = transform.source_zero_point + (spec.signed_source ? 128 : 0);
  packed_.padding = static_cast<uint8_t>(zero);
  packed_.zero_point = transform.destination_zero_point;
  packed_.start.assign(padded, 0);
  std::vector<int64_t> largest_sums(columns, 0);
  const int64_t terms = spec.runs * spec.run_bytes;
  for_columns(spec.columns, terms, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const ColumnSums sums = sums_of(weights + c * terms, terms);
      largest_sums[static_cast<size_t>(c)] = sums.largest;
      packed_.start[static_cast<size_t>(c)] = static_cast<int32_t>(-sums.sum * zero);  // modulo 2^32, as the sums are
    }
  });
  for (size_t c = 0; c < columns && !transform.multipliers.empty(); ++c) {
    packed_.multipliers.push_back(transform.multipliers[transform.multipliers.size() == 1 ? 0 : c]);
  }
  packed_.multipliers.resize(padded, 0);
  if (transform.bias_first && adds_exactly(transform.bias, largest_sums)) {
    for (size_t c = 0; c < columns; ++c) {
      packed_.start[c] = static_cast<int32_t>(int64_t{packed_.start[c]} + static_cast<int64_t>(transform.bias[c]));
    }
  } else if (!transform.bias.empty()) {
    packed_.bias = transform.bias;
    packed_.bias.resize(padded, 0);
  }
  set_limits(transform.clamp, largest_sums, packed_);
}

int64_t Dense8::blocks() const {
  return (packed_.spec.columns + kBlock - 1) / kBlock;
}

void Dense8::compute(std::span<const DenseLine> lines, int64_t first, int64_t end) const {
#if HWY_ARCH_X86
  for (int64_t block = first; block < end; ++block) {
    Dense8Tile tile;
    tile.column = block * kBlock;
    tile.left = packed_.spec.columns - tile.column;
    tile.weights = packed_.weights.data<int8_t>().data() + tile.column * packed_.spec.runs * packed_.quads * kTerms;
    for (const DenseLine& line : lines) compute_line(packed_, line, tile);
  }
#else
  ensure(lines.empty() || first == end, "only x86 has this kernel");
#endif
}

int64_t Dense8::result_bytes() const {
  const bool bytes = packed_.spec.destination == DataType::kUint8 || packed_.spec.destination == DataType::kInt8;
  return packed_.spec.columns * (bytes ? 1 : 4);
}

int64_t Dense8::fewest_positions() const {
  constexpr int64_t kWorthABarrier = 600000;  // multiplications, some 5 µs
  const int64_t work = packed_.spec.columns * packed_.spec.runs * packed_.spec.run_bytes;
  return std::max<int64_t>(1, kWorthABarrier / std::max<int64_t>(1, work));
}

}  // namespace narrow::onednn

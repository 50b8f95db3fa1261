#include "lib/onednn/dense32.h"

#include "lib/base/mapped_pages.h"
#include "lib/base/parallel.h"
#include "lib/onednn/dense32_tile.h"
#include "lib/onednn/isa.h"

namespace narrow::onednn {
namespace {

constexpr int64_t kRegister = 16;          // columns
constexpr int64_t kHalfRegister = 8;       // columns
constexpr int64_t kBlock = 4 * kRegister;  // columns

#if HWY_ARCH_X86
// By registers of columns: so many positions that their sums, a register of each and the source's number are 32 at
// most.
constexpr std::array<int64_t, 5> kMostRows{0, 16, 12, 8, 6};

using TileFunction = void (*)(const Dense32::Packed&, const Dense32Tile&);
using TileFunctions = std::array<TileFunction, 17>;  // by positions

template <class Register, int kWidth, int... kRows>
constexpr TileFunctions tiles_of(std::integer_sequence<int, kRows...>) {
  return {nullptr, compute_tile<Register, kRows + 1, kWidth>...};
}

constexpr TileFunctions kHalfTiles = tiles_of<HalfRegister, 1>(std::make_integer_sequence<int, 16>());
constexpr std::array<TileFunctions, 5> kTiles{TileFunctions{},
                                              tiles_of<WholeRegister, 1>(std::make_integer_sequence<int, 16>()),
                                              tiles_of<WholeRegister, 2>(std::make_integer_sequence<int, 12>()),
                                              tiles_of<WholeRegister, 3>(std::make_integer_sequence<int, 8>()),
                                              tiles_of<WholeRegister, 4>(std::make_integer_sequence<int, 6>())};

// Tiles of nearly equal size: a short one waits for its sums.
void compute_line(const Dense32::Packed& packed, const DenseLine& line, Dense32Tile tile) {
  const auto width = static_cast<size_t>(std::min<int64_t>(4, (tile.left + kRegister - 1) / kRegister));
  const TileFunctions& functions = packed.half_registers ? kHalfTiles : kTiles[width];
  const int64_t tiles = (line.count + kMostRows[width] - 1) / kMostRows[width];
  const int64_t shift = tile.column * static_cast<int64_t>(sizeof(float));
  tile.step = line.step;
  tile.run_step = line.run_step;
  tile.result_step = line.result_step;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = line.count * i / tiles;
    const int64_t end = line.count * (i + 1) / tiles;
    tile.source = line.source + first * line.step;
    tile.result = line.result + first * line.result_step + shift;
    tile.residual = line.residual == nullptr ? nullptr : line.residual + first * line.result_step + shift;
    functions[static_cast<size_t>(end - first)](packed, tile);
  }
}
#endif

}  // namespace

bool Dense32::available() {
  return has_avx512_vnni();
}

bool Dense32::computes(const std::vector<Activation>& activations) {
  return std::all_of(activations.begin(), activations.end(), [](const Activation& activation) {
    switch (activation.kind) {
      case Activation::Kind::kLinear:
      case Activation::Kind::kClamp:
      case Activation::Kind::kLeakyRelu:
      case Activation::Kind::kHardSigmoid:
      case Activation::Kind::kHardSwish:
        return true;
      default:
        return false;
    }
  });
}

Dense32::Dense32(Dense32Spec spec, const Dense32Weights& weights, const std::vector<float>& bias) {
  packed_.spec = std::move(spec);
  const auto& [columns, runs, terms, clamp, activations] = packed_.spec;
  packed_.half_registers = columns <= kHalfRegister;
  const int64_t lanes = packed_.half_registers ? kHalfRegister : kRegister;
  const int64_t padded = (columns + lanes - 1) / lanes * lanes;
  const int64_t depth = runs * terms;
  packed_.weights = Tensor(DataType::kFloat32, {padded * depth});
  const auto to = packed_.weights.mutable_data<float>();
  if (padded != columns) std::fill(to.begin(), to.end(), 0.0F);
  constexpr int64_t kWorthAThread = 1 << 14;
  constexpr int64_t kKept = 1 << 22;  // elements that a thread packs before the given ones may leave memory
  const int64_t blocks = (columns + kBlock - 1) / kBlock;
  parallel_for(blocks, kWorthAThread / std::max<int64_t>(1, depth * kBlock),
               [&, count = columns](int64_t first, int64_t last) {
                 int64_t packed = 0;
                 for (int64_t block = first * kBlock; block < std::min(last * kBlock, count); block += kBlock) {
                   const int64_t width = std::min(kBlock, padded - block);
                   const int64_t end = std::min(width, count - block);
                   float* rows = to.data() + block * depth;
                   for (int64_t i = 0; i < depth; ++i) {
                     if (weights.terms_first) {
                       std::copy_n(weights.data + i * count + block, end, rows + i * width);
                     } else {
                       for (int64_t c = 0; c < end; ++c) rows[i * width + c] = weights.data[(block + c) * depth + i];
                     }
                   }
                   packed += width * depth;
                   if (packed < kKept) continue;
                   release_pages(reinterpret_cast<const std::byte*>(weights.data),
                                 static_cast<size_t>(count * depth) * sizeof(float));
                   packed = 0;
                 }
               });
  packed_.bias = bias;
  packed_.bias.resize(static_cast<size_t>(padded), 0);
}

int64_t Dense32::blocks() const {
  return (packed_.spec.columns + kBlock - 1) / kBlock;
}

void Dense32::compute(std::span<const DenseLine> lines, int64_t first, int64_t end) const {
#if HWY_ARCH_X86
  for (int64_t block = first; block < end; ++block) {
    Dense32Tile tile;
    tile.column = block * kBlock;
    tile.left = packed_.spec.columns - tile.column;
    tile.weights = packed_.weights.data<float>().data() + tile.column * packed_.spec.runs * packed_.spec.terms;
    for (const DenseLine& line : lines) compute_line(packed_, line, tile);
  }
#else
  ensure(lines.empty() || first == end, "only x86 has this kernel");
#endif
}

int64_t Dense32::fewest_positions() const {
  constexpr int64_t kWorthABarrier = 150000;  // multiplications, some 5 µs
  const int64_t work = packed_.spec.columns * packed_.spec.runs * packed_.spec.terms;
  return std::max<int64_t>(1, kWorthABarrier / std::max<int64_t>(1, work));
}

}  // namespace narrow::onednn

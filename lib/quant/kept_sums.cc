#include "lib/quant/kept_sums.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <span>
#include <utility>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/quant/code_grid.h"
#include "lib/quant/element_groups.h"
#include "lib/quant/sum_balance.h"
#include "lib/quant/sum_places.h"
#include "lib/tensor/visit_type.h"

namespace narrow::quant {
namespace {

constexpr int64_t kElementsPerTask = int64_t{1} << 13;

/// What all sums of a tensor have in common.
template <class Grid>
struct Rounded {
  const Grid& grid;
  std::span<const float> weights;
  std::span<const float> scales;
  std::span<const float> zeros;
  std::span<typename Grid::Code> codes;
};

/// A piece of one sum's terms, or of one term of several sums.
struct SumPiece {
  size_t place = 0;
  size_t scale = 0;
  size_t scale_step = 0;
  size_t count = 0;
  size_t number = 0;  // of the first element, among the terms
};

/// Some sums that are worked on together: one, or as many columns as a run has.
class Strip {
 public:
  Strip(const SumPlaces& sums, PlaceRun run, PageRelease& pages) : sums_(sums), run_(run), pages_(pages) {}

  size_t width() const { return run_.count; }

  template <class Visit>
  void for_each_piece(Visit visit) const {
    const auto start = static_cast<size_t>(sums_.starts[run_.first]);
    const size_t scale = sums_.start_scales[run_.first];
    if (sums_.columns) {
      for (size_t i = 0; i < sums_.terms(); ++i) {
        visit(SumPiece{start + static_cast<size_t>(sums_.offsets[i]), scale + sums_.offset_scales[i], run_.step,
                       run_.count, i});
        pages_.passed(i > 0 ? static_cast<size_t>(sums_.offsets[i] - sums_.offsets[i - 1]) : 0);
      }
      return;
    }
    for (const PlaceRun& run : sums_.runs) {
      visit(SumPiece{start + static_cast<size_t>(sums_.offsets[run.first]), scale + sums_.offset_scales[run.first],
                     run.step, run.count, run.first});
    }
    pages_.passed(sums_.terms());
  }

 private:
  const SumPlaces& sums_;
  PlaceRun run_;
  PageRelease& pages_;
};

template <class Grid>
class StripBalance {
 public:
  explicit StripBalance(const Rounded<Grid>& rounded) : rounded_(rounded) {}

  /// `changed`: some codes are not the nearest ones any more.
  void operator()(const Strip& strip, bool columns, bool changed) {
    errors_.resize(strip.width());
    visit_pieces(strip, changed, [&](const SumPiece& piece, const float* weights) {
      columns ? errors_.add_columns(weights, taken_.data(), other_.data(), piece.count)
              : errors_.add_terms(weights, taken_.data(), other_.data(), piece.count);
    });
    balances_.resize(std::max(balances_.size(), strip.width()));
    bool searching = false;
    for (size_t i = 0; i < strip.width(); ++i) {
      searching = balances_[i].start(errors_.sums[i], errors_.turns[0][i], errors_.turns[1][i]) || searching;
    }
    while (searching) {
      note_limits(strip.width());
      visit_pieces(strip, changed,
                   [&](const SumPiece& piece, const float* weights) { offer(piece, columns, weights); });
      searching = take(strip.width());
      changed = true;
    }
  }

 private:
  /// What is known of each sum before elements are chosen; of turns, those that take from it and those that add.
  struct Errors {
    std::vector<double> sums;
    std::array<std::vector<Turns>, 2> turns;

    void resize(size_t width) {
      sums.assign(width, 0);
      for (auto& side : turns) side.assign(width, {});
    }

    void add_columns(const float* weights, const float* taken, const float* other, size_t count) {
      for (size_t i = 0; i < count; ++i) {
        sums[i] += static_cast<double>(taken[i]) - weights[i];
        const double change = static_cast<double>(other[i]) - taken[i];
        note(change, turns[change > 0 ? 1 : 0][i]);
      }
    }

    void add_terms(const float* weights, const float* taken, const float* other, size_t count) {
      double sum = sums[0];
      std::array<Turns, 2> sides{turns[0][0], turns[1][0]};
      for (size_t i = 0; i < count; ++i) {
        sum += static_cast<double>(taken[i]) - weights[i];
        const double change = static_cast<double>(other[i]) - taken[i];
        note(change, sides[change > 0 ? 1 : 0]);
      }
      sums[0] = sum;
      for (size_t side = 0; side < 2; ++side) turns[side][0] = sides[side];
    }

    static void note(double change, Turns& side) {
      if (change == 0) return;
      side.smallest = std::min(side.smallest, std::abs(change));
      ++side.count;
    }
  };

  /// visit(piece, its weights) with the values of its codes and of those beside them at hand.
  template <class Visit>
  void visit_pieces(const Strip& strip, bool changed, Visit visit) {
    strip.for_each_piece([&](const SumPiece& piece) {
      const float* const weights = rounded_.weights.data() + piece.place;
      rounded_.grid.look({.weights = weights,
                          .scales = rounded_.scales.data() + piece.scale,
                          .zeros = rounded_.zeros.data() + piece.scale,
                          .step = piece.scale_step,
                          .count = piece.count},
                         rounded_.codes.data() + piece.place, changed, taken_.data(), other_.data());
      visit(piece, weights);
    });
  }

  void note_limits(size_t width) {
    directions_.resize(width);
    limits_.resize(width);
    for (size_t i = 0; i < width; ++i) {
      directions_[i] = balances_[i].direction();
      limits_[i] = balances_[i].limit();
    }
  }

  void offer(const SumPiece& piece, bool columns, const float* weights) {
    const size_t step = columns ? 1 : 0;
    for (size_t i = 0; i < piece.count; ++i) {
      const size_t sum = i * step;
      const double change = (static_cast<double>(other_[i]) - taken_[i]) * directions_[sum];
      const double error = (static_cast<double>(taken_[i]) - weights[i]) * directions_[sum];
      // One branch, which is hardly ever taken.
      if (!((2 * error + change <= limits_[sum]) & (change > 0))) continue;
      balances_[sum].offer(error * directions_[sum], change * directions_[sum],
                           columns ? piece.number : piece.number + i, piece.place + i);
    }
  }

  bool take(size_t width) {
    bool searching = false;
    for (size_t i = 0; i < width; ++i) {
      if (balances_[i].direction() == 0) continue;
      const bool more = balances_[i].take([&](const Turn& turn) {
        auto& code = rounded_.codes[turn.place];
        code = rounded_.grid.beside(code, turn.change > 0);
      });
      searching = searching || more;
    }
    return searching;
  }

  const Rounded<Grid>& rounded_;
  Errors errors_;
  std::vector<SumBalance> balances_;
  std::vector<double> directions_;
  std::vector<double> limits_;
  std::vector<float> taken_ = std::vector<float>(kLongestPiece);
  std::vector<float> other_ = std::vector<float>(kLongestPiece);
};

template <class Grid>
void balance_list(const Rounded<Grid>& rounded, const SumPlaces& sums, bool changed, const Release& release) {
  if (sums.terms() < 2) return;
  const auto strips = static_cast<int64_t>(sums.columns ? sums.runs.size() : sums.sums());
  const auto elements = static_cast<int64_t>(sums.terms() * (sums.columns ? kLongestPiece : 1));
  parallel_for(strips, std::max<int64_t>(1, kElementsPerTask / elements), [&](int64_t begin, int64_t end) {
    StripBalance<Grid> balance(rounded);
    PageRelease pages(release);
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      balance(Strip(sums, sums.columns ? sums.runs[i] : PlaceRun{i, 1, 0}, pages), sums.columns, changed);
    }
  });
}

template <class Grid>
void balance(const Rounded<Grid>& rounded, const Shape& shape, const ElementGroups& groups, const SumAxes& sum_axes,
             const Release& release) {
  bool changed = false;
  for (const SumPlaces& sums : sum_places(shape, sum_axes, groups, kLongestPiece)) {
    balance_list(rounded, sums, changed, release);
    changed = true;
  }
}

/// The lowest and highest code in use, less the zero point; 0 lies between them.
template <class Code>
std::pair<float, float> codes_in_use(std::span<const Code> codes, const ElementGroups& groups,
                                     std::span<const float> zeros) {
  float lowest = 0;
  float highest = 0;
  std::mutex mutex;
  parallel_for(static_cast<int64_t>(codes.size()), kElementsPerTask, [&](int64_t begin, int64_t end) {
    float low = 0;
    float high = 0;
    groups.for_each_run(static_cast<size_t>(begin), static_cast<size_t>(end), [&](const Run& run) {
      for (size_t i = run.begin, group = run.group; i < run.end; ++i, group += run.step) {
        const float number = static_cast<float>(codes[i]) - zeros[group];
        low = std::min(low, number);
        high = std::max(high, number);
      }
    });
    const std::lock_guard lock(mutex);
    lowest = std::min(lowest, low);
    highest = std::max(highest, high);
  });
  return {lowest, highest};
}

using IntegerCodes = TypeList<int8_t, uint8_t, int16_t, uint16_t>;

}  // namespace

void keep_sums(const Tensor& real, const QuantParams& params, Tensor& codes, const Release& release) {
  if (real.size() == 0) return;
  const ElementGroups groups(real.shape(), params.grouping());
  const std::vector<float> zeros(params.zero_points.begin(), params.zero_points.end());
  const QuantTypeRow& type = row(params.type);
  const auto weights = real.data<float>();
  if (type.is_float) {
    auto* bytes = reinterpret_cast<uint8_t*>(codes.mutable_bytes());
    const FloatGrid<uint8_t> grid(type.storage);
    const Rounded<FloatGrid<uint8_t>> rounded{grid, weights, params.scales, zeros, {bytes, weights.size()}};
    return balance(rounded, real.shape(), groups, params.sum_axes, release);
  }
  const bool known = visit_type(IntegerCodes{}, codes.type(), [&]<class Code>() {
    const auto [lowest, highest] = codes_in_use<Code>(codes.data<Code>(), groups, zeros);
    const IntegerGrid<Code> grid(params.type, lowest, highest);
    const Rounded<IntegerGrid<Code>> rounded{grid, weights, params.scales, zeros, codes.mutable_data<Code>()};
    balance(rounded, real.shape(), groups, params.sum_axes, release);
  });
  ensure(known, "codes of 8 or 16 bits");
}

}  // namespace narrow::quant

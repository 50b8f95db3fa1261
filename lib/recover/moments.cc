#include "lib/recover/moments.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "lib/base/parallel.h"
#include "lib/recover/row_products.h"
#include "lib/recover/tile.h"
#include "lib/recover/vector_math.h"

namespace narrow::recover {
namespace {

void add_all(std::span<double> target, std::span<const double> source) {
  add_scaled(target, 1, source);
}

}  // namespace

Sums::Sums(int64_t columns, int64_t outputs)
    : inner(columns, columns),
      cross(outputs, columns),
      x(static_cast<size_t>(columns)),
      y(static_cast<size_t>(outputs)),
      yy(static_cast<size_t>(outputs)) {}

void Sums::add(const Sums& other) {
  rows += other.rows;
  add_all(inner.values, other.inner.values);
  add_all(cross.values, other.cross.values);
  add_all(x, other.x);
  add_all(y, other.y);
  add_all(yy, other.yy);
}

namespace {

constexpr size_t kCachedElements = size_t{1} << 17;  // of rows that are read again for each tile of the sums

/// Rows of several blocks as panels.
std::unique_ptr<float[]> panels_of(std::span<const Rows* const> blocks, std::vector<float> Rows::*values, size_t width,
                                   size_t rows) {
  const size_t panels = (width + kPanel - 1) / kPanel;
  auto result = std::make_unique_for_overwrite<float[]>(panels * rows * kPanel);
  parallel_for(static_cast<int64_t>(panels), 1, [&](int64_t begin, int64_t end) {
    for (auto panel = static_cast<size_t>(begin); panel < static_cast<size_t>(end); ++panel) {
      float* to = result.get() + panel * rows * kPanel;
      const size_t columns = std::min(kPanel, width - panel * kPanel);
      for (const Rows* block : blocks) {
        const float* from = (block->*values).data() + panel * kPanel;
        for (size_t row = 0; row < block->count; ++row, from += width, to += kPanel) {
          std::fill(std::copy_n(from, columns, to), to + kPanel, 0.0F);
        }
      }
    }
  });
  return result;
}

/// One group: over as many rows as stay close to a processor, a tile of the sums after the other.
class DenseRows {
 public:
  DenseRows(Sums& sums, std::span<const Rows* const> blocks) : sums_(sums), width_(sums.x.size()) {
    for (const Rows* block : blocks) ends_.push_back(ends_.back() + block->count);
    x_ = panels_of(blocks, &Rows::x, width_, ends_.back());
    y_ = panels_of(blocks, &Rows::y, sums.y.size(), ends_.back());
  }

  void add() {
    const int64_t tiles = tiles_of(width_);
    for_each_tile(tiles, [&](int64_t i, std::span<const size_t> ends) {
      // From both ends in turn: rows of a triangle, but equal shares for all threads.
      const auto first = static_cast<size_t>(i % 2 == 0 ? i / 2 : tiles - 1 - i / 2) * kProductRows;
      add_products(target(sums_.inner, first, first / kPanel * kPanel), panels(x_), panels(x_), ends);
    });
    for_each_tile(tiles_of(sums_.y.size()), [&](int64_t i, std::span<const size_t> ends) {
      add_products(target(sums_.cross, static_cast<size_t>(i) * kProductRows, 0), panels(y_), panels(x_), ends);
    });
  }

 private:
  static int64_t tiles_of(size_t rows) { return static_cast<int64_t>((rows + kProductRows - 1) / kProductRows); }

  Panels panels(const std::unique_ptr<float[]>& values) const { return {.values = values.get(), .rows = ends_.back()}; }

  ProductTarget target(Matrix& to, size_t first, size_t first_column) const {
    return {.values = to.values.data(),
            .columns = width_,
            .first = first,
            .last = std::min(first + kProductRows, static_cast<size_t>(to.rows)),
            .first_column = first_column};
  }

  template <class Body>
  void for_each_tile(int64_t tiles, Body body) const {
    const size_t rows = kCachedElements / (width_ + sums_.y.size());
    parallel_for(tiles, 1, [&](int64_t begin, int64_t end) {
      for (size_t block = 0; block + 1 < ends_.size();) {
        size_t last = block + 1;
        while (last + 1 < ends_.size() && ends_[last + 1] - ends_[block] <= rows) ++last;
        for (int64_t i = begin; i < end; ++i) body(i, std::span(ends_).subspan(block, last + 1 - block));
        block = last;
      }
    });
  }

  Sums& sums_;
  size_t width_;
  std::vector<size_t> ends_{0};
  std::unique_ptr<float[]> x_;
  std::unique_ptr<float[]> y_;
};

/// Groups of one channel and one output each, kLanes of them at once.
class LaneRows {
 public:
  LaneRows(std::vector<Sums>& groups, size_t taps, size_t first)
      : groups_(groups), taps_(taps), first_(first), products_(taps * taps * kLanes), cross_(taps * kLanes) {}

  void add(std::span<const Rows* const> blocks) {
    const size_t width = groups_.size();
    for (const Rows* rows : blocks) {
      const float* const x = rows->x.data() + first_;
      LaneProducts of{.b_width = taps_ * width, .step = width, .rows = rows->count};
      for (size_t tap = 0; tap < taps_; ++tap) {
        of.a = of.b = x + tap * width;
        of.a_width = taps_ * width;
        of.taps = taps_ - tap;
        add_lane_products(products_.data() + (tap * taps_ + tap) * kLanes, of);
      }
      of.a = rows->y.data() + first_;
      of.a_width = width;
      of.b = x;
      of.taps = taps_;
      add_lane_products(cross_.data(), of);
    }
    write();
  }

 private:
  void write() const {
    for (size_t lane = 0; lane < std::min(kLanes, groups_.size() - first_); ++lane) {
      Sums& sums = groups_[first_ + lane];
      for (size_t i = 0; i < taps_; ++i) {
        for (size_t j = i; j < taps_; ++j) {
          sums.inner.values[i * taps_ + j] += products_[(i * taps_ + j) * kLanes + lane];
        }
        sums.cross.values[i] += cross_[i * kLanes + lane];
      }
    }
  }

  std::vector<Sums>& groups_;
  size_t taps_;
  size_t first_;
  std::vector<double> products_;  // [tap, tap, lane]
  std::vector<double> cross_;     // [tap, lane]
};

/// The rows of one group alone.
Rows rows_of_group(const std::vector<Sums>& groups, size_t taps, const Rows& rows, size_t group) {
  const size_t columns = groups[group].x.size();
  const size_t outputs = groups[group].y.size();
  const size_t channels = columns / taps;
  Rows result{.x = std::vector<float>(rows.count * columns + kRowPadding),
              .y = std::vector<float>(rows.count * outputs + kRowPadding),
              .count = rows.count,
              .made = {}};
  for (size_t row = 0; row < rows.count; ++row) {
    for (size_t tap = 0; tap < taps; ++tap) {
      const float* const from = rows.x.data() + ((row * taps + tap) * groups.size() + group) * channels;
      std::copy_n(from, channels, result.x.data() + row * columns + tap * channels);
    }
    std::copy_n(rows.y.data() + (row * groups.size() + group) * outputs, outputs, result.y.data() + row * outputs);
  }
  return result;
}

/// Sums of single elements, of all groups.
struct ElementSums {
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> yy;
};

ElementSums element_sums(const std::vector<Sums>& groups, const Rows& rows) {
  const size_t columns = groups[0].x.size() * groups.size();
  const size_t outputs = groups[0].y.size() * groups.size();
  ElementSums sums{
      .x = std::vector<double>(columns), .y = std::vector<double>(outputs), .yy = std::vector<double>(outputs)};
  add_columns(sums.x, {}, std::span(rows.x).first(rows.count * columns));
  add_columns(sums.y, sums.yy, std::span(rows.y).first(rows.count * outputs));
  return sums;
}

void add_elements(std::vector<Sums>& groups, size_t taps, std::span<const Rows* const> blocks) {
  std::vector<ElementSums> found(blocks.size());
  parallel_for(static_cast<int64_t>(blocks.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      found[i] = element_sums(groups, *blocks[i]);
    }
  });
  const size_t channels = groups[0].x.size() / taps;
  for (size_t block = 0; block < blocks.size(); ++block) {
    for (size_t group = 0; group < groups.size(); ++group) {
      Sums& sums = groups[group];
      sums.rows += static_cast<double>(blocks[block]->count);
      for (size_t i = 0; i < sums.x.size(); ++i) {
        sums.x[i] += found[block].x[(i / channels * groups.size() + group) * channels + i % channels];
      }
      const size_t first = group * sums.y.size();
      add_all(sums.y, std::span<const double>(found[block].y).subspan(first, sums.y.size()));
      add_all(sums.yy, std::span<const double>(found[block].yy).subspan(first, sums.y.size()));
    }
  }
}

}  // namespace

void add_rows(std::vector<Sums>& groups, size_t taps, std::span<const Rows* const> blocks) {
  add_elements(groups, taps, blocks);
  if (groups.size() == 1) return DenseRows(groups[0], blocks).add();
  const bool lanes = groups[0].x.size() == taps && groups[0].y.size() == 1;
  const size_t step = lanes ? kLanes : 1;
  parallel_for(static_cast<int64_t>((groups.size() + step - 1) / step), 1, [&](int64_t begin, int64_t end) {
    for (size_t i = static_cast<size_t>(begin) * step; i < std::min(static_cast<size_t>(end) * step, groups.size());
         i += step) {
      if (lanes) {
        LaneRows(groups, taps, i).add(blocks);
        continue;
      }
      for (const Rows* rows : blocks) {
        const Rows own = rows_of_group(groups, taps, *rows, i);
        const Rows* const one = &own;
        DenseRows(groups[i], {&one, 1}).add();
      }
    }
  });
}

Moments::Moments(Sums sums, Bias bias)
    : inner(std::move(sums.inner)),
      cross(std::move(sums.cross)),
      mean_x(std::move(sums.x)),
      mean_y(std::move(sums.y)),
      variance_y(std::move(sums.yy)) {
  const double share = 1 / std::max(sums.rows, 1.0);
  for (auto* values : {&inner.values, &cross.values, &mean_x, &mean_y, &variance_y}) {
    for (double& value : *values) value *= share;
  }
  for (int64_t i = 0; i < inner.rows; ++i) {
    const double mean = mean_x[static_cast<size_t>(i)];
    variance_x += (inner.at(i, i) - mean * mean) / static_cast<double>(inner.rows);
  }
  for (int64_t i = 0; i < inner.rows; ++i) {
    const auto at = static_cast<size_t>(i);
    if (bias == Bias::kFree) {
      add_scaled(inner.row(i).subspan(at), -mean_x[at], std::span<const double>(mean_x).subspan(at));
    }
    for (int64_t j = i + 1; j < inner.rows; ++j) inner.at(j, i) = inner.at(i, j);
  }
  if (bias == Bias::kFixed) return;
  for (int64_t i = 0; i < cross.rows; ++i) add_scaled(cross.row(i), -mean_y[static_cast<size_t>(i)], mean_x);
  for (size_t i = 0; i < mean_y.size(); ++i) variance_y[i] = std::max(variance_y[i] - mean_y[i] * mean_y[i], 0.0);
}

std::vector<double> output_errors(const Moments& moments, std::span<const int64_t> outputs,
                                  const std::vector<std::vector<double>>& weights) {
  Tile tile(moments.inner.rows);
  Tile rest(moments.inner.rows);  // c - A w: then w A w - 2 c w is -w (c + rest)
  for (size_t t = 0; t < outputs.size(); ++t) {
    const auto cross = moments.cross.row(outputs[t]);
    for (size_t i = 0; i < cross.size(); ++i) {
      tile.rows[i].values[t] = weights[t][i];
      rest.rows[i].values[t] = cross[i];
    }
  }
  subtract_product(rest, moments.inner, tile);
  std::vector<double> errors;
  for (size_t t = 0; t < outputs.size(); ++t) {
    const auto cross = moments.cross.row(outputs[t]);
    double error = moments.variance_y[static_cast<size_t>(outputs[t])];
    for (size_t i = 0; i < cross.size(); ++i) error -= weights[t][i] * (cross[i] + rest.rows[i].values[t]);
    errors.push_back(error);
  }
  return errors;
}

}  // namespace narrow::recover

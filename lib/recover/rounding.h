// Integers for a layer's weights that make its output error small, not each weight's own.
//
// The error E|y - w x^ - b|^2 is a quadratic in each output's weights; over the integers its minimum is a closest
// vector problem. Babai's nearest plane gives the start: L. Babai, "On Lovasz' lattice reduction and the nearest
// lattice point problem", Combinatorica 6 (1986); for weights it is GPTQ's second-order rounding (Frantar et al.,
// arXiv:2210.17323). Coordinate descent in integer steps goes on from there. Nagel et al., "Up or Down?"
// (arXiv:2004.10568) is the problem's statement for post-training quantization.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lib/recover/moments.h"
#include "lib/recover/tile.h"

namespace narrow::recover {

/// The integers that a weight may be: w = (q - zero_point) * scale, q in [qmin, qmax]. Of binary weights, -s and s, q
/// is 0 or 1, the zero point 0.5 and the scale 2 s.
struct Grid {
  double scale = 1;
  double zero_point = 0;
  double qmin = 0;
  double qmax = 0;

  double nearest(double weight) const;  // q
  double weight(double q) const { return (q - zero_point) * scale; }
};

/// The integers of one output's weights; with blocks their scales differ from column to column.
class GridRow {
 public:
  explicit GridRow(const Grid& grid) : grids_{grid} {}
  explicit GridRow(std::vector<Grid> columns) : grids_(std::move(columns)) {}

  const Grid& at(size_t column) const { return grids_[grids_.size() == 1 ? 0 : column]; }
  /// Of columns that share a grid: all of them, where there is one.
  void set_scale(std::span<const size_t> columns, double scale) {
    if (grids_.size() == 1) {
      grids_[0].scale = scale;
      return;
    }
    for (const size_t column : columns) grids_[column].scale = scale;
  }

 private:
  std::vector<Grid> grids_;  // one, or one for each column
};

/// The quadratic of one group of outputs, drawn towards the float weights: E|y - w^ x^|^2 + ridge * |w^ - w|^2 with
/// `ridge` in units of the mean variance of x^. The pull keeps few samples from deciding what they do not tell.
class RoundingProblem {
 public:
  /// `weights` [O, K] float; both must outlive it. `ridge` > 0.
  RoundingProblem(const Moments& moments, const Matrix& weights, double ridge);

  /// Nearest plane: columns of large variance are rounded first, those that follow make up for the error. For up to
  /// kTile outputs; the integers of each.
  std::vector<std::vector<double>> nearest_planes(std::span<const int64_t> outputs,
                                                  std::span<const GridRow> grids) const;

  /// Integers of one output, and the gradient of the quadratic there.
  class Start {
   public:
    /// Steps of whole integers, one weight after the other, until none helps. Never makes the quadratic larger.
    void descend();
    /// The scale of `columns`, which share one, becomes the best for the integers as they are: learned step sizes (LSQ,
    /// arXiv:1902.08153) in closed form, as the error is a quadratic in it. Rounded to float32; never below half or
    /// above twice what it was, nor making the quadratic larger.
    void refit(std::span<const size_t> columns);
    const GridRow& grid() const { return grid_; }
    /// Becomes `other`, of the same output.
    void take(Start&& other) {
      grid_ = std::move(other.grid_);
      integers_ = std::move(other.integers_);
      gradient_ = std::move(other.gradient_);
    }
    const std::vector<double>& integers() const { return integers_; }
    /// The quadratic up to a constant.
    double cost() const;
    /// E|y - w^ x^|^2, without the pull.
    double error(double variance_y) const;

   private:
    friend class RoundingProblem;
    Start(const RoundingProblem& problem, int64_t output, GridRow grid, std::vector<double> integers)
        : problem_(problem), output_(output), grid_(std::move(grid)), integers_(std::move(integers)) {}

    const RoundingProblem& problem_;
    int64_t output_;
    GridRow grid_;
    std::vector<double> integers_;
    std::vector<double> gradient_;  // half the derivative by each weight
  };
  /// Of up to kTile outputs. The problem must outlive them.
  std::vector<Start> starts(std::span<const int64_t> outputs, std::span<const GridRow> grids,
                            std::vector<std::vector<double>> integers) const;

 private:
  void factor(double variance);
  /// Of the quadratic w A w - 2 c w with the pull in it.
  double diagonal(int64_t column) const;
  double cross(int64_t output, int64_t column) const;

  const Moments& moments_;
  const Matrix& weights_;
  double pull_ = 0;             // ridge in units of the quadratic
  std::vector<int64_t> order_;  // columns, ascending variance
  Matrix factor_;               // Cholesky, columns in order_ (see factor_cholesky)
};

}  // namespace narrow::recover

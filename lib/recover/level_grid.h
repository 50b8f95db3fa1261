// The few numbers that a channel of an image has, and the grid that they lie on.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace narrow::recover {

/// Numbers at equal distances: lowest + k * step, k = 0 ... levels - 1, of at most 256.
struct LevelGrid {
  double lowest = 0;
  double step = 1;
  int levels = 0;  // from the lowest number seen to the highest

  /// Codes of 256 that no number seen needs.
  int room() const;
  /// The code of the lowest number: where there is room, the numbers are in the middle of it, but those that begin or
  /// end at 0 go on doing so.
  int first_code() const;
  /// The code (0 to 255, and between) of 0, where codes are `step_of_codes` apart.
  double zero(double step_of_codes) const { return first_code() - lowest / step_of_codes; }
};

/// Distinct numbers, up to 256.
class LevelSet {
 public:
  void add(float value);
  void add(const LevelSet& other);
  /// There is no grid.
  void give_up() { full_ = true; }
  /// nullopt where there were more than 256 numbers, fewer than tell a grid, or unequal distances.
  std::optional<LevelGrid> grid() const;

 private:
  std::vector<float> sorted_;
  float last_ = 0;
  bool has_last_ = false;
  bool full_ = false;
};

}  // namespace narrow::recover

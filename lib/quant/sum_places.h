// Where the elements of sums over some axes of a tensor lie.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/quant/element_groups.h"
#include "lib/quant/quant_type.h"

namespace narrow::quant {

/// Numbers [first, first + count) of some places that lie next to each other, whose scales do too (step 1) or are one
/// (step 0).
struct PlaceRun {
  size_t first = 0;
  size_t count = 0;
  size_t step = 0;
};

/// The sums over one list of axes. Element i of sum g lies at starts[g] + offsets[i]; its scale is number
/// start_scales[g] + offset_scales[i].
struct SumPlaces {
  std::vector<int64_t> starts;
  std::vector<int64_t> offsets;
  std::vector<size_t> start_scales;
  std::vector<size_t> offset_scales;
  bool columns = false;        // neighbours in memory belong to different sums
  std::vector<PlaceRun> runs;  // of starts if they are columns, else of offsets

  size_t sums() const { return starts.size(); }
  size_t terms() const { return offsets.size(); }
};

/// One for each list of `sum_axes`. No run is longer than `longest`.
std::vector<SumPlaces> sum_places(const Shape& shape, const SumAxes& sum_axes, const ElementGroups& scales,
                                  size_t longest);

}  // namespace narrow::quant

#pragma once

#include <cstdint>
#include <functional>

#include "lib/exec/program.h"

namespace narrow::recover {

/// Calibration data. `read` is called from several threads at once.
struct Samples {
  int64_t count = 0;
  std::function<exec::Feed(int64_t index)> read;
};

}  // namespace narrow::recover

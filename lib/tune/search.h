// The mixed-precision search: a path of assignments by predicted noise and cost, walked by true measurements.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/tune/judge.h"
#include "lib/tune/noise_model.h"
#include "lib/tune/space.h"

namespace narrow::tune {

enum class Limit {
  kDrop,     // Quality::drop and most_drop at most, in percentage points
  kSqnr,     // Quality::sqnr_db at least, by kSureErrors standard errors
  kBytes,    // of the file, at most
  kSeconds,  // of one run, at most
};

/// What a file or a run may cost, not what it may lose.
bool limits_price(Limit limit);
/// What layers may become in a search with this limit.
std::vector<Choice> choices_for(Limit limit);
inline constexpr double kLittle = 1e-3;
/// Bytes before all where they are the limit, time where that is; else what is saved is both.
CostWeights weights_for(Limit limit);
inline constexpr CostWeights kBytesAlone{.bytes = 1, .time = kLittle};

struct Goal {
  Limit limit = Limit::kDrop;
  double value = 0;
  /// Share of the limit that the drop expected from the noise may take: at the limit itself, half of all other samples
  /// would break it.
  double expected_share = 0.5;
};

struct Measurement {
  Quality quality;
  int64_t bytes = 0;              // of the model's file
  std::optional<double> seconds;  // of one run; with Limit::kSeconds
};

bool keeps(const Goal& goal, const Measurement& measurement);

struct Trial {
  std::vector<Choice> choices;  // by item
  Measurement measurement;
  std::string step;  // why it was tried: "path 12 of 60", "narrow back", ...
  bool kept = false;
};

struct SearchHooks {
  std::function<Measurement(const std::vector<Choice>& choices)> measure;
  /// What a limit of bytes or seconds counts, alone; cheap, and the same as in the measurement.
  std::function<double(const std::vector<Choice>& choices)> price;
  /// Told of each trial when it is done.
  std::function<void(const Trial& trial)> on_trial;
};

struct SearchOptions {
  int64_t trials = 16;            // measurements at most, one more where none of them keeps the limit
  std::optional<double> seconds;  // no trial begins later
  std::vector<Trial> known;       // of an earlier run: taken as measured
};

struct SearchResult {
  std::vector<Trial> trials;  // in the order they were made
  size_t best = 0;            // keeps the limit at least cost, or comes nearest to it
  bool kept = false;
  bool interrupted = false;
  bool out_of_budget = false;
};

/// Drop and SQNR: the cheapest assignment on the path that keeps the limit, by bisection, then narrowed back change by
/// change. Bytes, seconds: the last on the path that fits, then filled up. An interruption ends it with the best so
/// far, known ones among them, or leaves it as Error(kInterrupted) when there is no trial yet.
SearchResult search(const Space& space, const NoiseModel& model, const Goal& goal, const SearchHooks& hooks,
                    const SearchOptions& options);

}  // namespace narrow::tune

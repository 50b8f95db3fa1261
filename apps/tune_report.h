// What a search's limit and trials are called, for people and in the report.
#pragma once

#include <string>

#include "lib/report/report.h"
#include "lib/tune/search.h"
#include "lib/tune/sensitivity.h"
#include "lib/tune/space.h"

namespace narrow::apps {

/// What points of a drop count.
enum class Lost { kTop1, kAgreement, kCosine };

/// "top-1", "agreement", "cosine similarity".
std::string lost_text(Lost lost);

struct TuneLimit {
  tune::Limit limit = tune::Limit::kDrop;
  double value = 0;      // points, dB, milliseconds, or the ratio of the file to the float model's
  bool speedup = false;  // with Limit::kSeconds: `value` is how many times as fast as the float model
  Lost lost = Lost::kAgreement;
};

/// "at most 0.5 points of agreement lost".
std::string limit_text(const TuneLimit& limit);

struct FloatCosts {
  int64_t bytes = 0;
  double seconds = 0;  // of one run; with Limit::kSeconds
};

/// What the trial reached of it.
std::string nearest_text(const TuneLimit& limit, const tune::Measurement& reached, const FloatCosts& float_model);

struct TuneResults {
  const TuneLimit& limit;
  const tune::Space& space;
  const tune::SearchResult& found;
  const tune::Sensitivity& sensitivity;
  int64_t samples = 0;      // that judged,
  int64_t new_samples = 0;  // and those of them that are no copies of each other or of calibration's
};

report::TuneFacts tune_facts(const TuneResults& results);

}  // namespace narrow::apps

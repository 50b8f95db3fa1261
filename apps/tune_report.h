// What a search's limit and trials are called, for people and in the report.
#pragma once

#include <string>

#include "lib/report/report.h"
#include "lib/tune/search.h"
#include "lib/tune/sensitivity.h"
#include "lib/tune/space.h"

namespace narrow::apps {

struct TuneLimit {
  tune::Limit limit = tune::Limit::kDrop;
  double value = 0;  // points, dB, milliseconds, or the ratio of the file to the float model's
  std::string lost;  // what points count: "top-1", "agreement", "cosine similarity"
};

/// "at most 0.5 points of agreement lost".
std::string limit_text(const TuneLimit& limit);
/// What the trial reached of it.
std::string nearest_text(const TuneLimit& limit, const tune::Measurement& reached, int64_t float_bytes);

struct TuneResults {
  const TuneLimit& limit;
  const tune::Space& space;
  const tune::SearchResult& found;
  const tune::Sensitivity& sensitivity;
  int64_t samples = 0;  // that judged
};

report::TuneFacts tune_facts(const TuneResults& results);

}  // namespace narrow::apps

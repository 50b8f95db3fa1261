// Whether what a search promised holds on the evaluation's samples.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/tune_report.h"
#include "lib/validate/validate.h"

namespace narrow::apps {

/// That `events` or more of `count` come out where each has the probability.
double binomial_tail(int64_t events, int64_t count, double probability);

/// Share of a limit of `limit` points that the expected number of changed answers may take, so that not more than the
/// limit change of `answers` in 9 of 10 cases; at most half, as expectations err too.
double expected_share(double limit, int64_t answers);

/// What to say where the evaluation breaks a limit of loss: answers by more than chance (5 %), SQNR and cosine at all.
std::optional<std::string> broken_promise(const TuneLimit& limit, const validate::Validation& evaluation);

/// What to say where few of the judges are no copies of each other or of what calibrated.
std::string few_judges_text(const TuneLimit& limit, int64_t judges, int64_t new_judges);

}  // namespace narrow::apps

#include "apps/stages.h"

namespace narrow::apps {

Stages::Timed::~Timed() {
  const double seconds = watch_.seconds();
  stages_.line_.clear();
  stages_.times_.push_back({name_, seconds});
  spdlog::info("{}: {:.3f} s", name_, seconds);
}

double Stages::seconds(const std::string& name) const {
  double sum = 0;
  for (const report::StageTime& stage : times_) sum += stage.name == name ? stage.seconds : 0;
  return sum;
}

}  // namespace narrow::apps

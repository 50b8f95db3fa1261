#include "apps/recovery.h"
#include <cstdlib>
#include "lib/recover/layerwise.h"
namespace narrow::apps {
void recover(const PipelineOptions& options, const DataSource& data, const std::vector<int64_t>& samples,
             graph::Model& model, plan::PrecisionPlan& plan, Stages& stages) {
  if (getenv("NOREC")) return;
  recover::Samples feeds{.count = static_cast<int64_t>(samples.size()), .read = [&](int64_t i) { return data.reader->read(samples[static_cast<size_t>(i)]); }};
  recover::LayerwiseOptions o; o.workers = options.workers; o.progress = stages.progress();
  auto r = stages.run("recover", [&] { return recover::recover_layerwise(model, plan, feeds, o); });
  for (auto& l : r.layers) fprintf(stderr, "%-40s near %.6f rec %.6f held %.6f ridge %g\n", l.node.c_str(), l.nearest_error, l.recovered_error, l.held_error, l.ridge);
  fprintf(stderr, "samples %ld seconds %.2f\n", r.samples, stages.seconds("recover"));
  model = std::move(r.model); plan = std::move(r.plan);
}
}

#include "apps/recovery.h"
#include "lib/analyze/analyze.h"
#include <cstdlib>
#include "apps/calibration.h"
#include "lib/recover/channel_maxima.h"
#include "lib/recover/equalize.h"
#include "lib/recover/layerwise.h"
namespace narrow::apps {
void recover(const PipelineOptions& options, const DataSource& data, const std::vector<int64_t>& samples,
             graph::Model& model, plan::PrecisionPlan& plan, Stages& stages) {
  if (getenv("NOREC")) return;
  recover::Samples feeds{.count = static_cast<int64_t>(samples.size()), .read = [&](int64_t i) { return data.reader->read(samples[static_cast<size_t>(i)]); }};
  if (getenv("EQ")) {
    recover::ChannelClasses classes(model);
    auto mx = stages.run("maxima", [&] { return recover::observe_channels(model, feeds, classes.values(), options.workers); });
    auto e = recover::equalize(model, mx, {.mixed_strength = atof(getenv("EQ"))});
    fprintf(stderr, "equalized %ld channels, largest %g (maxima %.2f s)\n", e.channels, e.largest, stages.seconds("maxima"));
    model = std::move(e.model);
    const auto analysis = analyze::analyze(model);
    const Needs needs = plan::calibration_needs(model, analysis, options.config.rules);
    auto table = calibrate({model, needs, data, samples, plan.model_sha256, options.workers}, stages);
    auto sha = plan.model_sha256;
    plan = plan::make_plan(model, analysis, ranges_of(table), options.config.rules); plan.model_sha256 = sha;
  }
  recover::LayerwiseOptions o; o.workers = options.workers; o.progress = stages.progress();
  auto r = stages.run("recover", [&] { return recover::recover_layerwise(model, plan, feeds, o); });
  for (auto& l : r.layers) fprintf(stderr, "%-40s near %.6f rec %.6f held %.6f ridge %g\n", l.node.c_str(), l.nearest_error, l.recovered_error, l.held_error, l.ridge);
  fprintf(stderr, "samples %ld seconds %.2f\n", r.samples, stages.seconds("recover"));
  model = std::move(r.model); plan = std::move(r.plan);
}
}

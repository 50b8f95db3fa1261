#include "apps/judge.h"

#include <algorithm>
#include <cmath>

#include "lib/exec/float_program.h"
#include "lib/recover/ordered_samples.h"
#include "lib/runtime/lower.h"
#include "lib/tensor/metrics.h"

namespace narrow::apps {
namespace {

constexpr double kLeastDb = -20;
constexpr double kMostDb = 100;

std::vector<std::vector<Tensor>> run_all(const exec::Program& program, const calib::DataReader& data,
                                         const std::vector<int64_t>& samples, int workers) {
  std::vector<std::vector<Tensor>> outputs(samples.size());
  std::vector<Workspace> workspaces(static_cast<size_t>(std::max(workers, 1)));
  recover::for_each_in_order(
      static_cast<int64_t>(samples.size()), workers,
      [&](int worker, int64_t i) {
        const auto at = static_cast<size_t>(i);
        outputs[at] = program.run(data.read(samples[at]), workspaces[static_cast<size_t>(worker)]);
      },
      [](int, int64_t) {});
  return outputs;
}

bool comparable(const Tensor& a, const Tensor& b) {
  return a.type() == DataType::kFloat32 && b.type() == DataType::kFloat32 && a.size() == b.size() && a.size() > 0;
}

}  // namespace

Judge::Judge(const graph::Model& model, const calib::DataReader& data, std::vector<int64_t> samples, int workers)
    : data_(data),
      samples_(std::move(samples)),
      workers_(workers),
      outputs_(run_all(exec::compile_float(model), data_, samples_, workers_)) {}

double Judge::sqnr_db(const graph::Model& quantized) const {
  const auto actual = run_all(runtime::lower(quantized).program, data_, samples_, workers_);
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    for (size_t k = 0; k < outputs_[i].size(); ++k) {
      if (!comparable(outputs_[i][k], actual[i][k])) continue;
      ErrorStatistics errors;
      errors.add(outputs_[i][k].data<float>(), actual[i][k].data<float>());
      const double db = errors.sqnr_db();
      sum += std::isnan(db) ? kLeastDb : std::clamp(db, kLeastDb, kMostDb);
      ++count;
    }
  }
  return count == 0 ? kMostDb : sum / static_cast<double>(count);
}

}  // namespace narrow::apps

#include <algorithm>
#include <limits>

#include "lib/base/error.h"
#include "lib/runtime/lower.h"
#include "lib/runtime/mac_count.h"

namespace narrow::runtime {
namespace {

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Counts are not negative; a sum beyond int64 stays at its largest.
int64_t saturated_sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<int64_t>::max() : sum;
}

// Shapes of all values of one run, and how often each was made: what a loop holds, once an iteration.
class ShapeRecorder : public exec::TensorListener {
 public:
  void on_value(const std::string& value, const Tensor& tensor) override {
    shapes[value] = tensor.shape();
    ++times[value];
  }
  std::map<std::string, Shape> shapes;
  std::map<std::string, int64_t> times;
};

}  // namespace

int64_t Coverage::integer_nodes() const {
  return std::count_if(nodes.begin(), nodes.end(), [](const NodeCoverage& node) { return node.integer; });
}

int64_t Coverage::total_macs() const {
  int64_t total = 0;
  for (const NodeCoverage& node : nodes) total = saturated_sum(total, node.macs.value_or(0));
  return total;
}

int64_t Coverage::integer_macs() const {
  int64_t total = 0;
  for (const NodeCoverage& node : nodes) total = saturated_sum(total, node.integer ? node.macs.value_or(0) : 0);
  return total;
}

double Coverage::node_share() const {
  return share(integer_nodes(), static_cast<int64_t>(nodes.size()));
}
double Coverage::mac_share() const {
  return share(integer_macs(), total_macs());
}

void count_macs(LoweredModel& lowered, const exec::Feed& feed) {
  ShapeRecorder recorder;
  Workspace workspace;
  for (const auto& [name, tensor] : feed) recorder.shapes[name] = tensor.shape();
  lowered.program.run(feed, workspace, {.listener = &recorder});
  for (const MacCount& count : lowered.mac_counts) {
    const auto value = recorder.shapes.find(count.value);
    const auto inner = recorder.shapes.find(count.inner);
    // A node whose result a constant replaces or nobody needs is not run.
    if (value == recorder.shapes.end() || (!count.inner.empty() && inner == recorder.shapes.end())) {
      lowered.coverage.nodes[count.node].macs = 0;
      continue;
    }
    const int64_t depth = count.inner.empty() ? 1 : inner->second.back();
    Shape runs = value->second;
    if (const auto times = recorder.times.find(count.value); times != recorder.times.end()) {
      runs.push_back(times->second);
    }
    lowered.coverage.nodes[count.node].macs = macs_of(count, runs, depth);
  }
}

}  // namespace narrow::runtime

// Runs of a model in which any of its components are rounded and the rest is float32.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/recover/samples.h"
#include "lib/recover/unit.h"
#include "lib/tune/effect.h"
#include "lib/tune/space.h"

namespace narrow::tune {

/// Which components are rounded, by index.
using Rounded = std::vector<bool>;

/// The graph is cut into segments where components begin to matter. Runs that differ little from a base share what
/// they have in common with it: the values in front of the first difference, and the compiled segments without one.
class RoundedRuns {
 public:
  /// `model` and `components` must outlive it. The results do not depend on `workers`.
  RoundedRuns(const graph::Model& model, const std::vector<Component>& components, const recover::Samples& samples,
              std::optional<std::vector<int64_t>> labels, int workers);

  /// From here on runs are changes of this one.
  void begin(Rounded base);
  /// Of a run: the segment in which it begins to differ from the base.
  size_t position(const Rounded& rounded) const;
  /// The positions of runs must not go down since begin().
  Effect measure(const Rounded& rounded);

 private:
  struct Segment {
    recover::Unit unit;
    std::vector<std::string> kept;                       // what later segments read, and outputs of the graph
    std::vector<size_t> constants;                       // components that it reads
    std::vector<size_t> values;                          // components that it makes
    std::vector<size_t> reads;                           // components as its first node alone reads them
    std::unique_ptr<recover::UnitProgram> program = {};  // of the base; made when first used
  };
  using Programs = std::vector<const recover::UnitProgram*>;

  void cut();
  void place(size_t component);
  size_t segment_of(const std::string& node) const;
  std::unique_ptr<recover::UnitProgram> compile(const Segment& segment, const Rounded& rounded) const;
  const recover::UnitProgram* base_program(Segment& segment);
  bool differs(const Segment& segment, const Rounded& rounded) const;
  void read_inputs();
  void round(const std::vector<size_t>& components, const Rounded& rounded, exec::Feed& feed) const;
  void run(const Programs& programs, std::pair<size_t, size_t> range, const Rounded& rounded, exec::Feed& values,
           Workspace& workspace) const;
  void advance(size_t to);
  Outputs outputs_of(const exec::Feed& values) const;

  const graph::Model& model_;
  const std::vector<Component>& components_;
  const recover::Samples& samples_;
  graph::GraphIndex index_;
  graph::GraphIndex bodies_;
  int workers_;
  std::unordered_map<std::string, size_t> number_;  // of nodes
  std::vector<size_t> starts_;                      // of segments: numbers of their first nodes
  std::vector<Segment> segments_;
  std::vector<size_t> inputs_;                        // components that are inputs of the graph
  std::unordered_map<std::string, size_t> last_use_;  // value -> last segment that reads it
  std::optional<EffectMeter> meter_;
  Rounded base_;
  size_t at_ = 0;
  std::vector<exec::Feed> live_;  // by sample: the base's values in front of segment at_; inputs as they came at 0
};

}  // namespace narrow::tune

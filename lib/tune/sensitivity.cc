#include "lib/tune/sensitivity.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/tune/rounded_runs.h"

namespace narrow::tune {
namespace {

constexpr size_t kRowsBetweenKeeps = 25;

/// A row of the table.
struct Change {
  std::string key;
  Rounded rounded;
  size_t position = 0;  // where it begins to differ from its base
};

/// Measures changes of a base, and counts them as they come.
class Table {
 public:
  Table(Sensitivity known, const SensitivityOptions& options, size_t total)
      : known_(std::move(known)), options_(options), total_(total) {}

  void measure(RoundedRuns& runs, const Rounded& base, std::vector<Change> changes) {
    if (changes.empty()) return;
    runs.begin(base);
    for (Change& change : changes) change.position = runs.position(change.rounded);
    std::stable_sort(changes.begin(), changes.end(),
                     [](const Change& a, const Change& b) { return a.position < b.position; });
    try {
      for (const Change& change : changes) {
        check_interruption();
        known_[change.key] = runs.measure(change.rounded);
        ++done_;
        if (options_.keep && done_ % kRowsBetweenKeeps == 0) options_.keep(known_);
        if (options_.progress) {
          options_.progress("sensitivity", static_cast<int64_t>(done_), static_cast<int64_t>(total_));
        }
      }
    } catch (...) {
      if (options_.keep) options_.keep(known_);
      throw;
    }
  }

  Sensitivity take() { return std::move(known_); }

 private:
  Sensitivity known_;
  const SensitivityOptions& options_;
  size_t total_;
  size_t done_ = 0;
};

const Option* config_option(const Item& item) {
  const auto found = std::find_if(item.options.begin(), item.options.end(),
                                  [](const Option& option) { return option.choice == Choice::kConfig; });
  return found == item.options.end() ? nullptr : &*found;
}

}  // namespace

Sensitivity measure_sensitivity(const graph::Model& model, const std::vector<Component>& components,
                                const recover::Samples& samples, Sensitivity known, const SensitivityOptions& options) {
  std::vector<Change> changes;
  const Rounded nothing(components.size(), false);
  for (size_t i = 0; i < components.size(); ++i) {
    if (known.contains(components[i].key)) continue;
    Change& change = changes.emplace_back(Change{components[i].key, nothing});
    change.rounded[i] = true;
  }
  if (changes.empty()) return known;
  ensure(samples.count > 0, "sensitivity has samples");
  RoundedRuns runs(model, components, samples, {}, options.workers);
  Table table(std::move(known), options, changes.size());
  table.measure(runs, nothing, std::move(changes));
  return table.take();
}

bool is_quantized(const Item& item) {
  const Option* option = config_option(item);
  return option != nullptr && (option->on_integers || option->half || !option->weight.empty());
}

Sensitivity measure_groups(const PlanInputs& inputs, const Space& space, const std::vector<LayerGroup>& groups,
                           const recover::Samples& samples, const std::optional<std::vector<int64_t>>& labels,
                           Sensitivity known, const SensitivityOptions& options) {
  ensure(samples.count > 0, "sensitivity has samples");
  const std::vector<Choice> all(space.items.size(), Choice::kConfig);
  const std::vector<Choice> nothing(space.items.size(), Choice::kFloat);
  std::vector<std::vector<Choice>> mixtures{nothing, all};
  std::vector<std::string> keys{kNothingKey, kAllKey};  // of mixtures: changes of the float model and of the quantized
  for (const LayerGroup& group : groups) {
    keys.insert(keys.end(), {group.quantized_key(), group.float_key()});
    mixtures.insert(mixtures.end(), {nothing, all});
    for (const size_t item : group.items) {
      mixtures[mixtures.size() - 2][item] = Choice::kConfig;
      mixtures.back()[item] = Choice::kFloat;
    }
  }
  if (std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return known.contains(key); })) return known;
  const PlanRoundings roundings = plan_roundings(inputs, space.nodes(), mixtures);
  std::array<std::vector<Change>, 2> changes;  // of the float model, of the quantized one
  std::array<Rounded, 2> bases;
  for (size_t i = 0; i < keys.size(); ++i) {
    Rounded rounded(roundings.components.size(), false);
    for (const size_t component : roundings.by_plan[i]) rounded[component] = true;
    if (i < bases.size()) bases[i] = rounded;
    if (!known.contains(keys[i])) changes[i % 2].push_back({keys[i], std::move(rounded)});
  }
  RoundedRuns runs(inputs.model, roundings.components, samples, labels, options.workers);
  Table table(std::move(known), options, changes[0].size() + changes[1].size());
  for (size_t i = 0; i < bases.size(); ++i) table.measure(runs, bases[i], std::move(changes[i]));
  return table.take();
}

}  // namespace narrow::tune

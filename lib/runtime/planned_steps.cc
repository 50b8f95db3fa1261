#include "lib/runtime/planned_steps.h"

#include <functional>
#include <unordered_map>

namespace narrow::runtime {

std::vector<PlannedStep> sorted(std::vector<PlannedStep> steps) {
  std::unordered_map<std::string, size_t> producers;
  for (size_t i = 0; i < steps.size(); ++i) {
    for (const std::string& output : steps[i].outputs) {
      if (!output.empty()) producers.emplace(output, i);
    }
  }
  std::vector<PlannedStep> result;
  std::vector<bool> placed(steps.size(), false);
  const std::function<void(size_t)> place = [&](size_t i) {
    if (placed[i]) return;
    placed[i] = true;
    for (const std::string& input : steps[i].inputs) {
      if (const auto found = producers.find(input); found != producers.end()) place(found->second);
    }
    result.push_back(std::move(steps[i]));
  };
  for (size_t i = 0; i < steps.size(); ++i) place(i);
  return result;
}

std::unordered_set<std::string> mark_needed(std::vector<PlannedStep>& steps, std::unordered_set<std::string> outputs) {
  std::unordered_set<std::string> needed = std::move(outputs);
  for (size_t i = steps.size(); i-- > 0;) {
    PlannedStep& step = steps[i];
    bool wanted = false;
    for (std::string& output : step.outputs) {
      if (!output.empty() && needed.contains(output))
        wanted = true;
      else
        output.clear();
    }
    if (wanted)
      needed.insert(step.inputs.begin(), step.inputs.end());
    else
      step.kernel = nullptr;
  }
  return needed;
}

}  // namespace narrow::runtime

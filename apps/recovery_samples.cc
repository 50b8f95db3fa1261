#include "apps/recovery_samples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <unordered_set>

#include "lib/base/spread.h"
#include "lib/plan/recovery.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::apps {
namespace {

constexpr int64_t kTrialShare = 5;   // trials round with one sample of so many
constexpr size_t kTrialJudges = 48;  // trials differ by less than a few samples can tell

/// Of names, types, shapes and elements.
class ContentHash {
 public:
  explicit ContentHash(const exec::Feed& feed) {
    for (const auto& [name, tensor] : feed) {
      add(name);
      add(tensor);
    }
  }

  size_t value() const { return hash_; }

 private:
  void add(std::string_view bytes) {
    constexpr size_t kFactor = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio: spreads bits
    hash_ = (hash_ ^ std::hash<std::string_view>()(bytes)) * kFactor;
  }

  void add(const Tensor& tensor) {
    add(fmt::format("{} {}", data_type_name(tensor.type()), fmt::join(tensor.shape(), ",")));
    if (tensor.type() == DataType::kString) {
      for (const std::string& text : tensor.strings()) add(text);
    } else if (tensor.type() == DataType::kSequence) {
      for (const Tensor& element : tensor.sequence()) add(element);
    } else if (tensor.size() > 0 && tensor.bytes() != nullptr) {
      add({reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_size()});
    }
  }

  size_t hash_ = 0;
};

}  // namespace

std::vector<int64_t> distinct_samples(const calib::DataReader& data, const std::vector<int64_t>& samples, int workers) {
  std::unordered_set<size_t> known;
  std::vector<size_t> hashes(samples.size());
  std::vector<int64_t> distinct;
  recover::for_each_in_order(
      static_cast<int64_t>(samples.size()), workers,
      [&](int, int64_t i) {
        hashes[static_cast<size_t>(i)] = ContentHash(data.read(samples[static_cast<size_t>(i)])).value();
      },
      [&](int, int64_t i) {
        const auto at = static_cast<size_t>(i);
        if (known.insert(hashes[at]).second) distinct.push_back(samples[at]);
      });
  return distinct;
}

Split split_samples(const std::vector<int64_t>& samples, int64_t held_of_each) {
  Split split;
  for (size_t i = 0; i < samples.size(); ++i) {
    const bool held = static_cast<int64_t>(i) % plan::kHeldShare == held_of_each;
    (held ? split.held : split.fit).push_back(samples[i]);
  }
  return split;
}

std::vector<int64_t> part_of(const std::vector<int64_t>& samples) {
  std::vector<int64_t> part;
  for (const int64_t index :
       spread_indices(static_cast<int64_t>(samples.size()),
                      std::max<int64_t>(static_cast<int64_t>(samples.size()) / kTrialShare, 16))) {
    part.push_back(samples[static_cast<size_t>(index)]);
  }
  return part;
}

std::vector<int64_t> trial_judges(const Split& split) {
  const std::vector<int64_t> part = part_of(split.fit);
  std::vector<int64_t> others;
  for (const int64_t sample : split.fit) {
    if (std::find(part.begin(), part.end(), sample) == part.end()) others.push_back(sample);
  }
  std::vector<int64_t> judges = split.held;
  const size_t wanted = kTrialJudges - std::min(judges.size(), kTrialJudges);
  for (const int64_t index :
       spread_indices(static_cast<int64_t>(others.size()), static_cast<int64_t>(std::min(wanted, others.size())))) {
    judges.push_back(others[static_cast<size_t>(index)]);
  }
  return judges;
}

}  // namespace narrow::apps

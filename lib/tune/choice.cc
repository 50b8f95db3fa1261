#include "lib/tune/choice.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "lib/base/error.h"

namespace narrow::tune {
namespace {

struct ChoiceRow {
  Choice choice;
  std::string_view name;
  /// Of a weight that is stored so and computed with in float32.
  std::optional<quant::QuantType> stored = {};
  plan::Granularity granularity = plan::Granularity::kPerChannel;
};

using quant::QuantType;

constexpr std::array kRows{
    ChoiceRow{Choice::kConfig, "config"},
    ChoiceRow{Choice::kInt4, "int4"},
    ChoiceRow{Choice::kStoredInt16, "stored int16", QuantType::kInt16},
    ChoiceRow{Choice::kStoredInt8, "stored int8", QuantType::kInt8},
    ChoiceRow{Choice::kStoredInt4, "stored int4", QuantType::kInt4, plan::Granularity::kPerBlock},
    ChoiceRow{Choice::kStoredInt2, "stored int2", QuantType::kInt2},
    ChoiceRow{Choice::kFloat, "float32"},
};

const ChoiceRow& row_of(Choice choice) {
  return *std::find_if(kRows.begin(), kRows.end(), [&](const ChoiceRow& row) { return row.choice == choice; });
}

/// A regular expression that matches the text and nothing else.
std::string quoted(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
    if (!plain) result += '\\';
    result += c;
  }
  return result;
}

plan::SchemePatch patch_of(Choice choice) {
  plan::SchemePatch patch;
  if (choice == Choice::kConfig) return patch;
  patch.keep_float = choice == Choice::kFloat;
  if (choice == Choice::kFloat) patch.keep_reason = "chosen by tune";
  if (choice == Choice::kInt4) patch.weights = QuantType::kInt4;
  const ChoiceRow& row = row_of(choice);
  if (!row.stored) return patch;
  patch.mode = plan::Mode::kWeightOnly;
  patch.weights = row.stored;
  patch.granularity = row.granularity;
  patch.block = plan::kDefaultBlock;
  return patch;
}

}  // namespace

std::string_view choice_name(Choice choice) {
  return row_of(choice).name;
}

Choice choice_from_name(std::string_view name) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const ChoiceRow& row) { return row.name == name; });
  if (found == kRows.end()) throw Error(ErrorKind::kUsage, "unknown choice '{}'", name);
  return found->choice;
}

std::vector<Choice> all_choices() {
  std::vector<Choice> choices;
  for (const ChoiceRow& row : kRows) choices.push_back(row.choice);
  return choices;
}

bool is_stored(Choice choice) {
  return row_of(choice).stored.has_value();
}

plan::Rules rules_for(const plan::Rules& base, const std::vector<std::string>& nodes,
                      const std::vector<Choice>& choices) {
  ensure(nodes.size() == choices.size(), "one choice for each layer");
  plan::Rules rules = base;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (choices[i] == Choice::kConfig) continue;
    // Nodes that recovery steps add are not in the model as it came.
    rules.rules.push_back({.match = {.name = {}, .regex = quoted(nodes[i]), .op = {}},
                           .set = patch_of(choices[i]),
                           .optional = true,
                           .text = fmt::format("tune ({})", choice_name(choices[i]))});
  }
  return rules;
}

}  // namespace narrow::tune

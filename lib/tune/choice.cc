#include "lib/tune/choice.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "lib/base/error.h"

namespace narrow::tune {
namespace {

struct ChoiceRow {
  Choice choice;
  std::string_view name;
};

constexpr std::array kRows{
    ChoiceRow{Choice::kConfig, "config"},
    ChoiceRow{Choice::kInt4, "int4"},
    ChoiceRow{Choice::kStoredInt16, "stored int16"},
    ChoiceRow{Choice::kStoredInt8, "stored int8"},
    ChoiceRow{Choice::kStoredInt4, "stored int4"},
    ChoiceRow{Choice::kFloat, "float32"},
};

constexpr std::array kChoices{Choice::kConfig,     Choice::kInt4,       Choice::kStoredInt16,
                              Choice::kStoredInt8, Choice::kStoredInt4, Choice::kFloat};

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
  switch (choice) {
    case Choice::kConfig:
      break;
    case Choice::kInt4:
      patch.weights = quant::QuantType::kInt4;
      break;
    case Choice::kStoredInt16:
    case Choice::kStoredInt8:
      patch.mode = plan::Mode::kWeightOnly;
      patch.weights = choice == Choice::kStoredInt8 ? quant::QuantType::kInt8 : quant::QuantType::kInt16;
      patch.granularity = plan::Granularity::kPerChannel;
      break;
    case Choice::kStoredInt4:
      patch.mode = plan::Mode::kWeightOnly;
      patch.weights = quant::QuantType::kInt4;
      patch.granularity = plan::Granularity::kPerBlock;
      patch.block = plan::kDefaultBlock;
      break;
    case Choice::kFloat:
      patch.keep_float = true;
      patch.keep_reason = "chosen by tune";
      break;
  }
  if (choice == Choice::kInt4 || is_stored(choice)) patch.keep_float = false;
  return patch;
}

}  // namespace

std::string_view choice_name(Choice choice) {
  return std::find_if(kRows.begin(), kRows.end(), [&](const ChoiceRow& row) { return row.choice == choice; })->name;
}

Choice choice_from_name(std::string_view name) {
  const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const ChoiceRow& row) { return row.name == name; });
  if (found == kRows.end()) throw Error(ErrorKind::kUsage, "unknown choice '{}'", name);
  return found->choice;
}

std::span<const Choice> all_choices() {
  return kChoices;
}

bool is_stored(Choice choice) {
  return choice == Choice::kStoredInt16 || choice == Choice::kStoredInt8 || choice == Choice::kStoredInt4;
}

plan::Rules rules_for(const plan::Rules& base, const std::vector<std::string>& nodes,
                      const std::vector<Choice>& choices) {
  ensure(nodes.size() == choices.size(), "one choice for each layer");
  plan::Rules rules = base;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (choices[i] == Choice::kConfig) continue;
    rules.rules.push_back({.match = {.name = {}, .regex = quoted(nodes[i]), .op = {}},
                           .set = patch_of(choices[i]),
                           .text = fmt::format("tune ({})", choice_name(choices[i]))});
  }
  return rules;
}

}  // namespace narrow::tune

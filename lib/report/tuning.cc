#include "lib/report/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lib/base/json_number.h"
#include "lib/report/escape.h"
#include "lib/report/format.h"

namespace narrow::report {
namespace {

constexpr size_t kShownChanges = 12;
constexpr size_t kShownEffects = 10;

double loss(const TuneTrial& trial) {
  return std::max({trial.drop, trial.expected_drop, 0.0});
}

/// True if no other trial is as small, as much on integers and as good, and better in one of these.
bool on_front(const std::vector<TuneTrial>& trials, const TuneTrial& trial) {
  return std::none_of(trials.begin(), trials.end(), [&](const TuneTrial& other) {
    const bool as_good =
        other.file_bytes <= trial.file_bytes && other.integer_macs >= trial.integer_macs && loss(other) <= loss(trial);
    const bool better =
        other.file_bytes < trial.file_bytes || other.integer_macs > trial.integer_macs || loss(other) < loss(trial);
    return as_good && better;
  });
}

std::string ratio_text(int64_t bytes, int64_t float_bytes) {
  if (float_bytes == 0) return "-";
  return fmt::format("{:.3f}", static_cast<double>(bytes) / static_cast<double>(float_bytes));
}

std::string judges_text(const TuneFacts& tuning) {
  const std::string samples = plural(tuning.samples, "sample");
  if (tuning.new_samples == tuning.samples) return samples + " that chose nothing else";
  return fmt::format("{}, of which {} differ from each other and from those that calibrated", samples,
                     tuning.new_samples);
}

Json trial_json(const TuneFacts& tuning, const TuneTrial& trial) {
  return {{"step", trial.step},
          {"file_bytes", trial.file_bytes},
          {"seconds", json_number(trial.seconds)},
          {"integer_macs", trial.integer_macs},
          {"sqnr_db", json_number(trial.sqnr_db)},
          {"sqnr_error", trial.sqnr_error},
          {"agreement", json_number(trial.agreement)},
          {"drop", trial.drop},
          {"expected_drop", trial.expected_drop},
          {"most_drop", trial.most_drop},
          {"changed", trial.changed},
          {"kept", trial.kept},
          {"on_front", on_front(tuning.trials, trial)}};
}

}  // namespace

Section tuning_section(const TuneFacts& tuning, int64_t float_bytes) {
  Table table{.columns = {{"trial"},
                          {"file", Align::kRight},
                          {"ratio", Align::kRight},
                          {"ms", Align::kRight},
                          {"integer MACs", Align::kRight},
                          {"SQNR dB", Align::kRight},
                          {"+-", Align::kRight},
                          {"lost", Align::kRight},
                          {"expected", Align::kRight},
                          {"at most", Align::kRight},
                          {"limit"},
                          {""}},
              .rows = {}};
  for (size_t i = 0; i < tuning.trials.size(); ++i) {
    const TuneTrial& trial = tuning.trials[i];
    const std::string front = on_front(tuning.trials, trial) ? "front" : "";
    table.rows.push_back(
        {trial.step, bytes_text(trial.file_bytes), ratio_text(trial.file_bytes, float_bytes),
         trial.seconds ? fmt::format("{:.3f}", 1e3 * *trial.seconds) : "-", percent_text(trial.integer_macs),
         number_text(trial.sqnr_db, 2), fmt::format("{:.2f}", trial.sqnr_error), fmt::format("{:.2f}", trial.drop),
         fmt::format("{:.2f}", trial.expected_drop), fmt::format("{:.2f}", trial.most_drop),
         trial.kept ? Cell("kept", Mark::kGood) : Cell("broken", Mark::kBad), i == tuning.chosen ? "taken" : front});
  }
  Lines changes;
  const auto& changed = tuning.trials.at(tuning.chosen).changed;
  for (size_t i = 0; i < std::min(changed.size(), kShownChanges); ++i) changes.lines.push_back(changed[i]);
  if (changed.size() > kShownChanges) {
    changes.lines.push_back(fmt::format("and {} more, see the JSON report", changed.size() - kShownChanges));
  }
  if (changed.empty()) changes.lines.emplace_back("every layer is as the config says");
  return {fmt::format("tuning: {}; points of {} lost, on {}", tuning.limit, tuning.lost, judges_text(tuning)),
          {std::move(table), std::move(changes)}};
}

Section sensitivity_section(const TuneFacts& tuning) {
  Table table{.columns = {{"alone rounded"},
                          {"SQNR dB", Align::kRight},
                          {"divergence", Align::kRight},
                          {"agreement", Align::kRight}},
              .rows = {}};
  for (size_t i = 0; i < std::min(tuning.sensitivity.size(), kShownEffects); ++i) {
    const TuneFacts::Effect& effect = tuning.sensitivity[i];
    table.rows.push_back({effect.rounded, number_text(effect.sqnr_db, 2),
                          effect.divergence ? short_number_text(*effect.divergence) : "-",
                          effect.agreement ? percent_text(*effect.agreement) : "-"});
  }
  return {fmt::format("most sensitive {} of {}", table.rows.size(),
                      plural(static_cast<int64_t>(tuning.sensitivity.size()), "tensor")),
          {std::move(table)}};
}

Json to_json(const TuneFacts& tuning) {
  Json json{{"limit", tuning.limit},     {"lost", tuning.lost},
            {"kept", tuning.kept},       {"interrupted", tuning.interrupted},
            {"samples", tuning.samples}, {"new_samples", tuning.new_samples},
            {"chosen", tuning.chosen}};
  json["trials"] = Json::array();
  for (const TuneTrial& trial : tuning.trials) json["trials"].push_back(trial_json(tuning, trial));
  json["sensitivity"] = Json::array();
  for (const TuneFacts::Effect& effect : tuning.sensitivity) {
    json["sensitivity"].push_back({{"rounded", effect.rounded},
                                   {"sqnr_db", json_number(effect.sqnr_db)},
                                   {"divergence", json_number(effect.divergence)},
                                   {"agreement", json_number(effect.agreement)}});
  }
  return json;
}

std::string tuning_picture(const TuneFacts& tuning, int64_t float_bytes) {
  constexpr double kWidth = 560;
  constexpr double kHeight = 280;
  constexpr double kMargin = 46;
  double most_loss = 1e-6;
  for (const TuneTrial& trial : tuning.trials) most_loss = std::max(most_loss, loss(trial));
  const auto x = [&](const TuneTrial& trial) {
    const double ratio = static_cast<double>(trial.file_bytes) / static_cast<double>(std::max<int64_t>(float_bytes, 1));
    return kMargin + std::min(ratio, 1.1) / 1.1 * (kWidth - 2 * kMargin);
  };
  const auto y = [&](const TuneTrial& trial) {
    return kHeight - kMargin - loss(trial) / most_loss * (kHeight - 2 * kMargin);
  };
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"trials: size and loss\">\n"
      "<path d=\"M{2} {2}V{3}H{4}\" fill=\"none\" stroke=\"#999\"/>\n"
      "<text x=\"{2}\" y=\"{5}\" font-size=\"12\">points of {6} lost (top: {7:.3g})</text>\n"
      "<text x=\"{4}\" y=\"{8}\" font-size=\"12\" text-anchor=\"end\">file against the float model's (right: "
      "1.1)</text>\n",
      kWidth, kHeight, kMargin, kHeight - kMargin, kWidth - kMargin, kMargin - 12, escape_markup(tuning.lost),
      most_loss, kHeight - kMargin + 20);
  std::vector<const TuneTrial*> front;
  for (const TuneTrial& trial : tuning.trials) {
    if (on_front(tuning.trials, trial)) front.push_back(&trial);
  }
  std::stable_sort(front.begin(), front.end(),
                   [](const TuneTrial* a, const TuneTrial* b) { return a->file_bytes < b->file_bytes; });
  std::string line;
  for (const TuneTrial* trial : front)
    line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? "M" : "L", x(*trial), y(*trial));
  svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"#bbb\"/>\n", line);
  for (size_t i = 0; i < tuning.trials.size(); ++i) {
    const TuneTrial& trial = tuning.trials[i];
    const char* color = trial.kept ? "#187a2f" : "#b3261e";
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" stroke=\"{}\"><title>{}</title></circle>\n", x(trial),
        y(trial), i == tuning.chosen ? 6 : 4, i == tuning.chosen ? color : "none", color, escape_markup(trial.step));
  }
  return svg + "</svg>\n";
}

}  // namespace narrow::report

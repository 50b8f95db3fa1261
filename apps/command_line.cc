#include "apps/command_line.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>

#include "apps/output.h"
#include "lib/base/error.h"
#include "lib/base/suggest.h"

namespace narrow::apps {
namespace {

constexpr size_t kTextColumn = 28;

std::string help_line(const std::string& left, std::string_view text) {
  if (left.size() + 4 > kTextColumn) return fmt::format("  {}\n{:{}}{}\n", left, "", kTextColumn, text);
  return fmt::format("  {:<{}}{}\n", left, kTextColumn - 2, text);
}

/// "-o,--output" as "-o, --output".
std::string spaced(const std::string& names) {
  const size_t comma = names.find(',');
  return comma == std::string::npos ? names : names.substr(0, comma) + ", " + names.substr(comma + 1);
}

std::vector<std::string> split_names(const std::string& names) {
  const size_t comma = names.find(',');
  if (comma == std::string::npos) return {names};
  return {names.substr(0, comma), names.substr(comma + 1)};
}

bool asks_for_help(const std::string& word) {
  return word == "--help" || word == "-h";
}

}  // namespace

CommandLine::CommandLine(CommandHelp help) : help_(std::move(help)), app_(std::make_unique<CLI::App>()) {
  app_->set_help_flag();
  app_->allow_extras();  // so that they can be named with a suggestion
}

CommandLine::~CommandLine() = default;

void CommandLine::positional(const std::string& name, std::string& target, std::string_view text) {
  positionals_.push_back({name, text, app_->add_option(name, target)});
}

void CommandLine::positionals(const std::string& name, std::vector<std::string>& target, std::string_view text) {
  positionals_.push_back({name, text, app_->add_option(name, target)});
}

void CommandLine::option(const std::string& names, std::string& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help);
}

void CommandLine::option(const std::string& names, int& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help, "an integer");
}

void CommandLine::option(const std::string& names, int64_t& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help, "an integer");
}

void CommandLine::option(const std::string& names, double& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help, "a number");
}

void CommandLine::option(const std::string& names, std::optional<std::string>& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help);
}

void CommandLine::option(const std::string& names, std::optional<int64_t>& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help, "an integer");
}

void CommandLine::option(const std::string& names, std::optional<double>& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target), help, "a number");
}

void CommandLine::repeated(const std::string& names, std::vector<std::string>& target, const OptionHelp& help) {
  add(names, app_->add_option(names, target)->allow_extra_args(false), help);
}

void CommandLine::flag(const std::string& names, bool& target, const OptionHelp& help) {
  add(names, app_->add_flag(names, target)->disable_flag_override(), help);
}

void CommandLine::add(const std::string& names, CLI::Option* option, const OptionHelp& help, std::string_view kind) {
  option->type_name(std::string(help.value));
  entries_.push_back({names, help, kind});
}

std::string CommandLine::explain(const CLI::ParseError& error) const {
  // CLI11 names the option in its text only: "--samples: ...", "Could not convert: --samples = many", "quiet was ...".
  const std::string text = error.what();
  for (const Entry& entry : entries_) {
    const std::string name = split_names(entry.names).back();
    const size_t converted = text.find(name + " = ");
    if (converted != std::string::npos) {
      return fmt::format("{}: '{}' is not {}", name, text.substr(converted + name.size() + 3), entry.kind);
    }
    if (entry.help.value.empty() && text.starts_with(name.substr(2) + " ")) return name + " takes no value";
    if (!text.starts_with(name + ":")) continue;
    const bool missing = text.ends_with(" missing");
    return name + (missing ? " needs a value" : " is given twice");
  }
  return fmt::format("the arguments can not be understood; see 'narrow {} --help'", help_.name);
}

Error CommandLine::usage_error(const std::string& message) const {
  return {ErrorKind::kUsage, "{}: {}", help_.name, message};
}

void CommandLine::refuse_unknown() const {
  const std::vector<std::string> extras = app_->remaining();
  if (extras.empty()) return;
  const auto unknown =
      std::find_if(extras.begin(), extras.end(), [](const std::string& word) { return word.starts_with("-"); });
  if (unknown == extras.end()) throw usage_error(fmt::format("one argument too many: '{}'", extras.front()));
  const std::string name = unknown->substr(0, unknown->find('='));
  const std::string suggestion = did_you_mean(name, known_names());
  throw usage_error(fmt::format("unknown option '{}'{}", name,
                                suggestion.empty() ? fmt::format("; see 'narrow {} --help'", help_.name) : suggestion));
}

std::vector<std::string> CommandLine::known_names() const {
  std::vector<std::string> known{"--help"};
  for (const Entry& entry : entries_) {
    for (std::string& name : split_names(entry.names)) known.push_back(std::move(name));
  }
  return known;
}

/// CLI11 would take the option that follows for the value.
void CommandLine::refuse_missing_values(const Arguments& arguments) const {
  const std::vector<std::string> known = known_names();
  const auto is_option = [&](const std::string& word) {
    return std::find(known.begin(), known.end(), word) != known.end();
  };
  for (const Entry& entry : entries_) {
    if (entry.help.value.empty()) continue;
    for (const std::string& name : split_names(entry.names)) {
      const auto at = std::find(arguments.begin(), arguments.end(), name);
      if (at == arguments.end() || (at + 1 != arguments.end() && !is_option(*(at + 1)))) continue;
      throw usage_error(fmt::format("{} needs a value", name));
    }
  }
}

bool CommandLine::parse(const Arguments& arguments) {
  if (std::any_of(arguments.begin(), arguments.end(), asks_for_help)) {
    print_result(help_text());
    return false;
  }
  refuse_missing_values(arguments);
  try {
    Arguments reversed(arguments.rbegin(), arguments.rend());
    app_->parse(reversed);
  } catch (const CLI::ParseError& error) {
    throw usage_error(explain(error));
  }
  refuse_unknown();
  for (const Positional& positional : positionals_) {
    if (positional.option->count() == 0) throw usage_error(fmt::format("{} is missing", positional.name));
  }
  return true;
}

void CommandLine::require(const std::string& name) const {
  if (!given(name)) throw usage_error(fmt::format("option {} is missing", name));
}

bool CommandLine::given(const std::string& name) const {
  return app_->count(name) > 0;
}

std::string CommandLine::help_text() const {
  std::string text = fmt::format("narrow {}: {}\n\nexamples:\n", help_.name, help_.summary);
  for (const std::string_view example : help_.examples) text += fmt::format("  narrow {}\n", example);
  text += fmt::format("\nusage: narrow {}\n\n", help_.usage);
  for (const Positional& positional : positionals_) text += help_line(positional.name, positional.text);
  std::vector<std::string_view> groups;
  for (const Entry& entry : entries_) {
    if (std::find(groups.begin(), groups.end(), entry.help.group) == groups.end()) groups.push_back(entry.help.group);
  }
  for (const std::string_view group : groups) {
    text += fmt::format("\n{}:\n", group);
    for (const Entry& entry : entries_) {
      if (entry.help.group != group) continue;
      const std::string value = entry.help.value.empty() ? "" : fmt::format(" {}", entry.help.value);
      text += help_line(spaced(entry.names) + value, entry.help.text);
    }
  }
  return text;
}

}  // namespace narrow::apps

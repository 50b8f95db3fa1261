// Options of one subcommand: parsing, help that leads with examples, and one clear line for what is wrong.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/commands.h"
#include "lib/base/error.h"

namespace CLI {
class App;
class Option;
class ParseError;
}  // namespace CLI

namespace narrow::apps {

struct CommandHelp {
  std::string_view name;
  std::string_view summary;                // what it does, one or two lines
  std::vector<std::string_view> examples;  // without "narrow"
  std::string_view usage;                  // without "narrow"
};

/// How an option stands in help: its value's name (empty for flags), its text, and the heading it stands under.
struct OptionHelp {
  std::string_view value;
  std::string_view text;
  std::string_view group = "options";
};

/// CLI11 parses; its header stays in one file, since it is long.
class CommandLine {
 public:
  explicit CommandLine(CommandHelp help);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Required; taken in the order they are added.
  void positional(const std::string& name, std::string& target, std::string_view text);
  void positionals(const std::string& name, std::vector<std::string>& target, std::string_view text);

  /// `names` as "-o,--output" or "--data". The target keeps its value when the option is not given.
  void option(const std::string& names, std::string& target, const OptionHelp& help);
  void option(const std::string& names, int& target, const OptionHelp& help);
  void option(const std::string& names, int64_t& target, const OptionHelp& help);
  void option(const std::string& names, double& target, const OptionHelp& help);
  void option(const std::string& names, std::optional<std::string>& target, const OptionHelp& help);
  void option(const std::string& names, std::optional<int64_t>& target, const OptionHelp& help);
  void option(const std::string& names, std::optional<double>& target, const OptionHelp& help);
  /// May be given several times, one value each.
  void repeated(const std::string& names, std::vector<std::string>& target, const OptionHelp& help);
  void flag(const std::string& names, bool& target, const OptionHelp& help);

  /// True if the command is to run; false if help was asked for and printed. Throws Error(kUsage) with one line: an
  /// unknown option (with a suggestion), a missing value or argument, a value of the wrong kind.
  bool parse(const Arguments& arguments);
  /// Throws Error(kUsage) unless the option was given.
  void require(const std::string& name) const;
  bool given(const std::string& name) const;

  std::string help_text() const;

 private:
  struct Entry {
    std::string names;
    OptionHelp help;
    std::string_view kind;
  };
  struct Positional {
    std::string name;
    std::string_view text;
    CLI::Option* option = nullptr;
  };

  /// `kind`: what a value must be, as in "'x' is not a number"; "" for text and flags.
  void add(const std::string& names, CLI::Option* option, const OptionHelp& help, std::string_view kind = "");
  /// What is wrong, in our own words and with the option's name.
  std::string explain(const CLI::ParseError& error) const;
  std::vector<std::string> known_names() const;
  void refuse_missing_values(const Arguments& arguments) const;
  void refuse_unknown() const;
  Error usage_error(const std::string& message) const;

  CommandHelp help_;
  std::unique_ptr<CLI::App> app_;
  std::vector<Positional> positionals_;
  std::vector<Entry> entries_;
};

}  // namespace narrow::apps

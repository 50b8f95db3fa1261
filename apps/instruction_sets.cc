#include "apps/instruction_sets.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "apps/report_output.h"
#include "lib/base/error.h"
#include "lib/base/json_number.h"
#include "lib/base/progress.h"
#include "lib/onednn/isa.h"

extern char** environ;

namespace narrow::apps {
namespace {

struct Ended {
  std::string text;  // of stdout
  int code = 0;
};

class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_.data()) != 0) throw Error(ErrorKind::kData, "no pipe for another process");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    ::close(ends_[0]);
    close_write();
  }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_write() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

/// This program once more; its stderr goes where ours goes.
Ended run_self(const Arguments& arguments) {
  Pipe pipe;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe.write_end(), STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipe.read_end());
  std::vector<std::string> words{"narrow"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(ErrorKind::kData, "another process of narrow does not start (errno {})", failed);
  pipe.close_write();
  Ended ended;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t count = ::read(pipe.read_end(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    ended.text.append(buffer.data(), static_cast<size_t>(count));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : exit_code(ErrorKind::kInternal);
  return ended;
}

report::IsaRun read_run(const std::string& isa, const Json& report) {
  const Json& validation = report.at("validation");
  report::IsaRun run{.isa = isa, .saturates_pairs = validation.at("saturates_pairs").get<bool>()};
  for (const Json& output : validation.at("outputs")) {
    report::IsaOutput row{.name = output.at("name").get<std::string>(),
                          .sqnr_db = number_from_json(output.at("sqnr_db"))};
    if (output.contains("agreement") && output.at("agreement").is_number()) {
      row.agreement = output.at("agreement").get<double>();
    }
    run.outputs.push_back(std::move(row));
  }
  for (const Json& check : validation.at("checks")) {
    ++run.kernels;
    if (check.at("beyond_one").get<int64_t>() > 0) run.inexact_nodes.push_back(check.at("node").get<std::string>());
  }
  return run;
}

/// Throws what the process ended with; its message is on stderr already.
Json json_of(const Ended& ended, const std::string& isa) {
  if (ended.code == 0 || ended.code == kGateFailed) return Json::parse(ended.text);
  check_interruption();
  throw Error(ErrorKind::kInternal, "validation on {} ended with exit code {}", isa, ended.code);
}

}  // namespace

void add_isa_option(CommandLine& line, std::string& isa, std::string_view text) {
  line.option("--isa", isa, {"NAME", text});
}

void apply_isa(const std::string& isa) {
  if (isa.empty()) return;
  onednn::set_max_isa(isa);
  const std::string effective = onednn::effective_isa();
  if (effective != isa) {
    throw Error(ErrorKind::kUnsupported, "--isa {}: this CPU does not have it; the nearest is {}", isa, effective);
  }
}

std::vector<report::IsaRun> validate_on_other_isas(const Arguments& arguments) {
  std::vector<report::IsaRun> runs;
  for (const std::string& isa : onednn::weaker_isas()) {
    check_interruption();
    Arguments words{"validate", "--isa", isa, "--format", "json", "--no-speed", "--quiet"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    runs.push_back(read_run(isa, json_of(run_self(words), isa)));
  }
  return runs;
}

}  // namespace narrow::apps

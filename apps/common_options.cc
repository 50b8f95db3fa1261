#include "apps/common_options.h"

#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/parallel.h"
#include "lib/base/suggest.h"

namespace narrow::apps {
namespace {

constexpr std::string_view kGroup = "common";
constexpr int kMaxThreads = 1024;

}  // namespace

void add_common_options(CommandLine& line, CommonOptions& options) {
  line.option("--threads", options.asked_threads,
              {"N", "threads to use (all processors that it may use); results do not depend on it", kGroup});
  line.option("--format", options.format, {"text|json", "form of the result on stdout (text)", kGroup});
  line.flag("--quiet", options.quiet, {"", "no progress and no warnings on stderr", kGroup});
  line.flag("--verbose", options.verbose, {"", "each stage and its time on stderr", kGroup});
}

void apply_common_options(CommonOptions& options) {
  const std::vector<std::string> formats{"text", "json"};
  if (options.format != "text" && options.format != "json") {
    throw Error(ErrorKind::kUsage, "--format: unknown form '{}'; use text or json{}", options.format,
                did_you_mean(options.format, formats));
  }
  if (options.quiet && options.verbose) throw Error(ErrorKind::kUsage, "--quiet and --verbose exclude each other");
  const int64_t threads = options.asked_threads.value_or(available_processors());
  if (threads < 1 || (options.asked_threads && threads > kMaxThreads)) {
    throw Error(ErrorKind::kUsage, "--threads: {} is not between 1 and {}", threads, kMaxThreads);
  }
  options.threads = static_cast<int>(threads);
  set_thread_count(options.threads);
  start_log(options.quiet ? spdlog::level::err : options.verbose ? spdlog::level::info : spdlog::level::warn);
}

ProgressStyle progress_style(const CommonOptions& options) {
  return options.quiet ? ProgressStyle::kNone : progress_style_of_stderr();
}

}  // namespace narrow::apps

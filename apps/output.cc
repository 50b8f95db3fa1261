#include "apps/output.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "lib/base/error.h"

namespace narrow::apps {

void print_result(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return;
  const int reason = errno;
  if (reason == EPIPE) throw StdoutClosed{};
  throw Error(ErrorKind::kData, "can not write to standard output: {}", std::generic_category().message(reason));
}

void print_error_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace narrow::apps

// argv -> run_cli, and the one place where an error ends.
#include <malloc.h>
#include <unistd.h>
#include <csignal>

#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "apps/cli.h"
#include "apps/output.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/progress.h"

namespace {

using narrow::ErrorKind;

constexpr int kInterruptedTwice = 130;
constexpr int kStdoutClosed = 141;  // what a shell shows for a program that SIGPIPE ended

volatile std::sig_atomic_t interrupted_before = 0;

extern "C" void on_interrupt(int) {
  if (interrupted_before != 0) _exit(kInterruptedTwice);
  interrupted_before = 1;
  narrow::request_interruption();
}

/// A freed weight leaves memory at once. By default the heap grows with the largest block that was ever freed, and a
/// conversion ends up holding twice what it needs.
void return_large_blocks() {
  constexpr int kLarge = 1 << 20;
  constexpr int kSpare = 4 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kLarge);
  ::mallopt(M_TRIM_THRESHOLD, kSpare);
}

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // write() then says EPIPE
  std::signal(SIGXFSZ, SIG_IGN);  // ... and EFBIG, so that the unfinished file is removed
}

/// Asked of the raw arguments, since what is wrong may be the arguments.
bool wants_json(const narrow::apps::Arguments& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--format=json") return true;
    if (arguments[i] == "--format" && i + 1 < arguments.size() && arguments[i + 1] == "json") return true;
  }
  return false;
}

/// Names of the user's files may hold anything; an error is one line, and tells a terminal nothing else.
std::string on_one_line(std::string_view message) {
  constexpr unsigned char kControl = 0xC2;  // and then 0x80 to 0x9F are UTF-8's controls beyond ASCII
  std::string line;
  for (size_t i = 0; i < message.size(); ++i) {
    const auto code = static_cast<unsigned char>(message[i]);
    const auto next = static_cast<unsigned char>(i + 1 < message.size() ? message[i + 1] : '\0');
    if (code == kControl && next >= 0x80 && next < 0xA0) {
      line += fmt::format("\\x{:02x}\\x{:02x}", code, next);
      ++i;
    } else if (code >= ' ' && code != 0x7F) {
      line += message[i];
    } else {
      line += fmt::format("\\x{:02x}", code);
    }
  }
  return line;
}

int end_with(ErrorKind kind, std::string_view message, bool json) {
  narrow::apps::print_error_text(fmt::format("narrow: error: {}\n", on_one_line(message)));
  if (json) {
    const narrow::Json error{{"error", {{"kind", narrow::error_kind_name(kind)}, {"message", message}}}};
    try {
      narrow::apps::print_result(narrow::json_text(error));
    } catch (...) {  // NOLINT: the error itself is told already, and it decides the exit code
    }
  }
  return narrow::exit_code(kind);
}

}  // namespace

int main(int argc, char** argv) {
  return_large_blocks();
  install_signal_handlers();
  bool json = false;
  try {
    const narrow::apps::Arguments arguments(argv + 1, argv + argc);
    json = wants_json(arguments);
    return narrow::apps::run_cli(arguments);
  } catch (const narrow::Error& error) {
    return end_with(error.kind(), error.what(), json);
  } catch (const narrow::apps::StdoutClosed&) {
    return kStdoutClosed;
  } catch (const std::bad_alloc&) {
    return end_with(ErrorKind::kInternal, "out of memory", json);
  } catch (const std::exception& error) {
    return end_with(ErrorKind::kInternal, error.what(), json);
  }
}

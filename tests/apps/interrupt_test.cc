// Interrupted work leaves nothing half-written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "lib/base/file.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

/// Sends the signal to a run that would take many seconds, a moment after it has begun; returns its exit code.
int interrupt(const TemporaryFolder& folder, int signal_number) {
  const std::string err = folder.write("err", "");
  const pid_t child = fork();
  if (child == 0) {
    if (freopen(err.c_str(), "w", stderr) == nullptr) _exit(99);
    const std::string program = narrow_program();
    execl(program.c_str(), program.c_str(), "bench", kModel.c_str(), "--seconds", "600", nullptr);
    _exit(98);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  kill(child, signal_number);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Interrupt, EndsWithItsOwnCodeAndOneLine) {
  for (const int signal_number : {SIGINT, SIGTERM}) {
    const TemporaryFolder folder;
    EXPECT_EQ(interrupt(folder, signal_number), 130);
    EXPECT_EQ(read_text(folder.path("err")), "narrow: error: interrupted\n");
  }
}

/// At whatever moment the signal comes, the output is not there or is whole.
TEST(Interrupt, NoHalfWrittenModel) {
  const TemporaryFolder whole;
  ASSERT_EQ(run_narrow(kQuantize + " -o " + whole.path("out.onnx")).exit_code, 0);
  const std::string expected = read_text(whole.path("out.onnx"));
  for (const std::string delay : {"0.05", "0.15", "0.3", "0.6"}) {
    const TemporaryFolder folder;
    const std::string command = "timeout -s INT " + delay + " " + narrow_program() + " " + kQuantize + " -o " +
                                folder.path("out.onnx") + " >/dev/null 2>&1";
    ASSERT_NE(std::system(command.c_str()), -1);
    const std::string listing = folder.listing();
    EXPECT_TRUE(listing.empty() || listing == "out.onnx") << listing;
    if (!listing.empty()) {
      EXPECT_EQ(read_text(folder.path("out.onnx")), expected);
    }
  }
}

}  // namespace
}  // namespace narrow::test

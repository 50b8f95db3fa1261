// Interrupted work leaves nothing half-written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/file.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

/// Starts the program, its stderr in the file.
pid_t start(const std::string& err, std::vector<std::string> arguments) {
  const pid_t child = fork();
  if (child != 0) return child;
  if (freopen(err.c_str(), "w", stderr) == nullptr || freopen("/dev/null", "w", stdout) == nullptr) _exit(99);
  std::string program = narrow_program();
  std::vector<char*> argv{program.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  _exit(98);
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Sends the signal to a run that would take many seconds, a moment after it has begun; returns its exit code.
int interrupt(const TemporaryFolder& folder, int signal_number) {
  const std::string err = folder.write("err", "");
  const pid_t child = start(err, {"bench", kModel, "--seconds", "600"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  kill(child, signal_number);
  return wait_for(child);
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

// The search is over when the inputs are checked once more; what it found is written whatever comes then.
TEST(Interrupt, WhatWasSearchedForIsWritten) {
  const TemporaryFolder folder;
  const std::vector<std::string> arguments{"tune",      kModel,       "--data", kData,      "--config",
                                           kConfig,     "--samples",  "48",     "--trials", "3",
                                           "--verbose", "--min-sqnr", "30"};
  const auto outputs = [&](const std::string& name) {
    std::vector<std::string> all = arguments;
    for (const std::string& more :
         {std::string("-o"), folder.path(name + ".onnx"), std::string("--plan-out"), folder.path(name + ".plan")}) {
      all.push_back(more);
    }
    return all;
  };
  ASSERT_EQ(wait_for(start(folder.path("err"), outputs("whole"))), 0) << read_text(folder.path("err"));

  const std::string err = folder.write("err2", "");
  const pid_t child = start(err, outputs("cut"));
  constexpr int kPolls = 60000;  // a minute
  int polls = 0;
  while (++polls < kPolls && read_text(err).find("check inputs") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGINT);
  EXPECT_EQ(wait_for(child), 130) << read_text(err);
  EXPECT_EQ(read_text(err).find("error"), std::string::npos) << read_text(err);
  ASSERT_TRUE(std::filesystem::exists(folder.path("cut.onnx")));
  EXPECT_EQ(read_text(folder.path("cut.onnx")), read_text(folder.path("whole.onnx")));
  EXPECT_EQ(read_text(folder.path("cut.plan")), read_text(folder.path("whole.plan")));
}

}  // namespace
}  // namespace narrow::test

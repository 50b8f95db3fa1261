#include "lib/base/cpu_quota.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace narrow {
namespace {

namespace fs = std::filesystem;

/// "quota period" in microseconds, as cpu.max has it: "max" for no limit.
std::optional<double> share(const std::string& quota, const std::string& period) {
  const auto number = [](const std::string& text) { return text.empty() ? 0.0 : std::atof(text.c_str()); };
  const double limit = number(quota);
  const double of = number(period);
  if (limit <= 0 || of <= 0) return std::nullopt;  // "max" or -1
  return limit / of;
}

std::optional<double> limit_of_v2(const fs::path& group) {
  std::string quota, period;
  std::ifstream(group / "cpu.max") >> quota >> period;
  return share(quota, period);
}

std::optional<double> limit_of_v1(const fs::path& group) {
  std::string quota, period;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return share(quota, period);
}

/// From the group up to the mount. Inside a container the mount may begin at the group itself: then its path does not
/// exist, and the mount is what counts.
template <class Limit>
void lower_to(std::optional<double>& least, const fs::path& mount, const std::string& group, Limit limit) {
  fs::path path = fs::path(group).lexically_relative("/");
  while (true) {
    if (const auto found = limit(mount / path)) least = std::min(least.value_or(*found), *found);
    if (path.empty() || path == ".") return;
    path = path.parent_path();
  }
}

bool has_controller(const std::string& list, const std::string& wanted) {
  return ("," + list + ",").find("," + wanted + ",") != std::string::npos;
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> least;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");  // lines of hierarchy:controllers:path
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) lower_to(least, mounts, group, limit_of_v2);
    if (has_controller(controllers, "cpu")) {
      lower_to(least, mounts / "cpu", group, limit_of_v1);
      lower_to(least, mounts / "cpu,cpuacct", group, limit_of_v1);
    }
  }
  return least;
}

}  // namespace narrow

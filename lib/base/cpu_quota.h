// How much processor time the control group that a process runs in leaves it: containers limit time, not processors.
#pragma once

#include <filesystem>
#include <optional>

namespace narrow {

/// Processors that may be busy all the time, the least of this process's control group and those above it; absent where
/// there is no limit. Linux's cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us), found below `root` ("/" but in tests).
std::optional<double> cpu_quota(const std::filesystem::path& root);

}  // namespace narrow

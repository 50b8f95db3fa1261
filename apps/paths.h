// A command's files: nothing that it reads is ever overwritten by what it writes.
#pragma once

#include <string>
#include <vector>

namespace narrow::apps {

/// A path with the option or argument that named it; an empty path is one that was not given.
struct NamedPath {
  std::string option;
  std::string path;
};

/// Throws Error(kUsage) if an output is an input, lies over a file of an input folder, or is another output;
/// Error(kData) if it could not be written. Asked before long work.
void check_outputs(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs);

/// One entry for each file of a repeated option.
std::vector<NamedPath> named_paths(const std::string& option, const std::vector<std::string>& paths);

}  // namespace narrow::apps

// A command's files: nothing that it reads is ever overwritten by what it writes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace narrow::apps {

/// A path with the option or argument that named it; an empty path is one that was not given.
struct NamedPath {
  std::string option;
  std::string path;
};

/// Throws Error(kUsage) if an output is an input or another output; Error(kData) if it could not be written. Asked
/// before long work.
void check_outputs(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs);

/// Throws Error(kUsage) if an output would overwrite one of `files`, whatever it is called (links). Asked as soon as it
/// is known which files stand behind an input: the external data of a model, the files of a folder. `what`: "a file of
/// --data".
void refuse_overwriting(const std::vector<NamedPath>& outputs, const std::string& what,
                        const std::vector<std::filesystem::path>& files);

/// One entry for each file of a repeated option.
std::vector<NamedPath> named_paths(const std::string& option, const std::vector<std::string>& paths);

/// The SHA-256 of a single file; of several, that of the lines that sha256sum prints for them with bare file names.
/// Throws Error(kData).
std::string hash_files(const std::vector<std::filesystem::path>& files);

/// Bytes of the files; those that can not be asked count nothing.
int64_t total_bytes(const std::vector<std::filesystem::path>& files);

}  // namespace narrow::apps

#include "apps/run_outputs.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "apps/join.h"
#include "apps/npz.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::apps {
namespace {

namespace fs = std::filesystem;

std::string feed_name(size_t feed) {
  return fmt::format("feed_{:06}", feed);
}

bool named_as_feed(const fs::path& path) {
  return path.filename().string().starts_with("feed_");
}

/// Why NumPy can not hold an output of some feed. What is declared as a sequence or an optional never is, so that the
/// files are of one kind whatever the data are.
std::optional<std::string> lack(const Results& results, size_t output, const RunOutput& facts) {
  if (facts.form == graph::ValueForm::kSequence) return "it is a sequence, of which NumPy has none";
  if (facts.form == graph::ValueForm::kMaps) return "it is a sequence of maps, of which NumPy has none";
  if (facts.form == graph::ValueForm::kOptional) return "it is an optional, of which NumPy has none";
  for (const auto& tensors : results) {
    if (auto found = numpy_lack(tensors[output])) return found;
  }
  return std::nullopt;
}

/// A graph may list an output twice; a .npz has its array once.
std::vector<size_t> distinct(const std::vector<RunOutput>& outputs) {
  std::set<std::string> seen;
  std::vector<size_t> result;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (seen.insert(outputs[i].name).second) result.push_back(i);
  }
  return result;
}

std::vector<std::string> write_joined(const Results& results, const std::vector<RunOutput>& outputs,
                                      const std::string& path) {
  const bool has_others = std::any_of(outputs.begin(), outputs.end(),
                                      [](const RunOutput& output) { return output.form != graph::ValueForm::kMaps; });
  NamedArrays arrays;
  for (const size_t i : distinct(outputs)) {
    const std::string what = fmt::format("output '{}'", outputs[i].name);
    // Beside a classifier's labels scikit-learn's exports have the scores as maps: those do not keep the labels back.
    if (outputs[i].form == graph::ValueForm::kMaps && has_others) {
      spdlog::warn("{} is left out: {}; -o with a folder gets output_N.pb", what, *lack(results, i, outputs[i]));
      continue;
    }
    if (const auto why = lack(results, i, outputs[i])) {
      throw Error(ErrorKind::kUsage, "{}: {}; give -o a folder, which gets output_N.pb", what, *why);
    }
    std::vector<Tensor> parts;
    for (const auto& tensors : results) parts.push_back(tensors[i]);
    try {
      arrays.emplace_back(outputs[i].name, joined(parts, what));
    } catch (const Error& error) {
      throw Error(error.kind(), "{}; give -o a folder", error.what());
    }
  }
  write_npz(path, arrays);
  std::vector<std::string> names;
  for (const auto& [name, array] : arrays) names.push_back(name);
  return names;
}

void write_protos(const std::vector<Tensor>& tensors, const std::vector<RunOutput>& outputs, const fs::path& folder) {
  const MadeFolder made(folder);
  for (size_t i = 0; i < outputs.size(); ++i) {
    write_file(folder / fmt::format("output_{}.pb", i),
               graph::value_bytes(outputs[i].name, tensors[i], outputs[i].form));
  }
}

}  // namespace

bool writes_npz(const std::string& output) {
  return fs::path(output).extension() == ".npz";
}

std::unique_ptr<MadeFolder> check_output(const std::string& output) {
  if (writes_npz(output)) {
    check_writable(output);
    return nullptr;
  }
  std::unique_ptr<MadeFolder> folder;
  try {
    folder = std::make_unique<MadeFolder>(output);
  } catch (const Error&) {
    throw Error(ErrorKind::kData, "can not write into '{}': not a folder that can be made; a single file ends in .npz",
                output);
  }
  check_writable(fs::path(output) / (feed_name(0) + ".npz"));
  return folder;
}

std::vector<NamedPath> files_of_output(const std::string& output) {
  if (writes_npz(output)) return {{"--output", output}};
  std::vector<NamedPath> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(output, failed)) {
    if (!named_as_feed(entry.path())) continue;
    if (entry.path().extension() == ".npz") files.push_back({"--output", entry.path().string()});
    if (!entry.is_directory(failed)) continue;
    for (const auto& inner : fs::directory_iterator(entry.path(), failed)) {
      files.push_back({"--output", inner.path().string()});
    }
  }
  return files;
}

std::vector<std::string> write_results(const Results& results, const std::vector<RunOutput>& outputs,
                                       const std::string& output) {
  if (writes_npz(output)) {
    return write_joined(results, outputs, output);
  }
  bool protos = false;
  for (size_t i = 0; i < outputs.size(); ++i) protos = protos || lack(results, i, outputs[i]).has_value();
  for (size_t feed = 0; feed < results.size(); ++feed) {
    const fs::path base = fs::path(output) / feed_name(feed);
    if (protos) {
      write_protos(results[feed], outputs, base);
      continue;
    }
    NamedArrays arrays;
    for (const size_t i : distinct(outputs)) arrays.emplace_back(outputs[i].name, results[feed][i]);
    write_npz(base.string() + ".npz", arrays);
  }
  std::vector<std::string> names;
  for (const RunOutput& written : outputs) names.push_back(written.name);
  return names;
}

}  // namespace narrow::apps

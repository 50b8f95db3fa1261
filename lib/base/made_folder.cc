#include "lib/base/made_folder.h"

#include <unistd.h>

#include <string>
#include <system_error>

#include "lib/base/error.h"

namespace narrow {

namespace fs = std::filesystem;

MadeFolder::MadeFolder(const fs::path& path) {
  std::error_code failed;
  for (fs::path each = path; !each.empty() && !fs::exists(each, failed); each = each.parent_path()) {
    if (each.has_filename()) made_.push_back(each);  // not "a/", which is "a"
  }
  failed.clear();
  fs::create_directories(path, failed);
  if (!failed && fs::is_directory(path, failed)) return;
  const std::string reason = failed ? failed.message() : "it is a file";
  remove_empty();
  throw Error(ErrorKind::kData, "can not make folder '{}': {}", path.string(), reason);
}

MadeFolder::~MadeFolder() {
  remove_empty();
}

void MadeFolder::remove_empty() const {
  for (const fs::path& each : made_) {
    if (::rmdir(each.c_str()) != 0) return;
  }
}

}  // namespace narrow

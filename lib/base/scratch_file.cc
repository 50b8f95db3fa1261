#include "lib/base/scratch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "lib/base/error.h"

namespace narrow {
namespace {

namespace fs = std::filesystem;

bool lies_in_memory(int descriptor) {
  struct statfs info {};
  if (::fstatfs(descriptor, &info) != 0) return true;
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

/// A new file without a name, or -1.
int open_unnamed(const fs::path& folder) {
  const int unnamed = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (unnamed >= 0) return unnamed;
  std::string path = (folder / "narrow.XXXXXX").string();  // file systems that have no O_TMPFILE
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(path.c_str());
  return named;
}

/// Where the user wants temporary files, then where large ones are at home.
std::array<fs::path, 2> folders() {
  std::error_code failed;
  return {fs::temp_directory_path(failed), "/var/tmp"};
}

}  // namespace

ScratchFile::ScratchFile(int descriptor, std::shared_ptr<const MappedFile> mapped)
    : descriptor_(descriptor), mapped_(std::move(mapped)) {}

ScratchFile::~ScratchFile() {
  ::close(descriptor_);
}

std::unique_ptr<ScratchFile> ScratchFile::create(size_t size) {
  for (const fs::path& folder : folders()) {
    if (folder.empty()) continue;
    const int descriptor = open_unnamed(folder);
    if (descriptor < 0) continue;
    std::shared_ptr<const MappedFile> mapped;
    // The room is taken now: a full disk would otherwise show when a page is read, as a signal.
    if (!lies_in_memory(descriptor) && ::posix_fallocate(descriptor, 0, static_cast<off_t>(size)) == 0) {
      try {
        mapped = std::make_shared<const MappedFile>(fmt::format("/proc/self/fd/{}", descriptor));
      } catch (const Error&) {
        // The next folder may do.
      }
    }
    if (mapped) return std::unique_ptr<ScratchFile>(new ScratchFile(descriptor, std::move(mapped)));
    ::close(descriptor);
  }
  return nullptr;
}

bool ScratchFile::write(size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    offset += static_cast<size_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace narrow

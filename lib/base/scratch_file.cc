#include "lib/base/scratch_file.h"

#include <fcntl.h>
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
    std::string path = (folder / "narrow.XXXXXX").string();
    const int descriptor = ::mkostemp(path.data(), O_CLOEXEC);
    if (descriptor < 0) continue;
    std::shared_ptr<const MappedFile> mapped;
    // The room is taken now: a full disk would otherwise show when a page is read, as a signal.
    if (!lies_in_memory(descriptor) && ::posix_fallocate(descriptor, 0, static_cast<off_t>(size)) == 0) {
      try {
        mapped = std::make_shared<const MappedFile>(path);
      } catch (const Error&) {
        // The next folder may do.
      }
    }
    ::unlink(path.c_str());
    if (mapped) return std::unique_ptr<ScratchFile>(new ScratchFile(descriptor, std::move(mapped)));
    ::close(descriptor);
  }
  return nullptr;
}

void ScratchFile::write(size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw Error(ErrorKind::kData, "can not write a temporary file: {}", std::generic_category().message(errno));
    }
    offset += static_cast<size_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

}  // namespace narrow

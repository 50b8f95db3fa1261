// Memory that the system may take back: a file without a name that is written once and then read.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "lib/base/file.h"

namespace narrow {

/// A temporary file on a disk, gone with the last that uses it, whatever becomes of the process.
class ScratchFile {
 public:
  /// Of `size` bytes, for which there is room; nullptr where no temporary folder is on a disk that has it. A file in a
  /// file system that lies in memory would win nothing.
  static std::unique_ptr<ScratchFile> create(size_t size);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  /// False where the disk does not take it.
  [[nodiscard]] bool write(size_t offset, std::span<const std::byte> bytes);
  /// What was written, which may be asked for before it is.
  std::shared_ptr<const MappedFile> mapped() const { return mapped_; }

 private:
  ScratchFile(int descriptor, std::shared_ptr<const MappedFile> mapped);

  int descriptor_;
  std::shared_ptr<const MappedFile> mapped_;
};

}  // namespace narrow

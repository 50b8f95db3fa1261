// Files: mapped for reading, replaced in one step for writing.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace narrow {

/// A file mapped read-only. Throws Error(kData) with the system's reason when it can not be opened or mapped.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  /// Lets the pages that lie within `count` bytes from `begin` on leave memory; they come back from the file when they
  /// are read again, so this may be called while others read.
  void release(size_t begin, size_t count) const;
  void release() const { release(0, size_); }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The whole file as text. Throws Error(kData).
std::string read_text(const std::filesystem::path& path);

/// A file that appears under its name only when commit() is called; until then it is a temporary file in the same
/// folder, removed when the writer goes out of scope. A path that exists and is not a regular file (a device, a pipe)
/// is written directly. Every failure (folder missing, read-only, disk full) throws Error(kData).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Flushes to disk and renames into place.
  void commit();

 private:
  [[noreturn]] void fail(std::string_view what) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty when written directly
  int descriptor_ = -1;
};

/// AtomicFile with one write.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Throws Error(kData) if a file at `path` could not be created: asked before long work whose result goes there.
void check_writable(const std::filesystem::path& path);

/// Lower-case hexadecimal SHA-256.
std::string sha256(std::string_view bytes);

/// The same of a file, of which only a few megabytes are in memory at a time. Throws Error(kData).
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace narrow

#include "lib/base/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include "lib/base/error.h"
#include "lib/base/mapped_pages.h"

namespace narrow {
namespace fs = std::filesystem;

namespace {

std::string system_reason() {
  return std::generic_category().message(errno);
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    ensure(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "SHA-256 failed");
  }

  void add(std::string_view bytes) {
    ensure(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-256 failed");
  }

  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    ensure(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1, "SHA-256 failed");
    std::string result;
    for (unsigned int i = 0; i < size; ++i) result += fmt::format("{:02x}", digest.at(i));
    return result;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

/// All there are.
class Mappings {
 public:
  void add(const MappedFile& file) {
    const std::lock_guard lock(mutex_);
    files_[file.bytes().data()] = &file;
  }
  void remove(const MappedFile& file) {
    const std::lock_guard lock(mutex_);
    files_.erase(file.bytes().data());
  }
  void release(const std::byte* begin, size_t size) {
    const std::lock_guard lock(mutex_);
    auto found = files_.upper_bound(begin);
    if (found == files_.begin()) return;
    const auto& [start, file] = *--found;
    const auto offset = static_cast<size_t>(begin - start);
    if (offset < file->bytes().size()) file->release(offset, std::min(size, file->bytes().size() - offset));
  }

 private:
  std::mutex mutex_;
  std::map<const std::byte*, const MappedFile*, std::less<>> files_;
};

Mappings& mappings() {
  static Mappings& all = *new Mappings;  // files may be unmapped by destructors of other static objects
  return all;
}

}  // namespace

void release_pages(const std::byte* begin, size_t size) {
  mappings().release(begin, size);
}

MappedFile::MappedFile(const fs::path& path) {
  // Without O_NONBLOCK a pipe that nobody writes to would be waited for; to regular files it is the same.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw Error(ErrorKind::kData, "can not open '{}': {}", path.string(), system_reason());
  struct stat info {};
  const bool known = ::fstat(descriptor, &info) == 0;
  const bool regular = known && S_ISREG(info.st_mode);
  size_ = regular ? static_cast<size_t>(info.st_size) : 0;
  void* address = nullptr;
  if (size_ > 0) address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const std::string reason = address == MAP_FAILED ? system_reason() : "";
  ::close(descriptor);
  if (!regular) throw Error(ErrorKind::kData, "can not read '{}': not a regular file", path.string());
  if (!reason.empty()) throw Error(ErrorKind::kData, "can not map '{}': {}", path.string(), reason);
  data_ = static_cast<const std::byte*>(address);
  if (data_ != nullptr) mappings().add(*this);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  mappings().remove(*this);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t begin, size_t count) const {
  ensure(begin <= size_ && count <= size_ - begin, "released bytes are of the file");
  static const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = (begin + page - 1) / page * page;
  const size_t end = begin + count == size_ ? size_ : (begin + count) / page * page;
  // A wish: if the system does not grant it, nothing but memory is lost.
  if (end > first) ::madvise(const_cast<std::byte*>(data_) + first, end - first, MADV_DONTNEED);
}

std::string read_text(const fs::path& path) {
  return std::string(MappedFile(path).text());
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::error_code ignored;
  const bool direct = fs::exists(path_, ignored) && !fs::is_regular_file(path_, ignored);
  if (direct) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    std::string pattern = path_.string() + ".XXXXXX";
    descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (descriptor_ >= 0) {
      temporary_ = pattern;
      // mkstemp makes the file private; give it the mode that a plain open would have given.
      const mode_t mask = ::umask(0);
      ::umask(mask);
      ::fchmod(descriptor_, 0666 & ~mask);
    }
  }
  if (descriptor_ < 0) fail("can not create");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(std::string_view what) const {
  throw Error(ErrorKind::kData, "{} '{}': {}", what, path_.string(), system_reason());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("can not write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  if (!temporary_.empty() && ::fsync(descriptor_) != 0) fail("can not write");
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0) fail("can not write");
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("can not replace");
  temporary_.clear();
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void check_writable(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw Error(ErrorKind::kData, "can not write '{}': it is a folder", path.string());
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::exists(folder, ignored)) {
    throw Error(ErrorKind::kData, "can not write '{}': folder '{}' does not exist", path.string(), folder.string());
  }
  const AtomicFile probe(path);
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.finish();
}

std::string sha256_of_file(const fs::path& path) {
  constexpr size_t kPiece = size_t{4} << 20;
  const MappedFile file(path);
  Sha256 hash;
  for (size_t begin = 0; begin < file.text().size(); begin += kPiece) {
    hash.add(file.text().substr(begin, kPiece));
    file.release(begin, std::min(kPiece, file.text().size() - begin));
  }
  return hash.finish();
}

}  // namespace narrow

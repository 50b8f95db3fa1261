// The .npz container: a zip archive with one .npy an entry.
#include <zip.h>

#include <algorithm>
#include <memory>

#include "calib/readers/array_file.h"
#include "lib/base/error.h"
#include "lib/base/utf8.h"

namespace narrow::calib {
namespace {

constexpr size_t kHeaderBytes = size_t{1} << 16;  // far above what a header takes
/// Deflate's best: no honest entry claims more, so that nothing is allocated for one that lies.
constexpr uint64_t kMaxRatio = 1032;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;
using Entry = std::unique_ptr<zip_file_t, CloseEntry>;

Archive open_archive(const std::filesystem::path& path) {
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw Error(ErrorKind::kData, "{}: not a readable .npz file: {}", quoted(path), reason);
}

/// The first `count` bytes of the entry.
void read_bytes(zip_t* archive, zip_uint64_t index, std::byte* target, size_t count) {
  const Entry entry(zip_fopen_index(archive, index, 0));
  if (!entry) throw Error(ErrorKind::kData, "can not be read: {}", zip_strerror(archive));
  size_t done = 0;
  while (done < count) {
    const zip_int64_t got = zip_fread(entry.get(), target + done, count - done);
    if (got < 0) throw Error(ErrorKind::kData, "can not be read: {}", zip_file_strerror(entry.get()));
    if (got == 0) throw Error(ErrorKind::kData, "ends after {} of {} bytes", done, count);
    done += static_cast<size_t>(got);
  }
  // Reading to the end makes libzip compare the checksum.
  std::byte one_more{};
  if (zip_fread(entry.get(), &one_more, 1) < 0) {
    throw Error(ErrorKind::kData, "can not be read: {}", zip_file_strerror(entry.get()));
  }
}

/// An entry's name. libzip takes control characters for pictures of code page 437; NumPy writes names that are UTF-8.
std::string entry_name(zip_t* archive, zip_uint64_t index, const char* guessed) {
  const char* raw = zip_get_name(archive, index, ZIP_FL_ENC_RAW);
  return raw != nullptr && utf8_to_utf32(raw) ? raw : guessed;
}

FileArray read_entry(zip_t* archive, zip_uint64_t index, const zip_stat_t& info, Part part) {
  if (info.size / kMaxRatio > info.comp_size + 1) throw Error(ErrorKind::kData, "its size is not credible");
  const size_t count = part == Part::kAll ? info.size : std::min<size_t>(info.size, kHeaderBytes);
  Tensor bytes(DataType::kUint8, {static_cast<int64_t>(count)});
  read_bytes(archive, index, bytes.mutable_bytes(), count);
  const std::span<const std::byte> content(bytes.bytes(), count);
  const NpyHeader header = parse_npy_header(content, info.size);
  FileArray result{"", header.type, header.shape, {}};
  if (part == Part::kAll) result.tensor = npy_tensor(header, content, std::make_shared<const Tensor>(bytes));
  return result;
}

}  // namespace

std::vector<FileArray> read_npz(const std::filesystem::path& path, Part part) {
  const Archive archive = open_archive(path);
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  std::vector<FileArray> result;
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(std::max<zip_int64_t>(count, 0)); ++i) {
    zip_stat_t info;
    zip_stat_init(&info);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if (zip_stat_index(archive.get(), i, 0, &info) != 0 || (info.valid & kNeeded) != kNeeded) {
      throw Error(ErrorKind::kData, "{}: entry {} can not be read", quoted(path), i);
    }
    std::string name = entry_name(archive.get(), i, info.name);
    if (!name.ends_with(".npy")) throw Error(ErrorKind::kData, "{}: entry '{}' is not a .npy", quoted(path), name);
    name.resize(name.size() - 4);
    result.push_back(in_context(fmt::format("{}: array '{}'", quoted(path), name),
                                [&] { return read_entry(archive.get(), i, info, part); }));
    result.back().name = name;
  }
  std::sort(result.begin(), result.end(), [](const FileArray& a, const FileArray& b) { return a.name < b.name; });
  return result;
}

}  // namespace narrow::calib

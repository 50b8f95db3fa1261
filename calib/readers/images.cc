#include "calib/readers/images.h"

#include "calib/readers/array_file.h"
#include "calib/readers/image_file.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/image/decode.h"

namespace narrow::calib {
namespace {

class ImageReader : public DataReader {
 public:
  ImageReader(std::vector<std::filesystem::path> files, InputAdapter input)
      : files_(std::move(files)), input_(std::move(input)), batch_(input_.image_batch()) {
    if (samples() % batch_ != 0) {
      throw Error(ErrorKind::kData, "{}: {} images are no multiple of the input's batch of {}",
                  quoted(files_.front().parent_path()), samples(), batch_);
    }
  }

  int64_t size() const override { return samples() / batch_; }
  int64_t samples() const override { return static_cast<int64_t>(files_.size()); }
  std::string source(int64_t index) const override { return quoted(first_file(index)); }
  std::vector<std::filesystem::path> files() const override { return files_; }

  exec::Feed read(int64_t index) const override {
    std::vector<Image> images;
    for (int64_t i = 0; i < batch_; ++i)
      images.push_back(read_image(files_.at(static_cast<size_t>(index * batch_ + i))));
    return in_context(fmt::format("{}: input '{}'", source(index), input_.spec().name), [&] {
      return exec::Feed{{input_.spec().name, input_.feed(images)}};
    });
  }

 private:
  const std::filesystem::path& first_file(int64_t index) const {
    return files_.at(static_cast<size_t>(index * batch_));
  }

  std::vector<std::filesystem::path> files_;
  InputAdapter input_;
  int64_t batch_;
};

}  // namespace

Image read_image(const std::filesystem::path& path) {
  const MappedFile file(path);
  return in_context(quoted(path), [&] {
    if (file.text().starts_with("\xFF\xD8")) return image::decode_jpeg(file.bytes());
    if (file.text().starts_with("\x89PNG")) return image::decode_png(file.bytes());
    throw Error(ErrorKind::kData, "neither a JPEG nor a PNG file");
  });
}

std::unique_ptr<DataReader> read_images(std::vector<std::filesystem::path> files, InputAdapter input) {
  return std::make_unique<ImageReader>(std::move(files), std::move(input));
}

}  // namespace narrow::calib

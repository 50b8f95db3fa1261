// The formats that need no library, and which format is which.
#include <string>

#include "lib/base/error.h"
#include "lib/image/decode.h"

namespace narrow::image {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint8_t byte_at(std::span<const std::byte> bytes, size_t at) {
  if (at >= bytes.size()) throw Error(ErrorKind::kData, "the image is truncated");
  return static_cast<uint8_t>(bytes[at]);
}

uint32_t little_endian(std::span<const std::byte> bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | byte_at(bytes, at + i);
  return value;
}

Image new_image(int64_t height, int64_t width) {
  if (height < 1 || width < 1 || height > kMaxPixels / width) {
    throw Error(ErrorKind::kData, "{} x {} pixels", width, height);
  }
  return {height, width, 3, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
}

// A number of a PNM header, behind white space and comments.
int64_t header_number(std::span<const std::byte> bytes, size_t& at) {
  const auto is_space = [](uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (is_space(byte_at(bytes, at)) || byte_at(bytes, at) == '#') {
    if (byte_at(bytes, at) == '#') {
      while (byte_at(bytes, at) != '\n') ++at;
    }
    ++at;
  }
  int64_t value = 0;
  for (; byte_at(bytes, at) >= '0' && byte_at(bytes, at) <= '9'; ++at) {
    value = value * 10 + (byte_at(bytes, at) - '0');
    if (value > kMaxPixels) throw Error(ErrorKind::kData, "a number in the header is too large");
  }
  return value;
}

}  // namespace

Image decode_bmp(std::span<const std::byte> bytes) {
  const uint32_t start = little_endian(bytes, 10, 4);
  const auto width = static_cast<int32_t>(little_endian(bytes, 18, 4));
  const auto rows = static_cast<int32_t>(little_endian(bytes, 22, 4));
  const uint32_t bits = little_endian(bytes, 28, 2);
  if ((bits != 24 && bits != 32) || little_endian(bytes, 30, 4) != 0) {
    throw Error(ErrorKind::kUnsupported, "a BMP that is not plain RGB");
  }
  // A negative height means that the first row comes first.
  const bool upwards = rows > 0;
  Image image = new_image(upwards ? rows : -static_cast<int64_t>(rows), width);
  const size_t pixel = bits / 8;
  const size_t stride = (static_cast<size_t>(width) * pixel + 3) / 4 * 4;
  uint8_t* to = image.pixels.data();
  for (int64_t y = 0; y < image.height; ++y) {
    const auto row = static_cast<size_t>(upwards ? image.height - 1 - y : y);
    for (size_t x = 0; x < static_cast<size_t>(width); ++x) {
      const size_t at = start + row * stride + x * pixel;
      for (size_t c = 0; c < 3; ++c) *to++ = byte_at(bytes, at + 2 - c);
    }
  }
  return image;
}

Image decode_pnm(std::span<const std::byte> bytes) {
  const bool gray = text_of(bytes).starts_with("P5");
  size_t at = 2;
  const int64_t width = header_number(bytes, at);
  const int64_t height = header_number(bytes, at);
  if (header_number(bytes, at) != 255) throw Error(ErrorKind::kUnsupported, "a PNM whose largest value is not 255");
  ++at;
  Image image = new_image(height, width);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = byte_at(bytes, at + (gray ? i / 3 : i));
  return image;
}

std::string_view format_of(std::span<const std::byte> bytes) {
  using namespace std::string_view_literals;
  const std::string_view text = text_of(bytes);
  if (text.starts_with("\xFF\xD8"sv)) return "JPEG";
  if (text.starts_with("\x89PNG"sv)) return "PNG";
  if (text.starts_with("BM"sv)) return "BMP";
  if (text.starts_with("P5"sv) || text.starts_with("P6"sv)) return "PNM";
  if (text.starts_with("\0\0\0\x0CjP  "sv) || text.starts_with("\xFF\x4F\xFF\x51"sv)) return "JPEG 2000";
  if (text.starts_with("II*\0"sv) || text.starts_with("MM\0*"sv)) return "TIFF";
  if (text.starts_with("RIFF"sv) && text.substr(0, 12).ends_with("WEBP"sv)) return "WebP";
  return {};
}

Image decode(std::span<const std::byte> bytes) {
  const std::string_view format = format_of(bytes);
  if (format == "JPEG") return decode_jpeg(bytes);
  if (format == "PNG") return decode_png(bytes);
  if (format == "BMP") return decode_bmp(bytes);
  if (format == "PNM") return decode_pnm(bytes);
  throw Error(ErrorKind::kUnsupported, "an image in {}, for which there is no decoder",
              format.empty() ? "an unknown format" : format);
}

}  // namespace narrow::image

// libpng reports errors by a call that must not return: setjmp in frames that own nothing with a destructor.
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>

#include "lib/base/error.h"
#include "lib/image/decode.h"

namespace narrow::image {
namespace {

struct Decoder {
  Decoder(const unsigned char* from, size_t size) : data(from), left(size) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    auto* decoder = static_cast<Decoder*>(png_get_error_ptr(png));
    std::strncpy(decoder->message, text, sizeof decoder->message - 1);
    png_longjmp(png, 1);
  }

  static void on_warning(png_structp, png_const_charp) {}

  static void on_read(png_structp png, png_bytep target, size_t count) {
    auto* decoder = static_cast<Decoder*>(png_get_io_ptr(png));
    if (count > decoder->left) png_error(png, "the file is truncated");
    std::memcpy(target, decoder->data, count);
    decoder->data += count;
    decoder->left -= count;
  }

  png_structp png = nullptr;
  png_infop info = nullptr;
  const unsigned char* data;
  size_t left;
  char message[256] = {};
};

/// Everything becomes 8-bit RGB.
bool read_header(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) return false;
  png_set_read_fn(decoder.png, &decoder, Decoder::on_read);
  png_read_info(decoder.png, decoder.info);
  png_set_palette_to_rgb(decoder.png);
  png_set_expand_gray_1_2_4_to_8(decoder.png);
  png_set_strip_16(decoder.png);
  png_set_strip_alpha(decoder.png);
  png_set_gray_to_rgb(decoder.png);
  png_set_interlace_handling(decoder.png);
  png_read_update_info(decoder.png, decoder.info);
  return true;
}

bool read_pixels(Decoder& decoder, png_bytepp rows) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) return false;
  png_read_image(decoder.png, rows);
  png_read_end(decoder.png, nullptr);
  return true;
}

[[noreturn]] void fail(const Decoder& decoder) {
  throw Error(ErrorKind::kData, "not a readable PNG: {}", std::string(decoder.message));
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes) {
  Decoder decoder(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  ensure(decoder.png != nullptr && decoder.info != nullptr, "libpng could be started");
  if (!read_header(decoder)) fail(decoder);
  Image image{png_get_image_height(decoder.png, decoder.info), png_get_image_width(decoder.png, decoder.info), 3, {}};
  if (image.height * image.width > kMaxPixels) {
    throw Error(ErrorKind::kData, "{} x {} pixels are too many", image.width, image.height);
  }
  const auto row_bytes = static_cast<size_t>(image.width * 3);
  ensure(png_get_rowbytes(decoder.png, decoder.info) == row_bytes, "a PNG is decoded to RGB");
  image.pixels.resize(static_cast<size_t>(image.height) * row_bytes);
  std::vector<png_bytep> rows(static_cast<size_t>(image.height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * row_bytes;
  if (!read_pixels(decoder, rows.data())) fail(decoder);
  return image;
}

}  // namespace narrow::image

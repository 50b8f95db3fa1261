// libjpeg reports errors by a call that must not return: setjmp in a frame that owns nothing with a destructor, and
// the decompressor itself destroyed by its owner outside.
#include <cstdio>  // jpeglib.h needs it first

#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <string>

#include "lib/base/error.h"
#include "lib/image/decode.h"

namespace narrow::image {
namespace {

struct ErrorState {
  jpeg_error_mgr manager;  // first, so that a pointer to it is a pointer to this
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  info->err->format_message(info, state->message);
  std::longjmp(state->back, 1);
}

// Warnings about stray bytes are common in real files and harmless; missing data would be filled with gray.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) on_error(info);
}

void ignore_output(j_common_ptr) {}

struct Decoder {
  Decoder() {
    info.err = jpeg_std_error(&state.manager);
    state.manager.error_exit = on_error;
    state.manager.emit_message = on_message;
    state.manager.output_message = ignore_output;
    state.message[0] = '\0';
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  jpeg_decompress_struct info{};
  ErrorState state;
};

bool read_header(Decoder& decoder, const unsigned char* data, unsigned long size) {
  if (setjmp(decoder.state.back) != 0) return false;
  jpeg_create_decompress(&decoder.info);
  jpeg_mem_src(&decoder.info, data, size);
  jpeg_read_header(&decoder.info, TRUE);
  return true;
}

bool read_pixels(Decoder& decoder, uint8_t* pixels) {
  if (setjmp(decoder.state.back) != 0) return false;
  decoder.info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder.info);
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = pixels + size_t{decoder.info.output_scanline} * decoder.info.output_width * 3;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

[[noreturn]] void fail(const Decoder& decoder) {
  throw Error(ErrorKind::kData, "not a readable JPEG: {}", std::string(decoder.state.message));
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes) {
  Decoder decoder;
  if (!read_header(decoder, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) fail(decoder);
  if (decoder.info.jpeg_color_space == JCS_CMYK || decoder.info.jpeg_color_space == JCS_YCCK) {
    throw Error(ErrorKind::kData, "a CMYK JPEG, which is not supported; convert it to RGB");
  }
  Image image{decoder.info.image_height, decoder.info.image_width, 3, {}};
  if (image.height * image.width > kMaxPixels) {
    throw Error(ErrorKind::kData, "{} x {} pixels are too many", image.width, image.height);
  }
  image.pixels.resize(static_cast<size_t>(image.height * image.width * 3));
  if (!read_pixels(decoder, image.pixels.data())) fail(decoder);
  return image;
}

}  // namespace narrow::image

#include "calib/image_form.h"

#include <fmt/format.h>

#include "calib/element_types.h"

namespace narrow::calib {

bool is_image_channels(int64_t dimension) {
  return dimension == 1 || dimension == 3;
}

std::optional<ImageForm> image_form(const InputSpec& spec, const InputOptions& options) {
  if (spec.form != graph::ValueForm::kTensor) return std::nullopt;
  if (fed_type(spec.type) != DataType::kFloat32 && spec.type != DataType::kUint8) return std::nullopt;
  if (!spec.shape) {
    if (options.layout.empty()) return std::nullopt;
    return ImageForm{.channels_last = options.layout == "NHWC"};
  }
  const Shape& shape = *spec.shape;
  if (shape.size() != 4) return std::nullopt;
  if (options.layout.empty() && !is_image_channels(shape[1]) && !is_image_channels(shape[3])) return std::nullopt;
  const bool last = options.layout.empty() ? !is_image_channels(shape[1]) : options.layout == "NHWC";
  if (last) return ImageForm{.channels_last = true, .channels = shape[3], .height = shape[1], .width = shape[2]};
  return ImageForm{.channels_last = false, .channels = shape[1], .height = shape[2], .width = shape[3]};
}

ImageForm form_of_rows(const Shape& rows, bool channels_last) {
  if (channels_last) return {.channels_last = true, .channels = rows[3], .height = rows[1], .width = rows[2]};
  return {.channels_last = false, .channels = rows[1], .height = rows[2], .width = rows[3]};
}

Image image_of(const uint8_t* pixels, const ImageForm& form) {
  Image image{form.height, form.width, form.channels, {}};
  const auto area = static_cast<size_t>(form.height * form.width);
  const auto channels = static_cast<size_t>(form.channels);
  image.pixels.assign(pixels, pixels + area * channels);
  if (form.channels_last || channels == 1) return image;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < area; ++i) image.pixels[i * channels + c] = pixels[c * area + i];
  }
  return image;
}

std::string size_text(int64_t height, int64_t width) {
  const auto side = [](int64_t length) { return length < 0 ? std::string("?") : std::to_string(length); };
  return fmt::format("{} high and {} wide", side(height), side(width));
}

}  // namespace narrow::calib

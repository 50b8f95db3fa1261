// How images lie in the arrays that models take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "calib/data_reader.h"
#include "calib/image.h"

namespace narrow::calib {

/// Where the channels of an image input are, and its size; -1: free.
struct ImageForm {
  bool channels_last = false;
  int64_t channels = -1;
  int64_t height = -1;
  int64_t width = -1;
};

/// Channels of an image: gray or colour.
bool is_image_channels(int64_t dimension);

/// The form of an input that images can feed; absent if they can not.
std::optional<ImageForm> image_form(const InputSpec& spec, const InputOptions& options);

/// Of rows [n, a, b, c].
ImageForm form_of_rows(const Shape& rows, bool channels_last);

/// One image of an array of pixels.
Image image_of(const uint8_t* pixels, const ImageForm& form);

/// "32 high and ? wide".
std::string size_text(int64_t height, int64_t width);

}  // namespace narrow::calib

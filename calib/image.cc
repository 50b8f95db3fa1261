#include "calib/image.h"

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"

namespace narrow::calib {
namespace {

// Pillow keeps 8-bit intermediates: weights are integers of 22 fractional bits, which leaves 8 bits for the pixel and 2
// for sums beyond it in an int32. Described in Pillow's src/libImaging/Resample.c.
constexpr int kFractionBits = 22;

/// Which source positions make one target position, and with what weights.
struct Taps {
  int64_t begin = 0;
  std::vector<int32_t> weights;
};

std::vector<Taps> triangle_taps(int64_t source, int64_t target) {
  const double scale = static_cast<double>(source) / static_cast<double>(target);
  const double support = std::max(scale, 1.0);  // the triangle widens when the image shrinks: antialiasing
  const double inverse = 1 / support;
  std::vector<Taps> result(static_cast<size_t>(target));
  for (int64_t i = 0; i < target; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(std::lround(centre - support)));
    const int64_t end = std::min(source, static_cast<int64_t>(std::lround(centre + support)));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t k = begin; k < end; ++k) {
      const double distance = std::abs((static_cast<double>(k) - centre + 0.5) * inverse);
      weights.push_back(std::max(0.0, 1 - distance));
      sum += weights.back();
    }
    Taps& taps = result[static_cast<size_t>(i)];
    taps.begin = begin;
    const double one = 1 << kFractionBits;
    for (const double weight : weights) {
      taps.weights.push_back(static_cast<int32_t>(std::lround((sum != 0 ? weight / sum : weight) * one)));
    }
  }
  return result;
}

uint8_t to_pixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

template <int kChannels>
void resize_row(const uint8_t* source, const std::vector<Taps>& taps, uint8_t* target) {
  for (const Taps& tap : taps) {
    int32_t sums[kChannels];
    std::fill_n(sums, kChannels, kHalf);
    const uint8_t* pixel = source + tap.begin * kChannels;
    for (const int32_t weight : tap.weights) {
      for (int c = 0; c < kChannels; ++c) sums[c] += pixel[c] * weight;
      pixel += kChannels;
    }
    for (int c = 0; c < kChannels; ++c) *target++ = to_pixel(sums[c]);
  }
}

Image resize_width(const Image& image, int64_t width) {
  Image result{image.height, width, image.channels, {}};
  result.pixels.resize(static_cast<size_t>(image.height * width * image.channels));
  const std::vector<Taps> taps = triangle_taps(image.width, width);
  const auto row = image.channels == 1 ? resize_row<1> : resize_row<3>;
  for (int64_t y = 0; y < image.height; ++y) {
    row(image.pixels.data() + y * image.width * image.channels, taps,
        result.pixels.data() + y * width * image.channels);
  }
  return result;
}

Image resize_height(const Image& image, int64_t height) {
  Image result{height, image.width, image.channels, {}};
  const auto row_size = static_cast<size_t>(image.width * image.channels);
  result.pixels.resize(static_cast<size_t>(height) * row_size);
  const std::vector<Taps> taps = triangle_taps(image.height, height);
  std::vector<int32_t> sums(row_size);
  for (size_t y = 0; y < taps.size(); ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const uint8_t* source = image.pixels.data() + static_cast<size_t>(taps[y].begin) * row_size;
    for (const int32_t weight : taps[y].weights) {
      for (size_t x = 0; x < row_size; ++x) sums[x] += source[x] * weight;
      source += row_size;
    }
    std::transform(sums.begin(), sums.end(), result.pixels.data() + y * row_size, to_pixel);
  }
  return result;
}

}  // namespace

Image resize_bilinear(const Image& image, int64_t height, int64_t width) {
  ensure(image.channels == 1 || image.channels == 3, "an image has 1 or 3 channels");
  ensure(image.height > 0 && image.width > 0 && height > 0 && width > 0, "an image is not empty");
  if (width == image.width) return height == image.height ? image : resize_height(image, height);
  Image wide = resize_width(image, width);
  return height == image.height ? wide : resize_height(wide, height);
}

Image resize_shorter_side(const Image& image, int64_t side) {
  const auto proportional = [&](int64_t longer, int64_t shorter) {
    return static_cast<int64_t>(static_cast<double>(side * longer) / static_cast<double>(shorter));
  };
  if (image.width <= image.height) return resize_bilinear(image, proportional(image.height, image.width), side);
  return resize_bilinear(image, side, proportional(image.width, image.height));
}

Image letterbox(const Image& image, int64_t height, int64_t width, uint8_t grey) {
  const double scale = std::min(static_cast<double>(height) / static_cast<double>(image.height),
                                static_cast<double>(width) / static_cast<double>(image.width));
  const auto scaled = [scale](int64_t side) {
    return std::max<int64_t>(1, std::llrint(static_cast<double>(side) * scale));
  };
  const Image inner = resize_bilinear(image, scaled(image.height), scaled(image.width));
  Image result{height, width, image.channels, {}};
  result.pixels.assign(static_cast<size_t>(height * width * image.channels), grey);
  const int64_t top = (height - inner.height) / 2;
  const int64_t left = (width - inner.width) / 2;
  const int64_t row = inner.width * inner.channels;
  for (int64_t y = 0; y < inner.height; ++y) {
    std::copy_n(inner.pixels.begin() + y * row, row,
                result.pixels.begin() + ((top + y) * width + left) * image.channels);
  }
  return result;
}

Image resize_to_multiples(const Image& image, int64_t unit) {
  const auto nearest = [unit](int64_t side) {
    return unit * std::max<int64_t>(1, std::llrint(static_cast<double>(side) / static_cast<double>(unit)));
  };
  return resize_bilinear(image, nearest(image.height), nearest(image.width));
}

Image crop_centre(const Image& image, int64_t height, int64_t width) {
  ensure(height <= image.height && width <= image.width, "a crop lies within its image");
  const auto offset = [](int64_t from, int64_t to) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(from - to) / 2));  // Python's round: half to even
  };
  const int64_t top = offset(image.height, height);
  const int64_t left = offset(image.width, width);
  Image result{height, width, image.channels, {}};
  result.pixels.reserve(static_cast<size_t>(height * width * image.channels));
  for (int64_t y = 0; y < height; ++y) {
    const auto row = image.pixels.begin() + ((top + y) * image.width + left) * image.channels;
    result.pixels.insert(result.pixels.end(), row, row + width * image.channels);
  }
  return result;
}

Image gray_to_rgb(const Image& image) {
  ensure(image.channels == 1, "one channel becomes three");
  Image result{image.height, image.width, 3, {}};
  result.pixels.reserve(image.pixels.size() * 3);
  for (const uint8_t pixel : image.pixels) result.pixels.insert(result.pixels.end(), 3, pixel);
  return result;
}

}  // namespace narrow::calib

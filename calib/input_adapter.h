// From what files hold to what one input of the model wants: splitting into feeds, types, preprocessing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "calib/data_reader.h"
#include "calib/image.h"
#include "calib/image_form.h"

namespace narrow::calib {

/// How an array of a given shape becomes feeds.
struct ArraySplit {
  int64_t feeds = 1;
  int64_t batch = 1;     // rows of the array in a feed
  Shape feed;            // shape of a feed's elements as the array stores them
  bool repeats = false;  // one feed that serves any number of samples: a scalar, an array of the input's fixed shape
};

/// Immutable. The errors of its calls do not name the file: callers put it in front.
class InputAdapter {
 public:
  /// Throws Error(kUsage) for options that make no sense for the input.
  InputAdapter(InputSpec spec, InputOptions options);

  const InputSpec& spec() const { return spec_; }

  /// The first axis as samples. Throws Error(kData) naming both shapes or types if the array does not fit.
  ArraySplit split(DataType type, const Shape& shape) const;
  /// The array as one feed.
  ArraySplit whole(DataType type, const Shape& shape) const;

  /// Feed `index` of the array; shares its storage where nothing has to be converted. Throws Error(kData).
  Tensor feed(const Tensor& array, const ArraySplit& split, int64_t index) const;

  /// Images (1 or 3 channels) in a feed; 1 if the input's batch is free.
  int64_t image_batch() const;
  Tensor feed(std::span<const Image> images) const;

  /// True if files of images can feed this input.
  bool takes_images() const { return form_.has_value(); }

 private:
  void check_options() const;
  void check_type(DataType type) const;
  /// Throws Error(kData) if a value that is no plain tensor is none that the input takes.
  void check_value(const Tensor& value) const;
  [[noreturn]] void fail_shape(const Shape& shape) const;
  bool fits(std::span<const int64_t> array, std::span<const int64_t> wanted) const;
  /// Splits [n, ...] of the input's rank.
  ArraySplit split_rows(DataType type, const Shape& shape) const;
  /// True if rows [n, a, b, c] of images keep their channels in the last axis.
  bool stored_channels_last(DataType type, const Shape& rows) const;
  void check_image_rows(DataType type, const Shape& rows) const;

  bool has_normalization() const;
  int64_t output_channels() const;
  size_t source_channel(size_t channel, size_t channels) const;
  float normalized(float x, size_t channel) const;
  Image resized(Image image) const;
  Image prepare(Image image) const;
  template <class T>
  Tensor feed_prepared(std::span<const Image> images) const;
  Tensor feed_pixels(const Tensor& rows) const;
  Tensor feed_arranged(const Tensor& rows) const;
  Tensor feed_elements(const Tensor& rows) const;

  InputSpec spec_;
  InputOptions options_;
  std::optional<ImageForm> form_;
  float scale_ = 1;
  std::vector<float> mean_;  // one, or one per channel
  std::vector<float> std_;
};

}  // namespace narrow::calib

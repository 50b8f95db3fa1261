// Arrays and images made into feeds: the half of InputAdapter that touches elements.
#include <algorithm>
#include <array>
#include <cmath>

#include "calib/element_types.h"
#include "calib/histogram_kernels.h"
#include "calib/input_adapter.h"
#include "lib/base/error.h"

namespace narrow::calib {
namespace {

/// Throws if a float element is NaN or infinite, naming the sample (row) it is in.
void check_finite(const Tensor& feed, int64_t first_row, int64_t rows) {
  int64_t at = -1;
  if (feed.type() == DataType::kFloat32) {
    const auto values = feed.data<float>();
    if (find_extremes(values).not_finite == 0) return;
    at = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); }) - values.begin();
  } else if (feed.type() == DataType::kFloat64) {
    const auto values = feed.data<double>();
    at = std::find_if(values.begin(), values.end(), [](double x) { return !std::isfinite(x); }) - values.begin();
    if (at == feed.size()) return;
  } else {
    return;
  }
  throw Error(ErrorKind::kData, "sample {} holds NaN or infinity", first_row + at / (feed.size() / rows));
}

/// Elements [first, first + count) of a tensor of strings, under their shape.
Tensor string_rows(const Tensor& array, const Shape& shape, int64_t index) {
  const auto& texts = array.strings();
  const int64_t count = element_count(shape);
  const auto first = texts.begin() + index * count;
  return Tensor::of_strings(shape, {first, first + count});
}

}  // namespace

void InputAdapter::check_value(const Tensor& value) const {
  if (value.type() == DataType::kEmptyOptional) return;
  if (value.type() == DataType::kSequence) {
    for (const Tensor& element : value.sequence()) check_value(element);
  } else if (value.type() != spec_.type && spec_.type != DataType::kUndefined) {
    throw Error(ErrorKind::kData, "holds elements of {}, the input wants {}", data_type_name(value.type()),
                data_type_name(spec_.type));
  }
}

Tensor InputAdapter::feed(const Tensor& array, const ArraySplit& split, int64_t index) const {
  if (array.type() == DataType::kSequence || array.type() == DataType::kEmptyOptional) {
    check_value(array);
    return array;
  }
  if (array.type() == DataType::kString) return string_rows(array, split.feed, split.feeds == 1 ? 0 : index);
  const size_t bytes = storage_bytes(array.type(), element_count(split.feed));
  const auto owner = std::make_shared<const Tensor>(array);
  const std::byte* data = array.bytes() + (split.feeds == 1 ? 0 : static_cast<size_t>(index) * bytes);
  const Tensor rows(array.type(), split.feed, Layout::kPlain, owner, data, false);
  const bool image = form_ && rows.rank() == 4 && rows.size() > 0;
  Tensor result;
  if (image && rows.type() == DataType::kUint8 &&
      is_image_channels(form_of_rows(rows.shape(), stored_channels_last(rows.type(), rows.shape())).channels)) {
    result = feed_pixels(rows);
  } else if (image && fed_type(spec_.type) == DataType::kFloat32) {
    result = feed_arranged(rows);
  } else {
    result = feed_elements(rows);
  }
  if (!spec_.any_number) check_finite(result, split.feeds == 1 ? 0 : index * split.batch, split.batch);
  return to_type(result, spec_.type);
}

Tensor InputAdapter::feed_elements(const Tensor& rows) const {
  Tensor result = to_type(rows, fed_type(spec_.type));
  if (!has_normalization()) {
    check_exact(rows, spec_.type);
    return result;
  }
  if (result.type() != DataType::kFloat32) return result;
  for (float& x : result.mutable_data<float>()) x = normalized(x, 0);
  return result;
}

float InputAdapter::normalized(float x, size_t channel) const {
  return (x * scale_ - mean_[mean_.size() == 1 ? 0 : channel]) / std_[std_.size() == 1 ? 0 : channel];
}

size_t InputAdapter::source_channel(size_t channel, size_t channels) const {
  return options_.color == "BGR" ? channels - 1 - channel : channel;
}

Tensor InputAdapter::feed_arranged(const Tensor& rows) const {
  const bool last = stored_channels_last(rows.type(), rows.shape());
  const bool moves = last != form_->channels_last || options_.color == "BGR";
  if (!has_normalization()) check_exact(rows, spec_.type);
  if (!moves && !has_normalization()) return to_type(rows, DataType::kFloat32);
  const Tensor real = to_type(rows, DataType::kFloat32);
  const ImageForm form = form_of_rows(rows.shape(), last);
  const auto channels = static_cast<size_t>(form.channels);
  const auto area = static_cast<size_t>(form.height * form.width);
  const int64_t batch = rows.shape()[0];
  Tensor result(DataType::kFloat32, form_->channels_last ? Shape{batch, form.height, form.width, form.channels}
                                                         : Shape{batch, form.channels, form.height, form.width});
  const float* source = real.data<float>().data();
  float* target = result.mutable_data<float>().data();
  const auto offset = [&](bool channels_last, size_t c, size_t i) {
    return channels_last ? i * channels + c : c * area + i;
  };
  for (int64_t n = 0; n < batch; ++n, source += area * channels, target += area * channels) {
    for (size_t c = 0; c < channels; ++c) {
      const size_t from = source_channel(c, channels);
      for (size_t i = 0; i < area; ++i) {
        target[offset(form_->channels_last, c, i)] = normalized(source[offset(last, from, i)], c);
      }
    }
  }
  return result;
}

Tensor InputAdapter::feed_pixels(const Tensor& rows) const {
  const ImageForm form = form_of_rows(rows.shape(), stored_channels_last(rows.type(), rows.shape()));
  const int64_t size = form.height * form.width * form.channels;
  std::vector<Image> images;
  for (int64_t n = 0; n < rows.shape()[0]; ++n) {
    images.push_back(image_of(rows.data<uint8_t>().data() + n * size, form));
  }
  return feed(images);
}

Image InputAdapter::resized(Image image) const {
  if (options_.resize && options_.resize->size() == 1) image = resize_shorter_side(image, options_.resize->front());
  if (options_.resize && options_.resize->size() == 2) {
    const int64_t height = options_.resize->at(0);
    const int64_t width = options_.resize->at(1);
    image = options_.letterbox ? letterbox(image, height, width, static_cast<uint8_t>(*options_.letterbox))
                               : resize_bilinear(image, height, width);
  }
  return options_.multiple ? resize_to_multiples(image, *options_.multiple) : image;
}

Image InputAdapter::prepare(Image image) const {
  image = resized(std::move(image));
  if (options_.crop) {
    const int64_t height = options_.crop->at(0);
    const int64_t width = options_.crop->at(1);
    if (height > image.height || width > image.width) {
      throw Error(ErrorKind::kData, "the image is {}, too small for a crop {}", size_text(image.height, image.width),
                  size_text(height, width));
    }
    image = crop_centre(image, height, width);
  }
  const std::array<int64_t, 2> size{image.height, image.width};
  const std::array<int64_t, 2> wanted{form_->height, form_->width};
  if (!fits(size, wanted)) {
    throw Error(ErrorKind::kData, "the image is {}, the input wants {}; set 'resize' and 'crop'",
                size_text(size[0], size[1]), size_text(wanted[0], wanted[1]));
  }
  const int64_t channels = output_channels();
  if (!is_image_channels(channels)) {
    throw Error(ErrorKind::kData, "the image has {} channels, the input wants {}", image.channels, channels);
  }
  if (image.channels == channels) return image;
  return channels == 1 ? to_gray(image) : gray_to_rgb(image);
}

Tensor InputAdapter::feed(std::span<const Image> images) const {
  ensure(form_.has_value(), "images feed an image input");
  std::vector<Image> prepared;
  for (const Image& image : images) {
    prepared.push_back(prepare(image));
    const Image& first = prepared.front();
    const Image& latest = prepared.back();
    if (latest.height != first.height || latest.width != first.width) {
      throw Error(ErrorKind::kData, "images of one batch differ in size: {}, and {}",
                  size_text(first.height, first.width), size_text(latest.height, latest.width));
    }
  }
  return spec_.type == DataType::kUint8 ? feed_prepared<uint8_t>(prepared)
                                        : to_type(feed_prepared<float>(prepared), spec_.type);
}

template <class T>
Tensor InputAdapter::feed_prepared(std::span<const Image> images) const {
  const Image& first = images.front();
  const auto batch = static_cast<int64_t>(images.size());
  const auto channels = static_cast<size_t>(first.channels);
  Tensor result(data_type_of<T>(), form_->channels_last ? Shape{batch, first.height, first.width, first.channels}
                                                        : Shape{batch, first.channels, first.height, first.width});
  T* target = result.template mutable_data<T>().data();
  std::array<T, 256> table;
  for (const Image& image : images) {
    const size_t area = image.pixels.size() / channels;
    for (size_t c = 0; c < channels; ++c) {
      for (size_t pixel = 0; pixel < table.size(); ++pixel) {
        table[pixel] =
            static_cast<T>(has_normalization() ? normalized(static_cast<float>(pixel), c) : static_cast<float>(pixel));
      }
      const uint8_t* source = image.pixels.data() + source_channel(c, channels);
      T* plane = target + (form_->channels_last ? c : c * area);
      const size_t step = form_->channels_last ? channels : 1;
      for (size_t i = 0; i < area; ++i) plane[i * step] = table[source[i * channels]];
    }
    target += area * channels;
  }
  return result;
}

}  // namespace narrow::calib

#include "calib/input_adapter.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "calib/histogram_kernels.h"
#include "lib/base/error.h"
#include "lib/tensor/convert.h"

namespace narrow::calib {
namespace {

struct Conversion {
  DataType from;
  DataType to;
};

/// The types of data that an input takes besides its own: nothing that matters is lost.
constexpr std::array kConversions{
    Conversion{DataType::kUint8, DataType::kFloat32},
    Conversion{DataType::kFloat64, DataType::kFloat32},
    Conversion{DataType::kFloat16, DataType::kFloat32},
    Conversion{DataType::kInt32, DataType::kInt64},
};

/// float16 and bfloat16 inputs are fed as float32 ones are, and rounded at the end.
DataType fed_type(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kBfloat16 ? DataType::kFloat32 : type;
}

bool is_image_channels(int64_t dimension) {
  return dimension == 1 || dimension == 3;
}

std::optional<ImageForm> image_form(const InputSpec& spec, const InputOptions& options) {
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

std::vector<float> to_floats(const std::vector<double>& numbers, float otherwise) {
  if (numbers.empty()) return {otherwise};
  std::vector<float> result;
  for (const double number : numbers) result.push_back(static_cast<float>(number));
  return result;
}

bool all_equal(const std::vector<float>& numbers, float value) {
  return std::all_of(numbers.begin(), numbers.end(), [&](float number) { return number == value; });
}

std::string size_text(int64_t height, int64_t width) {
  const auto side = [](int64_t length) { return length < 0 ? std::string("?") : std::to_string(length); };
  return fmt::format("{} high and {} wide", side(height), side(width));
}

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

template <class From, class To>
Tensor convert(const Tensor& from) {
  Tensor result(data_type_of<To>(), from.shape());
  const auto source = from.data<From>();
  const auto target = result.mutable_data<To>();
  std::transform(source.begin(), source.end(), target.begin(), [](From x) { return static_cast<To>(x); });
  return result;
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

ImageForm form_of_rows(const Shape& rows, bool channels_last) {
  if (channels_last) return {.channels_last = true, .channels = rows[3], .height = rows[1], .width = rows[2]};
  return {.channels_last = false, .channels = rows[1], .height = rows[2], .width = rows[3]};
}

}  // namespace

InputAdapter::InputAdapter(InputSpec spec, InputOptions options)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      form_(image_form(spec_, options_)),
      scale_(static_cast<float>(options_.scale)),
      mean_(to_floats(options_.mean, 0)),
      std_(to_floats(options_.std, 1)) {
  in_context(fmt::format("input '{}'", spec_.name), [&] { check_options(); });
}

bool InputAdapter::has_normalization() const {
  return scale_ != 1 || !all_equal(mean_, 0) || !all_equal(std_, 1);
}

int64_t InputAdapter::output_channels() const {
  if (form_->channels != -1) return form_->channels;
  return options_.color == "GRAY" ? 1 : 3;
}

void InputAdapter::check_options() const {
  const auto refuse = [&](std::string_view key, std::string_view why) {
    throw Error(ErrorKind::kUsage, "'{}' {}", key, why);
  };
  if (has_normalization() && fed_type(spec_.type) != DataType::kFloat32) {
    refuse("scale, mean, std", fmt::format("need a float32 input, this one is {}", data_type_name(spec_.type)));
  }
  if (!form_) {
    const std::string why = fmt::format("needs an image input, this one is {} {}", data_type_name(spec_.type),
                                        spec_.shape ? shape_text(*spec_.shape) : "of unknown rank");
    if (options_.resize) refuse("resize", why);
    if (options_.crop) refuse("crop", why);
    if (!options_.color.empty()) refuse("color", why);
    if (!options_.layout.empty()) refuse("layout", why);
    if (mean_.size() > 1) refuse("mean", "has a number for each channel, and the layout is not known");
    if (std_.size() > 1) refuse("std", "has a number for each channel, and the layout is not known");
    return;
  }
  const auto channels = static_cast<size_t>(output_channels());
  const bool gray = options_.color == "GRAY";
  if (!options_.color.empty() && channels != (gray ? 1U : 3U)) {
    refuse("color", fmt::format("is {}, and the input has {} channels", options_.color, channels));
  }
  const auto check_count = [&](std::string_view key, size_t count) {
    if (count != 1 && count != channels) {
      refuse(key, fmt::format("has {} numbers, and the input has {} channels", count, channels));
    }
  };
  check_count("mean", mean_.size());
  check_count("std", std_.size());
}

void InputAdapter::check_type(DataType type) const {
  const DataType wanted = fed_type(spec_.type);
  if (type == spec_.type || type == wanted) return;
  const bool known = std::any_of(kConversions.begin(), kConversions.end(),
                                 [&](const Conversion& c) { return c.from == type && c.to == wanted; });
  if (known) return;
  throw Error(ErrorKind::kData, "the data are {}, the input wants {}", data_type_name(type),
              data_type_name(spec_.type));
}

void InputAdapter::fail_shape(const Shape& shape) const {
  throw Error(ErrorKind::kData, "the data have shape {}, which does not fit the input's {}", shape_text(shape),
              shape_text(*spec_.shape));
}

bool InputAdapter::fits(std::span<const int64_t> array, std::span<const int64_t> wanted) const {
  return std::equal(array.begin(), array.end(), wanted.begin(), wanted.end(),
                    [](int64_t has, int64_t wants) { return wants == -1 || has == wants; });
}

bool InputAdapter::stored_channels_last(DataType type, const Shape& rows) const {
  const bool any = type == DataType::kUint8 || form_->channels == -1;
  const auto may_be = [&](int64_t size) { return size == form_->channels || (any && is_image_channels(size)); };
  const bool first = may_be(rows[1]);
  const bool last = may_be(rows[3]);
  if (first != last) return last;
  if (!first) fail_shape(rows);
  const std::span<const int64_t> row(rows.begin() + 1, rows.end());
  const bool as_input = !spec_.shape || fits(row, {spec_.shape->begin() + 1, spec_.shape->end()});
  return as_input ? form_->channels_last : true;  // images are usually kept with channels last
}

void InputAdapter::check_image_rows(DataType type, const Shape& rows) const {
  const bool last = stored_channels_last(type, rows);
  const ImageForm stored = form_of_rows(rows, last);
  if (last != form_->channels_last && options_.layout.empty() && stored.channels != 1) {
    throw Error(ErrorKind::kData,
                "the data have shape {}, the input {}; set the input's 'layout' to '{}' if the data are {} images",
                shape_text(rows), shape_text(*spec_.shape), form_->channels_last ? "NHWC" : "NCHW",
                last ? "NHWC" : "NCHW");
  }
  const bool is_pixels = type == DataType::kUint8 && is_image_channels(stored.channels);
  if (!is_pixels && (options_.resize || options_.crop || options_.color == "GRAY")) {
    throw Error(ErrorKind::kData, "'resize', 'crop' and 'GRAY' need uint8 images, the data are {} {}",
                data_type_name(type), shape_text(rows));
  }
  if (options_.resize || options_.crop) return;  // sizes are checked when the image has its final one
  const std::array<int64_t, 2> size{stored.height, stored.width};
  const std::array<int64_t, 2> wanted{form_->height, form_->width};
  if (!fits(size, wanted)) {
    throw Error(ErrorKind::kData, "the images are {}, the input wants {}; set 'resize' and 'crop'",
                size_text(size[0], size[1]), size_text(wanted[0], wanted[1]));
  }
  if (!is_pixels && form_->channels != -1 && stored.channels != form_->channels) fail_shape(rows);
}

ArraySplit InputAdapter::split_rows(DataType type, const Shape& shape) const {
  const int64_t wanted = image_batch();
  if (shape[0] == 0) throw Error(ErrorKind::kData, "the data have no samples: shape {}", shape_text(shape));
  if (shape[0] % wanted != 0) {
    throw Error(ErrorKind::kData, "{} samples are no multiple of the input's batch of {}", shape[0], wanted);
  }
  if (form_ && shape.size() == 4) {
    check_image_rows(type, shape);
  } else if (!fits({shape.begin() + 1, shape.end()}, {spec_.shape->begin() + 1, spec_.shape->end()})) {
    fail_shape(shape);
  }
  ArraySplit result{.feeds = shape[0] / wanted, .batch = wanted, .feed = shape, .repeats = false};
  result.feed[0] = wanted;
  result.repeats = wanted > 1 && result.feeds == 1;
  return result;
}

ArraySplit InputAdapter::split(DataType type, const Shape& shape) const {
  check_type(type);
  if (!spec_.shape && !(form_ && shape.size() == 4)) return {.feeds = 1, .batch = 1, .feed = shape, .repeats = true};
  const size_t rank = spec_.shape ? spec_.shape->size() : 4;
  if (shape.size() == rank) {
    if (rank == 0) return {.feeds = 1, .batch = 1, .feed = shape, .repeats = true};
    return split_rows(type, shape);
  }
  if (shape.size() == rank + 1 && fits({shape.begin() + 1, shape.end()}, *spec_.shape)) {
    if (shape[0] == 0) throw Error(ErrorKind::kData, "the data have no samples: shape {}", shape_text(shape));
    const int64_t batch = rank == 0 ? 1 : shape[1];
    return {.feeds = shape[0], .batch = batch, .feed = {shape.begin() + 1, shape.end()}, .repeats = false};
  }
  if (form_ && shape.size() == 3 && (form_->channels == 1 || type == DataType::kUint8)) {
    Shape with_channel = shape;
    with_channel.insert(form_->channels_last ? with_channel.end() : with_channel.begin() + 1, 1);
    return split_rows(type, with_channel);
  }
  fail_shape(shape);
}

ArraySplit InputAdapter::whole(DataType type, const Shape& shape) const {
  check_type(type);
  if (spec_.shape && !fits(shape, *spec_.shape)) fail_shape(shape);
  const int64_t batch = shape.empty() ? 1 : std::max<int64_t>(1, shape[0]);
  return {.feeds = 1, .batch = batch, .feed = shape, .repeats = true};
}

int64_t InputAdapter::image_batch() const {
  if (!spec_.shape || spec_.shape->empty()) return 1;
  return std::max<int64_t>(1, spec_.shape->front());
}

Tensor InputAdapter::feed(const Tensor& array, const ArraySplit& split, int64_t index) const {
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
  check_finite(result, split.feeds == 1 ? 0 : index * split.batch, split.batch);
  return in_input_type(result);
}

Tensor InputAdapter::in_input_type(const Tensor& fed) const {
  if (fed.type() == spec_.type || fed_type(spec_.type) == spec_.type) return fed;
  Workspace workspace;
  return convert_elements(fed, spec_.type, workspace);
}

Tensor InputAdapter::feed_elements(const Tensor& rows) const {
  if (rows.type() == DataType::kInt32 && spec_.type == DataType::kInt64) return convert<int32_t, int64_t>(rows);
  if (fed_type(spec_.type) != DataType::kFloat32) return rows;
  Tensor result = to_float32(rows);
  if (!has_normalization()) return result;
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
  if (!moves && !has_normalization()) return to_float32(rows);
  const Tensor real = to_float32(rows);
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

Image InputAdapter::prepare(Image image) const {
  if (options_.resize) image = resize_shorter_side(image, *options_.resize);
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
                                        : in_input_type(feed_prepared<float>(prepared));
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

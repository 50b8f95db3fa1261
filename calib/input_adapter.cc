#include "calib/input_adapter.h"

#include <algorithm>
#include <array>

#include "calib/element_types.h"
#include "lib/base/error.h"

namespace narrow::calib {
namespace {

std::vector<float> to_floats(const std::vector<double>& numbers, float otherwise) {
  if (numbers.empty()) return {otherwise};
  std::vector<float> result;
  for (const double number : numbers) result.push_back(static_cast<float>(number));
  return result;
}

bool all_equal(const std::vector<float>& numbers, float value) {
  return std::all_of(numbers.begin(), numbers.end(), [&](float number) { return number == value; });
}

/// True for what is no array: sequences and empty optionals.
bool is_nested(DataType type) {
  return type == DataType::kSequence || type == DataType::kEmptyOptional;
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
    if (options_.multiple) refuse("multiple", why);
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
  const bool inside_only = spec_.form == graph::ValueForm::kSequence || spec_.of_sequences;
  if (inside_only && !is_nested(type)) {
    throw Error(ErrorKind::kData, "the data are {}, the input is a sequence, which only .pb files hold",
                data_type_name(type));
  }
  // What a sequence holds is checked when it is read.
  if (inside_only || (spec_.form == graph::ValueForm::kOptional && type == DataType::kEmptyOptional)) return;
  if (feeds_type(type, spec_.type)) return;
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
  const bool changes_size = options_.resize || options_.multiple || options_.crop;
  if (!is_pixels && (changes_size || options_.color == "GRAY")) {
    throw Error(ErrorKind::kData, "'resize', 'multiple', 'crop' and 'GRAY' need uint8 images, the data are {} {}",
                data_type_name(type), shape_text(rows));
  }
  if (changes_size) return;  // sizes are checked when the image has its final one
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
  if (is_nested(type)) return {.feeds = 1, .batch = 1, .feed = shape, .repeats = true};
  if (spec_.shape && !fits(shape, *spec_.shape)) fail_shape(shape);
  const int64_t batch = shape.empty() ? 1 : std::max<int64_t>(1, shape[0]);
  return {.feeds = 1, .batch = batch, .feed = shape, .repeats = true};
}

int64_t InputAdapter::image_batch() const {
  if (!spec_.shape || spec_.shape->empty()) return 1;
  return std::max<int64_t>(1, spec_.shape->front());
}

}  // namespace narrow::calib

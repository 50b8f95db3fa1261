#include "lib/report/format.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

namespace narrow::report {
namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// Offset of the code point with this index.
size_t offset_of(std::string_view text, size_t index) {
  size_t offset = 0;
  for (size_t seen = 0; offset < text.size(); ++offset) {
    if (!is_continuation(text[offset]) && seen++ == index) break;
  }
  return offset;
}

}  // namespace

std::string bytes_text(int64_t bytes) {
  constexpr std::array<std::string_view, 4> kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string count_text(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const size_t first = digits.front() == '-' ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string percent_text(double share) {
  if (std::isnan(share)) return "-";
  const std::string text = fmt::format("{:.1f} %", 100 * share);
  // Rounding must not hide the last node that stays float.
  return share < 1 && text == "100.0 %" ? "99.9 %" : text;
}

std::string number_text(double value, int digits) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:.{}f}", value, digits);
}

std::string short_number_text(double value) {
  if (!std::isfinite(value)) return number_text(value, 0);
  return fmt::format("{:.3g}", value);
}

std::string seconds_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  return fmt::format("{} min {} s", whole / 60, whole % 60);
}

std::string plural(int64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count_text(count), noun, count == 1 ? "" : "s");
}

size_t text_width(const std::string& text) {
  size_t width = 0;
  for (const char c : text) width += is_continuation(c) ? 0 : 1;
  return width;
}

std::string shorten(const std::string& text, size_t width) {
  const size_t full = text_width(text);
  if (full <= width) return text;
  if (width <= 3) return std::string(width, '.');
  const size_t kept = width - 3;
  const size_t tail = kept / 2;
  return text.substr(0, offset_of(text, kept - tail)) + "..." + text.substr(offset_of(text, full - tail));
}

}  // namespace narrow::report

// Numbers and names as people read them, the same in every report.
#pragma once

#include <cstdint>
#include <string>

namespace narrow::report {

/// "812 B", "229.9 KiB", "4.7 MiB".
std::string bytes_text(int64_t bytes);
/// "1,234,567".
std::string count_text(int64_t count);
/// "97.3 %" of a share in [0, 1]; "-" for NaN. Only a share of exactly 1 reads "100.0 %".
std::string percent_text(double share);
/// Fixed digits; "inf", "-inf" and "nan" as words.
std::string number_text(double value, int digits);
/// Three significant digits: "0.0123", "12.3".
std::string short_number_text(double value);
/// "0.8 s", "2 min 5 s".
std::string seconds_text(double seconds);
/// "1 node", "3 nodes".
std::string plural(int64_t count, const std::string& noun);

/// Columns that the UTF-8 text takes in a terminal, one a code point.
size_t text_width(const std::string& text);
/// The text cut to `width` columns, "..." in its middle where something was left out.
std::string shorten(const std::string& text, size_t width);

}  // namespace narrow::report

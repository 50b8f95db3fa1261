// Between UTF-8, as ONNX keeps strings, and code points, as NumPy does.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace narrow {

/// `code` must be a Unicode scalar value.
void append_utf8(char32_t code, std::string& text);

/// Nothing for bytes that are not well-formed UTF-8 (Unicode's table 3-7: no surrogates, no overlong forms).
std::optional<std::u32string> utf8_to_utf32(std::string_view text);

}  // namespace narrow

#pragma once

#include <string>
#include <string_view>

namespace narrow::report {

/// Text for HTML and XML, in content or in an attribute. XML 1.0 knows no control characters but tab and line ends:
/// others become spaces.
std::string escape_markup(std::string_view text);

}  // namespace narrow::report

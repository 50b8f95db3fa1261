#include "lib/report/escape.h"

namespace narrow::report {
namespace {

std::string_view entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return "";
  }
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n';
    if (const std::string_view replaced = entity(c); !replaced.empty()) {
      out += replaced;
    } else {
      out += control ? ' ' : c;
    }
  }
  return out;
}

}  // namespace narrow::report

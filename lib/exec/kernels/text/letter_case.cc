#include "lib/exec/kernels/text/letter_case.h"

#include <cstdint>

namespace narrow::exec {
namespace {

// Upper-case letters first..last; the lower-case ones are `distance` behind. With distance 1, upper and lower take
// turns.
struct LetterRange {
  uint32_t first;
  uint32_t last;
  uint32_t distance;
};

constexpr LetterRange kRanges[] = {
    {'A', 'Z', 32},     {0xC0, 0xD6, 32},   {0xD8, 0xDE, 32},  {0x100, 0x12F, 1},  {0x132, 0x137, 1},
    {0x139, 0x148, 1},  {0x14A, 0x177, 1},  {0x179, 0x17E, 1}, {0x391, 0x3A1, 32}, {0x3A3, 0x3AB, 32},
    {0x400, 0x40F, 80}, {0x410, 0x42F, 32}, {0x460, 0x481, 1},
};

uint32_t changed(uint32_t letter, LetterCase wanted) {
  for (const LetterRange& range : kRanges) {
    if (range.distance == 1) {
      if (letter < range.first || letter > range.last) continue;
      const bool upper = (letter - range.first) % 2 == 0;
      if (upper && wanted == LetterCase::kLower) return letter + 1;
      if (!upper && wanted == LetterCase::kUpper) return letter - 1;
      return letter;
    }
    if (wanted == LetterCase::kLower && letter >= range.first && letter <= range.last) return letter + range.distance;
    if (wanted == LetterCase::kUpper && letter >= range.first + range.distance &&
        letter <= range.last + range.distance) {
      return letter - range.distance;
    }
  }
  return letter;
}

}  // namespace

std::string in_case(std::string_view text, LetterCase wanted) {
  std::string result(text);
  if (wanted == LetterCase::kKeep) return result;
  // All letters of the table take one byte or two, and as many in either case.
  for (size_t i = 0; i < result.size(); ++i) {
    const auto lead = static_cast<uint8_t>(result[i]);
    if (lead < 0x80) {
      result[i] = static_cast<char>(changed(lead, wanted));
    } else if ((lead & 0xE0u) == 0xC0u && i + 1 < result.size()) {
      const uint32_t letter = (lead & 0x1Fu) << 6 | (static_cast<uint8_t>(result[i + 1]) & 0x3Fu);
      const uint32_t other = changed(letter, wanted);
      result[i] = static_cast<char>(0xC0u | other >> 6);
      result[i + 1] = static_cast<char>(0x80u | (other & 0x3Fu));
      ++i;
    }
  }
  return result;
}

}  // namespace narrow::exec

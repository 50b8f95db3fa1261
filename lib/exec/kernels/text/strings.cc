// StringConcat, StringSplit and RegexFullMatch.
#include <re2/re2.h>

#include <memory>

#include "lib/exec/kernels/broadcast.h"
#include "lib/exec/kernels/text/families.h"

namespace narrow::exec {
namespace {

using Words = std::vector<std::string>;

// At white space, runs of which count as one and border nothing.
Words split_at_spaces(std::string_view text, int64_t most) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  Words words;
  size_t begin = text.find_first_not_of(kSpaces);
  while (begin != std::string_view::npos) {
    if (most >= 0 && static_cast<int64_t>(words.size()) == most) {
      words.emplace_back(text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin));
      break;
    }
    const size_t end = text.find_first_of(kSpaces, begin);
    words.emplace_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kSpaces, end);
  }
  return words;
}

Words split_at(std::string_view text, std::string_view delimiter, int64_t most) {
  if (delimiter.empty()) return split_at_spaces(text, most);
  Words words;
  while (most < 0 || static_cast<int64_t>(words.size()) < most) {
    const size_t end = text.find(delimiter);
    if (end == std::string_view::npos) break;
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end + delimiter.size());
  }
  words.emplace_back(text);
  return words;
}

}  // namespace

KernelPtr make_string_concat(const KernelRequest& request) {
  return kernel_of([a_operand = Operand(request, 0), b_operand = Operand(request, 1)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    const std::array<const Tensor*, 2> operands{&a_operand.required_in(inputs), &b_operand.required_in(inputs)};
    const Shape shape = broadcast_shape(operands);
    const BroadcastLoops loops = broadcast_loops(operands, shape, Layout::kPlain);
    Words result(static_cast<size_t>(element_count(shape)));
    const auto at = [](const Tensor& tensor, int64_t index) { return tensor.strings()[static_cast<size_t>(index)]; };
    for_each_row<2>(loops, [&](int64_t start, const auto& offsets, const auto& steps, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        result[static_cast<size_t>(start + i)] =
            at(*operands[0], offsets[0] + i * steps[0]) + at(*operands[1], offsets[1] + i * steps[1]);
      }
    });
    outputs[0] = Tensor::of_strings(shape, std::move(result));
  });
}

// [...] -> [..., longest], filled up with empty strings, and the number of parts of each.
KernelPtr make_string_split(const KernelRequest& request) {
  const std::string delimiter = graph::string_attribute(*request.node, "delimiter", "");
  const int64_t most = graph::int_attribute(*request.node, "maxsplit", -1);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    std::vector<Words> parts;
    size_t longest = 0;
    for (const std::string& text : x.strings()) {
      parts.push_back(split_at(text, delimiter, most));
      longest = std::max(longest, parts.back().size());
    }
    Words filled;
    Tensor counts = workspace.allocate(DataType::kInt64, x.shape());
    for (size_t i = 0; i < parts.size(); ++i) {
      counts.mutable_data<int64_t>()[i] = static_cast<int64_t>(parts[i].size());
      parts[i].resize(longest);
      filled.insert(filled.end(), parts[i].begin(), parts[i].end());
    }
    Shape shape = x.shape();
    shape.push_back(static_cast<int64_t>(longest));
    outputs[0] = Tensor::of_strings(shape, std::move(filled));
    if (outputs.size() > 1) outputs[1] = std::move(counts);
  });
}

KernelPtr make_regex_full_match(const KernelRequest& request) {
  const std::string pattern = graph::string_attribute(*request.node, "pattern", "");
  const auto regex = std::make_shared<const RE2>(pattern, RE2::Quiet);
  if (!regex->ok()) refuse(request, fmt::format("RE2 does not take the pattern '{}': {}", pattern, regex->error()));
  return kernel_of([regex](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    outputs[0] = workspace.allocate(DataType::kBool, x.shape());
    const auto to = outputs[0].mutable_data<bool>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = RE2::FullMatch(x.strings()[i], *regex);
  });
}

}  // namespace narrow::exec

// StringNormalizer: drops stop words, changes the case.
#include <set>

#include "lib/exec/kernels/support.h"
#include "lib/exec/kernels/text/families.h"
#include "lib/exec/kernels/text/letter_case.h"

namespace narrow::exec {

KernelPtr make_string_normalizer(const KernelRequest& request) {
  const std::string action = graph::string_attribute(*request.node, "case_change_action", "NONE");
  LetterCase wanted = LetterCase::kKeep;
  if (action == "LOWER") wanted = LetterCase::kLower;
  if (action == "UPPER") wanted = LetterCase::kUpper;
  if (wanted == LetterCase::kKeep && action != "NONE") refuse(request, "unknown case_change_action '" + action + "'");
  const bool sensitive = graph::int_attribute(*request.node, "is_case_sensitive", 0) != 0;
  const LetterCase compared = sensitive ? LetterCase::kKeep : LetterCase::kLower;
  std::set<std::string> stops;
  for (const std::string& word : graph::strings_attribute(*request.node, "stopwords")) {
    stops.insert(in_case(word, compared));
  }
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    const Tensor& x = required(inputs, 0);
    if (x.rank() != 1 && !(x.rank() == 2 && x.shape()[0] == 1)) {
      throw Error(ErrorKind::kModel, "expected [C] or [1, C], got {}", shape_text(x.shape()));
    }
    std::vector<std::string> kept;
    for (const std::string& word : x.strings()) {
      if (!stops.contains(in_case(word, compared))) kept.push_back(in_case(word, wanted));
    }
    // Where nothing is left, one empty string is.
    if (kept.empty()) kept.emplace_back();
    Shape shape = x.shape();
    shape.back() = static_cast<int64_t>(kept.size());
    outputs[0] = Tensor::of_strings(shape, std::move(kept));
  });
}

}  // namespace narrow::exec

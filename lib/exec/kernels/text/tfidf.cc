// TfIdfVectorizer: counts of the n-grams of a pool, found with gaps of equal size between their items.
#include <map>

#include "lib/exec/kernels/support.h"
#include "lib/exec/kernels/text/families.h"

namespace narrow::exec {
namespace {

enum class Weighting { kTf, kIdf, kTfIdf };

// Items of the pool are numbered; anything else is kUnknown.
constexpr int64_t kUnknown = -1;

struct NgramSpec {
  int64_t shortest = 1;
  int64_t longest = 1;
  int64_t most_skipped = 0;
  Weighting weighting = Weighting::kTf;
  int64_t columns = 0;
  std::vector<float> weights;  // by entry of ngram_indexes; empty: all 1
};

class NgramTree {
 public:
  // The child of `parent` (0 is the root) by `item`, or 0.
  size_t child(size_t parent, int64_t item) const {
    const auto found = children_.find({parent, item});
    return found == children_.end() ? 0 : found->second;
  }
  // Index of the n-gram that ends here, or -1.
  int64_t ngram(size_t node) const { return ngrams_[node]; }

  void add(std::span<const int64_t> items, int64_t ngram) {
    size_t node = 0;
    for (const int64_t item : items) {
      const auto [place, added] = children_.emplace(std::pair(node, item), ngrams_.size());
      if (added) ngrams_.push_back(-1);
      node = place->second;
    }
    ngrams_[node] = ngram;
  }

 private:
  std::map<std::pair<size_t, int64_t>, size_t> children_;
  std::vector<int64_t> ngrams_{-1};
};

struct Pool {
  std::map<int64_t, int64_t> integers;
  std::map<std::string, int64_t, std::less<>> strings;

  std::vector<int64_t> items_of(const Tensor& x) const {
    std::vector<int64_t> items;
    const auto add = [&](const auto& map, const auto& key) {
      const auto found = map.find(key);
      items.push_back(found == map.end() ? kUnknown : found->second);
    };
    if (x.type() == DataType::kString) {
      for (const std::string& word : x.strings()) add(strings, word);
    } else {
      for (const int64_t value : int_list(x)) add(integers, value);
    }
    return items;
  }
};

// Adds 1 to counts[ngram] for each occurrence in the row.
void count_ngrams(const NgramSpec& spec, const NgramTree& tree, std::span<const int64_t> row,
                  std::vector<int64_t>& counts) {
  const auto length = static_cast<int64_t>(row.size());
  for (int64_t distance = 1; distance <= spec.most_skipped + 1; ++distance) {
    // Single items are the same for every distance.
    const int64_t shortest = distance == 1 ? spec.shortest : std::max<int64_t>(2, spec.shortest);
    for (int64_t start = 0; start < length; ++start) {
      size_t node = 0;
      for (int64_t size = 1; size <= spec.longest && start + (size - 1) * distance < length; ++size) {
        node = tree.child(node, row[static_cast<size_t>(start + (size - 1) * distance)]);
        if (node == 0) break;
        if (size >= shortest && tree.ngram(node) >= 0) ++counts[static_cast<size_t>(tree.ngram(node))];
      }
    }
    if (spec.longest == 1) break;
  }
}

float weighted(const NgramSpec& spec, int64_t count, size_t ngram) {
  const float weight = spec.weights.empty() ? 1.0F : spec.weights[ngram];
  switch (spec.weighting) {
    case Weighting::kTf:
      return static_cast<float>(count);
    case Weighting::kIdf:
      return count > 0 ? weight : 0.0F;
    case Weighting::kTfIdf:
      break;
  }
  return weight * static_cast<float>(count);
}

NgramSpec ngram_spec(const KernelRequest& request, const std::vector<int64_t>& indexes) {
  const onnx::NodeProto& node = *request.node;
  NgramSpec spec{.shortest = graph::int_attribute(node, "min_gram_length", 1),
                 .longest = graph::int_attribute(node, "max_gram_length", 1),
                 .most_skipped = graph::int_attribute(node, "max_skip_count", 0),
                 .weights = graph::floats_attribute(node, "weights")};
  const std::string mode = graph::string_attribute(node, "mode", "TF");
  if (mode == "IDF") spec.weighting = Weighting::kIdf;
  if (mode == "TFIDF") spec.weighting = Weighting::kTfIdf;
  if (spec.weighting == Weighting::kTf && mode != "TF") refuse(request, "unknown mode '" + mode + "'");
  if (indexes.empty() || *std::min_element(indexes.begin(), indexes.end()) < 0) refuse(request, "wrong ngram_indexes");
  spec.columns = *std::max_element(indexes.begin(), indexes.end()) + 1;
  if (!spec.weights.empty() && spec.weights.size() != indexes.size()) refuse(request, "weights do not fit the n-grams");
  return spec;
}

// ngram_counts[n - 1] is where the n-grams of n items begin in the pool.
NgramTree ngram_tree(const KernelRequest& request, const NgramSpec& spec, const std::vector<int64_t>& items,
                     size_t ngrams) {
  const std::vector<int64_t> starts = graph::ints_attribute(*request.node, "ngram_counts");
  NgramTree tree;
  size_t next = 0;
  for (size_t n = 1; n <= starts.size(); ++n) {
    const auto begin = static_cast<size_t>(starts[n - 1]);
    const size_t end = n < starts.size() ? static_cast<size_t>(starts[n]) : items.size();
    if (begin > end || end > items.size() || (end - begin) % n != 0)
      refuse(request, "ngram_counts do not fit the pool");
    for (size_t at = begin; at < end; at += n, ++next) {
      if (next >= ngrams) refuse(request, "more n-grams than ngram_indexes");
      const bool used = static_cast<int64_t>(n) >= spec.shortest && static_cast<int64_t>(n) <= spec.longest;
      if (used) tree.add(std::span(items).subspan(at, n), static_cast<int64_t>(next));
    }
  }
  return tree;
}

}  // namespace

KernelPtr make_tfidf_vectorizer(const KernelRequest& request) {
  const std::vector<int64_t> indexes = graph::ints_attribute(*request.node, "ngram_indexes");
  const NgramSpec spec = ngram_spec(request, indexes);
  Pool pool;
  std::vector<int64_t> items;
  const auto number = [&](auto& map, const auto& key) {
    items.push_back(map.emplace(key, static_cast<int64_t>(map.size())).first->second);
  };
  for (const int64_t value : graph::ints_attribute(*request.node, "pool_int64s")) number(pool.integers, value);
  for (const std::string& word : graph::strings_attribute(*request.node, "pool_strings")) number(pool.strings, word);
  const NgramTree tree = ngram_tree(request, spec, items, indexes.size());
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    if (x.rank() > 2) throw Error(ErrorKind::kModel, "expected [C] or [N, C], got {}", shape_text(x.shape()));
    const int64_t rows = x.rank() == 2 ? x.shape()[0] : 1;
    const auto length = static_cast<size_t>(rows == 0 ? 0 : x.size() / rows);
    outputs[0] =
        workspace.allocate(DataType::kFloat32, x.rank() == 2 ? Shape{rows, spec.columns} : Shape{spec.columns});
    const auto to = outputs[0].mutable_data<float>();
    std::fill(to.begin(), to.end(), 0.0F);
    const std::vector<int64_t> words = pool.items_of(x);
    parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        std::vector<int64_t> counts(indexes.size(), 0);
        count_ngrams(spec, tree, std::span(words).subspan(static_cast<size_t>(row) * length, length), counts);
        for (size_t i = 0; i < counts.size(); ++i) {
          to[static_cast<size_t>(row * spec.columns + indexes[i])] += weighted(spec, counts[i], i);
        }
      }
    });
  });
}

}  // namespace narrow::exec

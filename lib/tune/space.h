// The layers that a search may change, what each may become, and the pieces of noise that this makes.
#pragma once

#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/tune/choice.h"

namespace narrow::tune {

/// One tensor that is rounded: a constant (weight) or a value (with all that share its scale moved along).
struct Component {
  std::string key;     // unique: "weight N int8 channel 0", "value V uint8"
  std::string tensor;  // initializer, or value of the graph
  std::string node;    // constant: the first node that reads it; value: the node that makes it, "" for an input
  bool constant = false;
  quant::QuantParams params;
};

struct Option {
  Choice choice = Choice::kConfig;
  std::string weight;        // component key; "": no rounded constant
  bool on_integers = false;  // its activations are quantized
  double bytes = 0;          // of its constants in the file
  double seconds = 0;        // its share of one run; see Clock::time_options
};

struct Item {
  std::string node;
  std::string op_type;
  double macs = 0;  // per sample, as analyze counts
  std::vector<Option> options;
};

/// A value is quantized as long as one of the items that touch it runs on integers; with no items, always.
struct ValueUse {
  std::string component;
  std::vector<size_t> items;
};

struct Space {
  std::vector<Item> items;
  std::vector<ValueUse> values;
  std::vector<Component> components;
  double macs = 0;           // of all items
  double float_bytes = 0;    // of all items' constants in float32
  double float_seconds = 0;  // of one run of all items in float32; 0: not measured

  std::vector<std::string> nodes() const;
};

/// Option of each item, by index.
using Assignment = std::vector<size_t>;
std::vector<Choice> choices_of(const Space& space, const Assignment& assignment);

/// Items are layers that the config quantizes, and layers whose weight could be stored in fewer bits; data movement and
/// folded clamps follow their neighbours. An option that gives what an earlier one of the layer gives is left out.
Space make_space(const graph::Model& model, const analyze::Analysis& analysis, const plan::Ranges& ranges,
                 const plan::Rules& rules, const std::vector<Choice>& choices);

}  // namespace narrow::tune

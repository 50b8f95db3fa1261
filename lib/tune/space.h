// The layers that a search may change, what each may become, and the pieces of noise that this makes.
#pragma once

#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/tune/choice.h"

namespace narrow::tune {

/// What is rounded together: a constant (weight), the constants of a layer in 16-bit floats, or a value (with all that
/// share its scale moved along).
struct Component {
  std::string key;     // unique: "weight N int8 channel 0", "value V uint8", "value V float16"
  std::string tensor;  // initializer, or value of the graph
  std::string node;    // of the main graph: the first that reads the constant; that makes the value, "" for an input
  bool constant = false;
  bool for_all = false;  // a constant that is a value: whatever reads it sees it rounded; else `node` alone
  quant::QuantParams params;
  bool dynamic =
      false;  // a value as `node` alone reads it, quantized to uint8 by its own extremes; `params` mean nothing
  std::optional<DataType> half = {};                 // rounded to this type; `params` mean nothing
  std::vector<std::string> more = {};                // further initializers that are rounded with `tensor`
  std::vector<quant::QuantParams> more_params = {};  // of each of `more`, but with `half`
};

struct Option {
  Choice choice = Choice::kConfig;
  std::string weight;        // component key; "": no rounded constant
  bool on_integers = false;  // its activations are quantized
  bool half = false;         // it computes in 16-bit floats
  double bytes = 0;          // of its constants in the file
  double seconds = 0;        // its share of one run; see Clock::time_options
};

struct Item {
  std::string node;
  std::string op_type;
  double macs = 0;  // per sample, as analyze counts
  std::vector<Option> options;
  bool in_body = false;  // of If, Loop or Scan: what it rounds beside constants is not known
};

/// A value is rounded as long as one of the items that touch it runs on integers, or computes in 16-bit floats; with no
/// items, always.
struct ValueUse {
  std::string component;
  std::vector<size_t> items;
  bool half = false;

  bool is_rounded_by(const Option& option) const { return half ? option.half : option.on_integers; }
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

/// What plans are made from.
struct PlanInputs {
  const graph::Model& model;
  const analyze::Analysis& analysis;
  const plan::Ranges& ranges;
  const plan::Rules& rules;
};

/// Items are layers that the config quantizes or puts into 16-bit floats, and layers whose weight could be stored in
/// fewer bits, but for what a rule keeps in float32; data movement and folded clamps follow their neighbours. Values
/// inside bodies of If, Loop and Scan are no components: the noise of theirs is seen by the judge alone. An option that
/// gives what an earlier one of the layer gives is left out.
Space make_space(const PlanInputs& inputs, const std::vector<Choice>& choices);

/// What each of several plans rounds.
struct PlanRoundings {
  std::vector<Component> components;         // of all of them
  std::vector<std::vector<size_t>> by_plan;  // indices into components
};

/// The plans are those of mixtures: `choices` of the nodes, one list for each plan.
PlanRoundings plan_roundings(const PlanInputs& inputs, const std::vector<std::string>& nodes,
                             const std::vector<std::vector<Choice>>& choices);

}  // namespace narrow::tune

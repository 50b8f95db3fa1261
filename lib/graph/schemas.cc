#include "lib/graph/schemas.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <tuple>
#include <utility>

#include "lib/graph/model.h"

// The table that scripts/cmake/schema_table.cmake makes is read twice: each schema is made by a specialization of
// GetOpSchema for a class that exists by name only.
namespace onnx {
#define SCHEMA(name, tag, version) class name##_##tag##_ver##version;
#include "onnx_schemas.inc"
#undef SCHEMA
}  // namespace onnx

namespace narrow::graph {
namespace {

struct Row {
  std::string_view name;
  std::string_view tag;  // ONNX's word for the domain, or for two of them
  int version = 0;
  onnx::OpSchema (*make)() = nullptr;
};

constexpr bool before(const Row& a, const Row& b) {
  return std::tie(a.name, a.tag, a.version) < std::tie(b.name, b.tag, b.version);
}

template <size_t kSize>
constexpr std::array<Row, kSize> sorted(std::array<Row, kSize> rows) {
  std::sort(rows.begin(), rows.end(), before);
  return rows;
}

constexpr auto kRows = sorted(std::to_array<Row>({
#define SCHEMA(name, tag, version) {#name, #tag, version, &onnx::GetOpSchema<onnx::name##_##tag##_ver##version>},
#include "onnx_schemas.inc"
#undef SCHEMA
}));

std::string_view tag_of(std::string_view domain) {
  if (domain.empty()) return "Onnx";
  if (domain == onnx::AI_ONNX_ML_DOMAIN) return "OnnxML";
  if (domain == onnx::AI_ONNX_TRAINING_DOMAIN) return "OnnxTraining";
  if (domain == onnx::AI_ONNX_PREVIEW_DOMAIN || domain == onnx::AI_ONNX_PREVIEW_TRAINING_DOMAIN) return "OnnxPreview";
  return {};
}

/// onnxruntime's fusions put this operator into ONNX's domain, which does not have it; RMSNormalization is its
/// successor there. https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
onnx::OpSchema simplified_layer_normalization() {
  const std::vector<std::string> types{"tensor(float16)", "tensor(bfloat16)", "tensor(float)", "tensor(double)"};
  onnx::OpSchema schema;
  schema.SetName("SimplifiedLayerNormalization")
      .SetDomain("")
      .SinceVersion(1)
      .Attr("axis", "", onnx::AttributeProto::INT, static_cast<int64_t>(-1))
      .Attr("epsilon", "", onnx::AttributeProto::FLOAT, 1e-5F)
      .Attr("stash_type", "", onnx::AttributeProto::INT, static_cast<int64_t>(1))
      .Input(0, "X", "", "T")
      .Input(1, "scale", "", "V")
      .Output(0, "Y", "", "V")
      .Output(1, "inv_std_var", "", "U", onnx::OpSchema::Optional)
      .TypeConstraint("T", types, "")
      .TypeConstraint("U", types, "")
      .TypeConstraint("V", types, "")
      .TypeAndShapeInferenceFunction([](onnx::InferenceContext& context) {
        onnx::propagateElemTypeFromInputToOutput(context, 1, 0);
        if (onnx::hasInputShape(context, 0)) onnx::propagateShapeFromInputToOutput(context, 0, 0);
        if (context.getNumOutputs() > 1) onnx::updateOutputElemType(context, 1, onnx::TensorProto::FLOAT);
      });
  schema.Finalize();
  return schema;
}

/// What onnxruntime has in ONNX's domain at any opset, and ONNX only from this one on; both mean the same. Its fusions
/// write LayerNormalization into whatever model they find it in.
constexpr std::array<std::pair<std::string_view, int>, 2> kEarlier{
    {{"LayerNormalization", 17}, {"ThresholdedRelu", 10}}};

int with_earlier(const std::string& name, const std::string& domain, int opset) {
  const auto found = std::find_if(kEarlier.begin(), kEarlier.end(), [&](const auto& row) { return row.first == name; });
  return domain.empty() && found != kEarlier.end() ? std::max(opset, found->second) : opset;
}

class SchemaTable final : public onnx::ISchemaRegistry {
 public:
  // NOLINTNEXTLINE(google-default-arguments): as the interface has it
  const onnx::OpSchema* GetSchema(const std::string& name, int newest, const std::string& domain = "") const override {
    const Row wanted{.name = name, .tag = tag_of(domain), .version = with_earlier(name, domain, newest)};
    const auto after = std::upper_bound(kRows.begin(), kRows.end(), wanted, before);
    if (domain.empty() && name == simplified_.Name()) return &simplified_;
    if (after == kRows.begin()) return nullptr;
    const auto row = std::prev(after);
    if (row->name != wanted.name || row->tag != wanted.tag) return nullptr;
    const onnx::OpSchema& schema = made(static_cast<size_t>(row - kRows.begin()));
    return schema.domain() == domain ? &schema : nullptr;
  }

 private:
  const onnx::OpSchema& made(size_t row) const {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<onnx::OpSchema>& schema = made_[row];
    if (!schema) {
      auto fresh = std::make_unique<onnx::OpSchema>(kRows[row].make());
      fresh->Finalize();
      schema = std::move(fresh);
    }
    return *schema;
  }

  const onnx::OpSchema simplified_ = simplified_layer_normalization();
  mutable std::mutex mutex_;
  mutable std::array<std::unique_ptr<onnx::OpSchema>, kRows.size()> made_;
};

/// What ONNX's checker looks at, no more: nothing takes the mark from a schema that has it.
onnx::OpSchema signature_of(const onnx::OpSchema& original) {
  onnx::OpSchema schema;
  schema.SetName(original.Name()).SetDomain(original.domain()).SinceVersion(original.since_version());
  for (const auto& [name, attribute] : original.attributes()) schema.Attr(attribute);
  for (size_t i = 0; i < original.inputs().size(); ++i) schema.Input(static_cast<int>(i), original.inputs()[i]);
  for (size_t i = 0; i < original.outputs().size(); ++i) schema.Output(static_cast<int>(i), original.outputs()[i]);
  for (const auto& type : original.typeConstraintParams()) {
    schema.TypeConstraint(type.type_param_str, type.allowed_type_strs, type.description);
  }
  schema.Finalize();
  return schema;
}

class CheckerTable final : public onnx::ISchemaRegistry {
 public:
  // NOLINTNEXTLINE(google-default-arguments): as the interface has it
  const onnx::OpSchema* GetSchema(const std::string& name, int newest, const std::string& domain = "") const override {
    const onnx::OpSchema* schema = schemas().GetSchema(name, newest, domain);
    if (schema == nullptr || !schema->Deprecated()) return schema;
    const std::lock_guard lock(mutex_);
    return &signatures_.try_emplace(schema, signature_of(*schema)).first->second;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::map<const onnx::OpSchema*, onnx::OpSchema> signatures_;
};

}  // namespace

const onnx::ISchemaRegistry& schemas() {
  static const SchemaTable table;
  return table;
}

const onnx::ISchemaRegistry& checker_schemas() {
  static const CheckerTable table;
  return table;
}

const onnx::OpSchema* find_schema(const onnx::NodeProto& node, int opset) {
  return schemas().GetSchema(node.op_type(), opset, std::string(canonical_domain(node.domain())));
}

}  // namespace narrow::graph

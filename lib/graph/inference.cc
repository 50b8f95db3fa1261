#include "lib/graph/inference.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "lib/base/error.h"

namespace narrow::graph {
namespace {

using Context = onnx::InferenceContext;

/// "" or why ONNX has no word for the type.
std::string type_error(const onnx::TypeProto* type) {
  if (type == nullptr || type->value_case() == onnx::TypeProto::VALUE_NOT_SET) return {};
  try {
    onnx::Utils::DataTypeUtils::ToType(*type);
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

/// The operators of another registry, whose inference also looks at the types themselves. ONNX's own check of types
/// knows no node when it meets one that there is not.
class TypeNamingSchemas final : public onnx::ISchemaRegistry {
 public:
  explicit TypeNamingSchemas(const onnx::ISchemaRegistry& schemas) : schemas_(schemas) {}

  // NOLINTNEXTLINE(google-default-arguments): as the interface has it
  const onnx::OpSchema* GetSchema(const std::string& name, int newest, const std::string& domain = "") const override {
    const onnx::OpSchema* schema = schemas_.GetSchema(name, newest, domain);
    if (schema == nullptr || !schema->has_type_and_shape_inference_function()) return schema;
    auto& made = made_[{domain, name, schema->SinceVersion()}];
    if (made == nullptr) {
      made = std::make_unique<onnx::OpSchema>(*schema);
      made->TypeAndShapeInferenceFunction([infer = schema->GetTypeAndShapeInferenceFunction()](Context& context) {
        infer(context);
        // No InferenceError: ONNX says of which node it is, and goes on with no other.
        for (size_t i = 0; i < context.getNumInputs(); ++i) check("input", i, context.getInputType(i));
        for (size_t i = 0; i < context.getNumOutputs(); ++i) check("output", i, context.getOutputType(i));
      });
    }
    return made.get();
  }

 private:
  static void check(const char* what, size_t position, const onnx::TypeProto* type) {
    const std::string why = type_error(type);
    if (!why.empty()) throw std::runtime_error(fmt::format("{} {}: {}", what, position, why));
  }

  const onnx::ISchemaRegistry& schemas_;
  mutable std::map<std::tuple<std::string, std::string, int>, std::unique_ptr<onnx::OpSchema>> made_;
};

std::optional<std::string> error_of(const std::function<void()>& infer, bool& unknown_type) {
  try {
    infer();
    return std::nullopt;
  } catch (const std::invalid_argument& error) {
    unknown_type = true;
    return one_line(error.what());
  } catch (const std::runtime_error& error) {
    return one_line(error.what());
  }
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool space = c == '\n' || c == ' ' || c == '\t';
    if (space && (line.empty() || line.back() == ' ')) continue;
    line += space ? ' ' : c;
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

void infer_shapes(onnx::ModelProto& model, const onnx::ISchemaRegistry& schemas,
                  const onnx::ShapeInferenceOptions& options) {
  bool unknown_type = false;
  auto why = error_of([&] { onnx::shape_inference::InferShapes(model, &schemas, options); }, unknown_type);
  if (!why) return;
  if (unknown_type) {
    const TypeNamingSchemas naming(schemas);
    onnx::ModelProto copy = model;
    const auto named = error_of([&] { onnx::shape_inference::InferShapes(copy, &naming, options); }, unknown_type);
    if (named) why = named;
  }
  throw Error(ErrorKind::kModel, *std::move(why));
}

}  // namespace narrow::graph

#include "lib/rewrite/form.h"

#include "lib/rewrite/integer_io.h"

namespace narrow::rewrite {

QoperatorModel in_form(const graph::Model& qdq, const plan::PrecisionPlan& plan) {
  graph::Model result = with_integer_io(qdq, plan);
  if (plan.form.format == plan::FileFormat::kQdq) return {std::move(result), {}};
  return to_qoperators(result, plan.form.microsoft);
}

}  // namespace narrow::rewrite

#include "lib/rewrite/form.h"

#include "lib/rewrite/integer_io.h"

namespace narrow::rewrite {

QoperatorModel in_form(graph::Model qdq, const plan::PrecisionPlan& plan) {
  // A copy would hold all codes once more.
  if (!plan.form.integer_io.empty()) qdq = with_integer_io(qdq, plan);
  if (plan.form.format == plan::FileFormat::kQdq) return {std::move(qdq), {}};
  return to_qoperators(qdq, plan.form.microsoft);
}

}  // namespace narrow::rewrite

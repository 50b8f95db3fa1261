// The last step of the rewrite: the QDQ model as the plan wants the file.
#pragma once

#include <vector>

#include "lib/plan/plan.h"
#include "lib/rewrite/qoperator.h"

namespace narrow::rewrite {

/// Integer inputs and outputs, then operators on integers, as plan.form says; the rest stays as rewrite_to_qdq made it.
QoperatorModel in_form(graph::Model qdq, const plan::PrecisionPlan& plan);

}  // namespace narrow::rewrite

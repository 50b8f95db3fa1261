#pragma once
#include "apps/pipeline.h"
namespace narrow::apps {
void recover(const PipelineOptions& options, const DataSource& data, const std::vector<int64_t>& samples,
             graph::Model& model, plan::PrecisionPlan& plan, Stages& stages);
}

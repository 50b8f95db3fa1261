// The factories of the domain ai.onnx.ml, by file of this folder.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

// encoders.cc
KernelPtr make_label_encoder(const KernelRequest& request);
KernelPtr make_category_mapper(const KernelRequest& request);
KernelPtr make_one_hot_encoder(const KernelRequest& request);
KernelPtr make_array_feature_extractor(const KernelRequest& request);
// features.cc
KernelPtr make_binarizer(const KernelRequest& request);
KernelPtr make_row_normalizer(const KernelRequest& request);
KernelPtr make_scaler(const KernelRequest& request);
KernelPtr make_imputer(const KernelRequest& request);
KernelPtr make_feature_vectorizer(const KernelRequest& request);
KernelPtr make_zip_map(const KernelRequest& request);
KernelPtr make_map_operator(const KernelRequest& request);
// linear.cc
KernelPtr make_linear_classifier(const KernelRequest& request);
KernelPtr make_linear_regressor(const KernelRequest& request);
// svm.cc
KernelPtr make_svm_classifier(const KernelRequest& request);
KernelPtr make_svm_regressor(const KernelRequest& request);
// tree_kernels.cc
KernelPtr make_tree_ensemble(const KernelRequest& request);
KernelPtr make_tree_ensemble_classifier(const KernelRequest& request);
KernelPtr make_tree_ensemble_regressor(const KernelRequest& request);

}  // namespace narrow::exec

// What `narrow run` writes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/paths.h"
#include "lib/base/made_folder.h"
#include "lib/graph/value_proto.h"
#include "lib/tensor/tensor.h"

namespace narrow::apps {

using Results = std::vector<std::vector<Tensor>>;  // by feed, then by output

struct RunOutput {
  std::string name;
  graph::ValueForm form = graph::ValueForm::kTensor;
};

/// True for a file that takes all feeds; otherwise `output` is a folder.
bool writes_npz(const std::string& output);

/// Throws Error(kData) where nothing can be written there. Makes a folder, which goes again with what is returned if
/// nothing was written into it.
std::unique_ptr<MadeFolder> check_output(const std::string& output);

/// The existing files that may be overwritten: of a folder, those that are named as feeds are.
std::vector<NamedPath> files_of_output(const std::string& output);

/// One .npz with feeds joined on axis 0; or, into a folder, a .npz for each feed, or where NumPy can not hold some
/// output (a sequence, an optional) a folder of output_N.pb for each, as ONNX's test data are. Throws Error(kUsage)
/// where feeds can not be joined or need a folder. Sequences of maps stand in no .npz: they are left out with a
/// warning, unless there is nothing else. Returns the names of what is written.
std::vector<std::string> write_results(const Results& results, const std::vector<RunOutput>& outputs,
                                       const std::string& output);

}  // namespace narrow::apps

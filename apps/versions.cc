#include "apps/versions.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>

#include "lib/onednn/isa.h"

namespace narrow::apps {

report::Versions versions() {
  return {.narrow = NARROW_VERSION,
          .onnx = NARROW_ONNX_VERSION,
          .onednn = onednn::version(),
          .protobuf = google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION),
          .isa = onednn::effective_isa()};
}

std::string version_text() {
  const report::Versions all = versions();
  return fmt::format("narrow {}\nONNX {}, oneDNN {}, protobuf {}\ninstruction set {}\n", all.narrow, all.onnx,
                     all.onednn, all.protobuf, all.isa);
}

}  // namespace narrow::apps

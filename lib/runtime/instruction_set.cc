#include "lib/runtime/instruction_set.h"

#include "lib/onednn/isa.h"

namespace narrow::runtime {

std::string instruction_set() {
  return onednn::effective_isa();
}

bool saturates_pairs() {
  return onednn::saturates_pairs();
}

}  // namespace narrow::runtime

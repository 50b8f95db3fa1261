// Feeds of models with a memory, complete: what reads samples in any order, from several threads, needs no state.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "calib/data_reader.h"
#include "lib/exec/program.h"
#include "lib/exec/state.h"

namespace narrow::calib {

/// The same feeds with the inputs that an output feeds: what the float model, run over all the data in order from feed
/// 0, hands to each. It runs no further than somebody reads, and begins with the first reading. States are kept up to
/// so many bytes together; beyond, every second of them, every fourth and so on, and what is between is computed again
/// from the nearest before it: a pass in ascending order costs one run a sample at most.
std::unique_ptr<DataReader> with_states(std::unique_ptr<DataReader> reader, std::function<exec::Program()> compile,
                                        std::vector<exec::StateLink> links, int64_t most_bytes);

}  // namespace narrow::calib

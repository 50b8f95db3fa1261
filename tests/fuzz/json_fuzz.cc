// The project's JSON files: each reader gives an Error or a value that it reads again from its own JSON.
#include <cstdint>
#include <string_view>

#include "calib/calibration_table.h"
#include "calib/data_reader.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/plan/plan.h"

namespace {

template <class Read>
void round_trip(const narrow::Json& json, const Read& read) {
  narrow::Json again;
  try {
    again = to_json(read(json));
  } catch (const narrow::Error& error) {
    if (error.kind() == narrow::ErrorKind::kInternal) throw;
    return;
  }
  to_json(read(again));  // an Error here is a finding
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  narrow::Json json;
  try {
    json = narrow::parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const narrow::Error&) {
    return 0;
  }
  round_trip(json, narrow::plan::plan_from_json);
  round_trip(json, narrow::calib::calibration_table_from_json);
  return 0;
}

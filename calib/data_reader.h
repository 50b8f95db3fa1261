// Samples from plain files, one feed at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/json.h"
#include "lib/exec/state.h"
#include "lib/graph/onnx_proto.h"
#include "lib/graph/value_proto.h"

namespace narrow::calib {

/// Preprocessing of one input, as the config's "inputs" section gives it. Pixels are first resized (shorter side to
/// `resize`, bilinear with antialiasing), cropped at the centre to `crop`, brought to `color` order, then
/// (pixel * scale - mean[c]) / std[c] in float32, then laid out. Arrays of uint8 images go the same way; arrays of
/// other types are neither resized, cropped nor made gray. Arrays of the input's own type and layout without any option
/// set go unchanged.
struct InputOptions {
  std::optional<std::vector<int64_t>> resize = {};  // the shorter side, or [height, width]
  std::optional<int64_t> letterbox = {};            // grey around an image that keeps its proportion in [height, width]
  std::optional<int64_t> multiple = {};             // sides become the nearest multiples of it
  std::optional<std::vector<int64_t>> crop = {};    // [height, width]
  std::string color = {};                           // "", "RGB", "BGR" or "GRAY"
  std::string layout = {};                          // "" or the model's: "NCHW" or "NHWC"
  double scale = 1;
  std::vector<double> mean = {};  // empty, one, or one per channel
  std::vector<double> std = {};
  std::string from_output = {};  // the output that it is given from the sample before; "": the data hold it
  std::optional<std::vector<int64_t>> shape = {};  // with from_output: of the zeros that the first sample gets
  bool operator==(const InputOptions&) const = default;
};

/// By input name.
using InputConfig = std::map<std::string, InputOptions>;

/// Inputs that outputs of the sample before feed. Their first shape is the config's, else as declared. A free dimension
/// is as large as that of the same name of an input that the data hold; else, where the output has another there (a
/// cache that grows with each sample), 0; else 1. Throws Error(kUsage) for a config's shape that is not as declared.
std::vector<exec::StateLink> state_links(const onnx::GraphProto& graph, const InputConfig& config);

/// Reads the config's "inputs" object; refuses unknown keys with their path.
InputConfig read_input_config(JsonObject& inputs);
Json to_json(const InputConfig& config);

/// What the model wants: used to pick, check and shape what the files hold.
struct InputSpec {
  std::string name;
  DataType type = DataType::kFloat32;
  std::optional<Shape> shape;                         // -1: free
  graph::ValueForm form = graph::ValueForm::kTensor;  // of another: `type` and `shape` are those of the tensors inside
  bool of_sequences = false;                          // what is inside are sequences
  bool any_number = false;                            // NaN and infinity too: nothing is learned from the data
};

class DataReader {
 public:
  virtual ~DataReader() = default;
  /// Number of feeds.
  virtual int64_t size() const = 0;
  /// Number of samples in all feeds: more than size() if the model's batch is fixed above 1.
  virtual int64_t samples() const = 0;
  /// Feed `index`, complete and checked. Thread-safe. Throws Error(kData) naming file and input: wrong shape, type,
  /// unreadable image, NaN or infinity.
  virtual exec::Feed read(int64_t index) const = 0;
  /// The same without the inputs that an output feeds: for runs over all samples in order, which have a state of their
  /// own.
  virtual exec::Feed read_stateless(int64_t index) const { return read(index); }
  /// Where feed `index` comes from, for messages: "'images/cat.jpg'".
  virtual std::string source(int64_t index) const = 0;
  /// Names of the files behind it, sorted: reports show and hash them.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

/// Opens a file or folder: .npy, .npz, test_data_set_*/input_N.pb, a folder of images (or a single one), raw .bin.
/// The first axis of an array is the sample axis: [n, ...] gives n feeds of batch 1, or of the model's batch if that is
/// fixed above 1; an array with one more axis than the input holds n inputs; a .pb is fed as it is. A folder's files
/// are of one kind, read in sorted order, test_data_set_* by number; text files (.csv, .txt, .json, .md) and hidden
/// files beside them are left out. Sequences and optionals come from .pb, an optional's value from any array. A model
/// without inputs is fed nothing, once for each data set. Throws Error(kData) when there is nothing usable,
/// Error(kUsage) when `config` names an input the model lacks. Inputs that an output feeds are not read (see
/// with_states).
std::unique_ptr<DataReader> open_data(const std::filesystem::path& path, const std::vector<InputSpec>& inputs,
                                      const InputConfig& config);

/// Names by which the data's arrays say which inputs they are for; empty for images. Throws Error(kData).
std::set<std::string> array_names(const std::filesystem::path& path);

/// One feed that holds nothing, for a model without inputs.
std::unique_ptr<DataReader> nothing_to_read();

/// `count` feeds spread evenly over the reader: index round(linspace(0, n - 1, count)); all of them if it has no more.
std::vector<int64_t> spread_samples(int64_t size, int64_t count);

/// Class labels, one a sample: .npy (integers), .txt (one a line) or .csv (a header line, then file name and class;
/// joined with the names of the data's files, which must be one a sample). Throws Error(kData) for a wrong number of
/// labels, a file without a label, or text that is not a class.
std::vector<int64_t> read_labels(const std::filesystem::path& path, const DataReader& data);

}  // namespace narrow::calib

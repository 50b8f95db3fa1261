#include "lib/runtime/kernels/linear_kernels.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/exec/kernels/curve_loops.h"
#include "lib/runtime/kernels/elementwise.h"
#include "lib/runtime/ref/elementwise.h"
#include "lib/tensor/packed.h"

namespace narrow::runtime {
namespace {

bool is_8bit(const quant::QuantParams& params) {
  return !params.axis && (params.type == quant::QuantType::kInt8 || params.type == quant::QuantType::kUint8);
}

Affine8 affine_of(const quant::QuantParams& params) {
  return {params.scales.front(), params.zero_points.front(), params.type == quant::QuantType::kInt8};
}

class QuantizeKernel : public exec::Kernel {
 public:
  explicit QuantizeKernel(const Affine8& params) : params_(params) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    Tensor y = workspace.allocate(params_.storage(), x.shape(), x.layout());
    const float* source = x.data<float>().data();
    Byte* target = bytes_of(y);
    parallel_for(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      quantize_elements(params_, source + begin, target + begin, static_cast<size_t>(end - begin));
    });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "vector"; }

 private:
  Affine8 params_;
};

class DequantizeKernel : public exec::Kernel {
 public:
  explicit DequantizeKernel(const Affine8& params) : params_(params) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    ensure(x.type() == params_.storage(), "dequantize gets the type it was made for");
    Tensor y = workspace.allocate(DataType::kFloat32, x.shape(), x.layout());
    const Byte* source = bytes_of(x);
    float* target = y.mutable_data<float>().data();
    parallel_for(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      dequantize_elements(params_, source + begin, target + begin, static_cast<size_t>(end - begin));
    });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "vector"; }

 private:
  Affine8 params_;
};

// Per-channel parameters, 16 and 32 bits, and the oracle.
class PlainLinearKernel : public exec::Kernel {
 public:
  enum class Direction { kQuantize, kDequantize };
  PlainLinearKernel(quant::QuantParams params, Direction direction)
      : params_(std::move(params)),
        direction_(direction),
        zero_points_(params_.zero_points.begin(), params_.zero_points.end()) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    check_channels(inputs[0]);
    if (has_columns() && normalize_axis(*params_.axis, inputs[0].rank()) + 1 == static_cast<int64_t>(inputs[0].rank()))
      return dequantize_rows(inputs[0], outputs[0], workspace);
    outputs[0] = direction_ == Direction::kQuantize ? quant::quantize(inputs[0], params_)
                                                    : quant::dequantize(inputs[0], params_);
  }
  std::string implementation() const override { return has_columns() ? "vector" : "reference"; }
  exec::LayoutUse layout_use() const override {
    const bool packed = is_packed(quant::row(params_.type).storage);  // has no other order
    return params_.axis || packed ? exec::LayoutUse::kPlain : exec::LayoutUse::kAny;
  }

 private:
  bool has_columns() const {
    const bool bytes = params_.type == quant::QuantType::kInt8 || params_.type == quant::QuantType::kUint8;
    return params_.axis && bytes && direction_ == Direction::kDequantize &&
           zero_points_.size() == params_.scales.size();
  }

  // Channels are innermost.
  void dequantize_rows(const Tensor& x, Tensor& result, Workspace& workspace) const {
    result = workspace.allocate(DataType::kFloat32, x.shape());
    const auto columns = static_cast<int64_t>(params_.scales.size());
    const ColumnParams own{.scales = params_.scales.data(),
                           .zero_points = zero_points_.data(),
                           .is_signed = params_.type == quant::QuantType::kInt8};
    float* target = result.mutable_data<float>().data();
    parallel_for(x.size() / columns, std::max<int64_t>(1, kElementGrain / columns), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        dequantize_columns(own, bytes_of(x) + row * columns, target + row * columns, static_cast<size_t>(columns));
      }
    });
  }

  // The rank may be known only now.
  void check_channels(const Tensor& x) const {
    if (!params_.axis) return;
    const int64_t channels = x.shape()[static_cast<size_t>(normalize_axis(*params_.axis, x.rank()))];
    if (channels == static_cast<int64_t>(params_.scales.size())) return;
    throw Error(ErrorKind::kModel, "{} scales for axis {} of shape {}", params_.scales.size(), *params_.axis,
                shape_text(x.shape()));
  }

  quant::QuantParams params_;
  Direction direction_;
  std::vector<float> zero_points_;
};

class TableKernel : public exec::Kernel {
 public:
  TableKernel(const Table& table, DataType result) : table_(table), result_(result) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    Tensor y = workspace.allocate(result_, x.shape(), x.layout());
    const Byte* source = bytes_of(x);
    Byte* target = bytes_of(y);
    parallel_for(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      look_up_elements(table_, source + begin, target + begin, static_cast<size_t>(end - begin));
    });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "table"; }

 private:
  Table table_;
  DataType result_;
};

class FloatTableKernel : public exec::Kernel {
 public:
  explicit FloatTableKernel(const Tensor& values) : table_(values.data<float>()) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    Tensor y = workspace.allocate(DataType::kFloat32, x.shape(), x.layout());
    const Byte* source = bytes_of(x);
    float* target = y.mutable_data<float>().data();
    parallel_for(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      table_.look_up(source + begin, target + begin, static_cast<size_t>(end - begin));
    });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "table"; }

 private:
  FloatTable table_;
};

class GeluKernel : public exec::Kernel {
 public:
  explicit GeluKernel(const Affine8& params) : params_(params) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    Tensor y = workspace.allocate(params_.storage(), x.shape(), x.layout());
    const float* source = x.data<float>().data();
    Byte* target = bytes_of(y);
    // Some twenty operations an element.
    parallel_for(x.size(), kElementGrain / 4, [&](int64_t begin, int64_t end) {
      constexpr int64_t kAtOnce = 1024;  // stays in the first cache
      std::array<float, kAtOnce> real;
      for (int64_t i = begin; i < end; i += kAtOnce) {
        const auto count = static_cast<size_t>(std::min(kAtOnce, end - i));
        exec::map_curve(exec::Curve::kGelu, source + i, real.data(), count);
        quantize_elements(params_, real.data(), target + i, count);
      }
    });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "vector"; }

 private:
  Affine8 params_;
};

class ChannelTablesKernel : public exec::Kernel {
 public:
  explicit ChannelTablesKernel(ChannelTables tables) : tables_(std::move(tables)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const auto channels = static_cast<int64_t>(tables_.tables.size());
    if (x.rank() != tables_.rank || x.shape()[tables_.axis] != channels) {
      throw Error(ErrorKind::kModel, "constants of {} channels for a value of shape {}", channels,
                  shape_text(x.shape()));
    }
    int64_t inner = 1;  // elements of a channel that lie together
    if (x.layout() == Layout::kPlain) {
      for (size_t i = tables_.axis + 1; i < x.rank(); ++i) inner *= x.shape()[i];
    }
    Tensor y = workspace.allocate(tables_.result, x.shape(), x.layout());
    const Byte* from = bytes_of(x);
    Byte* to = bytes_of(y);
    const int64_t runs = inner == 0 ? 0 : x.size() / inner;
    parallel_for(runs, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, inner)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t run = begin; run < end; ++run) {
                     const Table& table = tables_.tables[static_cast<size_t>(run % channels)];
                     if (inner == 1) {
                       to[run] = table[from[run]];
                     } else {
                       look_up_elements(table, from + run * inner, to + run * inner, static_cast<size_t>(inner));
                     }
                   }
                 });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override {
    return tables_.axis == 1 ? exec::LayoutUse::kAny : exec::LayoutUse::kPlain;
  }
  std::string implementation() const override { return "table"; }

 private:
  ChannelTables tables_;
};

}  // namespace

exec::KernelPtr make_quantize(const quant::QuantParams& params, KernelChoice choice) {
  if (choice == KernelChoice::kFast && is_8bit(params)) return std::make_unique<QuantizeKernel>(affine_of(params));
  return std::make_unique<PlainLinearKernel>(params, PlainLinearKernel::Direction::kQuantize);
}

exec::KernelPtr make_dequantize(const quant::QuantParams& params, KernelChoice choice) {
  if (choice == KernelChoice::kFast && is_8bit(params)) return std::make_unique<DequantizeKernel>(affine_of(params));
  return std::make_unique<PlainLinearKernel>(params, PlainLinearKernel::Direction::kDequantize);
}

exec::KernelPtr make_table(const Table& table, DataType result) {
  return std::make_unique<TableKernel>(table, result);
}

exec::KernelPtr make_gelu(const Affine8& to) {
  return std::make_unique<GeluKernel>(to);
}

exec::KernelPtr make_channel_tables(ChannelTables tables) {
  return std::make_unique<ChannelTablesKernel>(std::move(tables));
}

exec::KernelPtr make_float_table(const Tensor& values) {
  return std::make_unique<FloatTableKernel>(values);
}

Table make_function_table(const Affine8& from, const Affine8& to, const std::function<Tensor(const Tensor&)>& f) {
  Table table{};
  std::vector<float> real(table.size());
  for (size_t i = 0; i < real.size(); ++i) real[i] = ref::dequantize_element(from, static_cast<Byte>(i));
  const Tensor result = f(Tensor::of<float>({static_cast<int64_t>(real.size())}, std::span<const float>(real)));
  ensure(result.size() == static_cast<int64_t>(table.size()), "an elementwise function keeps the number of elements");
  const auto values = result.data<float>();
  for (size_t i = 0; i < table.size(); ++i) table[i] = ref::quantize_element(to, values[i]);
  return table;
}

Table make_requantize_table(const Affine8& from, const Affine8& to) {
  return make_function_table(from, to, [](const Tensor& x) { return x; });
}

}  // namespace narrow::runtime

// MaxUnpool and Col2Im: values back to the places that a window took them from.
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/ref/convolution.h"

namespace narrow::exec {

// Indices count over the tensor that the window attributes imply; a larger output_shape leaves zeros behind it.
KernelPtr make_max_unpool(const KernelRequest& request) {
  const WindowAttributes attributes = window_attributes(*request.node);
  if (attributes.kernel.empty()) refuse(request, "kernel_shape is missing");
  return kernel_of(
      [=, operand = Operand(request, 2)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const std::vector<int64_t> spatial = spatial_dimensions(x.shape());
        const size_t rank = spatial.size();
        const std::vector<int64_t> indices = int_list(required(inputs, 1));
        const auto given = [&](const std::vector<int64_t>& list, size_t axis, int64_t otherwise) {
          return axis < list.size() ? list[axis] : otherwise;
        };
        if (attributes.kernel.size() != rank || inputs[1].shape() != x.shape()) {
          throw Error(ErrorKind::kModel, "kernel or indices do not fit {}", shape_text(x.shape()));
        }
        Shape shape = x.shape();
        for (size_t axis = 0; axis < rank; ++axis) {
          const int64_t pads = given(attributes.pads, axis, 0) + given(attributes.pads, rank + axis, 0);
          shape[axis + 2] = (spatial[axis] - 1) * given(attributes.strides, axis, 1) - pads + attributes.kernel[axis];
        }
        const Tensor& wanted = operand.in(inputs);
        const Shape result = wanted.defined() ? int_list(wanted) : shape;
        bool holds = result.size() == shape.size();
        for (size_t axis = 0; holds && axis < shape.size(); ++axis) holds = result[axis] >= shape[axis];
        if (!holds) throw Error(ErrorKind::kModel, "output_shape {} below {}", shape_text(result), shape_text(shape));
        outputs[0] = workspace.allocate(x.type(), result);
        const int64_t places = element_count(shape);
        dispatch_width(x.type(), [&]<class U>() {
          U* to = mutable_elements<U>(outputs[0]);
          std::fill_n(to, outputs[0].size(), U{0});
          for (size_t i = 0; i < indices.size(); ++i) {
            if (indices[i] < 0 || indices[i] >= places) {
              throw Error(ErrorKind::kModel, "index {} of {} elements", indices[i], places);
            }
            int64_t offset = 0;
            int64_t step = 1;
            int64_t rest = indices[i];
            for (size_t axis = shape.size(); axis-- > 0;) {
              offset += rest % shape[axis] * step;
              rest /= shape[axis];
              step *= result[axis];
            }
            to[offset] = elements<U>(x)[i];
          }
        });
      });
}

namespace {

// Adds the columns [taps, blocks] of one plane to the image.
template <class T>
void add_columns(const Window& window, const std::vector<int64_t>& image, const T* columns, T* to) {
  const int64_t blocks = element_count(window.output);
  std::fill_n(to, element_count(image), T{0});
  std::vector<int64_t> index(image.size(), 0);
  int64_t block = 0;
  do {
    for_each_tap(window, image, index, [&](int64_t tap, int64_t at) { to[at] += columns[tap * blocks + block]; });
    ++block;
  } while (next_index(index, window.output));
}

}  // namespace

KernelPtr make_col2im(const KernelRequest& request) {
  return kernel_of([attributes = window_attributes(*request.node), image_operand = Operand(request, 1),
                    block_operand = Operand(request, 2)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                         Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const std::vector<int64_t> image = int_list(image_operand.required_in(inputs));
    const std::vector<int64_t> block = int_list(block_operand.required_in(inputs));
    const Window window = resolve_window(attributes, image, block);
    const int64_t taps = element_count(window.kernel);
    const int64_t blocks = element_count(window.output);
    if (x.rank() != 3 || taps < 1 || x.shape()[1] % taps != 0 || x.shape()[2] != blocks) {
      throw Error(ErrorKind::kModel, "columns {} for {} blocks of {} elements", shape_text(x.shape()), blocks, taps);
    }
    const int64_t channels = x.shape()[1] / taps;
    Shape shape{x.shape()[0], channels};
    shape.insert(shape.end(), image.begin(), image.end());
    outputs[0] = workspace.allocate(x.type(), shape);
    dispatch_type(NumberTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = outputs[0].mutable_data<T>().data();
      parallel_for(shape[0] * channels, 1, [&](int64_t begin, int64_t end) {
        for (int64_t plane = begin; plane < end; ++plane) {
          add_columns(window, image, from + plane * taps * blocks, to + plane * element_count(image));
        }
      });
    });
  });
}

}  // namespace narrow::exec

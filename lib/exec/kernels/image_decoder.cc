// ImageDecoder: the bytes of an image file to [height, width, channels].
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/image/decode.h"

namespace narrow::exec {

KernelPtr make_image_decoder(const KernelRequest& request) {
  const std::string format = graph::string_attribute(*request.node, "pixel_format", "RGB");
  if (format != "RGB" && format != "BGR" && format != "Grayscale")
    refuse(request, "unknown pixel_format '" + format + "'");
  return kernel_of([format](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const auto bytes = required(inputs, 0).data<uint8_t>();
    image::Image image = image::decode(std::as_bytes(bytes));
    if (format == "Grayscale") image = image::to_gray(image);
    if (format == "BGR") {
      for (size_t i = 0; i < image.pixels.size(); i += 3) std::swap(image.pixels[i], image.pixels[i + 2]);
    }
    outputs[0] = workspace.allocate(DataType::kUint8, {image.height, image.width, image.channels});
    std::copy(image.pixels.begin(), image.pixels.end(), outputs[0].mutable_data<uint8_t>().begin());
  });
}

}  // namespace narrow::exec
